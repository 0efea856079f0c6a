"""Shards and their requests: a state machine, events in, commands out. Pure: no clock, no process, no lock.

A shard::

    STARTING --ready--> READY --died--> STARTING (again, from its piece)
        |                 |
        |  refused, or died three times on end while starting
        v                 v   close, stop
      FAILED           LEAVING --died--> GONE

A request waits (its shard is not ready, or has enough to do), is sent, and ends. When its shard dies it is sent once
more, unless items of its stream have been delivered, or it is not patient; then it fails.

Always true (checked by `check`):

1. A request is in exactly one place: waiting at its shard, sent to it, or ended. It ends once.
2. It is sent at most twice, and a second time only after its shard has died with it.
3. Only a READY shard has sent requests; a FAILED or GONE one has none at all.
4. At most `SENT_MOST` requests are sent to a shard at a time; those that wait are sent in the order they came in.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import NamedTuple

from manyhands.actor.protocol import Request

#: So many requests are under way to one shard; more wait here, where a death costs them nothing.
SENT_MOST = 256

#: A shard that dies so many times on end before it is ready is given up.
STARTS_MOST = 3

#: A request is sent so often at most.
ATTEMPTS_MOST = 2


class State(Enum):
    """Of a shard."""

    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"
    LEAVING = "leaving"
    GONE = "gone"


MOVES = {
    State.STARTING: {State.STARTING, State.READY, State.FAILED, State.LEAVING},
    State.READY: {State.STARTING, State.LEAVING},
    State.FAILED: set[State](),
    State.LEAVING: {State.GONE},
    State.GONE: set[State](),
}


class IllegalMove(AssertionError):
    """An event that cannot have happened."""


class Start(NamedTuple):
    """Build the shard."""

    shard: int


class Send(NamedTuple):
    """Ask its shard."""

    request: Request


class Cancel(NamedTuple):
    """Tell its shard that nobody wants the answer any more."""

    request: Request


class Fail(NamedTuple):
    """The request will never be answered. `why`: "died", "down" (not patient enough), "failed", "stopped"."""

    request: Request
    why: str


class Kill(NamedTuple):
    """End the shard at once."""

    shard: int


class Dismiss(NamedTuple):
    """The shard is to leave; it has nothing to do any more."""

    shard: int


Command = Start | Send | Cancel | Fail | Kill | Dismiss


class Shard:
    """One shard, as the state machine sees it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.state = State.STARTING
        self.builds = 0  # how often it became ready
        self.starts = 0  # on end, without becoming ready
        self.waiting: deque[Request] = deque()
        self.sent: dict[int, Request] = {}

    @property
    def open(self) -> int:
        """How many requests it has."""
        return len(self.waiting) + len(self.sent)

    def __repr__(self) -> str:
        return f"<shard {self.number} {self.state.value}, {len(self.sent)} sent, {len(self.waiting)} waiting>"


