"""One pattern, compiled, and one text: where it matches.

Every finder has the same three methods: `search` (the first match at or behind an offset), `matches` (is there
one), and `captures` (the groups of the match at an offset). A text is a line without its newline or, with
`multiline`, a file. Threads: any.
"""

from __future__ import annotations

import functools
import re
from typing import Any, Protocol

from manyhands.search.query import engines, words
from manyhands.search.query.classes import FOLDS_TO_ASCII
from manyhands.search.query.pattern import Pattern
from manyhands.search.query.regex import NOT_WORD

Span = tuple[int, int]
#: The groups' texts by number and by name; group 0 is the match.
Groups = tuple[dict[int, bytes], dict[str, bytes]]

#: Longer literals are not given to Python's compiler, which takes a second for a megabyte.
_EXPRESSION_MOST = 4096

_FOLDS = {chr(letter).encode(): chr(code).encode() for code, letter in FOLDS_TO_ASCII.items()}


class Finder(Protocol):
    """See the module."""

    @property
    def names(self) -> frozenset[str]:
        """Of groups: numbers as text, and names."""

    def search(self, text: bytes, at: int) -> Span | None:
        """The first match that begins at or behind `at`."""

    def matches(self, text: bytes) -> bool:
        """Whether there is a match."""

    def captures(self, text: bytes, span: Span) -> Groups:
        """The groups of the match at `span`."""


@functools.lru_cache(512)
def finder(pattern: Pattern) -> Finder:
    """The finder of a pattern. Raises `MissingExtraError` when it takes RE2 and there is none."""
    if not pattern.by_re2:
        return Folded(pattern) if pattern.ignore_case else Exact(pattern)
    return WordRegex(pattern) if pattern.around == "word" else Regex(pattern)


class _Literal:
    """What is alike of literals: what stands around them, and that they have no groups."""

    def __init__(self, pattern: Pattern) -> None:
        self.needle = pattern.text
        self.around = pattern.around

    @property
    def names(self) -> frozenset[str]:
        """The whole match only."""
        return frozenset({"0"})

    def stands(self, text: bytes, span: Span) -> bool:
        """Whether what is around the match is as asked for."""
        if span[0] == span[1] and words.inside_char(text, span[0]):
            return False
        if self.around == "word":
            return not words.word_before(text, span[0]) and not words.word_after(text, span[1])
        if self.around == "line":
            starts = span[0] == 0 or text[span[0] - 1] == 10
            return starts and (span[1] == len(text) or text[span[1]] == 10)
        return True

    def spans(self, text: bytes) -> list[Span]:
        """All matches, one behind the other."""
        found, at = [], 0
        while (span := self.search(text, at)) is not None:
            found.append(span)
            at = span[1]
        return found

    def search(self, text: bytes, at: int) -> Span | None:
        """The first match at or behind `at`."""
        raise NotImplementedError

    def captures(self, text: bytes, span: Span) -> Groups:
        """The match alone."""
        return {0: text[span[0] : span[1]]}, {}


class Exact(_Literal):
    """A literal in the case that it was written in."""

    def search(self, text: bytes, at: int) -> Span | None:
        """The first match at or behind `at`."""
        start = text.find(self.needle, at)
        while start >= 0:
            span = start, start + len(self.needle)
            if self.stands(text, span):
                return span
            start = text.find(self.needle, start + 1)
        return None

    def matches(self, text: bytes) -> bool:
        """Whether there is one."""
        return self.search(text, 0) is not None if self.around else self.needle in text


class Folded(_Literal):
    """A literal in any case, whose letters are ASCII: also U+017F for s and U+212A for k."""

    def __init__(self, pattern: Pattern) -> None:
        super().__init__(pattern)
        self.lowered = self.needle.lower()
        self._wide = any(letter in self.lowered for letter in _FOLDS)

    @functools.cached_property
    def _expression(self) -> re.Pattern[bytes]:
        parts = re.split(b"([ksKS])", self.needle)
        return re.compile(b"".join(map(_any_case, parts)), re.IGNORECASE)

    def _find(self, text: bytes, at: int) -> Span | None:
        """The first match, whatever is around it."""
        if at > len(text):
            return None  # Python's `search` would find the empty literal at the end for ever
        if len(self.needle) > _EXPRESSION_MOST and not (self._wide and not text.isascii()):
            start = text.lower().find(self.lowered, at)  # to compile so long an expression takes longer
            return None if start < 0 else (start, start + len(self.needle))
        found = self._expression.search(text, at)
        return None if found is None else found.span()

    def search(self, text: bytes, at: int) -> Span | None:
        """The first match at or behind `at`."""
        span = self._find(text, at)
        while span is not None and not self.stands(text, span):
            span = self._find(text, span[0] + 1)
        return span

    def matches(self, text: bytes) -> bool:
        """Whether there is one."""
        if self.around or (self._wide and not text.isascii()):
            return self.search(text, 0) is not None
        return self.lowered in text.lower()


