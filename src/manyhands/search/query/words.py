"""What is a word's neighbour: no letter, mark, decimal digit (of any script), connector such as the underscore, or
joiner. That is Unicode's word character (UTS 18), as in ripgrep; the text may be invalid UTF-8.

Bytes that are no character are no part of a word.
"""

from __future__ import annotations

import unicodedata

_CATEGORIES = frozenset(("Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "Pc"))
_JOINERS = ("\u200c", "\u200d")
_ASCII_WORD = bytes(chr(code).isalnum() or code == 0x5F for code in range(0x80)) + bytes(0x80)
_INVALID = dict.fromkeys(range(0xDC80, 0xDD00), "\n")
_INVALID_AS_NUL = dict.fromkeys(range(0xDC80, 0xDD00), "\0")


def is_word_char(char: str) -> bool:
    """Whether the character belongs to words."""
    return char in _JOINERS or unicodedata.category(char) in _CATEGORIES


def word_before(text: bytes, at: int) -> bool:
    """Whether the character that ends at `at` belongs to a word."""
    if at <= 0:
        return False
    if text[at - 1] < 0x80:
        return bool(_ASCII_WORD[text[at - 1]])
    start = at - 1
    while start > max(0, at - 4) and 0x80 <= text[start] < 0xC0:
        start -= 1
    return _is_word(text[start:at])


def word_after(text: bytes, at: int) -> bool:
    """Whether the character that begins at `at` belongs to a word."""
    if at >= len(text):
        return False
    lead = text[at]
    if lead < 0x80:
        return bool(_ASCII_WORD[lead])
    return _is_word(text[at : at + _length(lead)])


def inside_char(text: bytes, at: int) -> bool:
    """Whether a character goes over `at`: no place for an empty match."""
    if not 0 < at < len(text) or not 0x80 <= text[at] < 0xC0:
        return False
    start = at - 1
    while start > max(0, at - 3) and 0x80 <= text[start] < 0xC0:
        start -= 1
    end = start + _length(text[start])
    try:
        return end > at and bool(text[start:end].decode())
    except UnicodeDecodeError:
        return False


def _length(lead: int) -> int:
    """How many bytes the character that begins with `lead` has, if it is one."""
    return 1 if lead < 0x80 else 2 + (lead >= 0xE0) + (lead >= 0xF0)


def _is_word(encoded: bytes) -> bool:
    try:
        return is_word_char(encoded.decode())
    except (UnicodeDecodeError, TypeError):
        return False  # no character, or more than one: then the byte before `at` is none


def valid(text: bytes, multiline: bool) -> bytes:
    """`text` with its invalid bytes replaced, so that no offset changes: by newlines, which nothing matches that is
    searched for line by line, and which are beside every word; with `multiline` by NULs."""
    if text.isascii():
        return text
    try:
        text.decode()
    except UnicodeDecodeError:
        decoded = text.decode("utf-8", "surrogateescape")
        return decoded.translate(_INVALID_AS_NUL if multiline else _INVALID).encode()
    return text
