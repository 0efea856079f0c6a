"""Classes of characters: the names that RE2 knows, and which bytes of ASCII a class has.

Always true: the answer is exact for ASCII. As in RE2, folding comes before negation: ``(?i)[^k]`` has neither K nor
the Kelvin sign.
"""

from __future__ import annotations

import functools
import unicodedata

from manyhands.search.query.syntax import Char, Chars, Part

Ranges = tuple[tuple[int, int], ...]

MOST_CODE = 0x10FFFF
_DIGIT = ((0x30, 0x39),)
_UPPER, _LOWER = ((0x41, 0x5A),), ((0x61, 0x7A),)
_SPACE = ((0x09, 0x0A), (0x0C, 0x0D), (0x20, 0x20))
_WORD = (*_DIGIT, *_UPPER, (0x5F, 0x5F), *_LOWER)

#: ``\d`` and its kin; they are ASCII only, in RE2.
PERL: dict[str, Part] = {
    name: Part(ranges, name, negated)
    for lower, ranges in (("d", _DIGIT), ("s", _SPACE), ("w", _WORD))
    for name, negated in ((lower, False), (lower.upper(), True))
}

POSIX: dict[str, Ranges] = {
    "alnum": (*_DIGIT, *_UPPER, *_LOWER),
    "alpha": (*_UPPER, *_LOWER),
    "ascii": ((0, 0x7F),),
    "blank": ((0x09, 0x09), (0x20, 0x20)),
    "cntrl": ((0, 0x1F), (0x7F, 0x7F)),
    "digit": _DIGIT,
    "graph": ((0x21, 0x7E),),
    "lower": _LOWER,
    "print": ((0x20, 0x7E),),
    "punct": ((0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E)),
    "space": ((0x09, 0x0D), (0x20, 0x20)),
    "upper": _UPPER,
    "word": _WORD,
    "xdigit": (*_DIGIT, (0x41, 0x46), (0x61, 0x66)),
}

#: The only characters beyond ASCII that are an ASCII letter in another case: long s and the Kelvin sign.
FOLDS_TO_ASCII = {0x17F: ord("s"), 0x212A: ord("k")}

_ASCII = frozenset(range(0x80))
_LETTERS = frozenset(code for code in _ASCII if chr(code).isalpha())


@functools.lru_cache(256)
def ascii_of_property(name: str) -> frozenset[int]:
    """The ASCII characters of a Unicode property: a category (L, Lu), `Any`, or a script."""
    if name == "Any":
        return _ASCII
    if len(name) <= 2:
        return frozenset(code for code in _ASCII if unicodedata.category(chr(code)).startswith(name))
    return {"Latin": _LETTERS, "Common": _ASCII - _LETTERS}.get(name, frozenset())


def ascii_set(chars: Chars) -> frozenset[int]:
    """The ASCII characters that a class matches."""
    found: frozenset[int] = frozenset()
    for part in chars.parts:
        found |= _ascii_of_part(part, chars.fold)
    return _ASCII - found if chars.negated else found


def ascii_of_char(char: Char) -> frozenset[int]:
    """The ASCII characters that a character stands for; none when it is beyond ASCII."""
    found = frozenset((char.code,))
    return (folded_ascii(found) if char.fold else found) & _ASCII


def _ascii_of_part(part: Part, fold: bool) -> frozenset[int]:
    if part.name and not part.ranges:
        found = ascii_of_property(part.name)
    else:
        found = frozenset(code for low, high in part.ranges for code in range(low, min(high, 0x7F) + 1))
        if fold:
            found |= {
                code for code in FOLDS_TO_ASCII if any(low <= code <= high for low, high in part.ranges)
            }
    if fold:
        found = folded_ascii(found)
    return _ASCII - found if part.negated else found & _ASCII


def folded_ascii(codes: frozenset[int]) -> frozenset[int]:
    """These, and the ASCII letters that are the same in another case."""
    plain = {FOLDS_TO_ASCII.get(code, code) for code in codes}
    other = {code ^ 0x20 for code in plain if code in _LETTERS}
    return codes | frozenset(plain) | frozenset(other)


def few_codes(chars: Chars, most: int) -> tuple[int, ...] | None:
    """All characters of a class, when they are written out and at most so many; else None."""
    if chars.negated or any(part.negated or part.name for part in chars.parts):
        return None
    spans = [span for part in chars.parts for span in part.ranges]
    if sum(high - low + 1 for low, high in spans) > most:
        return None
    return tuple(dict.fromkeys(code for low, high in spans for code in range(low, high + 1)))


def has_cases(char: str) -> bool:
    """Whether the character may have another case; True when in doubt."""
    return unicodedata.category(char) in ("Lu", "Ll", "Lt") or len({char, char.lower(), char.upper()}) > 1
