"""Several patterns and one text: does any of them match. Nothing is said of where.

RE2 tests many regexes in one pass, and twice as fast as it tells where one is. Threads: any.
"""

from __future__ import annotations

from typing import Any

from manyhands.search.query import engines, words
from manyhands.search.query.finders import finder
from manyhands.search.query.pattern import Pattern

#: From so many literals on, one pass for all of them is the faster way.
_LITERALS_MOST = 4
#: RE2's sets give up without a word when their memory is not enough; up to this size it is, many times over.
_PROGRAM_MOST = 10_000


class AnyOf:
    """Whether any of `patterns` matches. Compiled when made."""

    def __init__(self, patterns: tuple[Pattern, ...]) -> None:
        together = _together(patterns)
        self._set = _set(together)
        apart = [pattern for pattern in patterns if self._set is None or pattern not in together]
        self._tests = [finder(pattern).matches for pattern in apart]
        self._as_words = bool(patterns) and patterns[0].around == "word"

    def matches(self, text: bytes) -> bool:
        """Whether any matches `text`."""
        for test in self._tests:
            if test(text):
                return True
        if self._set is None:
            return False
        return bool(self._set.Match(words.valid(text, False) if self._as_words else text))


def _together(patterns: tuple[Pattern, ...]) -> frozenset[Pattern]:
    """The patterns that are worth a common pass."""
    able = [pattern for pattern in patterns if not pattern.multiline and pattern.is_utf8]
    found = [pattern for pattern in able if pattern.by_re2]
    literals = [pattern for pattern in able if not pattern.by_re2]
    # what is no part of a word makes a large automaton, and looking beside a literal is cheap
    if len(literals) > _LITERALS_MOST and not literals[0].around and engines.has_re2():
        found += literals
    return frozenset(found)


def _set(patterns: frozenset[Pattern]) -> Any:
    """RE2's set of them; None when there are none, or they are too much for it."""
    sources = tuple(sorted(pattern.test_source() for pattern in patterns))
    if not sources:
        return None
    try:
        size = sum(engines.compiled(source, never_newline=True).programsize for source in sources)
        return engines.compiled_set(sources, never_newline=True) if size <= _PROGRAM_MOST else None
    except engines.Refused:
        return None
