"""``*.{c,h}`` as ``*.c`` and ``*.h``: alternatives in a user's globs. Ignore files have none, as git has none.

Pure. Always true: what comes out has no brace but escaped ones.
"""

from __future__ import annotations

from manyhands.errors import UsageError

#: More than anyone writes, and few enough that a typing mistake does no harm.
_MOST = 1000


def expand(glob: str) -> list[str]:
    """All globs that `glob` stands for, in order. Raises UsageError for a brace without its other half."""
    found, left = _alternatives(glob, 0, inner=False)
    if left < len(glob):
        raise UsageError(
            f"glob {glob!r} has a }} without a {{ before it; write \\}} for the character itself"
        )
    return found


def _alternatives(glob: str, place: int, *, inner: bool) -> tuple[list[str], int]:
    """The alternatives that begin at `place`, and where they end: behind the text, or at the closing brace."""
    done: list[str] = []
    heads = [""]
    while place < len(glob) and glob[place] != "}":
        if glob[place] == "," and inner:
            done, heads, place = done + heads, [""], place + 1
            continue
        if glob[place] == "{":
            parts, place = _group(glob, place)
        else:
            length = 2 if glob[place] == "\\" else 1
            parts, place = [glob[place : place + length]], place + length
        heads = _product(glob, heads, parts)
    return done + heads, place


def _group(glob: str, place: int) -> tuple[list[str], int]:
    """What stands in braces, and the place behind them."""
    parts, close = _alternatives(glob, place + 1, inner=True)
    if close >= len(glob):
        raise UsageError(f"glob {glob!r} has a {{ without a }}; write \\{{ for the character itself")
    return parts, close + 1


def _product(glob: str, heads: list[str], tails: list[str]) -> list[str]:
    if len(heads) * len(tails) > _MOST:
        raise UsageError(f"glob {glob!r} stands for more than {_MOST} globs; write fewer alternatives")
    return [head + tail for head in heads for tail in tails]
