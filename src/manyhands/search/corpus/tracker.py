"""The folders of a walk under watch, and what events mean for the files of that walk.

Owns which folders are watched: those that a walk would enter, no ignored ones. Threads: one, the watcher's.

Always true: a folder is listed again once it is watched, so nothing that comes into it is missed; what is told was
asked of the file system and of `Folder.verdict` just before.
"""

from __future__ import annotations

import os

from manyhands.search.corpus.changes import CHANGED, DELETED, NEW, Change
from manyhands.search.corpus.events import CAME, MANY, WENT, Events, Unwatchable
from manyhands.search.corpus.ignores import SIGNS
from manyhands.search.corpus.skipped import Skipped
from manyhands.search.corpus.survey import Named, Survey
from manyhands.search.corpus.verdict import TAKE, Judge

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable

    from manyhands.search.corpus.events import Touched
    from manyhands.search.corpus.filters import Filters
    from manyhands.search.corpus.roots import Root
    from manyhands.search.corpus.verdict import Folder

    Names = dict[bytes, int]  # touched names of one folder
    Found = tuple[Folder, bytes]  # a file: its folder, its name


class Tracker:
    """Watches from the moment it is made, until `stop` is set. Raises `Unwatchable`.

    `is_stale`: what is known is not to be trusted any more (rules changed, events may be lost): make a new one and walk
    again; `root_is_gone`: a root was deleted or moved, or the folder of a root that is a file.
    """

    def __init__(self, roots: list[Root], filters: Filters, stop: threading.Event) -> None:
        self.is_stale = False
        self.root_is_gone = False
        self._obeys = filters.ignore
        self._folders: dict[bytes, list[Folder]] = {}  # by where they truly lie
        self._places: dict[tuple[bytes, bytes], bytes] = {}  # root and way of each → where it truly lies
        self._singles: dict[bytes, dict[bytes, Root]] = {}
        self._events = Events(stop)
        try:
            self._start(roots, Judge(filters))
        except BaseException:
            self.close()
            raise

    def _start(self, roots: list[Root], judge: Judge) -> None:
        for root in roots:
            if not root.is_folder:  # by its folder: saving a file often puts another one in its place
                parent, name = os.path.split(root.path)
                self._singles.setdefault(os.path.realpath(parent), {})[name] = root
        refused = self._events.watch(self._singles)
        self._enter([judge.folder(root) for root in roots if root.is_folder])
        self.root_is_gone = bool(refused) or not all(root.exists() for root in roots)
        self._tops = {*self._singles, *(root.real for root in roots if root.is_folder)}
        if not self.root_is_gone and not self._tops <= self._events.folders:
            lost = os.fsdecode(min(self._tops - self._events.folders))
            raise Unwatchable(f"no permission to watch {lost!r}")

    def __len__(self) -> int:
        return len(self._places)

    def close(self) -> None:
        """All watches end."""
        self._events.close()

    def read(self) -> Touched:
        """What was touched, for `changes`; waits a few milliseconds for it."""
        touched = self._events.read()
        self.is_stale |= len(touched) >= MANY
        return touched

    def changes(self, touched: Touched) -> list[Change]:
        """What became of all that was touched."""
        by_folder: dict[bytes, Names] = {}
        for path, kinds in touched.items():
            self.root_is_gone |= path in self._tops and bool(kinds & WENT)
            parent, name = os.path.split(path)
            by_folder.setdefault(parent, {})[name] = kinds
        lost: dict[bytes, Change] = {}
        told: dict[bytes, Change] = {}
        for real, names in by_folder.items():  # first, since others may have come in their place
            self._tell_lost(real, names, lost)
        entered: list[Folder] = []
        for real, names in by_folder.items():
            for name in names.keys() & self._singles.get(real, {}).keys():
                self._tell_single(self._singles[real][name], names[name], told)
            for folder in self._folders.get(real, ()):
                entered += self._tell(folder, names, told, lost)
        for found, name in self._enter(entered):
            _put(found, name, NEW, told)
        return [*lost.values(), *told.values()]

    def _tell_lost(self, real: bytes, names: Names, lost: dict[bytes, Change]) -> None:
        """Known folders that went from here."""
        for folder in tuple(self._folders.get(real, ())):
            for name, kinds in names.items():
                way = folder.way + name + b"/"
                if kinds & WENT and (folder.root.path, way) in self._places:
                    self._drop(folder.root, way)
                    _put(folder, name, DELETED, lost)

    def _tell(
        self, folder: Folder, names: Names, told: dict[bytes, Change], lost: dict[bytes, Change]
    ) -> list[Folder]:
        """What became of these names in the folder; the new folders among them."""
        if self._obeys and not SIGNS.isdisjoint(names):
            self.is_stale = True
        looked_at = {name: _look(folder, name) for name in names}
        entries = [entry for entry in looked_at.values() if entry is not None]
        files, _, folders = Survey(folder, Skipped(), sized=False).sift(folder, entries)
        for name in files:
            _put(folder, name, NEW if names[name] & CAME else CHANGED, told)
        are_folders = {entry.name for entry in entries if entry.is_dir(follow_symlinks=False)}
        are_folders |= {os.path.basename(below.path) for below in folders}
        for name in names.keys() - set(files) - are_folders:
            if _key(folder, name) not in lost and folder.verdict(name, False) == TAKE:
                _put(folder, name, DELETED, told)
        return [below for below in folders if (below.root.path, below.way) not in self._places]

    def _tell_single(self, root: Root, kinds: int, told: dict[bytes, Change]) -> None:
        """A root that is a file itself: no rule leaves it out."""
        kind = (NEW if kinds & CAME else CHANGED) if os.path.isfile(root.path) else DELETED
        told.setdefault(root.real, Change(root.shown, kind))

    def _enter(self, firsts: list[Folder]) -> list[Found]:
        """Watch folders and all below them; the files in them."""
        refused: set[bytes] = set()
        while True:
            files, folders = _list(firsts)
            fresh = {_real(folder) for folder in folders} - self._events.folders - refused
            if not fresh:
                break
            refused |= self._events.watch(fresh)
        for folder in folders:
            real = _real(folder)
            if (folder.root.path, folder.way) not in self._places and real in self._events.folders:
                self._places[folder.root.path, folder.way] = real
                self._folders.setdefault(real, []).append(folder)
        return files

    def _drop(self, root: Root, way: bytes) -> None:
        """Forget a folder and all below it."""
        for key in [key for key in self._places if key[0] == root.path and key[1].startswith(way)]:
            real = self._places.pop(key)
            folders = self._folders[real]
            folders[:] = [each for each in folders if (each.root.path, each.way) != key]
            if not folders:
                del self._folders[real]
                if real not in self._singles:
                    self._events.forget(real)


def _list(firsts: Iterable[Folder]) -> tuple[list[Found], list[Folder]]:
    """All files and folders that a walk finds from these folders on, with rules read anew."""
    files: list[Found] = []
    folders: list[Folder] = []
    pending = [folder.afresh() for folder in firsts]
    while pending:
        folder = pending.pop()
        names, _, below = Survey(folder, Skipped(), sized=False).look_into(folder)
        files += [(folder, name) for name in names]
        folders.append(folder)
        pending += below
    return files, folders


def _real(folder: Folder) -> bytes:
    """Where it truly lies."""
    if folder.trail:
        return folder.trail[-1]
    return os.path.join(folder.root.real, folder.way).rstrip(b"/") or b"/"


def _look(folder: Folder, name: bytes) -> Named | None:
    try:
        return Named(folder, name)
    except OSError:
        return None


def _key(folder: Folder, name: bytes) -> bytes:
    return folder.root.real + b"/" + folder.way + name


def _put(folder: Folder, name: bytes, kind: str, told: dict[bytes, Change]) -> None:
    """Once a file, however many roots it lies in: the first root tells."""
    told.setdefault(_key(folder, name), Change(folder.shown + name, kind))
