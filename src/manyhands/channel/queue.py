"""Queue, SimpleQueue and JoinableQueue with multiprocessing's interfaces, over one ring each.

Always true:

1. When ``put`` returns the item is in shared memory: nothing is lost when this process ends, and there is no
   feeder thread to join. An object that cannot be pickled raises in ``put``.
2. Each item is delivered once, to one getter; the items of one putter arrive in its order.
3. A process that is killed inside ``put`` or ``get`` hurts nobody else. Only an item that a killed getter had
   already taken goes with it.
4. ``qsize``, ``empty`` and ``full`` are exact at the instant they look.
"""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Iterable, Iterator, Sized
from itertools import islice
from typing import Any, Generic, TypeVar

from manyhands.channel.ring import RingHandle
from manyhands.errors import UsageError

T = TypeVar("T")

_MAXSIZE_MOST = 1 << 30
_ALL = (1 << 31) - 1
_CHUNK = 1024


def _checked_maxsize(maxsize: Any) -> int:
    try:
        size = operator.index(maxsize)
    except TypeError:
        raise UsageError(
            f"maxsize must be a whole number of items, 0 for no limit, not {maxsize!r} "
            f"(a {type(maxsize).__qualname__})"
        ) from None
    if size < 0:
        raise UsageError(f"maxsize is {size}; it must be 0 (no limit) or the number of items that may wait")
    if size > _MAXSIZE_MOST:
        raise UsageError(f"maxsize is {size}; at most {_MAXSIZE_MOST} items can wait; 0 means no limit")
    return size


def _deadline(timeout: Any) -> float | None:
    if timeout is None:
        return None
    if not isinstance(timeout, (int, float)) or math.isnan(timeout):
        raise UsageError(f"timeout must be a number of seconds, or None to wait for ever, not {timeout!r}")
    return time.monotonic() + timeout


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    """What is at hand, in pieces; what an iterator makes, one by one: each is put before the next is made."""
    if not isinstance(items, Sized):
        yield from ([item] for item in items)
        return
    iterator = iter(items)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk


class _RingQueue(Generic[T]):
    """What all three have: a ring, and its way to other processes. Threads: any. Processes: any."""

    def __init__(self, handle: RingHandle) -> None:
        self._use(handle)

    def _use(self, handle: RingHandle) -> None:
        self._handle = handle
        self._ring = handle.native

    def __getstate__(self) -> RingHandle:
        return self._handle

    def __setstate__(self, handle: RingHandle) -> None:
        self._use(handle)

    def empty(self) -> bool:
        """Is there nothing to get at this instant?"""
        return self._ring.unread == 0

    def close(self) -> None:
        """Let go of the queue in this process. What was put stays there for the others; using it here raises."""
        self._handle.close()

    def __repr__(self) -> str:
        state = "closed" if self._ring.closed else f"{self._ring.unread} waiting"
        return f"<{type(self).__module__}.{type(self).__qualname__} {state}>"


