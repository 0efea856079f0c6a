"""What is to happen to each name in a folder: the one place that decides, for walk and watch alike.

Order, as in ripgrep: globs; ignore rules; file types; the dot. A glob that takes a name overrules all the rest, an
ignore rule or type that takes it overrules the dot. Threads: any, once `read_rules` was called.

Always true: a folder that is left out is not entered, so nothing in it can be taken back.
"""

from __future__ import annotations

import os

from manyhands.search.corpus.ignores import GIT, Ignores, ignores_above
from manyhands.search.corpus.languages import Names, matching_globs
from manyhands.search.corpus.rules import IGNORE, KEEP, Rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from manyhands.search.corpus.filters import Filters
    from manyhands.search.corpus.roots import Root

#: TAKE: search it, or enter it. The others leave it out: an ignore rule, its dot, or because nobody asked for it.
TAKE, IGNORED, HIDDEN, UNWANTED = range(4)


class Judge:
    """Filters, ready to be asked. One serves all folders of a walk."""

    __slots__ = ("filters", "git_is_named", "globs", "not_types", "only_named", "types")

    def __init__(self, filters: Filters) -> None:
        self.filters = filters
        globs = filters.glob_lines()
        wanted = [glob for glob in globs if not glob.startswith(b"!")]
        self.globs = Rules(globs) if globs else None
        self.only_named = bool(wanted)
        self.git_is_named = filters.hidden and any(GIT in glob.split(b"/") for glob in wanted)
        self.types = _names_of(filters.types)
        self.not_types = _names_of(filters.not_types)

    def folder(self, root: Root) -> Folder:
        """The root's own folder."""
        ignores = ignores_above(root.real) if self.filters.ignore else Ignores()
        return Folder(self, root, b"", root.path, ignores, (root.real,) if self.filters.follow else ())


class Folder:
    """A folder and the rules that hold in it. `way`: from the root to it, empty or with a slash at its end.

    `trail`: the real folders that lead here, when symlinks are followed.
    """

    __slots__ = ("_above", "_chain", "_glob_way", "ignores", "judge", "path", "root", "trail", "way")

    def __init__(
        self, judge: Judge, root: Root, way: bytes, path: bytes, ignores: Ignores, trail: tuple[bytes, ...]
    ) -> None:
        self.judge, self.root, self.way, self.path, self.trail = judge, root, way, path, trail
        self.ignores = self._above = ignores
        self._chain = ignores.chain
        self._glob_way = root.glob_way + way

    @property
    def shown(self) -> bytes:
        """How the names in it begin when they are displayed."""
        return self.root.shown + self.way

    def read_rules(self, names: Container[bytes]) -> None:
        """Read the folder's own ignore files; `names` are in it."""
        if self.judge.filters.ignore:
            self.ignores = self.ignores.joined_by(self.path, names)
            self._chain = self.ignores.chain

    def afresh(self) -> Folder:
        """The same folder before its own rules were read."""
        return Folder(self.judge, self.root, self.way, self.path, self._above, self.trail)

    def enter(self, name: bytes, real: bytes = b"") -> Folder:
        """The sub-folder `name`; its own rules are not read yet. `real`: where it truly lies, if it is a symlink."""
        trail = self.trail
        if trail:
            trail = (*trail, real or os.path.join(trail[-1], name))
        path = os.path.join(self.path, name)
        return Folder(self.judge, self.root, self.way + name + b"/", path, self.ignores.below(name), trail)

    def verdict(self, name: bytes, is_folder: bool) -> int:
        """TAKE, or why not. A symlink that is not followed counts as a file."""
        judge = self.judge
        if name == GIT and not judge.git_is_named:
            return UNWANTED
        if judge.globs is not None:
            said = judge.globs.verdict(self._glob_way, name, is_folder)
            if said:  # a user's "!" leaves out, an ignore file's takes back
                return TAKE if said == IGNORE else UNWANTED
            if judge.only_named and not is_folder:
                return UNWANTED
        said = 0
        for rules, way in self._chain:
            said = rules.verdict(way, name, is_folder)
            if said:
                if said == IGNORE:
                    return IGNORED
                break
        return self._by_type_and_dot(name, is_folder, said == KEEP)

    def _by_type_and_dot(self, name: bytes, is_folder: bool, kept: bool) -> int:
        judge = self.judge
        if not is_folder:
            if judge.not_types is not None and judge.not_types.claim(name):
                return UNWANTED
            if judge.types is not None:
                if not judge.types.claim(name):
                    return UNWANTED
                kept = True
        if name[:1] == b"." and not kept and not judge.filters.hidden:
            return HIDDEN
        return TAKE


def _names_of(types: Sequence[str]) -> Names | None:
    """What tells files of these types by their names."""
    return Names(matching_globs(types)) if types else None
