"""Where the answers to requests arrive, and their reader waits. Part of the actor room; see `reply` for its kinds.

Always true:

1. What arrives is noted under the exchange's lock (`on_item`, `on_end`), in its order in one queue, and told with no
   lock held (`announce`), if somebody waits.
2. Who waits says so before it looks for news; what arrives is noted before it is looked for who waits. So whoever
   comes second sees the other.
3. A stream's shard never has more than `window` items on their way or waiting here; taking them asks for more.
4. Nobody holds a mailbox but its reader. When it is closed its requests are withdrawn: the shards stop, and what
   waits here is let go of. So are those of a stream that is forgotten.

Threads: one at a time, but for `close`.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from manyhands.actor.ear import is_running
from manyhands.actor.protocol import Request
from manyhands.pool import options
from manyhands.pool.lead import left_until
from manyhands.pool.result import Announced

if TYPE_CHECKING:
    import asyncio

    from manyhands.actor.exchange import Exchange

T = TypeVar("T")

#: What there is to take: nothing yet; nothing any more.
NOTHING: Any = object()
OVER: Any = object()


class Arrival(NamedTuple):
    """What came of a request: an item, or its end with a value or an error."""

    request: Request
    is_end: bool
    value: Any
    error: BaseException | None


class Address:
    """The owner of a mailbox's requests: it leads to the mailbox, but does not keep it, so that it can be forgotten."""

    __slots__ = ("_mailbox",)

    def __init__(self, mailbox: Mailbox[Any]) -> None:
        self._mailbox = weakref.ref(mailbox)

    def on_item(self, request: Request, value: Any) -> Announced | None:
        """See `Mailbox`."""
        mailbox = self._mailbox()
        return None if mailbox is None else mailbox.on_item(request, value)

    def on_end(self, request: Request, value: Any, error: BaseException | None) -> Announced | None:
        """See `Mailbox`."""
        mailbox = self._mailbox()
        return None if mailbox is None else mailbox.on_end(request, value, error)


class Mailbox(Generic[T]):
    """Where the answers to some requests arrive; both a blocking and an asynchronous iterator over them."""

    _closed = False
    _waiting = 0  # threads that wait while another one leads

    def __init__(self, exchange: Exchange, window: int = 0) -> None:
        self._exchange = exchange
        self._window = window
        self._open: dict[int, Request] = {}
        self._came: deque[Arrival] = deque()
        self._taken: dict[int, int] = {}  # items of each request since room was granted
        self._sleepers: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    def __getattr__(self, name: str) -> Any:
        if name != "_condition":  # made when somebody needs it
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self.__dict__.setdefault(name, threading.Condition())

    def expect(self, requests: list[Request]) -> None:
        """The requests whose answers arrive here. Before they are sent."""
        address = Address(self)
        for request in requests:
            request.owner = address
        self._open = {request.id: request for request in requests}

    # ---- what arrives ----

    def on_item(self, request: Request, value: Any) -> Announced | None:
        """An item of a stream."""
        self._came.append(Arrival(request, False, value, None))
        return self if self._waiting or self._sleepers else None

    def on_end(self, request: Request, value: Any, error: BaseException | None) -> Announced | None:
        """A value, a stream's end, or an error."""
        self._came.append(Arrival(request, True, value, error))
        self._open.pop(request.id, None)
        return self if self._waiting or self._sleepers else None

    def announce(self) -> None:
        """Wake whoever waits."""
        with self._condition:
            self._condition.notify_all()
            sleepers, self._sleepers = self._sleepers, []
        for loop, future in sleepers:
            if is_running(loop):
                _wake(future)
                continue
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_wake, future)

    # ---- taking ----

    def _take(self) -> T:
        """What is there now, or `NOTHING`, or `OVER`."""
        may_come = bool(self._open)  # looked at first: what ends meanwhile has been noted before
        while self._came:
            found = self._hear(self._came.popleft())
            if found is not NOTHING:
                return found
        nothing: T = NOTHING if may_come else OVER
        return nothing

    def _hear(self, arrival: Arrival) -> T:
        """What the reader gets of it, or `NOTHING`; raises what it is to raise."""
        raise NotImplementedError

    def _has_news(self) -> bool:
        return bool(self._came or not self._open)

    def next(self, timeout: float | None = None) -> T:
        """The next one, waiting for it at most so many seconds.

        Raises StopIteration at the end, `manyhands.errors.WaitTimeoutError` when none came in time (it may still come).
        """
        found = self._take()
        if found is NOTHING:
            found = self._wait_for(timeout, options.deadline_of(timeout))
        if found is OVER:
            raise StopIteration
        return found

    def _wait_for(self, timeout: float | None, deadline: float | None) -> T:
        found: T = NOTHING
        while found is NOTHING:
            self._drive(self._has_news, timeout, deadline)
            found = self._take()
        return found

    def _drive(self, is_done: Callable[[], bool], timeout: float | None, deadline: float | None) -> None:
        def wait_elsewhere(left: float | None) -> None:
            with self._condition:
                self._waiting += 1
                try:
                    if not is_done():
                        self._condition.wait(left)
                finally:
                    self._waiting -= 1

        if not self._exchange.drive_until(is_done, left_until(deadline), wait_elsewhere):
            from manyhands.failures import WaitTimeoutError

            raise WaitTimeoutError(f"no answer came in {timeout:g} seconds; it may still come")

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        return self.next()

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        while (found := self._take()) is NOTHING:
            await self._sleep()
        if found is OVER:
            raise StopAsyncIteration
        return found

    async def _sleep(self) -> None:
        """Until something arrives; an asyncio task that is cancelled meanwhile withdraws the requests."""
        import asyncio

        self._exchange.check_process()
        loop = asyncio.get_running_loop()
        sleeper = loop, loop.create_future()
        with self._condition:
            self._sleepers.append(sleeper)
            if self._has_news():
                self._sleepers.remove(sleeper)
                return
        awaited = loop, self
        self._exchange.awaited.append(
            awaited
        )  # a loop holds its tasks weakly, so nobody else may hold this one
        try:
            self._exchange.listen(loop)
            await sleeper[1]
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            self._exchange.awaited.remove(awaited)

    def _grant(self, request: Request) -> None:
        """An item was taken: when half of the window is free, ask for as many."""
        taken = self._taken.get(request.id, 0) + 1
        if taken * 2 >= self._window and request.id in self._open:
            self._exchange.grant(request, taken)
            taken = 0
        self._taken[request.id] = taken

    # ---- the end ----

    def close(self) -> None:
        """Want no more: shards are told to stop. Doing it twice is harmless, and so is doing it while another thread,
        or task, waits here: for that one it is the end."""
        self._closed = True
        numbers = list(self._open)
        self._open.clear()
        for number in numbers:
            self._exchange.withdraw(number)
        self._came.clear()
        if self._waiting or self._sleepers:
            self.announce()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # Of streams only: what was asked for its values is carried out, as a forgotten call is.
        if self.__dict__.get("_window"):
            for number in list(self._open):
                self._exchange.withdraw_later(number)

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(f"a {type(self).__name__} belongs to the process that asked; send what it gives")


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def raised(request: Request, error: BaseException) -> BaseException:
    """What to raise for `error`: itself, but for what would pass for the end of the iteration."""
    if not isinstance(error, (StopIteration, StopAsyncIteration)):
        return error
    instead = RuntimeError(f"{request.method}() raised {type(error).__name__}")
    instead.__cause__ = error
    return instead