class Queue(_RingQueue[T]):
    """`multiprocessing.Queue`: from any process to any process.

    It is passed as an argument of a Process, or put into another queue. `maxsize` is how many items may wait before
    ``put`` blocks; 0 means no limit but memory.

    >>> import manyhands
    >>> q = manyhands.Queue()
    >>> q.put({"answer": 42})
    >>> q.get()
    {'answer': 42}
    """

    def __init__(self, maxsize: int = 0, *, ctx: Any = None) -> None:  # noqa: ARG002 - as multiprocessing's
        super().__init__(RingHandle.create(_checked_maxsize(maxsize)))

    def _use(self, handle: RingHandle) -> None:
        """Let ``put`` and ``get`` of this object be the native calls themselves, unless a subclass has its own."""
        super()._use(handle)
        if type(self).put is Queue.put:
            self.put = handle.native.queue_put  # type: ignore[method-assign]
        if type(self).get is Queue.get:
            self.get = handle.native.queue_get  # type: ignore[method-assign]

    def put(self, obj: T, block: bool = True, timeout: float | None = None) -> None:
        """Hand `obj` over; with a `maxsize`, wait for room.

        Raises `queue.Full` when there is no room (after `timeout` seconds, or at once with ``block=False``),
        `manyhands.errors.PicklingError` when `obj` cannot be pickled.
        """
        self._ring.queue_put(obj, block, timeout)

    def get(self, block: bool = True, timeout: float | None = None) -> T:
        """The next item, waiting for one.

        Raises `queue.Empty` when there is none (after `timeout` seconds, or at once with ``block=False``). An item
        whose unpickling raises is taken, and its error comes from here; the next ``get`` is not affected.
        """
        item: T = self._ring.queue_get(block, timeout)
        return item

    def put_nowait(self, obj: T) -> None:
        """``put(obj, block=False)``."""
        self.put(obj, False)

    def get_nowait(self) -> T:
        """``get(block=False)``."""
        return self.get(False)

    def put_many(self, items: Iterable[T], block: bool = True, timeout: float | None = None) -> None:
        """``put`` each of `items`, several times faster for small ones. `timeout` is for all of them.

        Raises what ``put`` does; the items before the one that could not be put have been put, and the error's
        ``items_put`` says how many.
        """
        deadline = _deadline(timeout)
        lists = (items,) if isinstance(items, list) else _chunks(items)
        done = 0
        for chunk in lists:
            start = 0
            while start < len(chunk):
                start += self._ring.put_plain(chunk, start)
                if start < len(chunk):
                    self._put_one_of_many(chunk[start], block, deadline, done + start)
                    start += 1
            done += len(chunk)

    def _put_one_of_many(self, obj: T, block: bool, deadline: float | None, done: int) -> None:
        """One that is not plain, or found no room at once."""
        try:
            self.put(obj, block, None if deadline is None else max(0.0, deadline - time.monotonic()))
        except Exception as error:
            error.items_put = done  # type: ignore[attr-defined]
            raise

    def get_many(
        self, max_items: int | None = None, block: bool = True, timeout: float | None = None
    ) -> list[T]:
        """Wait for one item as ``get`` does, then take what is there, up to `max_items`: never an empty list.

        Raises `queue.Empty` as ``get`` does.
        """
        most = _ALL if max_items is None else operator.index(max_items)
        if most < 1:
            raise UsageError(f"max_items is {max_items}; it must be 1 or more, or None for all that is there")
        return self._ring.get_many(min(most, _ALL), timeout if block else 0)

    def qsize(self) -> int:
        """How many items wait."""
        return self._ring.unread

    def full(self) -> bool:
        """Would ``put`` have to wait at this instant?"""
        return 0 < self._ring.max_items <= self._ring.unread

    def join_thread(self) -> None:
        """Do nothing: there is no feeder thread, ``put`` has handed over when it returns."""

    def cancel_join_thread(self) -> None:
        """Do nothing: see ``join_thread``."""


class JoinableQueue(Queue[T]):
    """`multiprocessing.JoinableQueue`: a queue that knows whether what was got has been dealt with."""

    def task_done(self) -> None:
        """Say that an item that was got is dealt with. `ValueError` when said more often than items were put."""
        self._ring.done()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until ``task_done`` was said for every item ever put; False when `timeout` seconds were too short."""
        return self._ring.join(timeout)


class SimpleQueue(_RingQueue[T]):
    """`multiprocessing.SimpleQueue`: ``put``, ``get``, ``empty``, ``close``. ``put`` blocks when about 1 MB waits."""

    def __init__(self, *, ctx: Any = None) -> None:  # noqa: ARG002 - as multiprocessing's
        super().__init__(RingHandle.create(grows=False))

    def put(self, obj: T) -> None:
        """Hand `obj` over, waiting for room. Raises `manyhands.errors.PicklingError` when it cannot be pickled."""
        self._ring.queue_put(obj)

    def get(self) -> T:
        """The next item, waiting for one."""
        item: T = self._ring.queue_get()
        return item
