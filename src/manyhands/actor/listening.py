"""Who hears of answers while nobody leads: the supervisor, or an asyncio loop. Part of the actor room; see `ear`.

Always true: whoever comes to wait without leading puts the bell on, before it looks whether what it waits for is there.

Threads: any.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from manyhands.actor.ear import Ear
from manyhands.actor.protocol import Hands
from manyhands.actor.state import Machine
from manyhands.pool.lead import Lead

if TYPE_CHECKING:
    import asyncio


class Listening(Lead):
    """The part of an `Exchange` that knows who waits, and how."""

    def __init__(self, hands: Hands, machine: Machine) -> None:
        super().__init__()
        self.engine: Hands = hands
        self.machine = machine
        self.open = True
        self._released = False
        self._lock = threading.RLock()
        self._late: deque[int] = deque()  # requests to be withdrawn: ids
        self._followers: list[None] = []  # an entry for each thread that waits while another one leads
        #: Mailboxes that tasks wait at, with their loops.
        self.awaited: list[tuple[asyncio.AbstractEventLoop, object]] = []
        try:
            self._ear = Ear(hands, self._hear_bell)
        except BaseException:
            hands.close()
            raise

    def _break(self, error: BaseException) -> None:
        raise NotImplementedError

    def put_bell_on(self) -> None:
        """Somebody waits, or may, who does not lead."""
        with self._lock:  # also to look: a loop may be about to get it
            self._ear.take_back()
        if not self._is_led and not self._released and self.engine.lead(False):
            self.engine.wake()

    def listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """A task of this loop, which runs, goes to sleep at a mailbox, and is among `awaited`."""
        if not self._ear.is_lent_to(loop) and not self._lend(loop):
            self.put_bell_on()
        # Also where it was lent all the time: the last one that led may have left it off, as nobody waited then.
        elif not self._is_led and self.engine.lead(False) and not self._ear.again():
            self.engine.wake()

    def _lend(self, loop: asyncio.AbstractEventLoop) -> bool:
        with self._lock:
            if self._ear.is_lost():
                self._ear.take_back()
            may = not self._released and not self._ear.is_lent and self._waits_alone(loop)
            return may and self._ear.lend(loop)

    def _waits_alone(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Do this loop's tasks wait, and nobody else but for streams that lead when they come back?"""
        return (
            not self._followers
            and all(each is loop for each, _ in tuple(self.awaited))
            and all(request.window for request in self.machine.requests.values())
        )

    def _hear_bell(self) -> None:
        """The bell rang, and the loop takes the turn."""
        try:
            self._ear.silence()
            if not self._lead_once():
                self.engine.nudge()
            elif not self._is_led and self.engine.lead(False) and not self._ear.again():
                self.engine.wake()
        except Exception as error:
            with self._lock:
                self._break(error)
            self._tell()
        except (
            BaseException
        ):  # Ctrl-C, which is the loop's; a turn that it broke off has broken the group itself
            while self._lead._is_owned():
                self._lead.release()
            self.engine.wake()  # what was heard is now the supervisor's
            raise

    def _is_quiet(self) -> bool:
        if self._followers or self.awaited or self._late or self._told or not self.open:
            return False
        with self._lock:
            waiting = any(shard.waiting for shard in self.machine.shards)
            return not waiting and all(request.window for request in self.machine.requests.values())
