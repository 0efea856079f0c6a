"""One-shot searches: read, search and forget, in this process, by threads, without an index. Part of the search room.

For a single question this beats loading a tree. Reading and scanning run without the GIL, so all cores take part.

Always true:

1. Pieces of the sorted files are read and searched by whichever thread is free, and answered in their order.
2. Threads are at most a few pieces ahead of whoever reads the answer; closing it ends them.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

from manyhands import _search
from manyhands.process import cpu_count
from manyhands.search.answer import Answer, Counts, Matching, Preview
from manyhands.search.asking import counting, matcher_of, naming, replacing, until_ns
from manyhands.search.columns import Part
from manyhands.search.corpus.filters import Filters
from manyhands.search.corpus.skipped import Skipped
from manyhands.search.corpus.walk import Walk, walk
from manyhands.search.load import Loader
from manyhands.search.names import filters_of, mask_of
from manyhands.search.query.plan import Plan
from manyhands.search.run import Run

#: Files in a piece, and pieces that each thread may be ahead.
_PIECE, _AHEAD = 192, 3

#: What a run is to do, with the names of its files.
How = Callable[[Run, list[bytes]], Iterator[Any]]


class _Conveyor:
    """The threads, and the pieces' parts in order. An `Inquiry`. Threads: one reads."""

    missing: Mapping[int, BaseException] = {}

    def __init__(self, found: Walk, filters: Filters, plan: Plan, how: How, deadline_ns: int) -> None:
        self._found, self._filters, self._plan, self._how = found, filters, plan, how
        self._deadline_ns = deadline_ns
        self._roots = [root.shown for root in found.roots if root.is_folder]
        self.pieces = -(-len(found) // _PIECE)
        self._skipped = found.skipped
        self._change = threading.Condition()
        self._next = self._read = 0
        self._parts: dict[int, list[Part]] = {}
        self._error: BaseException | None = None
        self._closed = False
        count = min(cpu_count(), self.pieces)
        self._ahead = _AHEAD * count
        self._threads = [
            threading.Thread(target=self._work, name=f"manyhands-scan-{n}") for n in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def names(self, piece: int) -> list[bytes]:
        """The names of a piece's files."""
        return self._found.files[piece * _PIECE : (piece + 1) * _PIECE]

    def count_skipped(self) -> int:
        """So far."""
        return len(self._skipped)

    def list_skipped(self) -> Skipped:
        """So far, in order."""
        with self._change:
            self._skipped.sort()
        return self._skipped

    # ---- the threads ----

    def _work(self) -> None:
        store = _search.Store()
        try:
            while (piece := self._take()) is not None:
                parts = self._search(store, piece)
                with self._change:
                    self._parts[piece] = parts
                    self._change.notify_all()
        except BaseException as error:
            with self._change:
                self._error = error
                self._change.notify_all()

    def _take(self) -> int | None:
        """The next piece, when there is room for what comes of it."""
        with self._change:
            while not self._closed and self._next < self.pieces and self._next - self._read >= self._ahead:
                self._change.wait()
            if self._closed or self._next >= self.pieces or self._error is not None:
                return None
            self._next += 1
            return self._next - 1

    def _search(self, store: _search.Store, piece: int) -> list[Part]:
        first = piece * _PIECE
        numbers = range(first, min(first + _PIECE, len(self._found)))
        loader = Loader(store, self._filters.binary, self._filters.max_file_bytes)
        for _ in loader.batches([self._found.path(number) for number in numbers]):
            pass
        names = self.names(piece)
        run = Run(
            store, self._plan, mask_of(filters_of(self._plan.request), names, self._roots), self._deadline_ns
        )
        parts = [part for part in self._how(run, names) if isinstance(part, Part) and not self._closed]
        del run
        for file in range(len(numbers)):
            store.remove(file)
        with self._change:
            for file, (reason, detail) in loader.skipped.items():
                self._skipped.add(names[file], reason, detail)
        return parts

    # ---- the reader ----

    def __iter__(self) -> Iterator[tuple[int, Part]]:
        try:
            for piece in range(self.pieces):
                for part in self._wait_for(piece):
                    yield piece, part
        finally:
            self.close()

    def _wait_for(self, piece: int) -> list[Part]:
        with self._change:
            while piece not in self._parts:
                if self._error is not None:
                    raise self._error
                self._change.wait()
            self._read = piece + 1
            self._change.notify_all()
            return self._parts.pop(piece)

    async def __aiter__(self) -> AsyncIterator[tuple[int, Part]]:
        import asyncio

        for piece in range(self.pieces):
            for part in await asyncio.to_thread(self._wait_for, piece):
                yield piece, part
        self.close()

    def close(self) -> None:
        """End the threads."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        for thread in self._threads:
            thread.join()


_FILTERS = ("hidden", "ignore", "globs", "types", "not_types", "binary", "max_file_bytes", "follow")


def _parted(options: dict[str, Any]) -> tuple[Filters, dict[str, Any]]:
    """Which files; and what is asked of them."""
    filters = Filters(**{name: options[name] for name in _FILTERS if name in options})
    return filters, {name: value for name, value in options.items() if name not in _FILTERS}


def _begin(paths: Any, filters: Filters, plan: Plan, how: How, deadline_s: float | None) -> _Conveyor:
    until = until_ns(deadline_s)
    return _Conveyor(walk(paths, filters, sized=False), filters, plan, how, until)


def scan(paths: Any, pattern: Any, *, deadline_s: float | None = None, **options: Any) -> Answer:
    """Search the files below `paths` once, without keeping anything: an `Answer`.

    `options` are those of `open` that say which files (``hidden``, ``globs``, ...) and those of `Tree.search`.
    """
    filters, query = _parted(options)
    matcher = matcher_of(pattern, query)
    conveyor = _begin(paths, filters, matcher.plan, lambda run, _: run.rows(), deadline_s)
    return Answer(conveyor, conveyor.pieces, matcher.plan.request.limit, conveyor.names, matcher)


def scan_counts(paths: Any, pattern: Any, *, deadline_s: float | None = None, **options: Any) -> Counts:
    """How many lines match below `paths`: see `scan`. Blocks."""
    filters, query = _parted(options)
    plan = counting(pattern, query).plan
    conveyor = _begin(paths, filters, plan, lambda run, _: run.counts(), deadline_s)
    counts = Counts(conveyor, conveyor.pieces, conveyor.names)
    counts.read()
    return counts


def scan_files(
    paths: Any, pattern: Any, *, without: bool = False, deadline_s: float | None = None, **options: Any
) -> Matching:
    """The files below `paths` with a line that matches, or `without` one: see `scan`. Blocks."""
    filters, query = _parted(options)
    method = Run.files_without if without else Run.files
    conveyor = _begin(paths, filters, naming(pattern, query).plan, lambda run, _: method(run), deadline_s)
    found = Matching(conveyor, conveyor.pieces, conveyor.names)
    found.read()
    return found


def scan_preview(
    paths: Any, pattern: Any, replacement: str | bytes, *, context: int = 3, deadline_s: float | None = None,
    **options: Any,
) -> Preview:  # fmt: skip
    """What `replacement` in place of each match would change below `paths`: see `Tree.preview` and `scan`."""
    filters, query = _parted(options)
    matcher, template, lines = replacing(pattern, replacement, context, query)

    def how(run: Run, names: list[bytes]) -> Iterator[Any]:
        return run.previews(template, names, lines)

    conveyor = _begin(paths, filters, matcher.plan, how, deadline_s)
    return Preview(conveyor, conveyor.pieces, conveyor.names)


def scan_bytes(data: bytes, name: str | bytes, pattern: Any, **options: Any) -> Answer:
    """Search one text that is in memory already, called `name`: an `Answer`."""
    import os

    matcher = matcher_of(pattern, options)
    store = _search.Store()
    store.put(0, data)
    parts = [(0, part) for part in Run(store, matcher.plan, None, 0).rows() if isinstance(part, Part)]
    names = [os.fsencode(name)]
    return Answer(_Kept(parts), 1, matcher.plan.request.limit, lambda _: names, matcher)


class _Kept:
    """Parts that are there already."""

    missing: Mapping[int, BaseException] = {}

    def __init__(self, parts: list[tuple[int, Part]]) -> None:
        self._parts = parts

    def count_skipped(self) -> int:
        """None is a file."""
        return 0

    def list_skipped(self) -> Skipped:
        """None is a file."""
        return Skipped()

    def __iter__(self) -> Iterator[tuple[int, Part]]:
        return iter(self._parts)

    async def __aiter__(self) -> AsyncIterator[tuple[int, Part]]:
        for part in self._parts:
            yield part

    def close(self) -> None:
        """Nothing to stop."""


def listed(paths: Any, **options: Any) -> tuple[list[bytes], Skipped]:
    """The files below `paths` that would be searched, in order, and what would not be."""
    found = walk(paths, Filters(**options), sized=False)
    return found.files, found.skipped
