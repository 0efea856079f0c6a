"""`Answer`: the rows of a query as they arrive, and how complete they are. Part of the search room.

Stands on an *inquiry*: an iterator, blocking and asynchronous, over (shard, `Part`), with the shards that are missing.

Always true:

1. Rows come in the order of paths, and of lines in a file; the same question of the same tree gives the same rows.
2. What was left out is said: `truncated_by` the limit, `timed_out`, shards that are `missing`. `complete` is True only
   at the end, and only if nothing of this happened.
3. Who stops reading (closes, leaves the ``with`` block, forgets the answer, cancels the task) stops the shards.

Threads: one at a time.
"""

from __future__ import annotations

import functools
import os
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from manyhands.search.columns import Page, Part, Row, Summary
from manyhands.search.corpus.skipped import Skipped
from manyhands.search.preview import FileDiff
from manyhands.search.query.matcher import Matcher

Names = Callable[[int], Any]


class Inquiry(Protocol):
    """Where the parts come from. At its end `missing` says which shards did not answer, and why."""

    @property
    def missing(self) -> Mapping[int, BaseException]:
        """Those that did not answer."""

    def __iter__(self) -> Iterator[tuple[int, Part]]:
        """Blocks."""

    def __aiter__(self) -> AsyncIterator[tuple[int, Part]]:
        """Does not."""

    def count_skipped(self) -> int:
        """How many files could not be searched."""

    def list_skipped(self) -> Skipped:
        """Which, and why."""

    def close(self) -> None:
        """Stop."""


class Shards(NamedTuple):
    """How many shards have answered to the end, of how many."""

    answered: int
    total: int


class Replies:
    """What every answer has: the state of completeness."""

    def __init__(self, inquiry: Inquiry, shards: int) -> None:
        self._inquiry = inquiry
        self._total = shards
        self._ends: dict[int, Summary] = {}
        self._began = time.perf_counter()
        self._elapsed_s: float | None = None
        self._cut = False  # the limit was reached here

    @property
    def skipped(self) -> int:
        """How many files could not be searched; `list_skipped` says which, and why."""
        return self._inquiry.count_skipped()

    def list_skipped(self) -> Skipped:
        """The files that could not be searched, with their reasons."""
        return self._inquiry.list_skipped()

    @property
    def finished(self) -> bool:
        """Has the end been reached?"""
        return self._elapsed_s is not None

    @property
    def complete(self) -> bool:
        """Is this all there is, in the files that are searched? False before the end."""
        return (
            self.finished
            and not (self.truncated_by or self.timed_out or self.missing)
            and (len(self._ends) == self._total)
        )

    @property
    def truncated_by(self) -> str | None:
        """Which limit left lines out: "limit" or "limit_per_file"; None when none did."""
        if self._cut:
            return "limit"
        return max((end.limited for end in self._ends.values()), default="") or None

    @property
    def timed_out(self) -> bool:
        """Did the deadline come before the end?"""
        return any(end.timed_out for end in self._ends.values()) or any(
            isinstance(error, TimeoutError) for error in self.missing.values()
        )

    @property
    def shards(self) -> Shards:
        """How many have answered to the end."""
        return Shards(len(self._ends), self._total)

    @property
    def missing(self) -> dict[int, BaseException]:
        """The shards that did not answer, and why."""
        return dict(self._inquiry.missing)

    @property
    def searched(self) -> tuple[int, int]:
        """How many files with text there are, and how many bytes of text."""
        ends = self._ends.values()
        return sum(end.files for end in ends), sum(end.text_bytes for end in ends)

    @property
    def scanned_bytes(self) -> int:
        """How much text was looked at; the index spares the rest."""
        return sum(end.scanned_bytes for end in self._ends.values())

    @property
    def elapsed_s(self) -> float:
        """How long it took, or takes by now."""
        return time.perf_counter() - self._began if self._elapsed_s is None else self._elapsed_s

    def _finish(self) -> None:
        if self._elapsed_s is None:
            self._elapsed_s = time.perf_counter() - self._began

    def close(self) -> None:
        """Want no more; the shards stop. Doing it twice is harmless."""
        self._inquiry.close()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


