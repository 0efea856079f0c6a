"""What a watcher tells: a path and what became of it."""

from __future__ import annotations

NEW, CHANGED, DELETED = "new", "changed", "deleted"


class Change:
    """`path` as `walk` shows it; `kind`: NEW (perhaps in the place of an older one), CHANGED, or DELETED.

    A deleted folder is told once, by its own path without a slash: everything below it is gone.
    """

    __slots__ = ("kind", "path")

    def __init__(self, path: bytes, kind: str) -> None:
        self.path, self.kind = path, kind

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Change) and (self.path, self.kind) == (other.path, other.kind)

    def __hash__(self) -> int:
        return hash((self.path, self.kind))

    def __repr__(self) -> str:
        return f"Change({self.path!r}, {self.kind!r})"
