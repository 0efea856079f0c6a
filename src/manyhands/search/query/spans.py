"""All matches in a text: leftmost, not overlapping, of several patterns as if they were alternatives of one.

As in ripgrep: after a match, an empty one at its end does not count; and none is inside of a character.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from manyhands.search.query import words
from manyhands.search.query.finders import Exact, Finder, Folded, Regex, Span


class Match(NamedTuple):
    """Where, and by which of the patterns."""

    start: int
    end: int
    pattern: int


def spans(finders: Sequence[Finder], text: bytes) -> list[Span]:
    """All matches that are not empty."""
    if len(finders) == 1:
        only = finders[0]
        if isinstance(only, Regex) or (isinstance(only, (Exact, Folded)) and only.needle):
            return only.spans(text)
    return [(found.start, found.end) for found in Searcher(finders, text) if found.end > found.start]


class Searcher:
    """Goes over one text once. `finders`: the earlier ones are preferred where several match."""

    def __init__(self, finders: Sequence[Finder], text: bytes) -> None:
        self._finders = finders
        self._text = text
        self._next: list[Span | None] = [(-1, -1)] * len(finders)  # the first match of each from `at` on

    def __iter__(self) -> Iterator[Match]:
        at, last_end = 0, -1
        while at <= len(self._text):
            found = self._first(at)
            if found is None:
                return
            if found.start == found.end and (
                found.start == last_end or words.inside_char(self._text, found.start)
            ):
                at = found.start + 1
                continue
            yield found
            at = last_end = found.end

    def _first(self, at: int) -> Match | None:
        best: Match | None = None
        for index, finder in enumerate(self._finders):
            span = self._next[index]
            if span is not None and span[0] < at:
                span = self._next[index] = finder.search(self._text, at)
            if span is not None and (best is None or span[0] < best.start):
                best = Match(*span, index)
        return best
