"""Short texts about what users pass: bounded in length and in work, whatever a ``__repr__`` does. Pure."""

from __future__ import annotations

from itertools import islice

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    from typing import Any

_MOST, _INNER = 120, 60

#: So many items of a container are looked at, and containers within containers so deep.
_SCAN, _DEPTH = 8, 3

#: What has more items than that is not asked for its own repr.
_LARGE = 1000


def brief(value: Any, most: int = _MOST, depth: int = _DEPTH) -> str:
    """A repr of at most `most` characters; large containers, arrays and texts are cut before they are looked at."""
    kind = type(value)
    try:
        return _cut(_text(value, kind, most, depth), most)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a SystemExit too: nobody ends because of a text
        return _cut(f"<{kind.__name__} whose repr raised {type(error).__name__}>", most)


def brief_call(function: Any, form: int, item: Any) -> str:
    """How a task would be written: ``f(3, key='a')``. `form` is `engines.task`'s."""
    name = name_of(function)
    if form == 0:
        return f"{name}({brief(item)})"
    try:
        positional, named = (item, {}) if form == 1 else item
        words = [brief(value, _INNER) for value in islice(positional, _SCAN)]
        items = islice(named.items(), _SCAN)
        words += [f"{_cut(key, _INNER)}={brief(value, _INNER)}" for key, value in items]
        more = len(positional) + len(named) > len(words)
    except Exception:
        return f"{name}(*{brief(item)})"
    return f"{name}({', '.join(words + ['…'] * more)})"


def name_of(function: Any) -> str:
    """What to call a callable."""
    try:
        inner = getattr(function, "func", function)  # of a partial
        return _cut(str(getattr(inner, "__qualname__", None) or type(inner).__name__), _MOST)
    except Exception:
        return _cut(type(function).__name__, _MOST)


def _text(value: Any, kind: type, most: int, depth: int) -> str:
    if kind in (str, bytes, bytearray) and len(value) > most:
        length = f" ({len(value)} long)"
        return _cut(repr(value[:most]), most - len(length)) + length
    if kind in (list, tuple, set, frozenset, dict):
        return _container(value, kind, depth)
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape and hasattr(value, "dtype"):
        return f"<{kind.__name__} of shape {tuple(shape)}, {value.dtype}>"
    if kind is not range and hasattr(kind, "__len__") and len(value) > _LARGE:
        return f"<{kind.__name__} of {len(value)} items>"
    return repr(value)


def _container(value: Any, kind: type, depth: int) -> str:
    if not value and kind in (set, frozenset):
        return repr(value)
    if depth == 0 and value:
        parts = ["…"]
    elif kind is dict:
        items = islice(value.items(), _SCAN)
        parts = [f"{brief(key, _INNER, depth - 1)}: {brief(part, _INNER, depth - 1)}" for key, part in items]
    else:
        parts = [brief(part, _INNER, depth - 1) for part in islice(value, _SCAN)]
    if depth and len(value) > _SCAN:
        parts.append(f"… {len(value)} in all")
    opening, closing = _BRACKETS.get(kind, ("{", "}"))
    return f"{opening}{', '.join(parts)}{',' if kind is tuple and len(value) == 1 else ''}{closing}"


_BRACKETS: dict[type, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    frozenset: ("frozenset({", "})"),
}


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: max(0, most - 1)] + "…"
