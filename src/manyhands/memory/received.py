"""The arena's descriptor in a new child, until somebody needs the arena. It imports nothing: every child comes here."""

from __future__ import annotations

_fd: int | None = None


def take(fd: int) -> None:
    """In a starting process: this is the family's arena. It is mapped at the first need."""
    global _fd
    _fd = fd


def pop() -> int | None:
    """The descriptor, once; None when there is none (any more)."""
    global _fd
    fd, _fd = _fd, None
    return fd


def is_there() -> bool:
    """Has the family an arena that is not mapped here yet?"""
    return _fd is not None
