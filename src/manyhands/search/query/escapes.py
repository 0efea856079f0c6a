"""The small pieces of RE2's grammar: escapes, classes with names, counts, and how a group begins.

Each function takes the pattern and an index, and gives what it read and the index behind it; None when there is
nothing of its kind. Nothing is kept between calls.
"""

from __future__ import annotations

from manyhands.search.query.classes import MOST_CODE, PERL, POSIX
from manyhands.search.query.syntax import Part

_CONTROLS = {"a": 7, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_OCTAL = "01234567"
_HEX = "0123456789abcdefABCDEF"


class Malformed(Exception):
    """The pattern is none, as far as this parser knows: why, and at which character."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message, position)
        self.message = message
        self.position = position


def char_escape(text: str, at: int) -> tuple[int, int]:
    """The character that the escape at `at` stands for."""
    char = text[at + 1 : at + 2]
    if not char:
        raise Malformed("a backslash at the end; write \\\\ for the character", at)
    if char in _CONTROLS:
        return _CONTROLS[char], at + 2
    if char == "x":
        return _hex_escape(text, at)
    if char == "0" or (char in _OCTAL and text[at + 2 : at + 3] in tuple(_OCTAL)):
        return _octal_escape(text, at)
    if char.isascii() and not char.isalnum():
        return ord(char), at + 2
    raise Malformed(_why_no_escape(char), at)


def _why_no_escape(char: str) -> str:
    if char in "123456789":
        return f"\\{char} would refer back to a group, which RE2 cannot do"
    if char == "Z":
        return "\\Z is no escape; \\z is the end of the text"
    return f"\\{char} is no escape that RE2 knows"


def _octal_escape(text: str, at: int) -> tuple[int, int]:
    end = at + 1
    while end < at + 4 and text[end : end + 1] in tuple(_OCTAL):
        end += 1
    return int(text[at + 1 : end], 8), end


def _hex_escape(text: str, at: int) -> tuple[int, int]:
    if text[at + 2 : at + 3] == "{":
        end = text.find("}", at)
        digits = text[at + 3 : end] if end > 0 else ""
        after = end + 1
    else:
        digits, after = text[at + 2 : at + 4], at + 4
        digits = digits if len(digits) == 2 else ""
    if not digits or any(digit not in _HEX for digit in digits) or int(digits, 16) > MOST_CODE:
        raise Malformed("\\x takes two hexadecimal digits, or up to 10FFFF in braces", at)
    return int(digits, 16), after


def class_escape(text: str, at: int) -> tuple[Part, int] | None:
    """``\\d``, ``\\pL``, ``\\P{Greek}`` and their kin."""
    if text[at : at + 1] != "\\":
        return None
    kind = text[at + 1 : at + 2]
    if kind in PERL:
        return PERL[kind], at + 2
    return _property(text, at) if kind in ("p", "P") else None


def _property(text: str, at: int) -> tuple[Part, int]:
    negated = text[at + 1] == "P"
    if text[at + 2 : at + 3] == "{":
        end = text.find("}", at)
        name, after = (text[at + 3 : end], end + 1) if end > 0 else ("", at)
    else:
        name, after = text[at + 2 : at + 3], at + 3
    if name.startswith("^"):
        name, negated = name[1:], not negated
    if not name:
        raise Malformed("\\p takes the name of a class of characters, as in \\pL or \\p{Greek}", at)
    return Part((), name, negated), after


def posix_class(text: str, at: int) -> tuple[Part, int] | None:
    """``[:alpha:]``, inside brackets."""
    end = text.find(":]", at + 2) if text.startswith("[:", at) else -1
    if end < 0:
        return None
    name = text[at + 2 : end]
    negated = name.startswith("^")
    ranges = POSIX.get(name[negated:])
    if ranges is None:
        raise Malformed(f"[:{name}:] is no class; there are {', '.join(POSIX)}", at)
    return Part(ranges, name, negated), end + 2


def counts(text: str, at: int) -> tuple[tuple[int, int | None], int] | None:
    """``{n}``, ``{n,}``, ``{n,m}``; None for other braces: they stand for themselves."""
    if text[at : at + 1] != "{":
        return None
    end = text.find("}", at)
    least, comma, most = text[at + 1 : max(end, at)].partition(",")
    if not _is_count(least) or (most and not _is_count(most)):
        return None
    return (int(least), int(most) if most else None if comma else int(least)), end + 1


def _is_count(digits: str) -> bool:
    return (
        digits.isascii() and digits.isdecimal() and (len(digits) == 1 or digits[0] != "0") and len(digits) < 9
    )


def group_head(text: str, at: int, flags: str) -> tuple[str, int, str]:
    """How the group at `at` begins: "flags" (it is whole: flags for what follows) or "group", the index of what is
    in it, and the flags that hold there."""
    if not text.startswith("(?", at):
        return "group", at + 1, flags
    for opening in ("(?P<", "(?<"):
        if text.startswith(opening, at):
            return "group", _name_end(text, at, at + len(opening)), flags
    return _flags(text, at, flags)


def _name_end(text: str, at: int, start: int) -> int:
    end = text.find(">", start)
    name = text[start : max(end, start)]
    if not name.replace("_", "a").isalnum():
        raise Malformed("a group's name is made of letters, digits and _", at)
    return end + 1


def _flags(text: str, at: int, flags: str) -> tuple[str, int, str]:
    index, negated, seen = at + 2, False, True
    while index < len(text):
        char = text[index]
        index += 1
        if char in "imsU":
            flags = flags.replace(char, "") if negated else flags + char
            seen = True
        elif char == "-" and not negated:
            negated, seen = True, False
        elif char in ":)" and seen:
            return ("flags" if char == ")" else "group"), index, flags
        else:
            break
    raise Malformed(_why_no_group(text, at), at)


def _why_no_group(text: str, at: int) -> str:
    if text[at + 2 : at + 3] in ("=", "!") or text[at + 2 : at + 4] in ("<=", "<!"):
        return "RE2 cannot look ahead or behind"
    return "(? is followed by flags of i, m, s, U, by :, or by P<name>"