def _any_case(part: bytes) -> bytes:
    """The expression for a part of a literal: single letters that fold beyond ASCII have their other character
    added."""
    wide = _FOLDS.get(part.lower())
    return b"(?:%s|%s)" % (part, wide) if wide else re.escape(part)


class Regex:
    """A pattern as RE2 finds it."""

    def __init__(self, pattern: Pattern) -> None:
        self._source = pattern.line_source()
        self._never_newline = not pattern.multiline
        self._compiled = engines.compiled(self._source, self._never_newline)

    @functools.cached_property
    def _capturing(self) -> Any:
        return engines.compiled(self._source, self._never_newline, captures=True)

    @property
    def names(self) -> frozenset[str]:
        """Of its groups."""
        return _names(self._capturing, 0)

    def search(self, text: bytes, at: int) -> Span | None:
        """The first match at or behind `at`."""
        found = self._compiled.search(text, at)
        return None if found is None else found.span()

    def matches(self, text: bytes) -> bool:
        """Whether there is one."""
        return self._compiled.search(text) is not None

    def spans(self, text: bytes) -> list[Span]:
        """All matches that are not empty: what a search behind each would give, with less ado."""
        found = [match.span() for match in self._compiled.finditer(text)]
        return [span for span in found if span[1] > span[0]]

    def captures(self, text: bytes, span: Span) -> Groups:
        """The groups of the match at `span`."""
        return _groups(self._capturing, self._capturing.search(text, span[0]), text, 0)


class WordRegex:
    """A pattern as RE2 finds it, where no word character is before or behind the match.

    RE2 cannot say "no word character before" without taking the character before, which may belong to the match in
    front. So it finds what has none behind, and the one before is looked at here.
    """

    def __init__(self, pattern: Pattern) -> None:
        self.multiline = pattern.multiline
        self._original = engines.compiled(pattern.line_source(), not pattern.multiline)
        self._compiled = engines.compiled(pattern.word_source(), not pattern.multiline, captures=True)
        self._test = engines.compiled(pattern.test_source(), not pattern.multiline)
        self._word_end = engines.compiled(NOT_WORD + b"|(?m:$)", False)

    @property
    def names(self) -> frozenset[str]:
        """Of its groups."""
        return _names(self._compiled, 1)

    def search(self, text: bytes, at: int) -> Span | None:
        """The first match at or behind `at`."""
        valid = words.valid(text, self.multiline)
        while at <= len(text) and (found := self._compiled.search(valid, at)) is not None:
            start, end = found.span(1)
            inside = words.word_before(valid, start)
            if not inside and (valid is text or self._is_match(text, start, end)):
                return start, end
            # behind a word character, the next place for a match is behind the end of that word
            at = self._word_end.search(valid, start).end() if inside else start + 1
            if at == start:
                return None  # the word goes to the end of the text
        return None

    def matches(self, text: bytes) -> bool:
        """Whether there is one."""
        valid = words.valid(text, self.multiline)
        if valid is text or not self.multiline:
            return self._test.search(valid) is not None
        return self.search(text, 0) is not None

    def captures(self, text: bytes, span: Span) -> Groups:
        """The groups of the match at `span`."""
        found = self._compiled.search(words.valid(text, self.multiline), span[0])
        return _groups(self._compiled, found, text, 1)

    def _is_match(self, text: bytes, start: int, end: int) -> bool:
        return not self.multiline or self._original.fullmatch(text, start, end) is not None


def _names(compiled: Any, first: int) -> frozenset[str]:
    """The names and numbers of groups, from the group `first` on, which is 0."""
    return frozenset(map(str, range(compiled.groups + 1 - first))) | frozenset(
        map(_name, compiled.groupindex)
    )


def _name(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _groups(compiled: Any, found: Any, text: bytes, first: int) -> Groups:
    """All groups of a match, from the group `first` on, which is 0; those that took no part are empty."""
    spans = [found.span(number) for number in range(first, compiled.groups + 1)]
    numbered = {number: text[start:end] if start >= 0 else b"" for number, (start, end) in enumerate(spans)}
    named = {_name(name): numbered[number - first] for name, number in compiled.groupindex.items()}
    return numbered, named
