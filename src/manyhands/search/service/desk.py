"""Queries under way: their names, their places, the queue, and how they end early.

Always true:

1. At most `running` queries run, at most `waiting` wait, more are refused at once; whoever leaves gives the place to
   the next. The command's queries have places of their own: a page of theirs may stand still for as long as it likes.
2. Long answers have a part of the places, so that a short one never waits for more than a few of them.
3. A name is used by one query at a time.
4. Who waits for a place does not wait for slow clients: a query whose client takes nothing for `_BEHIND_S`, or takes
   nothing again, stands aside meanwhile. At most `aside` do; of more, those that came first are ended.

Threads: the loop's.
"""

from __future__ import annotations

import asyncio
import itertools
from types import TracebackType

from manyhands.search.service.problem import Problem, busy
from manyhands.search.service.replying import Reply
from manyhands.search.service.settings import Limits

_BEHIND_S, _LOOK_S = 0.2, 0.1

#: Of the places, one in so many is for long answers.
_LONG = 4


class Desk:
    """See the module."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._seats: dict[str, Seat] = {}
        self._places, self._commands, self._long = map(
            asyncio.Semaphore, (limits.running, limits.running, max(1, limits.running // _LONG))
        )
        self._numbers = itertools.count(1)
        self._looking: asyncio.TimerHandle | None = None
        self.running = self.waiting = 0
        #: How many have been cancelled since it was made.
        self.cancelled = 0

    def seat(self, name: str | None, reply: Reply, *, is_long: bool) -> Seat:
        """A query that asks for a place: ``async with``. Raises `Problem`."""
        if name is None:
            name = next(made for number in self._numbers if (made := f"s{number}") not in self._seats)
        if name in self._seats:
            raise Problem(409, f"a query {name!r} is under way", parameter="id")
        if self.waiting >= self._limits.waiting:
            raise busy(f"{self.running} queries run and {self.waiting} wait: come again in a moment")
        ours = [self._long, self._places] if is_long else [self._places]
        return Seat(self, name, reply, [self._commands] if reply.is_trusted else ours)

    async def _sit(self, seat: Seat) -> None:
        """Wait for a place."""
        self.waiting += 1
        taken: list[asyncio.Semaphore] = []
        try:
            for places in seat.needed:
                if places.locked() and self._looking is None:
                    self._look()
                await places.acquire()
                taken.append(places)
        except BaseException:
            _release(taken)
            raise
        finally:
            self.waiting -= 1
        self.running += 1

    def _rise(self, seat: Seat) -> None:
        self.running -= 1
        _release(seat.needed)

    def _look(self) -> None:
        """Somebody waits, or did so just now: whose query waits for its client only?"""
        self._looking = None
        for seat in self._seats.values():
            if seat.reply.is_behind(_BEHIND_S if seat.is_quick else 0):
                seat.step_aside()
        aside = [seat for seat in self._seats.values() if seat.is_aside and not seat.reply.is_trusted]
        for seat in aside[: -self._limits.aside]:
            seat.evict()
        if self.waiting:
            self._looking = asyncio.get_running_loop().call_later(_LOOK_S, self._look)

    def cancel(self, name: str) -> bool:
        """End the query of that name; False: there is none."""
        seat = self._seats.get(name)
        if seat is None:
            return False
        self.cancelled += 1
        seat.cancel()
        return True

    def cancel_all(self) -> None:
        """End them all."""
        for seat in list(self._seats.values()):
            seat.cancel()


class Seat:
    """One query at the desk. `is_cancelled`: somebody asked for its end; `is_evicted`: its client is too slow;
    `is_quick`: its client has never kept it waiting; `needed`: of which places it has to have one."""

    def __init__(self, desk: Desk, name: str, reply: Reply, needed: list[asyncio.Semaphore]) -> None:
        self._desk, self.name, self.reply, self.needed = desk, name, reply, needed
        self.is_quick = True
        self.is_cancelled = self.is_evicted = self.is_aside = self._has_place = False
        self._task: asyncio.Task[object] | None = None

    async def __aenter__(self) -> Seat:
        self._desk._seats[self.name] = self
        self._task = asyncio.current_task()
        try:
            await self._desk._sit(self)
        except BaseException:
            del self._desk._seats[self.name]
            if self.is_cancelled:
                self.forgive()
                raise cancelled() from None
            raise
        self._has_place = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rise()
        del self._desk._seats[self.name]

    def _rise(self) -> None:
        if self._has_place:
            self._has_place = False
            self._desk._rise(self)

    def step_aside(self) -> None:
        """Others may have the place, for as long as its client takes nothing."""
        if self._has_place:
            self._rise()
            self.is_aside, self.is_quick = True, False

    async def come_back(self) -> None:
        """The client has taken something: wait for a place again, if it was given away."""
        if self.is_aside:
            self.is_aside = False
            await self._desk._sit(self)
            self._has_place = True

    def cancel(self) -> None:
        """Its task gets a CancelledError where it waits."""
        if self._task is not None:
            self.is_cancelled = True
            self._task.cancel()

    def evict(self) -> None:
        """The same, because its client is too slow."""
        if self._task is not None:
            self.is_evicted = True
            self._task.cancel()

    def settle(self) -> None:
        """All that is left is to tell the end: nobody breaks that off, and the place is free."""
        self._task = None
        self._rise()

    def forgive(self) -> None:
        """The task goes on after the CancelledError: to tell its end."""
        if self._task is not None:
            self._task.uncancel()


def _release(places: list[asyncio.Semaphore]) -> None:
    for each in places:
        each.release()


def cancelled() -> Problem:
    """Of a query that had not begun to answer."""
    return Problem(409, "the query was cancelled", parameter="id")
