"""One argument of a query at a time: is it of the right kind, and if not, what would be.

Each function takes the argument's name and value and gives the value as a request keeps it, or raises `QueryError`.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Mapping
from typing import Any

from manyhands.search.errors import QueryError

LITERAL_BYTES_MOST = 1 << 20
_PATTERNS_MOST = 10_000
_NEAR_MOST = 3

#: What makes a glob more than a name with stars.
_MARKS = frozenset("{}[\\")


def words(name: str, value: Any) -> tuple[bytes, ...]:
    """One text or several, as bytes."""
    if isinstance(value, (str, bytes)):
        return (encoded(name, value),)
    found = _several(name, value, "a text or several")
    if len(found) > _PATTERNS_MOST:
        raise QueryError(f"{name} has {len(found)} texts; the most is {_PATTERNS_MOST}", parameter=name)
    return tuple(encoded(name, one) for one in found)


def encoded(name: str, value: Any) -> bytes:
    """A text as bytes. Bytes that came as lone surrogates, as a command's arguments do, are those bytes again."""
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise QueryError(f"{name} must be made of str or bytes, not {value!r}", parameter=name)
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise QueryError(
            f"{name} has a lone surrogate at character {error.start}, which no text has",
            pattern=value,
            position=error.start,
            parameter=name,
        ) from None


def _several(name: str, value: Any, what: str) -> tuple[Any, ...]:
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        raise QueryError(f"{name} must be {what}, not {value!r}", parameter=name)
    return tuple(value)


def globs(name: str, value: Any) -> tuple[str, ...]:
    """Globs of paths, with braces expanded (``*.{c,h}``)."""
    found = (value,) if isinstance(value, str) else _several(name, value, "a glob or several")
    for one in found:
        if not isinstance(one, str) or not one or "\0" in one:
            raise QueryError(f'{name} must be globs such as "*.py" or "docs/**", not {one!r}', parameter=name)
        if one.startswith("!"):
            raise QueryError(
                f"{name}: {one!r} begins with a !: leave it out; not_file leaves out files", parameter=name
            )
    return _expanded(name, found)


def _expanded(name: str, globs: tuple[str, ...]) -> tuple[str, ...]:
    """Those with a brace, a bracket or a backslash may be broken. (The others need no import.)"""
    if _MARKS.isdisjoint("".join(globs)):
        return tuple(map(_literal, globs))
    from manyhands.errors import UsageError
    from manyhands.search.corpus.braces import expand
    from manyhands.search.corpus.filters import Filters

    try:
        Filters(globs=globs)
        return tuple(_literal(one) for glob in globs for one in expand(glob))
    except UsageError as error:
        raise QueryError(f"{name}: {error}", parameter=name) from None


def paths(name: str, value: Any) -> tuple[bytes, ...]:
    """Paths of folders or files, as the tree names them; without the slash at a folder's end."""
    alone = isinstance(value, (str, bytes, os.PathLike))
    found = (value,) if alone else _several(name, value, "a path or several")
    return tuple(_path(name, one) for one in found)


def _path(name: str, value: Any) -> bytes:
    try:
        given = os.fsencode(value)
    except (TypeError, UnicodeEncodeError):
        given = b""
    if not given or b"\0" in given:
        raise QueryError(f"{name} must be a folder or a file of the tree, not {value!r}", parameter=name)
    return given.rstrip(b"/") or b"/"


def _literal(glob: str) -> str:
    """Where globs are lines of an ignore file, # begins a comment."""
    return f"\\{glob}" if glob.startswith("#") else glob


def languages(name: str, value: Any) -> tuple[str, ...]:
    """Names of languages as the table of languages has them."""
    found = (value,) if isinstance(value, str) else _several(name, value, "a language or several")
    if not found:
        return ()
    from manyhands.search.corpus.languages import ALIASES, LANGUAGES

    return tuple(_language(name, one, LANGUAGES, ALIASES) for one in found)


def _language(name: str, value: Any, known: Mapping[str, Any], aliases: Mapping[str, str]) -> str:
    if not isinstance(value, str):
        raise QueryError(f"{name} must be names of languages, not {value!r}", parameter=name)
    plain = aliases.get(value.lower(), value.lower())
    if plain in known:
        return plain
    import difflib

    near = difflib.get_close_matches(plain, [*known, *aliases], _NEAR_MOST)
    hint = f"did you mean {' or '.join(near)}?" if near else "a glob does as well: file="
    raise QueryError(f"{name}: there is no language {value!r}; {hint}", parameter=name)


def one_of(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """One of a few words."""
    if isinstance(value, str) and value in choices:
        return value
    raise QueryError(f"{name} is {value!r}; it must be one of {', '.join(choices)}", parameter=name)


def flag(name: str, value: Any) -> bool:
    """True or False."""
    if isinstance(value, bool):
        return value
    raise QueryError(f"{name} must be True or False, not {value!r}", parameter=name)


def number(name: str, value: Any, least: int, none: str = "") -> int:
    """A whole number of at least so many."""
    try:
        found = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        found = -1
    if found < least:
        raise QueryError(
            f"{name} must be a whole number, {least} or more{none}, not {value!r}", parameter=name
        )
    return found


def at_least_one(name: str, value: Any) -> int | None:
    """A limit, or None."""
    return None if value is None else number(name, value, 1, ", or None for no limit")


def context(before: Any, after: Any, both: Any) -> tuple[int, int]:
    """Lines before and behind each hit; `context` stands for both that are not given."""
    found = number("before", before, 0), number("after", after, 0)
    if both is None:
        return found
    lines = number("context", both, 0)
    return found[0] or lines, found[1] or lines