class Machine:
    """All shards of a group. Each event is a method; commands gather in `out`."""

    def __init__(self, shards: int, rebuild: bool = True) -> None:
        self.shards = [Shard(number) for number in range(shards)]
        self.requests: dict[int, Request] = {}  # the open ones
        self.out: list[Command] = []
        self.closing = False
        self.rebuild = rebuild

    def commands(self) -> list[Command]:
        """What is to be done, in this order; each is given once."""
        out, self.out = self.out, []
        return out

    @property
    def is_over(self) -> bool:
        """Is no shard left?"""
        return all(shard.state in (State.GONE, State.FAILED) for shard in self.shards)

    # ---- events: requests ----

    def opened(self) -> None:
        """The group begins."""
        for shard in self.shards:
            self._start(shard)

    def asked(self, request: Request) -> None:
        """A new request."""
        shard = self.shards[request.shard]
        self.requests[request.id] = request
        if shard.state in (State.FAILED, State.LEAVING, State.GONE):
            self._fail(request, "failed" if shard.state is State.FAILED else "stopped")
        elif shard.state is State.STARTING and shard.builds and not request.patient:
            self._fail(request, "down")
        elif shard.state is State.READY and len(shard.sent) < SENT_MOST and not shard.waiting:
            self._send(shard, request)
        else:
            shard.waiting.append(request)

    def delivered(self, request: int) -> Request | None:
        """An item of its stream came. None: nobody wants it any more."""
        found = self.requests.get(request)
        if found is not None:
            found.items += 1
        return found

    def ended(self, request: int) -> Request | None:
        """Its answer, or the end of its stream, came. None: nobody wants it any more."""
        found = self.requests.pop(request, None)
        if found is None:
            return None
        shard = self.shards[found.shard]
        if shard.sent.pop(request, None) is None:
            raise IllegalMove(f"{found!r} ended, but {shard!r} was not asked")
        self._feed(shard)
        return found

    def withdrawn(self, request: int) -> Request | None:
        """The one who asked has given up (cancelled, or the deadline passed). None: it had ended."""
        found = self.requests.pop(request, None)
        if found is None:
            return None
        shard = self.shards[found.shard]
        if shard.sent.pop(request, None) is not None:
            self.out.append(Cancel(found))
            self._feed(shard)
        else:
            shard.waiting.remove(found)
        self._dismiss_idle(shard)
        return found

    # ---- events: shards ----

    def ready(self, number: int) -> None:
        """Its object is built."""
        shard = self.shards[number]
        if shard.state is State.LEAVING:
            return  # it was built while it was being ended
        self._move(shard, State.READY)
        shard.builds += 1
        shard.starts = 0
        self._feed(shard)

    def refused(self, number: int) -> None:
        """Its constructor raised. That it dies after this is no news."""
        self._give_up(self.shards[number])

    def died(self, number: int) -> None:
        """Its process is gone."""
        shard = self.shards[number]
        if shard.state in (State.FAILED, State.GONE):
            return
        lost, shard.sent = list(shard.sent.values()), {}
        if shard.state is State.LEAVING:
            for request in [*lost, *shard.waiting]:
                self._fail(request, "stopped")
            shard.waiting.clear()
            self._move(shard, State.GONE)
            return
        again = [request for request in lost if self._is_worth_another(request)]
        for request in lost:
            if request not in again:
                self._fail(request, "died")
        if shard.state is State.READY:
            self._refuse_impatient(shard)
        shard.waiting.extendleft(reversed(again))
        if self.closing and not shard.open:
            self._move(shard, State.LEAVING)
            self._move(shard, State.GONE)
            return
        self._restart(shard)

    def _refuse_impatient(self, shard: Shard) -> None:
        """Those that were never sent need not wait for what is to come."""
        waiting, shard.waiting = shard.waiting, deque()
        for request in waiting:
            if request.patient:
                shard.waiting.append(request)
            else:
                self._fail(request, "down")

    def _is_worth_another(self, request: Request) -> bool:
        return self.rebuild and request.patient and not request.items and request.attempts < ATTEMPTS_MOST

    def _restart(self, shard: Shard) -> None:
        may_start = self.rebuild or not shard.builds
        if not may_start or shard.starts >= STARTS_MOST:
            if shard.state is State.READY:
                self._move(shard, State.STARTING)
            self._give_up(shard)
            return
        self._move(shard, State.STARTING)
        self._start(shard)

    # ---- the end ----

    def close(self) -> None:
        """Take no more; shards leave when they have answered."""
        self.closing = True
        for shard in self.shards:
            self._dismiss_idle(shard)

    def stop(self) -> None:
        """Everything open fails, and shards are killed."""
        self.closing = True
        for request in list(self.requests.values()):
            self._fail(request, "stopped")
        for shard in self.shards:
            shard.waiting.clear()
            shard.sent.clear()
            if shard.state in (State.STARTING, State.READY):
                self._move(shard, State.LEAVING)
            if shard.state is State.LEAVING:
                self.out.append(Kill(shard.number))

    # ---- moves ----

    def _start(self, shard: Shard) -> None:
        shard.starts += 1
        self.out.append(Start(shard.number))

    def _give_up(self, shard: Shard) -> None:
        if shard.state is State.LEAVING:
            return
        self._move(shard, State.FAILED)
        for request in [*shard.sent.values(), *shard.waiting]:
            self._fail(request, "failed")
        shard.sent.clear()
        shard.waiting.clear()

    def _send(self, shard: Shard, request: Request) -> None:
        request.attempts += 1
        shard.sent[request.id] = request
        self.out.append(Send(request))

    def _feed(self, shard: Shard) -> None:
        while shard.state is State.READY and shard.waiting and len(shard.sent) < SENT_MOST:
            self._send(shard, shard.waiting.popleft())
        self._dismiss_idle(shard)

    def _dismiss_idle(self, shard: Shard) -> None:
        if self.closing and not shard.open and shard.state in (State.STARTING, State.READY):
            self._move(shard, State.LEAVING)
            self.out.append(Dismiss(shard.number))

    def _fail(self, request: Request, why: str) -> None:
        self.requests.pop(request.id, None)
        self.out.append(Fail(request, why))

    def _move(self, shard: Shard, state: State) -> None:
        if state not in MOVES[shard.state]:
            raise IllegalMove(f"{shard!r} cannot become {state.value}")
        shard.state = state

    def check(self) -> None:
        """The invariants of the module."""
        placed = [request.id for shard in self.shards for request in [*shard.waiting, *shard.sent.values()]]
        assert sorted(placed) == sorted(self.requests), (placed, self.requests)
        for shard in self.shards:
            assert len(shard.sent) <= SENT_MOST
            assert not shard.sent or shard.state in (State.READY, State.LEAVING), shard
            assert not shard.open or shard.state not in (State.FAILED, State.GONE), shard
            assert all(1 <= request.attempts <= ATTEMPTS_MOST for request in shard.sent.values())
