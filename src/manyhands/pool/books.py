"""The books of a pool: scheduler, engine and results brought together, under one lock. `core` says who waits for what.

A *turn* hears the engine's events, tells the scheduler, and carries out its commands until there are none.

Always true:

1. Scheduler, sources and engine are touched under `_lock` only, which is never held while anything waits, and under
   which no code of the user's runs: who is to be told something is noted, and told later, with no lock held.
2. Callbacks run in the order of the results, one at a time.
3. If an interrupt (Ctrl-C) breaks off a turn half way, the books cannot be trusted: every open task fails, the pool is
   broken, and nothing hangs.

Threads: any. Processes: the one that made it; a forked child must not use it.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections import deque
from typing import Any

from manyhands.engines.protocol import Death, Died, Engine, Event, Finished, Ready, Refused
from manyhands.pool import lost
from manyhands.pool.job import Job, StreamJob
from manyhands.pool.lead import Announcer
from manyhands.pool.result import Announced, Result, settle, settle_all, settle_cancelled
from manyhands.scheduler.commands import Cut, Dismiss, Kill, Lost, Send, Start
from manyhands.scheduler.state import Scheduler
from manyhands.scheduler.work import Calls, Source

#: A thread that submits looks for results once in so many submissions.
_GLANCE_EVERY = 512

_numbers = itertools.count(1)


class Books(Announcer):
    """See the module. `Core` is made of it."""

    def __init__(self, engine: Engine, hands: int, max_tasks: int | None = None) -> None:
        super().__init__()
        self.engine = engine
        self.hands = hands
        self.scheduler = Scheduler(hands, max_tasks)
        self.name = f"manyhands-pool-{next(_numbers)}"
        self.open = True
        self.failure: BaseException | None = None  # why the pool is broken
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._inbox: deque[Source] = deque()
        self._hungry = True
        self._deaths: dict[int, Death] = {}
        self._open_jobs: set[Job] = set()
        self._timed = False
        self._over = threading.Event()
        self._untrue = False  # a turn was broken off: who is whose worker is not known any more
        self._stopped = False  # terminated: what was not done will not be
        self._dropped: deque[Source] = deque()
        self._late: deque[Result[Any]] = deque()  # to be cancelled
        self._turning = 0  # the thread that takes a turn
        self._released = False  # the engine is closed

    # ---- submitting ----

    def check_open(self) -> None:
        """Raise what an unusable pool raises."""
        if self.open and self._pid == os.getpid():
            return
        if self._pid != os.getpid():
            raise lost.wrong_process(self._pid)
        raise lost.closed(self.failure)

    @property
    def is_usable(self) -> bool:
        """Will what was submitted be done? Also true while it closes."""
        return self.failure is None and not self._stopped

    def check_usable(self) -> None:
        """Raise what an unusable pool raises."""
        if not self.is_usable:
            raise lost.closed(self.failure)

    def submit_call(self, source: Calls, result: Result[Any]) -> None:
        """A single call. Called a million times a second: it only appends, unless a worker has nothing to do."""
        if not self.open:
            self.check_open()
        pending = source.pending
        pending.append(result)
        if not source.queued:
            source.queued = True
            self._inbox.append(source)
        if not self.open:
            self._take_back(source, result)
        if self._hungry or (len(pending) % _GLANCE_EVERY == 0 and self.engine.pending):
            self.turn()

    def _take_back(self, source: Calls, result: Result[Any]) -> None:
        """The pool was closed in the meantime. A call that nobody has taken yet is not taken any more."""
        with self._lock:
            try:
                source.pending.remove(result)
            except ValueError:
                return
        self.check_open()

    def hold(self, source: Source) -> None:
        """A stream begins, which will submit more and more."""
        with self._lock:
            self.scheduler.hold(source)

    def exhausted(self, source: Source) -> None:
        """A stream submits no more."""
        with self._lock:
            self.scheduler.exhausted(source)
        self.turn()

    def submit(self, source: Source, job: Job) -> None:
        """The items of a map, or more of them: those of a stream come also when the pool is closed."""
        if source.growing:
            self.check_usable()
        else:
            self.check_open()
        with self._lock:
            self._open_jobs.add(job)
        self._inbox.append(source)
        self.turn()

    # ---- a turn: events in, commands out ----

    def turn(self, tell: bool = True) -> None:
        """Deal with all that has happened and been submitted; then, with `tell`, tell those who wait."""
        with self._lock:
            if self._released:
                return
            self._turning = threading.get_ident()
            try:
                self._take_turn()
            except BaseException as error:
                self._break(error)
                raise
            finally:
                self._turning = 0
        if tell and self._told:
            self._tell()

    def _take_turn(self) -> None:
        scheduler = self.scheduler
        events = self.engine.events()
        if self._inbox or self._dropped or self._late:
            self._feed()
        for event in events:
            if type(event) is Finished:
                self._finish(event)
            else:
                self._hear(event)
        if scheduler.out:
            self._act()
        self._hungry = scheduler.is_hungry
        if self._hungry and self._inbox:
            self._feed()
            self._act()
        if scheduler.closing:
            self._over_if_over()

    def _over_if_over(self) -> None:
        if self.scheduler.is_over or self._untrue:
            self._over.set()
            self.engine.wake()  # a pool that nobody holds is ended by its supervisor

    def _feed(self) -> None:
        while self._late:
            self._give_up(self._late.popleft())
        while self._dropped:
            self._abandon_source(self._dropped.popleft(), kill=False)
        while self._inbox:
            source = self._inbox.popleft()
            source.queued = False
            self.scheduler.submitted(source)

    def _act(self) -> None:
        """Carry out the scheduler's commands, and those that come of them."""
        while self.scheduler.out:
            for command in self.scheduler.commands():
                self._carry_out(command)
        self._deaths.clear()  # their tasks are dealt with
        self._hungry = self.scheduler.is_hungry

    def _carry_out(self, command: Any) -> None:
        kind = type(command)
        if kind is Send:
            self.engine.send(command.lease)
            if command.lease.batch.source.options.task_timeout_ns is not None:
                self._timed = True
                self.engine.wake()  # the supervisor has a deadline to keep
        elif kind is Cut:
            begun, end = self.engine.cut(command.lease, command.half, command.whole)
            self.scheduler.was_cut(command.lease, begun, end)
            if command.lease.is_over:
                self.engine.forget(command.lease)
        elif kind is Lost:
            self._lose(command)
        elif kind is Start:
            self._start(command.worker)
        elif kind is Kill:
            self.engine.kill(command.worker)
        elif kind is Dismiss:
            self.engine.dismiss(command.worker)

    def _start(self, worker: int) -> None:
        try:
            self.engine.start(worker)
        except Exception as error:
            self.failure = self.failure or error
            self.scheduler.worker_died(worker, {})
        if self.scheduler.broken and self.failure is not None:
            self.open = False

    def _hear(self, event: Event) -> None:
        kind = type(event)
        if kind is Finished:
            self._finish(event)  # type: ignore[arg-type]
        elif kind is Ready:
            self.scheduler.worker_ready(event.worker)  # type: ignore[union-attr]
        elif kind is Died:
            assert isinstance(event, Died)
            self._deaths[event.worker] = event.death
            self.scheduler.worker_died(event.worker, event.begun, event.reading)
            if self.scheduler.broken and self.open:
                self.failure = self.failure or lost.no_worker_starts(event.death)
                self.open = False
        elif kind is Refused:
            assert isinstance(event, Refused)
            self._refuse(event.error)

    def _finish(self, event: Finished) -> None:
        lease, first, values, errors = event.lease, event.first, event.values, event.errors
        known = self.scheduler.finished(lease, first, len(values), event.ns)
        if lease.is_over:
            self.engine.forget(lease)
        if known == len(values):
            return
        job: Job | None = lease.batch.source.owner
        if job is not None:
            self._told += job.deliver(lease.batch.first + first, values, errors, known)
        elif errors is None and not known:
            self._told += settle_all(lease.batch.items[first : first + len(values)], values)
        else:
            for place in range(known, len(values)):
                error = errors.get(place) if errors else None
                self._settle(lease.batch.items[first + place], values[place], error)

    def _settle(self, result: Result[Any], value: Any, error: BaseException | None = None) -> None:
        if settle(result, value, error):
            self._told.append(result)

    def _lose(self, command: Lost) -> None:
        batch, job = command.batch, command.batch.source.owner
        if command.why == "cancelled":
            if job is None and settle_cancelled(batch.items[command.place]):
                self._told.append(batch.items[command.place])
            return
        error = lost.error_of(command, self._deaths.get(command.worker), self.failure)
        if job is None:
            self._settle(batch.items[command.place], None, error)
        else:
            self._told += job.deliver(batch.first + command.place, [None], {0: error}, 0)

    def _refuse(self, error: BaseException) -> None:
        """An initializer raised: no worker will ever be ready."""
        if self.failure is None:
            self.failure = lost.initializer_raised(error)
        self.open = False
        self.scheduler.give_up()

    def _break(self, error: BaseException) -> None:
        """A turn was broken off half way."""
        self.open = False
        self._untrue = True
        self.failure = self.failure or lost.interrupted(error)
        self.scheduler.broken = True
        for result in self._everybody():
            self._settle(result, None, self.failure)
        self._told.extend(self._streams())
        self.engine.wake()

    def _streams(self) -> list[Announced]:
        """The streams that somebody may wait for."""
        return [job for job in self._open_jobs if isinstance(job, StreamJob)]

    def _everybody(self) -> list[Result[Any]]:
        """Every result that is open."""
        found: list[Result[Any]] = [job.result for job in self._open_jobs]
        sources = [*self._inbox, *self.scheduler.sources]
        batches = [*self.scheduler.returned, *(lease.batch for lease in self.scheduler.leases.values())]
        for source in [*sources, *(batch.source for batch in batches)]:
            if type(source) is Calls:
                found += source.pending
        for batch in batches:
            if batch.source.owner is None:
                found += batch.items
        return found

    # ---- cancelling, and the end ----

    def cancel(self, result: Result[Any]) -> bool:
        """Give a result up, and stop what computes it."""
        if self._turning == threading.get_ident():  # by a finalizer, in the middle of this thread's own turn
            self._late.append(result)
            return True
        with self._lock:
            if not result.is_wanted:
                return False
            self._feed()
            self._act()
            self._give_up(result)
        self._tell()
        return True

    def _give_up(self, result: Result[Any]) -> None:
        if not settle_cancelled(result):
            return
        self._told.append(result)
        if result.job is not None:
            self._abandon_source(result.job.source, kill=True)
        elif not self.scheduler.cancel_item(result):  # it waits: it is left out when its turn comes
            for source in self.scheduler.sources:
                source.sift = True
        self._act()

    def drop(self, source: Source) -> None:
        """Nobody wants the rest of a map any more; what runs may end."""
        with self._lock:
            self._abandon_source(source, kill=False)
            self._act()

    def _abandon_source(self, source: Source, kill: bool) -> None:
        self.scheduler.cancel_source(source, kill)
        self._open_jobs.discard(source.owner)  # with all results that nobody has taken

    def drop_later(self, source: Source) -> None:
        """The same, from a finalizer: at the next turn."""
        self._dropped.append(source)
        self.engine.wake()

    def forget(self, job: Job) -> None:
        """A job is over."""
        self._open_jobs.discard(job)

    def is_running(self, result: Result[Any]) -> bool:
        """Is a worker at it?"""
        with self._lock:
            for lease in self.scheduler.leases.values():
                begun = self.engine.begun(lease)
                if result.job is not None and lease.batch.source is result.job.source and begun > lease.done:
                    return True
                if lease.batch.source.owner is None and result in lease.batch.items[lease.done : begun]:
                    return True
        return False