class Answer(Replies):
    """The rows that a query found, as they arrive: for ``for`` or ``async for``, once.

    At its end `complete` tells whether that is all, and if not `truncated_by`, `timed_out`, `missing` and `shards` why;
    `skipped` counts the files that could not be searched at all. `lines` and `files` count what was yielded.
    """

    def __init__(
        self, inquiry: Inquiry, shards: int, limit: int | None, names: Names,
        matcher: Matcher,
    ) -> None:  # fmt: skip
        super().__init__(inquiry, shards)
        self._limit, self._after = limit, matcher.plan.request.after
        self._find_spans = matcher.line_spans
        self._names = names
        #: Knows where in a line the pattern is, and how a line looks with it replaced.
        self.matcher = matcher
        self._rows: Iterator[Row] | None = None
        self._async_rows: AsyncIterator[Row] | None = None
        #: How many matching lines have been yielded (or are about to be), and in how many files.
        self.lines = self.files = 0
        self._last_file: tuple[int, int] | None = None

    def pages(self) -> Iterator[Page]:
        """The answer in columns, for whoever wants many rows fast. In place of iterating over rows."""
        return _pages_of(lambda: self, self._inquiry)

    def pages_async(self) -> AsyncIterator[Page]:
        """`pages` without blocking the loop."""
        return _pages_of_async(lambda: self, self._inquiry)

    def _hear(self, shard: int, part: Part) -> Page | None:
        """What a part brings, cut where the limit is."""
        if part.end is not None:
            self._ends[shard] = part.end
        if part.columns is None:
            return None
        page = Page(part.columns, self._names(shard), self._find_spans)
        matches = page.matches
        if self._limit is not None and matches >= self._limit - self.lines:
            self._cut = matches > self._limit - self.lines
            matches = self._limit - self.lines
            page = page.first(matches, self._after)
        self.lines += matches
        self._count_files(shard, page)
        return page if len(page) else None

    def _count_files(self, shard: int, page: Page) -> None:
        for file in dict.fromkeys(page.files):
            if (shard, file) != self._last_file:
                self.files += 1
                self._last_file = (shard, file)

    def __iter__(self) -> Iterator[Row]:
        return self

    def __next__(self) -> Row:
        if self._rows is None:
            self._rows = _rows_of(_pages_of(weakref.ref(self), self._inquiry))
        return next(self._rows)

    def __aiter__(self) -> AsyncIterator[Row]:
        return self

    async def __anext__(self) -> Row:
        if self._async_rows is None:
            self._async_rows = _rows_of_async(_pages_of_async(weakref.ref(self), self._inquiry))
        return await self._async_rows.__anext__()

    def all(self) -> list[Row]:
        """Every row that is left."""
        return list(self)

    def __repr__(self) -> str:
        state = "complete" if self.complete else "finished" if self.finished else "under way"
        return f"<Answer: {self.lines} lines in {self.files} files so far, {state}>"


# What follows asks each time whose pages these are: an answer that keeps its rows must not be kept by them, or only a
# collection of garbage would stop the shards of one that was forgotten.

Whose = Callable[[], Answer | None]


def _pages_of(whose: Whose, inquiry: Inquiry) -> Iterator[Page]:
    for shard, part in inquiry:
        page = _heard(whose, shard, part)
        if page is not None:
            yield page
        if _is_cut(whose):
            break
    _finish(whose)


async def _pages_of_async(whose: Whose, inquiry: Inquiry) -> AsyncIterator[Page]:
    async for shard, part in inquiry:
        page = _heard(whose, shard, part)
        if page is not None:
            yield page
        if _is_cut(whose):
            break
    _finish(whose)


def _rows_of(pages: Iterator[Page]) -> Iterator[Row]:
    for page in pages:
        yield from page.rows()


async def _rows_of_async(pages: AsyncIterator[Page]) -> AsyncIterator[Row]:
    async for page in pages:
        for row in page.rows():
            yield row


def _heard(whose: Whose, shard: int, part: Part) -> Page | None:
    answer = whose()
    return None if answer is None else answer._hear(shard, part)


def _is_cut(whose: Whose) -> bool:
    """Is the limit reached, or the answer forgotten?"""
    answer = whose()
    if answer is not None and answer._cut:
        answer.close()
    return answer is None or answer._cut


def _finish(whose: Whose) -> None:
    answer = whose()
    if answer is not None:
        answer._finish()


class _Tally(Replies):
    """What is read to its end at once: numbers by file."""

    def __init__(self, inquiry: Inquiry, shards: int, names: Names) -> None:
        super().__init__(inquiry, shards)
        self._names = names

    def read(self) -> None:
        """Blocks until all is there."""
        for shard, part in self._inquiry:
            self._hear_part(shard, part)
        self._finish()

    async def read_async(self) -> None:
        """The same, without blocking the loop."""
        async for shard, part in self._inquiry:
            self._hear_part(shard, part)
        self._finish()

    def _hear_part(self, shard: int, part: Part) -> None:
        if part.end is not None:
            self._ends[shard] = part.end
        if part.counts is not None:
            files, lines = (memoryview(numbers).cast("I") for numbers in part.counts)
            self._note(self._names(shard), files, lines)

    def _note(self, names: Sequence[bytes], files: memoryview[int], lines: memoryview[int]) -> None:
        raise NotImplementedError


