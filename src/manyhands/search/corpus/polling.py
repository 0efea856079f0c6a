"""Changes without the kernel's help: walk again and compare.

For where inotify cannot be had, and for file systems whose changes it does not see. Always true: it tells what `walk`
would give now and did not give before, so a changed ignore rule needs no word of its own. Threads: one.
"""

from __future__ import annotations

import os

from manyhands.search.corpus.changes import CHANGED, DELETED, NEW, Change
from manyhands.search.corpus.walk import walk_roots

TYPE_CHECKING = False
if TYPE_CHECKING:
    from manyhands.search.corpus.filters import Filters
    from manyhands.search.corpus.roots import Root

    Mark = tuple[int, int, int]  # when it was changed, its size, its inode


class Poller:
    """Knows the files as they were at the last `changes`, or when it was made."""

    def __init__(self, roots: list[Root], filters: Filters) -> None:
        self._roots, self._filters = roots, filters
        self._known = self._marks()

    def changes(self) -> list[Change]:
        """What has changed since. Deleted folders are told file by file."""
        before, now = self._known, self._marks()
        self._known = now
        found = [Change(path, DELETED) for path in before if path not in now]
        for path, mark in now.items():
            if path not in before:
                found.append(Change(path, NEW))
            elif mark != before[path]:
                found.append(Change(path, CHANGED))
        return found

    def _marks(self) -> dict[bytes, Mark]:
        found = {}
        files = walk_roots(self._roots, self._filters, sized=False)
        for index, shown in enumerate(files.files):
            try:
                status = os.stat(files.path(index))
            except OSError:
                continue
            found[shown] = (status.st_mtime_ns, status.st_size, status.st_ino)
        return found
