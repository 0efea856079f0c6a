"""What the scheduler deals: sources of items, batches of them, and leases of batches to workers. Pure.

A *source* is one submission: the items of a map, or the single calls of one function. A *batch* is some of its
items, in order. A *lease* is a batch in the hands of a worker.

Always true: an item is in exactly one place: waiting in its source, waiting in a returned batch, leased, or done.
"""

from __future__ import annotations

from collections import deque
from functools import cache
from typing import Any

from manyhands.scheduler.pace import TARGET_NS, Pace


class Options:
    """How the items of a source are to be treated. Equal ones are the same object: see `make_options`."""

    __slots__ = ("chunksize", "retries", "task_timeout_ns")

    def __init__(
        self, retries: int = 0, task_timeout_ns: int | None = None, chunksize: int | None = None
    ) -> None:
        self.retries = retries  # how often an item is tried again after its worker died
        self.task_timeout_ns = task_timeout_ns  # how long one item may run
        self.chunksize = chunksize  # items a batch, when the user says so; None: by measured time


DEFAULT = Options()


@cache
def make_options(retries: int, task_timeout_ns: int | None, chunksize: int | None) -> Options:
    """The one object that says this: sources of calls are kept by it, and found by its identity, which is quick."""
    if (retries, task_timeout_ns, chunksize) == (0, None, None):
        return DEFAULT
    return Options(retries, task_timeout_ns, chunksize)


class Source:
    """The items of one submission. `owner` is the pool's: what becomes of results; `pace` is the function's.

    Items come in chunks; those of one chunk may be dealt in several batches, never two chunks in one.
    """

    __slots__ = (
        "_waiting",
        "cancelled",
        "chunks",
        "form",
        "function",
        "growing",
        "listed",
        "next_index",
        "options",
        "owner",
        "pace",
        "queued",
        "sift",
        "taken",
        "target_ns",
    )  # fmt: skip

    def __init__(
        self, function: Any, form: int, pace: Pace, options: Options = DEFAULT, owner: Any = None
    ) -> None:
        self.function, self.form, self.pace, self.options, self.owner = function, form, pace, options, owner
        self.chunks: deque[list[Any]] = deque()
        self.taken = 0  # of the first chunk
        self._waiting = 0
        self.next_index = 0  # of the next item that is dealt, counted over the whole submission
        self.growing = False  # will more items come?
        self.target_ns = TARGET_NS  # what a batch should take
        self.queued = False  # is it in the pool's inbox?
        self.listed = False  # does the scheduler have it in its list?
        self.sift = False  # may some of the items be unwanted?
        self.cancelled = False

    def add(self, items: list[Any]) -> None:
        """More items. The list is the source's from now on."""
        if items:
            self.chunks.append(items)
            self._waiting += len(items)

    def take(self, most: int) -> Batch | None:
        """The next batch of up to `most` items; None when none waits."""
        if not self.chunks:
            return None
        chunk, at = self.chunks[0], self.taken
        items = chunk[at : at + most] if at or most < len(chunk) else chunk
        self.taken += len(items)
        if self.taken >= len(chunk):
            self.chunks.popleft()
            self.taken = 0
        batch = Batch(self, items, self.next_index)
        self._waiting -= len(items)
        self.next_index += len(items)
        return batch

    @property
    def waiting(self) -> int:
        """How many items wait."""
        return self._waiting

    def drop(self) -> None:
        """Forget the items that wait."""
        self._waiting = 0
        self.chunks.clear()
        self.taken = 0


class Calls(Source):
    """Single calls of one function: any thread may append to `pending` at any time, without a lock.

    Who has appended puts the source into the pool's inbox, unless `queued` says that it is there. The pool takes it
    out, sets `queued` to False, and only then looks what waits. So each call is looked for after it was appended.
    """

    __slots__ = ("pending",)

    def __init__(self, function: Any, form: int, pace: Pace, options: Options = DEFAULT) -> None:
        super().__init__(function, form, pace, options)
        self.pending: deque[Any] = deque()

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return len(self.pending)

    def take(self, most: int) -> Batch | None:
        """The next calls; those that were cancelled meanwhile drop out."""
        pending = self.pending
        popleft = pending.popleft
        while pending:
            calls = [popleft()] if most == 1 else [popleft() for _ in range(min(most, len(pending)))]
            if self.sift:
                calls = [call for call in calls if call.is_wanted]
            if calls:
                return Batch(self, calls, 0)
        return None

    def drop(self) -> None:
        """Forget the calls that wait."""
        self.pending.clear()


class Batch:
    """Some items of a source. `first` is the index of the first; `deaths` counts workers that its item took along."""

    __slots__ = ("deaths", "first", "items", "source")

    def __init__(self, source: Source, items: list[Any], first: int, deaths: int = 0) -> None:
        self.source, self.items, self.first, self.deaths = source, items, first, deaths

    def part(self, start: int, end: int, deaths: int = 0) -> Batch:
        """The items from `start` to `end`, as a batch of their own."""
        return Batch(self.source, self.items[start:end], self.first + start, deaths)


class Lease:
    """A batch in a worker's hands. Items before `done` are done, those from `end` on were taken back; `begun` items
    were begun when it was last cut, so with `begun == end` its worker can begin none of it any more."""

    __slots__ = ("barren", "batch", "begun", "done", "dooms", "end", "number", "worker")

    def __init__(self, number: int, batch: Batch, worker: int) -> None:
        self.number, self.batch, self.worker = number, batch, worker
        self.done, self.begun, self.end = 0, 0, len(batch.items)
        self.barren = False  # asked for items, it had none to give
        #: Indices of items that its worker is to be killed for (None: whichever it runs), and why.
        self.dooms: dict[int | None, str] = {}

    @property
    def doomed(self) -> dict[int | None, str] | None:
        """`dooms`, if there are any."""
        return self.dooms or None

    @property
    def is_over(self) -> bool:
        """Is every item that was left to the worker done?"""
        return self.done >= self.end

    def __repr__(self) -> str:
        return f"<lease {self.number} of worker {self.worker}: {self.done} of {self.end} done>"
