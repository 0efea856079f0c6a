"""The exchange of a group: who asked what, and who hears of the answers. Machine, hands and waiters under one lock.

A *turn* hears the hands' events, tells the state machine, and carries out its commands. Who takes turns is said in
`manyhands.pool.lead`: whoever waits, or the supervisor while nobody does.

Always true:

1. Machine and hands are touched under `_lock` only, which is never held while anything waits or the user's code runs;
   who is to hear of something is noted, and told later, with no lock held.
2. Each request has an id of its own; a reply finds its asker by it, and one that nobody waits for is dropped.
3. If an interrupt breaks off a turn half way, every open request fails, the shards are killed, and nothing hangs.
4. Whoever ends a request without leading, by giving it up or by a turn in passing, wakes the leader: it may be the
   one that waits for it, and it looks for nothing but messages.
5. The bell is off while nobody leads only if all that is open are streams whose reader leads when it comes back.
   Whoever waits otherwise (a `Call`, a task, a thread while another one leads) first says so, then puts the bell on; a
   leader looks for them after it has left. So whoever comes second sees the other.

Threads: any. Processes: the one that made it; a forked child must not use it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from manyhands.actor import lost
from manyhands.actor.deadlines import Deadlines
from manyhands.actor.listening import Listening
from manyhands.actor.protocol import Died, End, Event, Hands, Item, Ready, Refused, Request, Value
from manyhands.actor.state import Cancel, Command, Dismiss, Fail, Kill, Machine, Send, Start, State
from manyhands.engines.protocol import Death
from manyhands.pool.result import Announced, Result, settle_cancelled

#: Hears of deadlines a little late rather than waking twice.
_SLACK_NS = 200_000

#: The supervisor sleeps no longer than this at a time: the system knows no waits of months.
_SLEEP_MOST_S = 86_400.0


class Exchange(Listening):
    """See the module."""

    def __init__(self, name: str, hands: Hands, shards: int, rebuild: bool) -> None:
        super().__init__(hands, Machine(shards, rebuild))
        self.name = name
        self.failure: BaseException | None = None
        self.deaths: dict[int, Death] = {}  # the last one of each shard
        self.causes: dict[int, BaseException] = {}  # why a shard cannot be built
        self._pid = os.getpid()
        self._deadlines = Deadlines(self.machine.requests)
        self._wakes_ns = 0  # when the supervisor will look at them; 0: not by itself
        self._changed = threading.Condition(self._lock)  # a shard became something else
        self._abandoned = False

    def name_of(self, shard: int) -> str:
        """What to call a shard in a text."""
        return self.name if len(self.machine.shards) == 1 else f"shard {shard} of {self.name}"

    # ---- beginning ----

    def begin(self) -> None:
        """Start the shards, and the supervisor."""
        try:
            with self._lock:
                self.machine.opened()
                self._act()
            for error in self.causes.values():  # what cannot be sent, or a start that the system refused
                raise error
            supervisor = threading.Thread(target=self._supervise, name=self.name, daemon=True)
            supervisor.start()
            self._supervisor = supervisor
        except BaseException as error:
            with self._lock:
                self._break(error)
            self._release()
            raise

    def wait_ready(self, timeout: float | None = None) -> bool:
        """Until every shard is built. Raises why one cannot be; False: not in time."""

        def is_done() -> bool:
            shards = self.machine.shards
            return (
                self.failure is not None
                or any(s.state is State.FAILED for s in shards)
                or all(s.state is not State.STARTING for s in shards)
            )

        if not self.drive_until(is_done, timeout, self._wait_for_change(is_done)):
            return False
        self.check_built()
        return True

    def _wait_for_change(self, is_done: Callable[[], bool]) -> Callable[[float | None], object]:
        def wait(left: float | None) -> None:
            with self._changed:
                if not is_done():
                    self._changed.wait(left)

        return wait

    def check_built(self) -> None:
        """Raise why a shard cannot be had, if one cannot."""
        if self.failure is not None:
            raise self.failure
        for shard in self.machine.shards:
            if shard.state is State.FAILED:
                cause = self.causes.get(shard.number)
                if cause is not None:
                    raise lost.while_built(self.name_of(shard.number), cause)
                raise self._error_of(Request(0, shard.number, "__init__", None, None), "failed")
        if not (self.open or all(shard.builds for shard in self.machine.shards)):
            raise lost.closed(self.name)  # it was ended while it was being built

    # ---- asking ----

    def check_open(self) -> None:
        """Raise what an exchange raises that takes no more."""
        self.check_process()
        if not self.open:
            raise self.failure or lost.closed(self.name)

    def ask(self, requests: list[Request], deadline_s: float | None) -> None:
        """Send them off."""
        self.check_open()
        with self._lock:
            self.check_open()
            self._guarded(self._open_all, requests)
            if any(not request.window for request in requests):
                self.put_bell_on()
            if deadline_s is not None:
                self._limit(requests, deadline_s)
        if self._told:
            self._tell()

    def _open_all(self, requests: list[Request]) -> None:
        for request in requests:
            self.machine.asked(request)

    def _limit(self, requests: list[Request], deadline_s: float) -> None:
        for request in requests:
            if request.id in self.machine.requests:
                self._deadlines.add(request.deadline_ns + _SLACK_NS, request.id, deadline_s)
        first = self._deadlines.first_ns
        if first and (not self._wakes_ns or first < self._wakes_ns):
            self._wakes_ns = first
            self.engine.wake()

    def check_process(self) -> None:
        """Raise if this is a forked copy."""
        if self._pid != os.getpid():
            raise lost.wrong_process(self.name, self._pid)

    def grant(self, request: Request, items: int) -> None:
        """The asker has room for more items of a stream."""
        with self._lock:
            if request.id in self.machine.requests and not self._released:
                self.engine.grant(request, items)

    def withdraw(self, request: int) -> None:
        """Nobody wants its answer any more. Also from a finalizer, in the middle of this thread's own turn."""
        if self._pid != os.getpid():
            return  # the one who asked is the parent, and it may want it still
        if self._is_inside():
            self.withdraw_later(request)
            return
        with self._lock:
            if not self._released:
                self._guarded(self.machine.withdrawn, request)
        if self._is_led:
            self.engine.wake()  # the supervisor nudges the leader

    def withdraw_later(self, request: int) -> None:
        """The same from a finalizer: at the next turn."""
        self._late.append(request)
        self.engine.wake()

    def _is_inside(self) -> bool:
        """Does this thread hold the lock already? Then a finalizer or a signal handler has come in between."""
        inside: bool = self._lock._is_owned()  # type: ignore[attr-defined]
        return inside

    def _guarded(self, event: Callable[..., object], *args: Any) -> None:
        """One event, and what follows from it. Holding the lock."""
        try:
            event(*args)
            self._act()
        except BaseException as error:
            self._break(error)
            raise

    def _has_mail(self) -> bool:
        return bool(self._late)

    # ---- what a Result asks of its core ----

    def cancel(self, result: Result[Any]) -> bool:
        """Give a call up: its actor is told to stop."""
        if self._pid != os.getpid():
            return False
        with self._lock:
            if not settle_cancelled(result):
                return False
            self._told.append(result)
        self.withdraw(result.item)
        if not self._is_inside():
            self._tell()
        return True

    def is_running(self, result: Result[Any]) -> bool:
        """Was it sent?"""
        with self._lock:
            request = self.machine.requests.get(result.item)
            return request is not None and request.attempts > 0

    # ---- a turn ----

    def turn(self, tell: bool = True) -> None:
        """Deal with all that has happened; then, with `tell`, tell those who wait."""
        with self._lock:
            if self._released:
                return
            try:
                events = self.engine.events()
                for event in events:
                    self._hear(event)
                while self._late:
                    self.machine.withdrawn(self._late.popleft())
                self._act()
            except BaseException as error:
                self._break(error)
                raise
        if events and self._is_led and not self._lead._is_owned():
            self.engine.nudge()  # what the leader waits for was among them, and it may be asleep again
        if tell and self._told:
            self._tell()

    def _hear(self, event: Event) -> None:
        kind = type(event)
        if kind is Value or kind is End:
            request = self.machine.ended(event.request)  # type: ignore[union-attr]
            if request is not None:
                value, error = (event.value, event.error) if isinstance(event, Value) else (None, None)
                self._note(request.owner.on_end(request, value, error))
        elif isinstance(event, Item):
            request = self.machine.delivered(event.request)
            if request is not None:
                self._note(request.owner.on_item(request, event.value))
        else:
            self._hear_of_shard(event)  # type: ignore[arg-type]
            self._changed.notify_all()

    def _hear_of_shard(self, event: Ready | Refused | Died) -> None:
        if isinstance(event, Ready):
            self.machine.ready(event.shard)
        elif isinstance(event, Refused):
            self.causes[event.shard] = event.error
            self.machine.refused(event.shard)
        else:
            self.deaths[event.shard] = event.death
            self.machine.died(event.shard)
            if self._abandoned and self.is_over:
                self.engine.wake()  # the supervisor, which ends with it, may not be the one that takes this turn

    def _note(self, told: Announced | None) -> None:
        if told is not None:
            self._told.append(told)

    def _act(self) -> None:
        while self.machine.out:
            for command in self.machine.commands():
                self._carry_out(command)

    def _carry_out(self, command: Command) -> None:
        kind = type(command)
        if kind is Send:
            self.engine.send(command.request)  # type: ignore[union-attr]
        elif isinstance(command, Cancel):
            self.engine.cancel(command.request)
        elif isinstance(command, Fail):
            error = self._error_of(command.request, command.why)
            self._note(command.request.owner.on_end(command.request, None, error))
        elif isinstance(command, Start):
            self._start(command.shard)
        elif isinstance(command, Kill):
            self.engine.kill(command.shard)
        elif isinstance(command, Dismiss):
            self.engine.dismiss(command.shard)

    def _start(self, shard: int) -> None:
        try:
            self.engine.start(shard)
        except Exception as error:
            self.causes[shard] = error
            self.machine.refused(shard)

    def _error_of(self, request: Request, why: str) -> BaseException:
        shard = request.shard
        death, cause = self.deaths.get(shard), self.causes.get(shard)
        return lost.error_of(self.name_of(shard), request, why, death, cause, self.machine.rebuild)

    def _break(self, error: BaseException) -> None:
        """A turn was broken off half way: nothing is sure any more. Holding the lock."""
        self.open = False
        self.failure = self.failure or lost.interrupted(self.name, error)
        requests = list(self.machine.requests.values())
        self.machine.requests.clear()
        for request in requests:
            self._note(request.owner.on_end(request, None, self.failure))
        with contextlib.suppress(Exception):
            self.machine.out.clear()
            self.machine.stop()
            self._act()
        self._changed.notify_all()
        self.engine.wake()

    # ---- waiting ----

    def drive_until(
        self,
        is_done: Callable[[], bool],
        timeout: float | None,
        wait_elsewhere: Callable[[float | None], object],
    ) -> bool:
        """See `Lead`."""
        self.check_process()

        def follow(left: float | None) -> None:
            self._followers.append(None)
            try:
                self.put_bell_on()
                wait_elsewhere(left)
            finally:
                self._followers.pop()

        try:
            return super().drive_until(is_done, timeout, follow)
        except BaseException:
            if self._told:  # an interrupt came before the others were told: the supervisor does it
                self.engine.wake()
            raise

    def _leave(self) -> None:
        """See `Lead`. What has come meanwhile is dealt with here: to wake the supervisor for it would cost more."""
        self._is_led = False
        if self._lead._is_owned():
            self._lead.release()
        if not self._stopping and not self._is_quiet() and self.engine.lead(False):
            self.turn(tell=False)

    # ---- the supervisor ----

    def _supervise(self) -> None:
        self._supervisors_ident = threading.get_ident()
        while not self._stopping:
            try:
                self._supervise_once()
            except BaseException as error:  # nobody else would tell those who wait
                with self._lock:
                    self._break(error)
                self._tell()
            if self._abandoned and self.is_over:
                self._release()  # nobody is left to join it

    def _supervise_once(self, most_s: float | None = None) -> None:
        super()._supervise_once(most_s if most_s is None else min(most_s, _SLEEP_MOST_S))

    def _patience(self) -> float | None:
        with self._lock:
            self._wakes_ns = self._deadlines.first_ns
        if not self._wakes_ns:
            return None
        return min(max(0.0, (self._wakes_ns - time.monotonic_ns()) / 1e9), _SLEEP_MOST_S)

    def _look_around(self) -> None:
        if self._abandoned and self.open:
            self.stop()
        if not self._wakes_ns or time.monotonic_ns() < self._wakes_ns:
            return
        if self.engine.pending:
            self.turn(tell=False)  # what has come in time counts
        with self._lock:
            for number, seconds in self._deadlines.due(time.monotonic_ns()):
                request = self.machine.withdrawn(number)
                if request is not None:
                    error = lost.too_late(self.name_of(request.shard), request, seconds)
                    self._note(request.owner.on_end(request, None, error))
            self._act()

    # ---- the end ----

    @property
    def is_over(self) -> bool:
        """Does no shard live any more?"""
        return self.machine.is_over or self.failure is not None

    @property
    def is_usable(self) -> bool:
        """Is it neither broken nor terminated?"""
        return self.failure is None and self.open

    def close(self) -> None:
        """Take no more; shards leave when they have answered. In a forked copy, as for the next two: nothing."""
        self._end(self.machine.close)

    def stop(self) -> None:
        """End everything at once."""
        self._end(self.machine.stop)

    def _end(self, how: Callable[[], None]) -> None:
        if self._pid != os.getpid():
            return
        with self._lock:
            if self._released:
                return
            self.open = False
            self._guarded(how)
            self.put_bell_on()
            self._changed.notify_all()
        self._tell()
        self.engine.wake()

    def abandon(self) -> None:
        """Nobody holds it any more. Called by the garbage collector: it only leaves word."""
        self._abandoned = True
        if self._pid == os.getpid() and not self._stopping:
            self.engine.wake()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until no shard lives, then give everything back. False: not in time."""

        def is_done() -> bool:
            return self.is_over or self._released

        if self._pid != os.getpid():
            return True
        if not self.drive_until(is_done, timeout, self._wait_for_change(is_done)):
            return False
        self._release()
        return True

    def end_at_exit(self, _waits: bool) -> None:
        """The interpreter ends."""
        if self._pid != os.getpid() or self._stopping:
            return
        self.stop()
        self.join()

    def _release(self) -> None:
        with self._lock:
            if self._stopping:
                return
            self._stopping = True
        self.engine.wake()
        self.engine.nudge()  # the leader, if there is one, waits for nothing any more
        if self._supervisor is not None and self._supervisor is not threading.current_thread():
            self._supervisor.join()
        with self._lead, self._lock:
            self._released = True
            self._ear.close()
            self.engine.close()
