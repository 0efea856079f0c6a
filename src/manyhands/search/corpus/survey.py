"""One folder's entries: which files to take, which folders to enter, and a reason for each of the rest.

Owns the treatment of symlinks, of what is no regular file, and of what the system refuses. Always true: every entry is
taken, entered, put down in `skipped`, or nobody asked for it.
"""

from __future__ import annotations

import os
import stat

from manyhands.search.corpus import skipped as why
from manyhands.search.corpus.roots import is_inside
from manyhands.search.corpus.verdict import HIDDEN, IGNORED, TAKE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    from manyhands.search.corpus.skipped import Skipped
    from manyhands.search.corpus.verdict import Folder

    Entry: TypeAlias = "os.DirEntry[bytes] | Named"


class Named:
    """One name in a folder, looked up by itself, with the questions that `os.scandir`'s entries answer.

    Raises OSError when it is not there.
    """

    __slots__ = ("_status", "name", "path")

    def __init__(self, folder: Folder, name: bytes) -> None:
        self.name = name
        self.path = os.path.join(folder.path, name)
        self._status = os.lstat(self.path)

    def is_dir(self, *, follow_symlinks: bool) -> bool:
        """Whether it is a folder, or with `follow_symlinks` leads to one."""
        return stat.S_ISDIR(self.stat(follow_symlinks=follow_symlinks).st_mode)

    def is_file(self, *, follow_symlinks: bool) -> bool:
        """Whether it is a regular file, or with `follow_symlinks` leads to one."""
        return stat.S_ISREG(self.stat(follow_symlinks=follow_symlinks).st_mode)

    def is_symlink(self) -> bool:
        """Whether it is a symlink."""
        return stat.S_ISLNK(self._status.st_mode)

    def stat(self, *, follow_symlinks: bool) -> os.stat_result:
        """Its status, or that of what it leads to."""
        return os.stat(self.path) if follow_symlinks and self.is_symlink() else self._status


class Survey:
    """Looks at folders. `sized`: sizes are wanted even if no filter needs them. Threads: one."""

    __slots__ = ("_follow", "_most_bytes", "_skipped", "_stats")

    def __init__(self, folder: Folder, skipped: Skipped, *, sized: bool) -> None:
        filters = folder.judge.filters
        self._follow = filters.follow
        self._most_bytes = filters.max_file_bytes
        self._stats = sized or self._most_bytes is not None
        self._skipped = skipped

    def look_into(self, folder: Folder) -> tuple[list[bytes], list[int], list[Folder]]:
        """Names and sizes of the files to take, and the folders to enter. Sizes are 0 when nobody wants them."""
        try:
            with os.scandir(folder.path) as listing:
                entries = list(listing)
        except OSError as error:
            self._skipped.add_error(folder.shown, error.errno or 0)
            return [], [], []
        folder.read_rules({entry.name for entry in entries})
        return self.sift(folder, entries)

    def sift(self, folder: Folder, entries: Iterable[Entry]) -> tuple[list[bytes], list[int], list[Folder]]:
        """As `look_into`, for these entries of a folder whose rules are read."""
        names: list[bytes] = []
        sizes: list[int] = []
        folders: list[Folder] = []
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                self._file(folder, entry, names, sizes)
            elif entry.is_dir(follow_symlinks=False):
                if self._wants(folder, entry.name, True):
                    folders.append(folder.enter(entry.name))
            elif not entry.is_symlink():
                self._leave_out(folder, entry.name, why.NOT_REGULAR)
            elif not self._follow:
                self._leave_out(folder, entry.name, why.SYMLINK)
            else:
                self._link(folder, entry, names, sizes, folders)
        return names, sizes, folders

    def _wants(self, folder: Folder, name: bytes, is_folder: bool) -> bool:
        verdict = folder.verdict(name, is_folder)
        if verdict == TAKE:
            return True
        if verdict == IGNORED:
            self._skipped.tally(why.IGNORED_FOLDER if is_folder else why.IGNORED_FILE)
        elif verdict == HIDDEN:
            self._skipped.tally(why.HIDDEN)
        return False

    def _leave_out(self, folder: Folder, name: bytes, reason: str, *, is_folder: bool = False) -> None:
        """For this reason, unless a rule leaves it out anyway."""
        if self._wants(folder, name, is_folder):
            self._skipped.add(folder.shown + name, reason)

    def _file(self, folder: Folder, entry: Entry, names: list[bytes], sizes: list[int]) -> None:
        """A regular file, or a followed link to one."""
        name = entry.name
        if not self._wants(folder, name, False):
            return
        size = 0
        if self._stats:
            try:
                size = entry.stat(follow_symlinks=self._follow).st_size
            except OSError as error:
                self._skipped.add_error(folder.shown + name, error.errno or 0)
                return
        if self._most_bytes is not None and size > self._most_bytes:
            self._skipped.add(folder.shown + name, why.TOO_LARGE)
            return
        names.append(name)
        sizes.append(size)

    def _link(
        self, folder: Folder, entry: Entry, names: list[bytes], sizes: list[int], folders: list[Folder]
    ) -> None:
        """Follow a symlink as far as it stays inside the root."""
        real = os.path.realpath(entry.path)
        try:
            mode = os.stat(real).st_mode
        except OSError:
            self._leave_out(folder, entry.name, why.LEADS_NOWHERE)
            return
        is_folder = stat.S_ISDIR(mode)
        if not is_inside(real, folder.root.real):
            self._leave_out(folder, entry.name, why.LEADS_OUT, is_folder=is_folder)
        elif is_folder and any(is_inside(step, real) for step in folder.trail):
            self._leave_out(folder, entry.name, why.LOOP, is_folder=True)
        elif is_folder:
            if self._wants(folder, entry.name, True):
                folders.append(folder.enter(entry.name, real))
        elif stat.S_ISREG(mode):
            self._file(folder, entry, names, sizes)
        else:
            self._leave_out(folder, entry.name, why.NOT_REGULAR)
