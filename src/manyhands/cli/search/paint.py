"""Colours and links: the escape codes that ripgrep writes.

Always true: without colours each function gives back what it was given.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from manyhands.cli.search.options import Options

_RESET = b"\x1b[0m"
_PATH, _NUMBER, _MATCH = b"\x1b[35m", b"\x1b[32m", b"\x1b[1m\x1b[31m"
_LINK, _LINK_END = b"\x1b]8;;", b"\x1b\\"

_PLAIN_IN_URL = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")


class Paint:
    """`is_on`: write escape codes; `links`: make paths links, too."""

    __slots__ = ("_folder", "_links", "is_on")

    def __init__(self, is_on: bool, links: bool = False) -> None:
        self.is_on = is_on
        self._links = is_on and links
        self._folder = os.getcwdb() if self._links else b""

    def path(self, path: bytes) -> bytes:
        """A file's name."""
        if not self.is_on:
            return path
        shown = _RESET + _PATH + path + _RESET
        if not self._links:
            return shown
        return _LINK + self._url(path) + _LINK_END + shown + _LINK + _LINK_END

    def number(self, number: int) -> bytes:
        """A line's number."""
        return b"%s%s%d%s" % (_RESET, _NUMBER, number, _RESET) if self.is_on else b"%d" % number

    def column(self, column: int) -> bytes:
        """A match's column."""
        return b"%s%d%s" % (_RESET, column, _RESET) if self.is_on else b"%d" % column

    def match(self, text: bytes) -> bytes:
        """What was found."""
        return _RESET + _MATCH + text + _RESET if self.is_on and text else text

    def line(self, line: bytes, spans: list[tuple[int, int]]) -> bytes:
        """A line with its matches."""
        if not (self.is_on and spans):
            return line
        pieces: list[bytes] = []
        at = 0
        for start, end in spans:
            pieces += (line[at:start], self.match(line[start:end]))
            at = end
        return b"".join((*pieces, line[at:]))

    def _url(self, path: bytes) -> bytes:
        whole = os.path.normpath(os.path.join(self._folder, path))
        quoted = b"".join(b"%c" % byte if byte in _PLAIN_IN_URL else b"%%%02X" % byte for byte in whole)
        return b"file://" + os.fsencode(os.uname().nodename) + quoted


def make_paint(options: Options, is_terminal: bool) -> Paint:
    """As the options want it; "auto" is colours on a terminal that can, unless NO_COLOR is set."""
    wanted = options.color in ("always", "ansi")
    if options.color == "auto":
        can = is_terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM", "dumb") != "dumb"
        wanted = (can and not options.vimgrep) or options.pretty  # editors read what --vimgrep writes
    return Paint(wanted, options.hyperlink)
