"""What the user named: folders and single files.

Always true: a `Root` was there when it was made. Paths are shown as they were given; ``.`` alone adds nothing.
"""

from __future__ import annotations

import os
import stat

from manyhands.errors import ManyhandsError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]


class MissingRootError(ManyhandsError, FileNotFoundError):
    """A path to search is not there. `path` is what was given."""

    def __init__(self, message: str, path: bytes = b"") -> None:
        super().__init__(message)
        self.path = path

    def __str__(self) -> str:
        return str(self.args[0])


class Root:
    """One path as given, where it is, and what it is.

    `path`: absolute; `real`: without symlinks; `shown`: how paths in it begin (a folder), or are (a file); `glob_way`:
    what globs see in front of paths in it.
    """

    __slots__ = ("glob_way", "is_file", "is_folder", "path", "real", "shown", "size_bytes")

    def __init__(self, given: bytes) -> None:
        status = _status(given)
        bare = given.rstrip(b"/") or b"/"
        self.is_folder = stat.S_ISDIR(status.st_mode)
        self.is_file = stat.S_ISREG(status.st_mode)
        self.size_bytes = status.st_size
        self.path = os.getcwdb() if bare == b"." else os.path.join(os.getcwdb(), bare)
        self.real = os.path.realpath(self.path)
        self.shown = b"./" if given == b"./" else _prefix(bare) if self.is_folder else given
        self.glob_way = b"" if bare[:1] == b"/" else _prefix(os.path.normpath(bare))

    def path_of(self, shown: bytes) -> bytes:
        """The absolute path of a file in it."""
        return os.path.join(self.path, shown[len(self.shown) :]) if self.is_folder else self.path

    def covers(self, other: Root) -> bool:
        """Whether the other lies in it, or is the same."""
        return is_inside(other.real, self.real)

    def exists(self) -> bool:
        """Whether it is still there; of a file: its folder."""
        return os.path.isdir(self.path if self.is_folder else os.path.dirname(self.path))

    def __repr__(self) -> str:
        return f"Root({self.path!r})"


def read_roots(roots: Sequence[Path]) -> list[Root]:
    """Each as a Root. Raises UsageError for what is no path, MissingRootError for what is not there."""
    if isinstance(roots, (str, bytes, os.PathLike)):
        raise UsageError(f"roots must be a list of paths: write [{roots!r}]")
    found = [Root(_encoded(path)) for path in roots]
    if not found:
        raise UsageError("roots is empty; name at least one path to search")
    return found


def is_inside(real: bytes, folder: bytes) -> bool:
    """Whether the path `real` is `folder` or lies in it; both without symlinks."""
    return real == folder or real.startswith(folder if folder == b"/" else folder + b"/")


def _encoded(path: Any) -> bytes:
    try:
        given = os.fsencode(path)
    except TypeError:
        raise UsageError(f"a path to search must be a string, bytes or a path, not {path!r}") from None
    if not given or b"\0" in given:
        raise UsageError(f"{path!r} is no path; write '.' for the working folder")
    return given


def _status(given: bytes) -> os.stat_result:
    try:
        return os.stat(given)
    except (FileNotFoundError, NotADirectoryError):
        shown = os.fsdecode(given)
        trouble = "it is a symlink to nothing" if os.path.islink(given) else f"{os.getcwd()} has no such path"
        raise MissingRootError(f"cannot search {shown!r}: {trouble}; check the spelling", given) from None


def _prefix(given: bytes) -> bytes:
    """What stands in front of the names in a folder."""
    return b"" if given == b"." else given if given.endswith(b"/") else given + b"/"
