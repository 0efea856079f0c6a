"""One argument of a tool: how it is described, and how it is read. Part of the room's table of arguments.

Always true: what was read is of its kind, in its bounds, and as the tree takes it; anything else is refused by name.

Threads: any.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from manyhands.search import QueryError


class Argument(NamedTuple):
    """`kind`: text, texts (several, or one), globs (the same), flag, number (whole), seconds; `choices` of a text;
    bounds of numbers."""

    kind: str
    says: str
    default: Any = None
    least: float = 0
    most: float = 0
    choices: tuple[str, ...] = ()

    def schema(self) -> dict[str, Any]:
        """As JSON Schema."""
        made: dict[str, Any] = {"type": _TYPES[self.kind], "description": self.says}
        if made["type"] == "array":
            made["items"] = {"type": "string"}
        if self.choices:
            made["enum"] = list(self.choices)
        if self.most:
            made |= {"minimum": self.least, "maximum": self.most}
        if self.default is not None:
            made["default"] = self.default
        return made

    def read(self, name: str, value: Any) -> Any:
        """The value, checked. Raises `QueryError`."""
        checked = _READERS[self.kind](self, value)
        if checked is None:
            raise QueryError(f"{name} must be {self._wanted()}, not {short(value)}", parameter=name)
        return checked

    def _wanted(self) -> str:
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.most:
            return f"{_WANTED[self.kind]} from {self.least:.10g} to {self.most:.10g}"
        return _WANTED[self.kind]


_TYPES = {
    "text": "string",
    "texts": "array",
    "globs": "array",
    "flag": "boolean",
    "number": "integer",
    "seconds": "number",
}
_WANTED = {
    "text": "a text",
    "texts": "a list of texts",
    "globs": "a list of globs",
    "flag": "true or false",
    "number": "a whole number",
    "seconds": "a number",
}


def _text(argument: Argument, value: Any) -> str | None:
    fits = isinstance(value, str) and (not argument.choices or value in argument.choices)
    return value if fits else None


def _texts(_: Argument, value: Any) -> tuple[str, ...] | None:
    several = [value] if isinstance(value, str) else value
    fits = isinstance(several, list) and all(isinstance(one, str) for one in several)
    return tuple(several) if fits else None


def _flag(_: Argument, value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _number(argument: Argument, value: Any) -> int | None:
    found = _seconds(argument, value)
    return int(found) if found is not None and found == int(found) else None


def _seconds(argument: Argument, value: Any) -> float | None:
    fits = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value if fits and argument.least <= value <= argument.most else None


_READERS = {
    "text": _text,
    "texts": _texts,
    "globs": _texts,
    "flag": _flag,
    "number": _number,
    "seconds": _seconds,
}


def short(value: Any) -> str:
    """A value as it is repeated to whoever gave it."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}…"
