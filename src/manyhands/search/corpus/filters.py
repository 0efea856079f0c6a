"""Filters: which files of a tree the user wants to see.

Always true: a `Filters` that exists makes sense; it never changes, and it pickles.
"""

from __future__ import annotations

import operator
import os

from manyhands.errors import UsageError
from manyhands.search.corpus.braces import expand
from manyhands.search.corpus.languages import matching_globs
from manyhands.search.corpus.rules import BrokenGlob, check_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Self

    GlobText = str | bytes

_DEFAULTS: dict[str, Any] = {
    "hidden": False, "ignore": True, "globs": (), "types": (), "not_types": (), "binary": False,
    "max_file_bytes": None, "follow": False,
}  # fmt: skip


class Filters:
    """What to leave out, and what to take all the same.

    - `hidden`: also names that begin with a dot (``.git`` only when a glob names it, too);
    - `ignore`: obey .gitignore (inside a git repository), .ignore, .git/info/exclude and the user's own excludes;
    - `globs`: as ripgrep's ``-g``: ``"*.{c,h}"`` takes only such files, ``"!vendor"`` leaves out; the last that matches
      decides, and overrules ignore rules and dots. One with a slash is about the path: relative to the working folder
      when the root was given so, else to the root;
    - `types`, `not_types`: names of `languages.LANGUAGES`; binary: files with a NUL, too;
    - `max_file_bytes`: leave out what is larger; `follow`: symlinks that stay inside the root.

    Threads, processes: any.
    """

    __slots__ = tuple(_DEFAULTS)

    hidden: bool
    ignore: bool
    globs: tuple[str, ...]
    types: tuple[str, ...]
    not_types: tuple[str, ...]
    binary: bool
    max_file_bytes: int | None
    follow: bool

    def __init__(
        self,
        *,
        hidden: bool = False,
        ignore: bool = True,
        globs: Iterable[GlobText] = (),
        types: Iterable[str] = (),
        not_types: Iterable[str] = (),
        binary: bool = False,
        max_file_bytes: int | None = None,
        follow: bool = False,
    ) -> None:
        put = object.__setattr__
        flags = {"hidden": hidden, "ignore": ignore, "binary": binary, "follow": follow}
        for name, value in flags.items():
            put(self, name, _flag(name, value))
        put(self, "globs", tuple(_glob(glob) for glob in _several("globs", globs)))
        put(self, "types", _types("types", types))
        put(self, "not_types", _types("not_types", not_types))
        put(self, "max_file_bytes", _size(max_file_bytes))

    def replace(self, **changes: Any) -> Self:
        """The same, but for these."""
        return type(self)(**{**self._facts(), **changes})

    def glob_lines(self) -> list[bytes]:
        """All globs as lines of an ignore file, with braces expanded."""
        return [line for text in self.globs for line in _lines(text)]

    def _facts(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _DEFAULTS}

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Filters never change: use replace({name}={value!r})")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("Filters never change")

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self._facts())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Filters) and self._facts() == other._facts()

    def __hash__(self) -> int:
        return hash(tuple(self._facts().values()))

    def __repr__(self) -> str:
        changed = (f"{name}={value!r}" for name, value in self._facts().items() if value != _DEFAULTS[name])
        return f"Filters({', '.join(changed)})"


def _again(kind: type[Filters], facts: dict[str, Any]) -> Filters:
    return kind(**facts)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{name} must be True or False, not {value!r}")
    return value


def _several(name: str, values: Any) -> tuple[Any, ...]:
    """A mere string is several of its letters to Python, and never what was meant."""
    if isinstance(values, (str, bytes)):
        raise UsageError(f"{name} must be a list or tuple: write [{values!r}]")
    try:
        return tuple(values)
    except TypeError:
        raise UsageError(f"{name} must be a list or tuple, not {values!r}") from None


def _glob(text: Any) -> str:
    if isinstance(text, bytes):
        text = os.fsdecode(text)
    if not isinstance(text, str):
        raise UsageError(f"a glob must be a string, not {text!r}")
    for line in _lines(text):
        try:
            check_line(line)
        except BrokenGlob as broken:
            raise UsageError(f"glob {text!r} can match nothing: {broken}") from None
    return text


def _lines(text: str) -> list[bytes]:
    """The glob as lines of an ignore file. Only a comment is none here."""
    negated = "!" if text.startswith("!") else ""
    escaped = ("#",) if negated else ("#", "!")
    found = ("\\" + each if each.startswith(escaped) else each for each in expand(text.removeprefix("!")))
    return [os.fsencode(negated + each) for each in found]


def _types(name: str, values: Any) -> tuple[str, ...]:
    found = _several(name, values)
    for value in found:
        if not isinstance(value, str):
            raise UsageError(f"{name} must be names of file types, not {value!r}")
    matching_globs(found)
    return found


def _size(value: Any) -> int | None:
    if value is None:
        return None
    try:
        size = operator.index(value)
    except TypeError:
        raise UsageError(f"max_file_bytes must be a whole number, or None, not {value!r}") from None
    if size < 0:
        raise UsageError(f"max_file_bytes is {size}; it must be 0 or more, or None for no limit")
    return size
