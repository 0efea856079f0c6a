"""What a request to an actor gives its asker: a `Call` for one value, a `Stream` or a `Gathering` for many.

Always true: what arrives is noted under the exchange's lock (`on_item`, `on_end`), and told with none (`announce`).

Threads: a `Call` any; the others as `mailbox` says.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from manyhands.actor.mailbox import NOTHING, OVER, Arrival, Mailbox, raised
from manyhands.actor.protocol import Request
from manyhands.pool import options
from manyhands.pool.result import Announced, Result, settle

if TYPE_CHECKING:
    from manyhands.actor.exchange import Exchange

T = TypeVar("T")


class Call(Result[T]):
    """One value, now or later: a `manyhands.Result`. `cancel` tells the actor to stop."""

    def on_item(self, _request: Request, _value: Any) -> Announced | None:
        """No items come."""

    def on_end(self, _request: Request, value: Any, error: BaseException | None) -> Announced | None:
        """The value, or the error. Told to those who wait; they make the condition before they look at the state."""
        return self if settle(self, value, error) and "_condition" in self.__dict__ else None

    def describe(self, _function: Any, _form: int) -> str:
        """An actor's errors name the request themselves."""
        return repr(self)


class Stream(Mailbox[T]):
    """The items that a generator method of one actor yields, as they arrive; blocking or ``async for``.

    The actor is at most `window` items ahead. `close` (or the end of a ``with`` block) stops it.
    """

    def _hear(self, arrival: Arrival) -> T:
        request, is_end, value, error = arrival
        if error is not None:
            raise raised(request, error)
        if is_end:
            value = NOTHING
        else:
            self._grant(request)
        found: T = value
        return found


class Reply(NamedTuple):
    """One answer: of which shard, and what."""

    shard: int
    value: Any


class Gathering(Mailbox[Reply]):
    """The replies of several shards to one question, as they arrive; blocking or ``async for``.

    A shard that is lost, or too late, does not raise: `missing` says which and why, and `partial` is True. What a
    method itself raises is raised here, and ends the rest. `all` is for those who want every value or an error; so is
    ``await``.
    """

    def __init__(self, exchange: Exchange, window: int, in_order: bool) -> None:
        super().__init__(exchange, window)
        self.missing: dict[int, BaseException] = {}
        self._kept: dict[int, deque[Arrival]] | None = {} if in_order else None  # what waits for its turn
        self._turns: deque[int] = deque()
        self._failed = False

    def expect(self, requests: list[Request]) -> None:
        """See `Mailbox`."""
        super().expect(requests)
        self._turns.extend(request.shard for request in requests)

    def on_end(self, request: Request, value: Any, error: BaseException | None) -> Announced | None:
        """See `Mailbox`."""
        if error is not None:
            self._failed = True
        return super().on_end(request, value, error)

    @property
    def partial(self) -> bool:
        """Is a shard's answer missing? To be asked at the end; before it, so far."""
        return bool(self.missing)

    def all(self, timeout: float | None = None) -> list[Any]:
        """Every value, in the order of shards (a stream's in its own order); raises when one is missing, or, by
        `manyhands.errors.WaitTimeoutError`, when not all are there after `timeout` seconds."""
        deadline = options.deadline_of(timeout)
        replies: list[Reply] = []
        while True:
            if not self._window and self._open:  # values: once for all, not once for each
                self._drive(self._is_decided, timeout, deadline)
            reply = self._wait_for(timeout, deadline) if (taken := self._take()) is NOTHING else taken
            if reply is OVER:
                return self._whole(replies)
            replies.append(reply)

    def _is_decided(self) -> bool:
        return self._failed or not self._open

    def _whole(self, replies: list[Reply]) -> list[Any]:
        for shard in sorted(self.missing):
            raise self.missing[shard]
        replies.sort(key=lambda reply: reply.shard)
        return [reply.value for reply in replies]

    def __await__(self) -> Generator[Any, None, list[Any]]:
        return self._all_async().__await__()

    async def _all_async(self) -> list[Any]:
        return self._whole([reply async for reply in self])

    def _take(self) -> Reply:
        if self._kept is None:
            return super()._take()
        while self._came:
            arrival = self._came.popleft()
            self._kept.setdefault(arrival.request.shard, deque()).append(arrival)
        while self._turns and not self._closed:
            kept = self._kept.get(self._turns[0])
            if not kept:
                nothing: Reply = NOTHING
                return nothing
            arrival = kept.popleft()
            if arrival.is_end:
                self._turns.popleft()
            if (reply := self._hear(arrival)) is not NOTHING:
                return reply
        over: Reply = OVER
        return over

    def _hear(self, arrival: Arrival) -> Reply:
        request, is_end, value, error = arrival
        nothing: Reply = NOTHING
        if error is not None:
            if not _is_loss(error):
                self.close()
                raise raised(request, error)
            self.missing[request.shard] = error
            return nothing
        if not is_end:
            self._grant(request)
        elif request.stream:
            return nothing
        return Reply(request.shard, value)

    def close(self) -> None:
        """See `Mailbox`."""
        super().close()
        if self._kept is not None:
            self._kept.clear()


def _is_loss(error: BaseException) -> bool:
    from manyhands.failures import ActorLostError, DeadlineError

    return isinstance(error, (ActorLostError, DeadlineError))
