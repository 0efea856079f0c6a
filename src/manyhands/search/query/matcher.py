"""Which lines a plan's query matches, and where in them. The last word on both.

A line is given without its newline; it may be invalid UTF-8. The meaning is RE2's with UTF-8: a dot is a character;
``\\w``, ``\\d``, ``\\s`` and ``\\b`` are ASCII; in any case, U+017F is an s and U+212A a k.

Nothing is compiled before it is first needed, and what is compiled is kept for all matchers of a process. Literals
do without RE2, in exact case, or in any case when their letters are ASCII; all else raises `MissingExtraError`
where it is missing. Threads: any; `ends` may give None to a second one.
"""

from __future__ import annotations

import functools
from array import array
from collections.abc import Iterable

from manyhands.search.query import engines
from manyhands.search.query.finders import Finder, finder
from manyhands.search.query.pattern import Pattern
from manyhands.search.query.plan import Plan
from manyhands.search.query.regions import Region, is_behind, line_start, region_of
from manyhands.search.query.spans import Match, Searcher, spans
from manyhands.search.query.template import Template
from manyhands.search.query.tester import AnyOf

Spans = list[tuple[int, int]]


class Matcher:
    """Answers for one plan. See the module."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._by_line = plan.request.scope == "line" and not plan.request.multiline

    # ---- one line ----

    def matches(self, line: bytes) -> bool:
        """Whether the line is one that is asked for: any of the patterns, and with ``scope="line"`` all of `all_of`
        and none of `none_of`. `invert` is not looked at."""
        if not self._any.matches(line):
            return False
        return not self._by_line or self._conditions_hold(line)

    def spans(self, line: bytes) -> Spans:
        """Where the patterns match, empty matches left out."""
        return spans(self._finders, line)

    def line_spans(self, line: bytes) -> Spans:
        """As `spans`, of a row: with `multiline`, a match may go on to the newline behind it, which a row has not."""
        if not self.plan.request.multiline:
            return self.spans(line)
        found = self.spans(line + b"\n")
        return [(start, min(end, len(line))) for start, end in found if start < len(line) or not line]

    def highlights(self, line: bytes) -> Spans:
        """As `spans`, with those of `all_of` too."""
        return spans([*self._finders, *map(finder, self.plan.all_of)], line)

    def which(self, line: bytes) -> int | None:
        """The index of the pattern that matches first in the line; None when none does."""
        return next((found.pattern for found in self._found(line)), None)

    def replace(self, line: bytes, template: bytes | str) -> bytes:
        """The line with each match (empty ones too) replaced: ``$1`` or ``${1}`` is a group, ``$name`` and
        ``${name}`` too, ``$0`` is the match, ``$$`` a dollar. Raises `QueryError` when no pattern has such a
        group."""
        made = self._template(template)
        parts, at = [], 0
        for found in self._found(line):
            groups = self._finders[found.pattern].captures(line, (found.start, found.end))
            parts += [line[at : found.start], made.filled(groups)]
            at = found.end
        return b"".join([*parts, line[at:]])

    # ---- a file's text ----

    def text_spans(self, text: bytes) -> Spans:
        """Where the patterns of a `multiline` query match in a file, empty matches only where their line has no
        other."""
        kept: Spans = []
        covered = 0  # the last span's line ends before this
        for found in self._found(text):
            if found.start == found.end and (found.start < covered or is_behind(text, found.start)):
                continue
            kept.append((found.start, found.end))
            if found.start == found.end or found.end >= covered:
                covered = (text.find(b"\n", found.end) + 1) or len(text) + 1
        return kept

    def file_matches(self, text: bytes) -> bool:
        """Whether the file is one that is asked for, with ``scope="file"``: it has any of the patterns (not asked
        when the query is inverted), all of `all_of` and none of `none_of`."""
        request = self.plan.request
        if not request.invert and not self._in_file(self.plan.patterns, text):
            return False
        if request.scope == "line":
            return True
        if any(self._in_file((pattern,), text) for pattern in self.plan.none_of):
            return False
        return all(self._in_file((pattern,), text) for pattern in self.plan.all_of)

    # ---- many lines ----

    def ends(self, region: memoryview | bytes) -> bytes | None:
        """Of a region that is ASCII: u32[n], one a matching line in order, behind its newline, as `Visit.lines_at`
        takes them. Lines are those with any of the patterns. None: ask `re2_ends`; there is no Hyperscan, it does
        not know such an expression, or another thread is at it."""
        expressions = self.plan.expressions
        if expressions is None or (len(region) and region[-1] not in (10, b"\n")):
            return None
        if not expressions:
            return b""
        automaton = engines.automaton(expressions)
        found = None if automaton is None else automaton.scan(region)
        return None if found is None else self._with_last_lines(found, region).tobytes()

    def re2_ends(self, region: memoryview | bytes) -> bytes:
        """The same for any region, by RE2 and by search for literals."""
        return array("I", sorted(set(self._region.ends(bytes(region))))).tobytes()

    def _with_last_lines(self, found: array[int], region: memoryview | bytes) -> array[int]:
        """What the automaton has found, with the last lines, of which it is not sure, looked at by RE2."""
        start = line_start(region, max(0, len(region) - engines.Automaton.UNSURE_BYTES))
        while found and found[-1] > start:
            found.pop()
        found.extend(start + end for end in sorted(set(self._region.ends(bytes(region[start:])))))
        return found

    @property
    def has_automaton(self) -> bool:
        """Whether Hyperscan can be had for regions of ASCII; compiles its expressions."""
        expressions = self.plan.expressions
        return expressions is not None and (not expressions or engines.automaton(expressions) is not None)

    # ---- compiled at need ----

    @functools.cached_property
    def _any(self) -> AnyOf:
        return AnyOf(self.plan.patterns)

    @functools.cached_property
    def _finders(self) -> list[Finder]:
        return [finder(pattern) for pattern in self.plan.patterns]

    @functools.cached_property
    def _region(self) -> Region:
        return Region(self.plan.patterns)

    @functools.cached_property
    def _conditions(self) -> tuple[list[AnyOf], AnyOf]:
        return [AnyOf((pattern,)) for pattern in self.plan.all_of], AnyOf(self.plan.none_of)

    def _conditions_hold(self, line: bytes) -> bool:
        wanted, unwanted = self._conditions
        return all(one.matches(line) for one in wanted) and not unwanted.matches(line)

    def _found(self, text: bytes) -> Iterable[Match]:
        return Searcher(self._finders, text)

    def _template(self, template: bytes | str) -> Template:
        names = frozenset[str]().union(*(one.names for one in self._finders))
        return Template.parse(template, names)

    @staticmethod
    def _in_file(patterns: tuple[Pattern, ...], text: bytes) -> bool:
        if patterns[0].multiline:
            return AnyOf(patterns).matches(text)
        return next(iter(region_of(patterns).ends(text)), None) is not None
