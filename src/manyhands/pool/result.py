"""`Result`: what becomes of a task. An AsyncResult and a Future in one, and awaitable.

Always true:

1. It is resolved once; whoever comes second (a result after a cancel) changes nothing.
2. `_state` is set last, and what the standard library's `wait` and `as_completed` wait on is looked for after that.
   They make it before they look at `_state`. So whoever comes second, under the GIL, sees the other.
3. A result that nobody waits for in the standard library's way has no condition and no lists: they are made at need.

Threads: any.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from manyhands.scheduler.brief import brief_call

if TYPE_CHECKING:
    from manyhands.pool.core import Core
    from manyhands.pool.job import Job

T = TypeVar("T")

PENDING, CANCELLED, FINISHED = "PENDING", "CANCELLED_AND_NOTIFIED", "FINISHED"

_LAZY: dict[str, Callable[[], Any]] = {
    "_condition": threading.Condition,
    "_waiters": list,
    "_done_callbacks": list,
}


class Announced(Protocol):
    """Something to be told about, when no lock is held."""

    def announce(self) -> None:
        """Tell."""


class Result(Future, Generic[T]):  # type: ignore[type-arg]
    """A task's outcome, now or later: what `apply_async`, `map_async` and `submit` return.

    It has the methods of `multiprocessing.pool.AsyncResult` and of `concurrent.futures.Future`, and can be awaited.
    `cancel` also stops a task that runs: its worker is killed and replaced, and nothing else is lost.

    >>> import manyhands
    >>> with manyhands.Pool(2) as pool:
    ...     result = pool.apply_async(pow, (2, 10))
    ...     result.get(timeout=30), result.ready(), result.successful()
    (1024, True, True)
    """

    # Shared defaults in place of Future's own constructor: a million of these are made in a second.
    _state: str = PENDING
    _result: Any = None
    _exception: BaseException | None = None
    _then: tuple[Callable[[Any], object] | None, Callable[[BaseException], object] | None] | None = None
    job: Job | None = None  # of a map
    given: Any = None  # the arguments, when `item` is a pickle of them: nobody unpickles it here

    def __init__(self, core: Core, item: Any = None) -> None:
        self._core = core
        self.item = item

    def __getattr__(self, name: str) -> Any:
        make = _LAZY.get(name)
        if make is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self.__dict__.setdefault(name, make())

    @property
    def is_wanted(self) -> bool:
        """Not resolved yet, by a cancel for instance."""
        return self._state is PENDING

    # ---- multiprocessing's ----

    def get(self, timeout: float | None = None) -> T:
        """The value, waiting for it at most `timeout` seconds; the task's exception if it raised one.

        Raises `manyhands.errors.WaitTimeoutError` (a TimeoutError, also multiprocessing's) when it is not there in
        time, `concurrent.futures.CancelledError` when it was cancelled.
        """
        if self._state is PENDING and not self._core.drive(self, timeout):
            from manyhands.failures import WaitTimeoutError

            raise WaitTimeoutError(
                f"the result was not there after {timeout:g} seconds; the task goes on: "
                f"get() it later, or cancel() it"
            )
        return self._outcome()

    def _outcome(self) -> T:
        if self._state is CANCELLED:
            raise CancelledError
        if self._exception is not None:
            try:
                raise self._exception
            finally:
                self = None  # type: ignore[assignment] # noqa: PLW0642 - no cycle through the traceback
        value: T = self._result
        return value

    def wait(self, timeout: float | None = None) -> None:
        """Wait until it is resolved, at most `timeout` seconds."""
        if self._state is PENDING:
            self._core.drive(self, timeout)

    def ready(self) -> bool:
        """Is it resolved? Does not block."""
        return self._state is not PENDING or self._core.glance(self)

    def successful(self) -> bool:
        """Did the task return? ValueError when it is not ready."""
        if not self.ready():
            raise ValueError(f"{self!r} not ready")
        return self._state is FINISHED and self._exception is None

    # ---- concurrent.futures' ----

    def result(self, timeout: float | None = None) -> T:
        """The same as `get`."""
        return self.get(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """The exception that the task raised, or None; waits like `get`."""
        if self._state is PENDING:
            try:
                self.get(timeout)
            except BaseException:
                if self._state is PENDING:
                    raise
        if self._state is CANCELLED:
            raise CancelledError
        return self._exception

    def done(self) -> bool:
        """The same as `ready`."""
        return self.ready()

    def running(self) -> bool:
        """Has a worker begun it, and not finished? For a map: any of its items?"""
        return self._state is PENDING and self._core.is_running(self)

    def cancel(self) -> bool:
        """Give it up, also when it runs: its worker is killed and replaced. False when it is resolved already."""
        return self._core.cancel(self)

    def add_done_callback(self, fn: Callable[[Future[T]], object]) -> None:
        """Call ``fn(self)`` once it is resolved; at once when it is."""
        super().add_done_callback(fn)

    def __await__(self) -> Generator[Any, None, T]:
        """In a coroutine: wait without blocking the loop. Cancelling the asyncio task cancels this."""
        import asyncio

        return asyncio.wrap_future(self).__await__()

    def describe(self, function: Any, form: int) -> str:
        """The call in a few words, for errors."""
        value = self._core.engine.decode(self.item) if self.given is None else self.given
        return brief_call(function, form, value)

    def announce(self) -> None:
        """Tell all who wait, and call the callbacks. The pool does, with no lock held."""
        if "_condition" in self.__dict__:
            with self._condition:
                for waiter in self._waiters:
                    _tell(waiter, self)
                self._condition.notify_all()
            self._invoke_callbacks()
        if self._then is not None and self._state is FINISHED:
            good, bad = self._then
            if self._exception is None:
                _call(good, self._result)
            else:
                _call(bad, self._exception)

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a Result belongs to the process whose pool runs the task; send what get() returns")

    def __class_getitem__(cls, _item: Any) -> Any:
        return cls


def settle(result: Result[Any], value: Any, error: BaseException | None = None) -> bool:
    """Resolve one. False: it was already. When True, its `announce` must follow, without any lock held."""
    if result._state is not PENDING:
        return False
    result._result, result._exception = value, error
    result.item = result.given = None  # large ones are not to live as long as the result
    result._state = FINISHED
    return True


def settle_cancelled(result: Result[Any]) -> bool:
    """Resolve one as cancelled, likewise."""
    if result._state is not PENDING:
        return False
    result._state = CANCELLED
    result.given = None
    return True


def _tell(waiter: Any, result: Result[Any]) -> None:
    if result._state is CANCELLED:
        waiter.add_cancelled(result)
    elif result._exception is not None:
        waiter.add_exception(result)
    else:
        waiter.add_result(result)


def _call(callback: Callable[[Any], object] | None, argument: Any) -> None:
    """A callback's own error is told and hurts nobody: the pool goes on."""
    if callback is None:
        return
    try:
        callback(argument)
    except Exception:
        import logging

        logging.getLogger("manyhands").exception(
            "the callback %r of a pool's result raised; the pool goes on", callback
        )


def settle_all(results: Iterable[Result[Any]], values: Iterable[Any]) -> list[Result[Any]]:
    """Resolve many with values; those that somebody waits for, to be announced. (The hottest loop of a pool.)"""
    told = []
    for result, value in zip(results, values, strict=False):
        if result._state is PENDING:
            result._result = value
            if result.given is not None:
                result.item = result.given = None
            result._state = FINISHED
            if result._then is not None or "_condition" in result.__dict__:
                told.append(result)
    return told
