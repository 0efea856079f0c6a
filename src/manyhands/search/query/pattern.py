"""One pattern of a query as plans carry it: what is looked for, under which flags. Small, and of plain values only.

What a regex and a literal have in common is here: their tree, their need, and the RE2 source for each use.
"""

from __future__ import annotations

from typing import NamedTuple

from manyhands.search.query import regex
from manyhands.search.query.classes import has_cases
from manyhands.search.query.literals import cased_need
from manyhands.search.query.needs import MOST_BYTES, CasedNeed, Piece, any_piece
from manyhands.search.query.syntax import Node, literal_tree

_WORD = (b"(?:(?m:^)|" + regex.NOT_WORD + b")(?:", b")(?:(?m:$)|" + regex.NOT_WORD + b")")
_LINE = (b"(?m:^)(?:", b")(?m:$)")


class Pattern(NamedTuple):
    """`text`: a literal, or a regex's source. `around`: "" (anywhere), "word" or "line" (all of it)."""

    text: bytes
    is_regex: bool
    ignore_case: bool
    around: str
    multiline: bool

    @property
    def is_utf8(self) -> bool:
        """Whether the text is valid UTF-8; RE2 and trees know no other. Regexes are."""
        try:
            self.text.decode()
        except UnicodeDecodeError:
            return False
        return True

    @property
    def by_re2(self) -> bool:
        """Whether only RE2 can find it: regexes, and letters beyond ASCII in any case."""
        return self.is_regex or (self.ignore_case and self.is_utf8 and has_wide_cases(self.text.decode()))

    def tree(self) -> Node:
        """The pattern as a tree, its flag for any case included. Of UTF-8 only."""
        if self.is_regex:
            return regex.tree_of(self._cased(self.text))
        return literal_tree(self.text.decode(), self.ignore_case)

    def need(self) -> CasedNeed:
        """What a text must contain to match."""
        if self.is_regex:
            return cased_need(self.tree())
        start = self.text[: 2 * MOST_BYTES]
        if (start.isascii() and b"\n" not in start) or not self.is_utf8:
            text = start.lower() if self.ignore_case else start
            return any_piece((Piece(text, self.ignore_case),)) if b"\n" not in start else None
        return cased_need(literal_tree(start.decode(errors="ignore"), self.ignore_case))

    def source(self) -> bytes:
        """The regex alone, without what is around it."""
        plain = regex.closed(self.text) if self.is_regex else regex.escaped(self.text.decode())
        return self._cased(plain)

    def line_source(self) -> bytes:
        """A regex that matches where `source` does, but only whole lines when these are asked for."""
        source = b"(?m)" + self.source() if self.multiline else self.source()
        return _LINE[0] + source + _LINE[1] if self.around == "line" else source

    def test_source(self) -> bytes:
        """A regex that matches exactly the texts that the pattern does, somewhere; see `words.valid` for words."""
        source = self.line_source()
        return _WORD[0] + source + _WORD[1] if self.around == "word" else source

    def word_source(self) -> bytes:
        """A regex whose first group matches as `source`, with no word character behind it."""
        return b"(" + self.line_source() + b")(?:(?m:$)|" + regex.NOT_WORD + b")"

    def region_source(self) -> bytes | None:
        """As `line_source`, for many lines at once. None: they must be looked at one by one."""
        source = regex.line_by_line(self.source())
        if source is None or self.around != "line":
            return source
        return _LINE[0] + source + _LINE[1]

    def _cased(self, source: bytes) -> bytes:
        return b"(?i)" + source if self.ignore_case else source


def has_wide_cases(text: str) -> bool:
    """Whether a letter beyond ASCII has other cases, which have other bytes."""
    return not text.isascii() and any(char > "\x7f" and has_cases(char) for char in text)