class Counts(_Tally):
    """How many lines match: `lines` in all, in how many `files`, and in each (`by_file`: path -> lines, in order)."""

    def __init__(self, inquiry: Inquiry, shards: int, names: Names) -> None:
        super().__init__(inquiry, shards, names)
        self.lines = 0
        self._pairs: list[tuple[Sequence[bytes], memoryview[int], memoryview[int]]] = []

    def _note(self, names: Sequence[bytes], files: memoryview[int], lines: memoryview[int]) -> None:
        self.lines += sum(lines)
        self._pairs.append((names, files, lines))

    @functools.cached_property
    def by_file_bytes(self) -> dict[bytes, int]:
        """Lines by path, as the system has it; made when it is first asked for."""
        found: dict[bytes, int] = {}
        for names, files, lines in self._pairs:
            for file, count in zip(files, lines, strict=True):
                found[names[file]] = found.get(names[file], 0) + count
        return found

    @property
    def by_file(self) -> dict[str, int]:
        """Lines by path."""
        return {os.fsdecode(path): count for path, count in self.by_file_bytes.items()}

    @property
    def files(self) -> int:
        """In how many files."""
        return len(self.by_file_bytes)

    def __repr__(self) -> str:
        return f"<Counts: {self.lines} lines in {self.files} files, {'complete' if self.complete else 'not complete'}>"


class Matching(_Tally):
    """Paths of files: a sequence of str, in order; `paths_bytes` has them as the system does."""

    def __init__(self, inquiry: Inquiry, shards: int, names: Names) -> None:
        super().__init__(inquiry, shards, names)
        self.paths_bytes: list[bytes] = []

    @classmethod
    def of(cls, paths: list[bytes], shards: int, tree: Any) -> Matching:
        """Those paths of a tree, which no shard was asked for."""
        made = cls(_Nothing(tree), shards, lambda _: ())
        made.paths_bytes = paths
        made._ends = {shard: Summary(0, 0, 0, "", False) for shard in range(shards)}
        made._finish()
        return made

    def _note(self, names: Sequence[bytes], files: memoryview[int], _lines: memoryview[int]) -> None:
        self.paths_bytes += [names[file] for file in files]

    def __len__(self) -> int:
        return len(self.paths_bytes)

    def __getitem__(self, index: int) -> str:
        return os.fsdecode(self.paths_bytes[index])

    def __iter__(self) -> Iterator[str]:
        return map(os.fsdecode, self.paths_bytes)

    def __contains__(self, path: object) -> bool:
        return isinstance(path, (str, bytes)) and os.fsencode(path) in self.paths_bytes

    def __repr__(self) -> str:
        return f"<Matching: {len(self)} files, {'complete' if self.complete else 'not complete'}>"


class Preview(Replies):
    """What a replacement would change: a `FileDiff` for each file, in order, for ``for`` or ``async for``."""

    def __init__(self, inquiry: Inquiry, shards: int, names: Names) -> None:
        super().__init__(inquiry, shards)
        self._names = names
        self._diffs = self._all_diffs()
        self._async_diffs: AsyncIterator[FileDiff] | None = None

    def __iter__(self) -> Iterator[FileDiff]:
        return self

    def __next__(self) -> FileDiff:
        return next(self._diffs)

    def __aiter__(self) -> AsyncIterator[FileDiff]:
        if self._async_diffs is None:
            self._async_diffs = self._all_diffs_async()
        return self._async_diffs

    def _all_diffs(self) -> Iterator[FileDiff]:
        for shard, part in self._inquiry:
            yield from self._hear(shard, part)
        self._finish()

    async def _all_diffs_async(self) -> AsyncIterator[FileDiff]:
        async for shard, part in self._inquiry:
            for diff in self._hear(shard, part):
                yield diff
        self._finish()

    def _hear(self, shard: int, part: Part) -> Iterator[FileDiff]:
        if part.end is not None:
            self._ends[shard] = part.end
        names = self._names(shard)
        for file, diff, lines in part.diffs or ():
            yield FileDiff(os.fsdecode(names[file]), diff.decode("utf-8", "surrogateescape"), lines)


class _Nothing:
    """No question, no answers."""

    missing: Mapping[int, BaseException] = {}

    def __init__(self, tree: Any) -> None:
        self._tree = tree

    def count_skipped(self) -> int:
        """Of the tree."""
        return int(self._tree.skipped_count)

    def list_skipped(self) -> Skipped:
        """Of the tree."""
        skipped: Skipped = self._tree.skipped()
        return skipped

    def __iter__(self) -> Iterator[tuple[int, Part]]:
        return iter(())

    async def __aiter__(self) -> AsyncIterator[tuple[int, Part]]:
        nothing: tuple[tuple[int, Part], ...] = ()
        for part in nothing:
            yield part

    def close(self) -> None:
        """Nothing to stop."""
