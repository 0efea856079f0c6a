"""Why files were left out: no file is lost silently.

A reason is one of the texts below, which are also what a user reads. Threads: one. Pickles.
"""

from __future__ import annotations

import errno as _errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

BINARY = "binary"
TOO_LARGE = "too large"
NO_PERMISSION = "no permission"
VANISHED = "vanished"
NOT_REGULAR = "not a regular file"
SYMLINK = "symlink"
LEADS_OUT = "leads out of the root"
LEADS_NOWHERE = "symlink to nothing"
LOOP = "symlink to a folder it lies in"
UNDECODABLE = "not the encoding that its byte order mark promises"
READ_ERROR = "read error"

#: Counted, but not listed: the user wants them left out. A folder counts as one, whatever is in it.
IGNORED_FILE = "ignored file"
IGNORED_FOLDER = "ignored folder"
HIDDEN = "hidden"

#: Whoever asks for these files' text in vain gets them listed; the rest of the reasons are rules.
REASONS = (
    BINARY, TOO_LARGE, NO_PERMISSION, VANISHED, NOT_REGULAR, SYMLINK, LEADS_OUT, LEADS_NOWHERE, LOOP,
    UNDECODABLE, READ_ERROR, IGNORED_FILE, IGNORED_FOLDER, HIDDEN,
)  # fmt: skip

#: Those that are no rule which the user or the tree has made.
TROUBLE = frozenset((NO_PERMISSION, READ_ERROR, UNDECODABLE, LOOP))

_BY_ERRNO = {
    _errno.EACCES: NO_PERMISSION,
    _errno.EPERM: NO_PERMISSION,
    _errno.ENOENT: VANISHED,
    _errno.ESTALE: VANISHED,
}


def reason_of(errno: int) -> tuple[str, str]:
    """The reason and the detail for a failed system call."""
    if errno in _BY_ERRNO:
        return _BY_ERRNO[errno], ""
    return READ_ERROR, os.strerror(errno)


class Skipped:
    """What was left out. `counts` by reason; `entries`: (path, reason, detail) of all that is not only counted."""

    __slots__ = ("counts", "entries")

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.entries: list[tuple[bytes, str, str]] = []

    def add(self, path: bytes, reason: str, detail: str = "") -> None:
        """List a path."""
        self.entries.append((path, reason, detail))
        self.tally(reason)

    def add_error(self, path: bytes, errno: int) -> None:
        """List a path that a system call refused."""
        self.add(path, *reason_of(errno))

    def tally(self, reason: str, number: int = 1) -> None:
        """Only count."""
        if number:
            self.counts[reason] = self.counts.get(reason, 0) + number

    def merge(self, other: Skipped) -> None:
        """Take over what another part of the work has left out."""
        self.entries.extend(other.entries)
        for reason, number in other.counts.items():
            self.tally(reason, number)

    @property
    def trouble(self) -> int:
        """How many were left out for a reason that is trouble."""
        return sum(self.counts.get(reason, 0) for reason in TROUBLE)

    def sort(self) -> None:
        """By path, so that a report is the same each time."""
        self.entries.sort()

    def __iter__(self) -> Iterator[tuple[bytes, str, str]]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __bool__(self) -> bool:
        return bool(self.counts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Skipped):
            return NotImplemented
        return (self.counts, self.entries) == (other.counts, other.entries)

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        """``3 binary, 1 too large``, in the order of `REASONS`; empty when nothing was left out."""
        return ", ".join(f"{self.counts[reason]:,} {reason}" for reason in REASONS if reason in self.counts)

    def __repr__(self) -> str:
        return f"<Skipped: {self or 'nothing'!s}>"
