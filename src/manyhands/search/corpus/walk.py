"""walk(): every file that is to be searched, in order, and why the others are not.

Always true: paths are sorted and each file comes once, however roots overlap; a name need not be UTF-8.
One `os.scandir` a folder tells kinds without a call a file, which is most of a walk's time; sizes cost one.
"""

from __future__ import annotations

from array import array

from manyhands.search.corpus import skipped as why
from manyhands.search.corpus.filters import Filters
from manyhands.search.corpus.roots import MissingRootError, Root, read_roots
from manyhands.search.corpus.skipped import Skipped
from manyhands.search.corpus.survey import Survey
from manyhands.search.corpus.verdict import Judge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from manyhands.search.corpus.roots import Path

__all__ = ("MissingRootError", "Walk", "walk")


class Walk:
    """What was found. Pickles. Threads: any.

    `files`: paths as shown, sorted; `sizes`: in bytes, all 0 if they were not asked for; `root_of`: for each file
    which of `roots` it lies in.
    """

    __slots__ = ("files", "root_of", "roots", "sizes", "skipped")

    def __init__(
        self,
        files: list[bytes],
        sizes: list[int],
        roots: list[Root],
        root_of: Sequence[int],
        skipped: Skipped,
    ) -> None:
        self.files, self.sizes, self.roots, self.root_of, self.skipped = files, sizes, roots, root_of, skipped

    def __len__(self) -> int:
        return len(self.files)

    def path(self, index: int) -> bytes:
        """The absolute path of a file, good in any working folder."""
        return self.roots[self.root_of[index]].path_of(self.files[index])

    def name(self, index: int) -> bytes:
        """A file's path below its root; empty for a root that is a file itself."""
        root, shown = self.roots[self.root_of[index]], self.files[index]
        return shown[len(root.shown) :]


def walk(roots: Sequence[Path], filters: Filters | None = None, *, sized: bool = True) -> Walk:
    """All files below `roots` that the filters let through.

    A root that is a file is taken whatever the filters say of its name. Without `sized` a big tree takes half the
    time. Raises `MissingRootError` for a root that is not there; all other trouble is in `Walk.skipped`.
    """
    return walk_roots(read_roots(roots), filters or Filters(), sized=sized)


def walk_roots(roots: list[Root], filters: Filters, *, sized: bool) -> Walk:
    """As `walk`, for roots that were read before; one that has gone since is in `Walk.skipped`."""
    judge, skipped, gathered = Judge(filters), Skipped(), _Gathered(roots)
    for index, root in enumerate(roots):
        if root.is_folder:
            _gather(judge, root, index, gathered, skipped, sized)
        else:
            _single(judge, root, index, gathered, skipped)
    skipped.sort()
    return gathered.sorted(skipped)


def _gather(judge: Judge, root: Root, index: int, gathered: _Gathered, skipped: Skipped, sized: bool) -> None:
    """All files below one root."""
    first = judge.folder(root)
    survey, pending = Survey(first, skipped, sized=sized), [first]
    while pending:
        folder = pending.pop()
        names, sizes, folders = survey.look_into(folder)
        pending += folders
        if names:
            gathered.add(index, folder.way, folder.shown, names, sizes)


def _single(judge: Judge, root: Root, index: int, gathered: _Gathered, skipped: Skipped) -> None:
    """A root that is no folder."""
    most = judge.filters.max_file_bytes
    if not root.is_file:
        skipped.add(root.shown, why.NOT_REGULAR)
    elif most is not None and root.size_bytes > most:
        skipped.add(root.shown, why.TOO_LARGE)
    else:
        gathered.add(index, b"", b"", [root.shown], [root.size_bytes])


class _Gathered:
    """Files as they are found, each once."""

    def __init__(self, roots: list[Root]) -> None:
        self._roots = roots
        self._files: list[bytes] = []
        self._sizes: list[int] = []
        self._root_of = array("I")
        overlap = any(a is not b and a.covers(b) for a in roots for b in roots)
        self._known: set[bytes] | None = set() if overlap else None

    def add(self, root: int, way: bytes, shown: bytes, names: list[bytes], sizes: list[int]) -> None:
        """Files of one folder."""
        if self._known is not None:
            names, sizes = self._unknown(self._roots[root], way, names, sizes)
        self._files += [shown + name for name in names] if shown else names
        self._sizes += sizes
        self._root_of.extend([root] * len(names))

    def _unknown(
        self, root: Root, way: bytes, names: list[bytes], sizes: list[int]
    ) -> tuple[list[bytes], list[int]]:
        """Those that no earlier root has given."""
        assert self._known is not None
        fresh: tuple[list[bytes], list[int]] = ([], [])
        for name, size in zip(names, sizes, strict=True):
            key = root.real + b"/" + way + name if root.is_folder else root.real
            if key not in self._known:
                self._known.add(key)
                fresh[0].append(name)
                fresh[1].append(size)
        return fresh

    def sorted(self, skipped: Skipped) -> Walk:
        """All of them, in the order of their paths."""
        if len(self._roots) == 1:
            size_of = dict(zip(self._files, self._sizes, strict=True))
            self._files.sort()
            return Walk(
                self._files, [size_of[file] for file in self._files], self._roots, self._root_of, skipped
            )
        order = sorted(range(len(self._files)), key=self._files.__getitem__)
        files, sizes = [self._files[at] for at in order], [self._sizes[at] for at in order]
        return Walk(files, sizes, self._roots, array("I", [self._root_of[at] for at in order]), skipped)
