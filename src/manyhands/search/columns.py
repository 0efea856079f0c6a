"""Rows as columns: how a shard sends lines, and what a user sees of them. Part of the search room.

A shard sends `Columns`, packed numbers and one piece of text; a `Row` is a place in them, made when it is asked for,
and reads what it is asked for only.

Always true: bytes are exact; what is text is those bytes decoded as UTF-8, with U+FFFD for what is none.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

Spans = list[tuple[int, int]]


class Columns(NamedTuple):
    """Lines: file numbers u32[n], line numbers u32[n], offsets u32[n + 1] into `text`, kinds u8[n] (1 a match, 0
    context; empty: all are matches), and the lines back to back."""

    files: bytes
    numbers: bytes
    offsets: bytes
    kinds: bytes
    text: bytes


class Summary(NamedTuple):
    """What a shard says at its end: how many files with text it has, and bytes; how many bytes it scanned; whether a
    limit left lines out ("limit", "limit_per_file" or ""); whether it stopped because it was late."""

    files: int
    text_bytes: int
    scanned_bytes: int
    limited: str
    timed_out: bool


class Part(NamedTuple):
    """One message of a shard's answer: lines, counts or diffs, and at the end the summary."""

    columns: Columns | None
    counts: tuple[bytes, bytes] | None  # files u32[n], lines in each u32[n]
    end: Summary | None
    diffs: list[tuple[int, bytes, int]] | None = None  # file, diff, how many lines it changes


class Page:
    """Columns as they arrived, with what rows need to be read: the names of files and how spans are found."""

    __slots__ = ("_find_spans", "_names", "_paths", "files", "kinds", "numbers", "offsets", "text")

    def __init__(
        self, columns: Columns, names: Sequence[bytes], find_spans: Callable[[bytes], Spans]
    ) -> None:
        self.files = memoryview(columns.files).cast("I")
        self.numbers = memoryview(columns.numbers).cast("I")
        self.offsets = memoryview(columns.offsets).cast("I")
        self.kinds = columns.kinds
        self.text = columns.text
        self._paths: dict[int, str] = {}
        self._names, self._find_spans = names, find_spans

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def matches(self) -> int:
        """How many of the lines are matches."""
        return sum(self.kinds) if self.kinds else len(self.numbers)

    def rows(self) -> Iterator[Row]:
        """The rows, made as they are asked for."""
        return map(Row, (self,) * len(self), range(len(self)))

    def first(self, most_matches: int, after: int) -> Page:
        """The rows up to so many matches, and the `after` lines of context behind the last one."""
        stop = self._end_of(most_matches, after)
        cut = Page.__new__(Page)
        cut.files, cut.numbers, cut.offsets = self.files[:stop], self.numbers[:stop], self.offsets[: stop + 1]
        cut.kinds, cut.text = self.kinds[:stop], self.text
        cut._paths, cut._names, cut._find_spans = self._paths, self._names, self._find_spans
        return cut

    def _end_of(self, most: int, after: int) -> int:
        if not self.kinds:
            return min(most, len(self))
        matches = [place for place, kind in enumerate(self.kinds) if kind]
        if most > len(matches):
            return len(self)
        if most == 0:
            return 0
        last = stop = matches[most - 1]
        end = matches[most] if most < len(matches) else len(self)
        while stop + 1 < end and self._is_behind(last, stop + 1, after):
            stop += 1
        return stop + 1

    def _is_behind(self, match: int, place: int, after: int) -> bool:
        """Is that row context behind the match, and not before the next one?"""
        return self.files[place] == self.files[match] and self.numbers[place] - self.numbers[match] <= after

    def path(self, index: int) -> bytes:
        """The path of a row's file, as it is shown."""
        return self._names[self.files[index]]

    def path_text(self, index: int) -> str:
        """The same as text; decoded once for all rows of a file."""
        file = self.files[index]
        found = self._paths.get(file)
        if found is None:
            found = self._paths[file] = os.fsdecode(self._names[file])
        return found

    def line(self, index: int) -> bytes:
        """A row's line without its newline."""
        return self.text[self.offsets[index] : self.offsets[index + 1]]

    def lines(self, start: int, stop: int) -> list[bytes]:
        """The lines of some rows."""
        text, ends = self.text, self.offsets[start : stop + 1].tolist()
        return [text[a:b] for a, b in pairwise(ends)]

    def spans(self, index: int) -> Spans:
        """Where the pattern is in a row's line, in bytes."""
        return self._find_spans(self.line(index)) if self.is_match(index) else []

    def is_match(self, index: int) -> bool:
        """Is the row a match, and not context?"""
        return not self.kinds or self.kinds[index] == 1


class Row:
    """One line of an answer. `path`, `line` and `spans` have twins in bytes."""

    __slots__ = ("_index", "_page")

    def __init__(self, page: Page, index: int) -> None:
        self._page, self._index = page, index

    @property
    def path(self) -> str:
        """The file's path, beginning as the tree was named when it was opened."""
        return self._page.path_text(self._index)

    @property
    def path_bytes(self) -> bytes:
        """The same, as the system has it."""
        return self._page.path(self._index)

    @property
    def line_number(self) -> int:
        """From 1 on. Of a match over several lines: the first."""
        return self._page.numbers[self._index]

    @property
    def line(self) -> str:
        """The line without its newline (a carriage return before it is part of the line)."""
        page, index = self._page, self._index
        offsets = page.offsets
        return page.text[offsets[index] : offsets[index + 1]].decode("utf-8", "replace")

    @property
    def line_bytes(self) -> bytes:
        """The same, exactly as it is in the file."""
        return self._page.line(self._index)

    @property
    def spans(self) -> Spans:
        """Where the pattern is: (start, end) for each match that is not empty, in characters of `line`. None for a line
        of context, and for one that was found because it does not match."""
        line = self.line_bytes
        spans = self.spans_bytes
        if line.isascii():
            return spans
        return [(_characters(line[:start]), _characters(line[:end])) for start, end in spans]

    @property
    def spans_bytes(self) -> Spans:
        """The same, in bytes of `line_bytes`."""
        return self._page.spans(self._index)

    @property
    def is_match(self) -> bool:
        """Is it a match, and not a line of context?"""
        return self._page.is_match(self._index)

    def _facts(self) -> tuple[bytes, int, bytes, bool]:
        return self.path_bytes, self.line_number, self.line_bytes, self.is_match

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Row) and self._facts() == other._facts()

    def __hash__(self) -> int:
        return hash(self._facts())

    def __repr__(self) -> str:
        mark = ":" if self.is_match else "-"
        return f"<{self.path}{mark}{self.line_number}{mark} {self.line[:100]!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _alone, (self._facts(), self.spans_bytes)


def _characters(data: bytes) -> int:
    return len(data.decode("utf-8", "replace"))


def _u32(value: int) -> bytes:
    return value.to_bytes(4, sys.byteorder)


def _alone(facts: tuple[bytes, int, bytes, bool], spans: Spans) -> Row:
    """A row that has left its page (it was pickled)."""
    path, number, line, is_match = facts
    columns = Columns(_u32(0), _u32(number), _u32(0) + _u32(len(line)), bytes((is_match,)), line)
    return Row(Page(columns, [path], lambda _: spans), 0)
