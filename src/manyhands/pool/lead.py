"""Who waits for what: leading, shared by pools and actors.

Whoever wants a result *leads*: it waits for the engine's events itself and deals with them, until its own result is
there. When nobody leads, the supervisor does: a thread that at all times waits for deaths and deadlines.

Always true:

1. `_lead` is held by the one thread that waits for events. A thread that cannot have it waits on its own result, and
   the supervisor, rung by the last leader, resolves it.
2. What is resolved is noted in `_told` under the owner's lock, and announced by `_tell` with no lock held, in order.
3. One thread announces at a time, the teller; who leads leaves what is noted meanwhile to it, and waits on. A callback
   may wait for another result; nobody can announce that one to the teller, so it insists: it says so, and then looks
   whether the result is there; a leader resolves, and then looks who insists, and leaves the lead to them.

Threads: any.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from manyhands.pool import options
from manyhands.pool.result import PENDING, Announced, Result


class Announcer:
    """Tells, in order and with no lock held, what was resolved."""

    def __init__(self) -> None:
        self._told: deque[Announced] = deque()  # resolved, to be announced
        self._telling = threading.Lock()
        self._teller = 0  # the thread that announces

    def _tell(self) -> None:
        """Announce, in order. One thread at a time: another that comes meanwhile leaves its results to that one."""
        while self._told:
            if not self._telling.acquire(blocking=False):
                self._leave_to_teller()
                return
            self._teller = threading.get_ident()
            try:
                while self._told:
                    self._told.popleft().announce()
            finally:
                self._teller = 0
                self._telling.release()

    def _leave_to_teller(self) -> None:
        """Another thread announces, and there is more for it."""


class Lead(Announcer):
    """See the module. The owner says what a turn is."""

    engine: Any

    def __init__(self) -> None:
        super().__init__()
        self._lead: Any = threading.RLock()
        self._is_led = False  # does somebody lead? A hint: it may lag behind
        self._insisting: list[None] = []  # an entry for each teller that waits to lead
        self._stopping = False  # the supervisor is to leave
        self._supervisor: threading.Thread | None = None
        self._supervisors_ident = 0

    # ---- what the owner says ----

    def turn(self, tell: bool = True) -> None:
        """Deal with all that has happened; then, with `tell`, tell those who wait."""
        raise NotImplementedError

    def _has_mail(self) -> bool:
        """Is there anything to deal with besides the engine's events?"""
        return False

    def _patience(self) -> float | None:
        """How long the supervisor may sleep."""
        return None

    def _is_quiet(self) -> bool:
        """The leader leaves. May what comes next wait until somebody leads again?"""
        return False

    def _look_around(self) -> None:
        """The supervisor woke: what is due at this time?"""

    def _supervisors_turn(self) -> None:
        """The supervisor leads, for one turn."""
        self.turn(tell=False)

    # ---- waiting ----

    def drive(self, result: Result[Any], timeout: float | None) -> bool:
        """Wait for one result, dealing with all others meanwhile. False: not in time."""

        def is_done() -> bool:
            return result._state is not PENDING

        def wait_elsewhere(left: float | None) -> None:
            with result._condition:
                if result._state is PENDING:
                    result._condition.wait(left)

        return self.drive_until(is_done, timeout, wait_elsewhere)

    def glance(self, result: Result[Any]) -> bool:
        """Is it resolved? Deals with what is there, without blocking."""
        if self.engine.pending or self._has_mail():
            self.turn()
        return result._state is not PENDING

    def drive_until(
        self,
        is_done: Callable[[], bool],
        timeout: float | None,
        wait_elsewhere: Callable[[float | None], object],
    ) -> bool:
        """Lead until `is_done`; while another thread leads, `wait_elsewhere`, which it or the supervisor ends."""
        while self._lead._is_owned():  # an interrupt came right after this thread had begun to lead
            self._is_led = False
            self._lead.release()
        deadline = options.deadline_of(timeout)
        while not is_done():
            if threading.get_ident() == self._supervisors_ident:  # a callback waits: nobody else sees deaths
                self._supervise_once(left_until(deadline))
            elif self._lead.acquire(blocking=False) or self._insist(is_done, wait_elsewhere, deadline):
                self._lead_until(is_done, deadline)
                if self._told:
                    self._tell()
            else:
                wait_elsewhere(left_until(deadline))
            if deadline is not None and time.monotonic() >= deadline:
                return is_done()
        return True

    def _insist(
        self,
        is_done: Callable[[], bool],
        wait_elsewhere: Callable[[float | None], object],
        deadline: float | None,
    ) -> bool:
        """Somebody leads. Wait to lead in their place if this thread announces, in a callback: see the module."""
        if self._teller != threading.get_ident():
            return False
        self._insisting.append(None)
        try:
            wait_elsewhere(0.0)  # somebody waits, from now on: it is noted when it is resolved
            left = left_until(deadline)
            return not is_done() and bool(self._lead.acquire(timeout=-1 if left is None else left))
        finally:
            self._insisting.pop()

    def _is_to_tell(self) -> bool:
        """Is there something to announce, and nobody else at it, or somebody who insists?"""
        return bool(self._told) and (not self._teller or bool(self._insisting))

    def _leave_to_teller(self) -> None:
        if self._teller == self._supervisors_ident != threading.get_ident():
            self.engine.wake()  # a callback may wait there for just this

    def _lead_until(self, is_done: Callable[[], bool], deadline: float | None) -> None:
        """Holding `_lead`: wait and take turns until done, or in time."""
        self._is_led = True
        try:
            if self.engine.lead(True) or self._has_mail():
                self.turn(tell=False)
            self._wait_and_turn(is_done, deadline)
        finally:
            self._leave()

    def _wait_and_turn(self, is_done: Callable[[], bool], deadline: float | None) -> None:
        engine = self.engine
        while not (is_done() or self._is_to_tell()):
            if not engine.pending:
                left = left_until(deadline)
                if left == 0:
                    return
                engine.wait(left)
            if engine.pending:
                self.turn(tell=False)

    def _leave(self) -> None:
        """Lead no more. What has come meanwhile is the supervisor's."""
        self._is_led = False
        if self._lead._is_owned():
            self._lead.release()
        if not self._stopping and not self._is_quiet() and self.engine.lead(False):
            self.engine.wake()

    # ---- the supervisor ----

    def _supervise_once(self, most_s: float | None = None) -> None:
        """Sleep until there is something to do, at most so long, and do it."""
        # The bell may be off though nobody leads: because it has rung, and a callback waits here; or because the last
        # turn read that somebody led, who left before the bell was set.
        if not self._is_led and self.engine.lead(False) and self._lead_once():
            most_s = 0.0  # what is waited for here may have been among it
        patience = self._patience()
        self.engine.watch(
            most_s if patience is None else patience if most_s is None else min(patience, most_s)
        )
        if self._stopping:
            return
        self._look_around()
        if not self._lead_once():
            self.engine.nudge()  # the leader deals with it
        elif self.engine.lead(self._is_led):
            self.engine.wake()

    def _lead_once(self) -> bool:
        """One turn of the supervisor's. False: somebody leads."""
        if not self._lead.acquire(blocking=False):
            return False
        try:
            self._supervisors_turn()
        finally:
            self._lead.release()
        if self._told:
            self._tell()
        return True


def left_until(deadline: float | None) -> float | None:
    """Seconds until then, 0 when it is past; None: as long as it takes."""
    return None if deadline is None else min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX)
