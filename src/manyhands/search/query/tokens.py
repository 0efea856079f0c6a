"""The pieces of a search box's text, each with the place that it stands at.

A piece is a word, a "phrase" in quotes (\\" and \\\\ stand for a quote and a backslash in it), a /regex/ (\\/ is a
slash), a field such as file:*.c, or one of OR and NOT. A minus in front negates the piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from manyhands.search.errors import QueryError

FIELDS = frozenset({"file", "lang", "case", "word", "regex"})


class Token(NamedTuple):
    """`kind`: "word", "phrase", "regex", "OR", "NOT", or a field with its colon."""

    kind: str
    text: str
    negated: bool
    position: int


def tokens(query: str) -> Iterator[Token]:
    """The pieces in their order. Raises `QueryError` with the position."""
    at = 0
    while at < len(query):
        if query[at].isspace():
            at += 1
            continue
        token, at = _token(query, at)
        yield token


def _token(query: str, at: int) -> tuple[Token, int]:
    start, negated = at, query[at] == "-" and query[at + 1 : at + 2] not in ("", "-", ">")
    at += negated
    if at < len(query) and query[at].isspace():
        raise QueryError(
            f'nothing stands behind the minus at character {start}; for a minus itself, write "-"',
            pattern=query,
            position=start,
            parameter="query",
        )
    kind, text, end = _read(query, at, negated)
    return Token(kind, text, negated, start), end


def _read(query: str, at: int, negated: bool) -> tuple[str, str, int]:
    """Kind and text of the piece at `at`, and where it ends."""
    if query[at] == '"':
        text, end = _quoted(query, at)
        return "phrase", text, end
    if query[at] == "/":
        found = _slashed(query, at)
        if found is not None:
            return "regex", *found
    end = _word_end(query, at)
    word = query[at:end]
    name, colon, value = word.partition(":")
    if colon and name in FIELDS:
        if value.startswith('"'):
            value, end = _quoted(query, at + len(name) + 1)
        return f"{name}:", value, end
    return (word if word in ("OR", "NOT") and not negated else "word"), word, end


def _word_end(query: str, at: int) -> int:
    while at < len(query) and not query[at].isspace():
        at += 1
    return at


def _quoted(query: str, at: int) -> tuple[str, int]:
    """What is in the quotes that open at `at`."""
    text, index = "", at + 1
    while index < len(query):
        char = query[index]
        if char == '"':
            return text, _piece_end(query, index + 1)
        if char == "\\" and query[index + 1 : index + 2] in ('"', "\\"):
            index += 1
        text += query[index]
        index += 1
    raise QueryError(
        f'the quote at character {at} is never closed; for a quote itself, write "\\""',
        pattern=query,
        position=at,
        parameter="query",
    )


def _piece_end(query: str, at: int) -> int:
    """`at`, if the piece ends there."""
    if at < len(query) and not query[at].isspace():
        raise QueryError(
            f"a blank must stand behind the quote at character {at - 1}",
            pattern=query,
            position=at,
            parameter="query",
        )
    return at


def _slashed(query: str, at: int) -> tuple[str, int] | None:
    """The regex between slashes; None for what is a path, or any other word that begins with a slash."""
    text, index = "", at + 1
    while index < len(query) and query[index] != "/":
        if query[index] == "\\" and index + 1 < len(query):
            text += "/" if query[index + 1] == "/" else query[index : index + 2]
            index += 2
            continue
        text += query[index]
        index += 1
    ends = index + 1 >= len(query) or query[index + 1].isspace()
    return (text, index + 1) if text and index < len(query) and ends else None
