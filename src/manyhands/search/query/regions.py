"""Many lines at once: which of them match, without a look at each.

The answer is a list of offsets, one a matching line: behind the line's newline, or at the end of a region that has
none there. A region is text in which lines are whole. Threads: any.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from manyhands.search.query import engines
from manyhands.search.query.finders import Finder, finder
from manyhands.search.query.pattern import Pattern
from manyhands.search.query.tester import AnyOf

_JOINED_BYTES_MOST = 64 << 10


class Region:
    """Finds the lines of a region that any of `patterns` matches."""

    def __init__(self, patterns: tuple[Pattern, ...]) -> None:
        self._patterns = patterns
        self._literals: list[Finder] = [finder(pattern) for pattern in patterns if not pattern.by_re2]
        regexes = [pattern for pattern in patterns if pattern.by_re2]
        self._as_words = any(pattern.around == "word" for pattern in regexes)
        self._compiled = _compiled(regexes)

    @functools.cached_property
    def _any(self) -> AnyOf:
        return AnyOf(self._patterns)

    def ends(self, region: bytes) -> Iterator[int]:
        """Where matching lines end; not in order, and lines with several patterns come again."""
        if self._compiled is None:
            yield from self._one_by_one(region)
            return
        for literal in self._literals:
            yield from _literal_ends(literal, region)
        for compiled in self._compiled:
            yield from self._regex_ends(compiled, region)

    def _regex_ends(self, compiled: Any, region: bytes) -> Iterator[int]:
        """RE2 cannot look at a word's neighbours in a region as in a line: those lines are only likely."""
        for start, end in _found_lines(compiled, region):
            if not self._as_words or self._any.matches(region[start:end].removesuffix(b"\n")):
                yield end

    def _one_by_one(self, region: bytes) -> Iterator[int]:
        start = 0
        while start < len(region):
            end = _line_end(region, start)
            if self._any.matches(region[start:end].removesuffix(b"\n")):
                yield end
            start = end


@functools.lru_cache(64)
def region_of(patterns: tuple[Pattern, ...]) -> Region:
    """The region finder of `patterns`, kept."""
    return Region(patterns)


def _compiled(regexes: list[Pattern]) -> list[Any] | None:
    """What finds the lines of all regexes: one for all of them, if RE2 takes it. None: lines are to be looked at
    singly."""
    sources = [pattern.region_source() for pattern in regexes]
    able = [source for source in sources if source is not None]
    if len(able) < len(sources):
        return None
    if len(able) > 1 and sum(map(len, able)) <= _JOINED_BYTES_MOST:
        try:
            return [
                engines.compiled(b"|".join(b"(?:" + source + b")" for source in able), never_newline=True)
            ]
        except engines.Refused:
            pass  # too large together
    return [engines.compiled(source, never_newline=True) for source in able]


def _literal_ends(literal: Finder, region: bytes) -> Iterator[int]:
    at = 0
    while (found := literal.search(region, at)) is not None and not is_behind(region, found[0]):
        at = _line_end(region, found[1])
        yield at
        if at == len(region):
            return


def _found_lines(compiled: Any, region: bytes) -> Iterator[tuple[int, int]]:
    """Start and end of the lines with a match: at each, the search goes on behind it."""
    at = 0
    while (found := compiled.search(region, at)) is not None and not is_behind(region, found.start()):
        start, at = region.rfind(b"\n", 0, found.start()) + 1, _line_end(region, found.end())
        yield start, at
        if at == len(region):
            return


def line_start(region: bytes | memoryview, at: int) -> int:
    """Where the line begins that `at` is in. Copies no more of the region than it needs."""
    reach, end = 256, at
    while end > 0:
        start = max(0, end - reach)
        newline = bytes(region[start:end]).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end, reach = start, reach * 2
    return 0


def _line_end(region: bytes, at: int) -> int:
    return (region.find(b"\n", at) + 1) or len(region)


def is_behind(region: bytes, at: int) -> bool:
    """Whether `at` is behind the last newline, where there is no line."""
    return at == len(region) and (at == 0 or region[at - 1] == 10)
