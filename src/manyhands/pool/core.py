"""The core of a pool: who waits for what. Pool and Executor are its two faces; `books` is what it stands on.

Who drives is said in `lead`; here is what a pool adds to it: results that busy workers keep back, and time limits.

Always true: the supervisor holds the core, not the pool, so a pool that is forgotten is ended.

Threads: any. Processes: the one that made it; a forked child must not use it.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from manyhands.engines.protocol import Engine
from manyhands.pool.books import Books
from manyhands.pool.lead import Lead, left_until
from manyhands.pool.result import PENDING, Result, settle_cancelled
from manyhands.scheduler.work import Calls

if TYPE_CHECKING:
    from manyhands.pool.stream import Stream

#: The first look at what workers have finished but not sent, and the longest pause between two such looks.
_PEEK_FIRST_S, _PEEK_MOST_S = 0.002, 0.05


class Core(Books, Lead):
    """See the module."""

    def __new__(cls, engine: Engine, *_rest: Any) -> Core:
        """Where the callers' threads do the work, it is another one."""
        from manyhands.pool.inline import InlineCore

        return super().__new__(cls if engine.needs_supervisor else InlineCore)

    def __init__(self, engine: Engine, hands: int, max_tasks: int | None = None) -> None:
        super().__init__(engine, hands, max_tasks)
        self._abandoned = False
        self._pause = _PEEK_FIRST_S
        self.streams: weakref.WeakSet[Stream[Any]] = weakref.WeakSet()

    # ---- beginning ----

    def begin(self) -> None:
        """Start the workers, and the supervisor."""
        try:
            with self._lock:
                self.scheduler.open()
                self._act()
        except BaseException as error:
            self._break(error)
            raise
        finally:
            if self.engine.needs_supervisor:
                self._supervisor = threading.Thread(target=self._supervise, name=self.name, daemon=True)
                self._supervisor.start()

    # ---- waiting ----

    def submit_and_drive(self, source: Calls, result: Result[Any]) -> None:
        """A single call, waited for at once. Leading begins before the submission: a quick result rings no bell."""
        if threading.get_ident() == self._supervisors_ident or not self._lead.acquire(blocking=False):
            self.submit_call(source, result)
            return
        self._is_led = True
        try:
            self.engine.lead(True)
            self.submit_call(source, result)
            self._wait_and_turn(lambda: result._state is not PENDING, None)
        finally:
            self._leave()
        if self._told:
            self._tell()

    def _wait_and_turn(self, is_done: Callable[[], bool], deadline: float | None) -> None:
        engine, scheduler, pause = self.engine, self.scheduler, _PEEK_FIRST_S
        while not (is_done() or self._is_to_tell()):
            if not engine.pending:
                left = left_until(deadline)
                if left == 0:
                    return
                engine.wait(left if not scheduler.stuck else pause if left is None else min(pause, left))
            if engine.pending:
                pause = _PEEK_FIRST_S
                self.turn(tell=False)
            elif scheduler.stuck:
                pause = min(2 * pause, _PEEK_MOST_S)
                self._peek()

    def _peek(self) -> None:
        """What a slow item keeps back: results that its worker has finished but not sent, and items not begun."""
        with self._lock:
            for event in self.engine.peek():
                self._hear(event)
            begun = {number: self.engine.begun(lease) for number, lease in self.scheduler.leases.items()}
            self.scheduler.rebalance(begun)
            self._act()

    # ---- the supervisor ----

    def _supervise(self) -> None:
        """The supervisor's thread: deaths and limits at all times, results while nobody leads."""
        self._supervisors_ident = threading.get_ident()
        while not self._stopping:
            self._supervise_once()
            if self._abandoned and self._over.is_set():
                self._release()  # nobody is left to join it

    def _has_mail(self) -> bool:
        return bool(self._inbox)

    def _look_around(self) -> None:
        if self._abandoned and not self._stopped:
            self.stop(kill=True)
        if self._timed:
            self._enforce_limits()

    def _supervisors_turn(self) -> None:
        try:
            news = self.engine.pending
            self.turn(tell=False)
            if self.scheduler.stuck and not news:
                self._peek()
            self._pause = _PEEK_FIRST_S if news else min(2 * self._pause, _PEEK_MOST_S)
        except Exception:  # the turn has broken the pool: whoever uses it is told, with this cause
            self._pause = _PEEK_MOST_S

    def _patience(self) -> float | None:
        """How long the supervisor may sleep."""
        if self.scheduler.stuck and not self._is_led:
            return self._pause
        if not self._timed:
            return None
        with self._lock:
            limits = [lease.batch.source.options.task_timeout_ns for lease in self.scheduler.leases.values()]
            running = self.engine.running()
        ends = [r.began_ns + (r.lease.batch.source.options.task_timeout_ns or 0) for r in running]
        ends += [time.monotonic_ns() + limit for limit in limits if limit is not None]
        return max(0.0005, (min(ends) - time.monotonic_ns()) / 1e9) if ends else None

    def _enforce_limits(self) -> None:
        """Kill whoever runs an item for too long."""
        with self._lock:
            now = time.monotonic_ns()
            for running in self.engine.running():
                limit = running.lease.batch.source.options.task_timeout_ns
                if limit is not None and now - running.began_ns >= limit and running.lease.doomed is None:
                    self.scheduler.doom(running.lease, running.place, "timeout")
            self._act()

    # ---- the end ----

    def close(self) -> None:
        """Take no more; workers leave when all is done."""
        if self._stopping:
            return
        with self._lock:
            self.open = False
            self._feed()
            self.scheduler.close()
            self._act()
        self.engine.wake()

    def stop(self, kill: bool) -> None:
        """Deal nothing any more. With `kill`, end the workers at once; else what runs may end."""
        if self._stopping:
            return
        with self._lock:
            self.open = False
            if not self._untrue:
                self._stop_dealing(kill)
            self._stopped = True
            self._told += self._streams()
            self._over_if_over()
        self._tell()
        self.engine.wake()

    def _stop_dealing(self, kill: bool) -> None:
        self._feed()
        everybody = self._everybody()
        self.scheduler.closing = True
        self.scheduler.drop_everything()
        self._act()
        spared = set() if kill else self._still_running()
        self._told += [r for r in everybody if r not in spared and settle_cancelled(r)]
        self.scheduler.close()
        self._act()
        if kill:
            for worker in list(self.scheduler.workers):
                self.engine.kill(worker)

    def _still_running(self) -> set[Result[Any]]:
        spared: set[Result[Any]] = set()
        for lease in self.scheduler.leases.values():
            job = lease.batch.source.owner
            spared.update(lease.batch.items[lease.done : lease.end] if job is None else [])
        return spared

    def abandon(self) -> None:
        """Nobody holds the pool any more. Called by the garbage collector: it only leaves word."""
        self._abandoned = True
        if self._pid == os.getpid() and not self._stopping:
            self.engine.wake()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until every worker is gone, then give everything back. False: not in time."""
        if not self.drive_until(self._over.is_set, timeout, self._over.wait):
            return False
        self._release()
        return True

    def end_at_exit(self, waits: bool) -> None:
        """The interpreter ends. With `waits` all that was given is done first, as futures' executors do."""
        if self._pid != os.getpid() or self._stopping:
            return
        if waits and self.is_usable and not self._abandoned:
            self.close()
        else:
            self.stop(kill=True)
        self.join()

    def _release(self) -> None:
        with self._lock:
            if self._stopping:
                return
            self._stopping = True
        self.engine.wake()
        if self._supervisor is not None and self._supervisor is not threading.current_thread():
            self._supervisor.join()
        with self._lead, self._lock:
            self._released = True
            self.engine.close()
