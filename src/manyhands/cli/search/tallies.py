"""Counts and paths: what is printed where no lines are."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from manyhands.cli.search.style import Style

    Write = Callable[[bytes], object]


class CountPrinter:
    """A number a file: ``path:number``. Threads: one."""

    def __init__(self, style: Style, write: Write) -> None:
        self._style, self._write = style, write

    def print(self, path: bytes, number: int) -> None:
        """How many a file has."""
        style = self._style
        label = style.paint.path(path) + (b"\0" if style.null else b":") if style.paths else b""
        self._write(b"%b%d\n" % (label, number))


class PathPrinter:
    """A path a file, ended by a newline or a NUL. Threads: one."""

    def __init__(self, style: Style, write: Write) -> None:
        self._style, self._write = style, write

    def print(self, path: bytes) -> None:
        """A file's name."""
        self._write(self._style.paint.path(path) + (b"\0" if self._style.null else b"\n"))
