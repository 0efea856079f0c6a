"""Where to search: the paths that were given, the working folder, or stdin.

Always true: each path in `Places.paths` was there when it was looked at; what was not is in `missing`.
"""

from __future__ import annotations

import os
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from manyhands.cli.search.options import Options

STDIN = b"<stdin>"


class Places:
    """`has_many`: more than one file may be searched, so names are shown. `missing`: (path, why)."""

    def __init__(self, given: list[str], *, reads_stdin: bool) -> None:
        self.reads_stdin = reads_stdin or "-" in given
        self.paths: list[bytes] = []
        self.missing: list[tuple[str, str]] = []
        self.files: list[bytes] = []  # those of `paths` that were named themselves, and are no folders
        for path in given:
            if path != "-":
                self._look_at(path)
        if not given and not reads_stdin:
            self.paths.append(b".")
        whole = len(given) + (reads_stdin and "-" not in given)
        self.has_many = whole != 1 or not (self.files or self.reads_stdin)

    @property
    def is_stdin(self) -> bool:
        """Is stdin all there is to search?"""
        return self.reads_stdin and not self.paths and not self.missing

    def _look_at(self, path: str) -> None:
        try:
            mode = os.stat(path).st_mode
        except (OSError, ValueError) as error:
            self.missing.append((path, getattr(error, "strerror", None) or str(error)))
            return
        encoded = os.fsencode(path)
        if not stat.S_ISDIR(mode):
            self.files.append(encoded)
        # The library shows what lies in "." without a prefix, which is right if nobody has written it.
        self.paths.append(b"./" if encoded == b"." else encoded)


def read_places(options: Options) -> Places:
    """What these options name. Without any path: stdin if something is piped into it, or else the working folder."""
    waits = not options.where and not options.list_files and "-" not in options.pattern_files
    return Places(options.where, reads_stdin=waits and _is_piped())


def read_stdin() -> bytes:
    """All of it, decoded where a byte order mark says how."""
    from manyhands.search.corpus.decode import decode

    found = b"" if sys.stdin is None else sys.stdin.buffer.read()
    try:
        return decode(found)
    except ValueError:  # the mark has lied: bytes can be searched all the same
        return found


def _is_piped() -> bool:
    try:
        mode = os.fstat(0).st_mode
    except OSError:  # it is closed
        return False
    return stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
