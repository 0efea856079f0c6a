"""`imap` and its kin: results one by one, the input pulled as it is needed.

The thread that takes results pulls the input, so a generator runs in the caller's thread, and only `window` items are
under way at any time: an endless input runs in constant memory.

Always true:

1. At most `window` items are submitted and not yet yielded.
2. A result that is there is yielded before more input is pulled. Input is pulled while no result is there, a batch at
   a time, and no longer than a millisecond at a time: a slow input does not keep results back for more than one item.
3. An input that raises half way does so here, after the results of all items before.

Threads: one at a time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from manyhands.pool.job import Progress, StreamJob

if TYPE_CHECKING:
    from manyhands.pool.core import Core
    from manyhands.scheduler.work import Source

T = TypeVar("T")

#: Batches of each worker that are under way, when the user gives no window.
_BATCHES = 4

_PULL_NS = 1_000_000


class Stream(Generic[T]):
    """The iterator that `imap` and `imap_unordered` return; ``next`` also takes a time-out, as multiprocessing's.

    `close` gives up what is left, and so does its end of life.
    """

    def __init__(
        self, core: Core, source: Source, items: Iterable[Any], job: StreamJob, buffersize: int | None,
        progress: Progress | None = None, deadline: float | None = None,
    ) -> None:  # fmt: skip
        self._core, self._source, self._job = core, source, job
        self._progress, self._deadline = progress, deadline
        self._window = buffersize
        self._is_sequence = isinstance(items, Sequence)
        self._input: Iterator[Any] | None = iter(items)
        self._input_error: BaseException | None = None
        self._submitted = self._yielded = 0
        self._values: list[Any] = []
        self._errors: dict[int, BaseException] | None = None
        self._place = 0
        core.hold(source)
        core.streams.add(self)

    def __iter__(self) -> Stream[T]:
        return self

    def __next__(self) -> T:
        return self.next()

    def next(self, timeout: float | None = None) -> T:
        """The next result; what its task raised, which does not end the stream.

        Raises `manyhands.errors.WaitTimeoutError` when there is none after `timeout` seconds.
        """
        place = self._place
        if place >= len(self._values):
            self._next_piece(timeout)
            place = 0
        self._place = place + 1
        if self._errors is not None and place in self._errors:
            raise self._errors[place]
        value: T = self._values[place]
        self._values[place] = None  # it is the caller's: nothing here keeps a large one
        return value

    def _next_piece(self, timeout: float | None) -> None:
        """Get the next results, pulling input meanwhile. StopIteration when there are none."""
        self._yielded += len(self._values)
        self._values, self._place = [], 0
        pieces = self._job.pieces
        while not pieces:
            if self._pull():
                continue
            if self._yielded == self._submitted:
                self._end()
            self._wait(timeout)
        self._values, self._errors = pieces.popleft()
        if (
            self._input is not None
            and self._submitted - self._yielded - len(self._values) < self._limit() // 2
        ):
            self._pull()

    def _wait(self, timeout: float | None) -> None:
        if self._deadline is not None:
            left = max(0.0, self._deadline - time.monotonic())
            timeout = left if timeout is None else min(left, timeout)
        pieces = self._job.pieces

        def is_done() -> bool:
            return bool(pieces) or not self._core.is_usable

        if not self._core.drive_until(is_done, timeout, self._job.wait_elsewhere(is_done)):
            from manyhands.failures import WaitTimeoutError

            raise WaitTimeoutError(f"no further result came in {timeout:g} seconds; the tasks go on")
        if not pieces:
            self._core.check_usable()

    def _limit(self) -> int:
        size = self._source.options.chunksize or max(self._source.pace.last, 2)
        return self._window or _BATCHES * self._core.hands * size

    def _pull(self, whole: bool = False) -> bool:
        """Take some input, or the `whole`, and submit it. False: there is no more, or no room for it."""
        room = sys.maxsize if whole else self._limit() - (self._submitted - self._yielded - self._place)
        if self._input is None or room <= 0:
            return False
        chunksize = self._source.options.chunksize
        most = room if whole else min(room, chunksize or max(1, self._source.pace.last))
        items = self._pulled(most)
        if items:
            self._source.add(items)
            self._submitted += len(items)
            self._core.submit(self._source, self._job)
        if self._input is None:
            self._core.exhausted(self._source)
            if self._progress is not None:
                self._progress.total(self._submitted)
        return bool(items)

    def _pulled(self, most: int) -> list[Any]:
        assert self._input is not None
        if self._is_sequence:
            items = list(islice(self._input, most))
            if len(items) < most:
                self._exhaust(None)
            return items
        items, until = [], time.monotonic_ns() + _PULL_NS
        try:
            while len(items) < most and time.monotonic_ns() < until:
                items.append(next(self._input))
        except StopIteration:
            self._exhaust(None)
        except Exception as error:
            self._exhaust(error)
        return items

    def _exhaust(self, error: BaseException | None) -> None:
        self._input, self._input_error = None, error

    def _end(self) -> None:
        error, self._input_error = self._input_error, None
        self._core.forget(self._job)
        if self._progress is not None:
            self._progress.close()
        if error is not None:
            raise error
        raise StopIteration

    def take_in(self) -> None:
        """Submit all input that there is, without waiting for its results to be asked for."""
        while self._pull(whole=True):
            pass

    def cut_off(self, error: BaseException) -> None:
        """No more input: `error` is raised in its place."""
        if self._input is not None:
            self._exhaust(error)
            self._core.exhausted(self._source)

    def close(self) -> None:
        """Give up what is left: nothing more of it is begun."""
        if self._input is not None or self._submitted > self._yielded + len(self._values):
            self._input = None
            self._submitted = self._yielded
            self._values, self._place = [], 0
            self._job.pieces.clear()
            self._core.drop(self._source)
        self._core.forget(self._job)
        if self._progress is not None:
            self._progress.close()

    def __del__(self) -> None:
        core = self.__dict__.get("_core")
        if (
            core is not None
            and core.is_usable
            and (self._input is not None or self._submitted > self._yielded)
        ):
            core.drop_later(self._source)
