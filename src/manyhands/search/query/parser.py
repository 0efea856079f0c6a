"""From the text of a regex to its tree, by RE2's grammar (github.com/google/re2/wiki/Syntax).

A regex is what both this parser and RE2 take (`regex.check`); the parser is there to say what a regex needs, and
where one is wrong. Python's own parser would not do: it reads ``[[:alpha:]]``, ``x{,5}`` and ``\\Z`` as something
else.
"""

from __future__ import annotations

import functools

from manyhands.search.query import escapes
from manyhands.search.query.classes import MOST_CODE
from manyhands.search.query.escapes import Malformed
from manyhands.search.query.syntax import (
    AnyByte,
    Char,
    Chars,
    Choice,
    Node,
    Part,
    Place,
    Repeat,
    Sequence,
)

#: Deeper ones are not worth the stack; RE2 itself refuses from 1000 on.
_DEPTH_MOST = 100
_REPEAT_MOST = 1000
_PLACES = ("A", "z", "b", "B")


@functools.lru_cache(256)
def parse(pattern: str) -> Node:
    """The tree of `pattern`. Raises `Malformed` with the position."""
    return _Parser(pattern).whole()


class _Parser:
    """Reads one pattern from left to right. `flags`: the letters of ``imsU`` that hold at `at`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.flags = ""
        self.depth = 0

    def whole(self) -> Node:
        tree = self.choice()
        if self.at < len(self.text):
            raise Malformed("this closes no group; write \\) for the character", self.at)
        return tree

    def choice(self) -> Node:
        """Alternatives, up to the end or the group's end."""
        found = [self.sequence()]
        while self.text.startswith("|", self.at):
            self.at += 1
            found.append(self.sequence())
        return found[0] if len(found) == 1 else Choice(tuple(found))

    def sequence(self) -> Node:
        items: list[Node] = []
        repeatable = False  # whether there is something before `at` that * could speak of
        while self.at < len(self.text) and self.text[self.at] not in "|)":
            start = self.at
            times = self.repetition()
            if times is not None:
                if not repeatable:
                    raise Malformed("nothing stands before this that it could repeat", start)
                items[-1] = self.repeated(items[-1], times, start)
                continue
            found = self.item()
            items += found
            repeatable = repeatable or bool(found)
        return items[0] if len(items) == 1 else Sequence(tuple(items))

    def repeated(self, item: Node, times: tuple[int, int | None], start: int) -> Node:
        """`item` so many times; a second repetition right behind is an error, as in RE2."""
        before = self.at
        if self.repetition() is not None:
            raise Malformed("a repetition of a repetition; put the first into (?:...)", before)
        if max(times[0], times[1] or 0) > _REPEAT_MOST or (times[1] is not None and times[1] < times[0]):
            raise Malformed(f"a count goes from small to large, and to {_REPEAT_MOST} at most", start)
        return Repeat(item, *times)

    def repetition(self) -> tuple[int, int | None] | None:
        """``*``, ``+``, ``?``, ``{n,m}`` with their lazy forms; None when there is none here."""
        simple: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
        times = simple.get(self.text[self.at : self.at + 1])
        if times is not None:
            self.at += 1
        else:
            counted = escapes.counts(self.text, self.at)
            if counted is None:
                return None
            times, self.at = counted
        if self.text.startswith("?", self.at):
            self.at += 1
        return times

    def item(self) -> list[Node]:
        """One thing that may be repeated; none for flags alone, several for a quotation."""
        char, start = self.text[self.at], self.at
        if char == "(":
            return self.group()
        if char == "[":
            return [self.bracket()]
        if char == "\\":
            return self.escape()
        self.at += 1
        if char == ".":
            newline = () if "s" in self.flags else ((10, 10),)
            return [Chars((Part(newline),), True, False, start)]
        if char in "^$":
            return [Place(char, start)]
        return [Char(ord(char), "i" in self.flags, start)]

    def group(self) -> list[Node]:
        start = self.at
        flags_outside = self.flags
        named, self.at, flags = escapes.group_head(self.text, start, self.flags)
        self.flags = flags
        if named == "flags":
            return []
        self.depth += 1
        if self.depth > _DEPTH_MOST:
            raise Malformed(f"groups are nested more than {_DEPTH_MOST} deep", start)
        inner = self.choice()
        if not self.text.startswith(")", self.at):
            raise Malformed("this group is never closed; write \\( for the character", start)
        self.at += 1
        self.depth -= 1
        self.flags = flags_outside
        return [inner]

    def escape(self) -> list[Node]:
        """What begins with a backslash, outside of a class."""
        start, fold = self.at, "i" in self.flags
        kind = self.text[start + 1 : start + 2]
        if kind == "Q":
            return self.quotation()
        if kind in _PLACES:
            self.at += 2
            return [Place(kind, start)]
        if kind == "C":
            self.at += 2
            return [AnyByte(start)]
        part = escapes.class_escape(self.text, start)
        if part is not None:
            self.at = part[1]
            return [Chars((part[0],), False, fold, start)]
        code, self.at = escapes.char_escape(self.text, start)
        return [Char(code, fold, start)]

    def quotation(self) -> list[Node]:
        """``\\Q...\\E``: all characters in it stand for themselves."""
        start = self.at + 2
        end = self.text.find("\\E", start)
        stop = len(self.text) if end < 0 else end
        self.at = stop if end < 0 else end + 2
        fold = "i" in self.flags
        return [Char(ord(self.text[index]), fold, index) for index in range(start, stop)]

    def bracket(self) -> Node:
        """A class in brackets."""
        start = self.at
        self.at += 1
        negated = self.text.startswith("^", self.at)
        self.at += negated
        parts: list[Part] = []
        first = self.at
        while self.at == first or not self.text.startswith("]", self.at):
            if self.at >= len(self.text):
                raise Malformed("this class is never closed; write \\[ for the character", start)
            parts.append(self.class_part())
        self.at += 1
        return Chars(tuple(parts), negated, "i" in self.flags, start)

    def class_part(self) -> Part:
        posix = escapes.posix_class(self.text, self.at)
        found = posix if posix is not None else escapes.class_escape(self.text, self.at)
        if found is not None:
            part, self.at = found
            return part
        start = self.at
        low = self.class_char()
        high = low
        if self.text.startswith("-", self.at) and self.text[self.at + 1 : self.at + 2] not in ("]", ""):
            self.at += 1
            high = self.class_char()
        if high < low:
            raise Malformed("this range goes from large to small", start)
        return Part(((low, high),))

    def class_char(self) -> int:
        if self.at >= len(self.text):
            raise Malformed("this class is never closed; write \\[ for the character", self.at - 1)
        if self.text[self.at] == "\\":
            code, self.at = escapes.char_escape(self.text, self.at)
        else:
            code, self.at = ord(self.text[self.at]), self.at + 1
        return min(code, MOST_CODE)


__all__ = ["Malformed", "parse"]
