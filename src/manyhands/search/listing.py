"""Which file is where: the tree's own table of shards, numbers and names. Part of the search room.

Always true:

1. A name has one number in one shard for as long as the tree is open, also when its file is gone and comes back.
2. Shards hold contiguous ranges of the sorted names: a new file goes where its name belongs.

Threads: one writer at a time; readers any, who may see a name before its shard has the text.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise


class Listing:
    """See the module. `paths[shard][number]` is the absolute path, empty while the file is gone; `names` what is
    shown."""

    def __init__(self, paths: Sequence[bytes], names: Sequence[bytes], cuts: Sequence[int]) -> None:
        """`cuts`: where each shard's range begins, and at the end how many files there are."""
        ends = list(pairwise(cuts))
        self.paths = [list(paths[a:b]) for a, b in ends]
        self.names = [list(names[a:b]) for a, b in ends]
        self._firsts = [names[a] if a < len(names) else b"" for a, _ in ends]
        self._place = {
            name: (shard, number) for shard, each in enumerate(self.names) for number, name in enumerate(each)
        }
        self._changes = 0
        self._sorted: tuple[int, list[bytes]] = -1, []  # at how many changes, and the names then

    def __len__(self) -> int:
        return sum(1 for each in self.paths for path in each if path)

    def has(self, name: bytes) -> bool:
        """Is there a file of that name now?"""
        return self.place(name) is not None

    def place(self, name: bytes) -> tuple[int, int] | None:
        """Shard and number of a file that is there."""
        place = self._place.get(name)
        return place if place is not None and self.paths[place[0]][place[1]] else None

    def add(self, name: bytes, path: bytes) -> tuple[int, int]:
        """Shard and number of a file that is there (again)."""
        place = self._place.get(name)
        if place is None:
            shard = max(0, bisect_right(self._firsts, name) - 1)
            place = (shard, len(self.paths[shard]))
            self.names[shard].append(name)
            self.paths[shard].append(path)
            self._place[name] = place
        else:
            self.paths[place[0]][place[1]] = path
        self._changes += 1
        return place

    def drop(self, name: bytes) -> tuple[int, int] | None:
        """A file that is gone: its place, if it was there."""
        place = self.place(name)
        if place is not None:
            self.paths[place[0]][place[1]] = b""
            self._changes += 1
        return place

    def at(self, name: bytes) -> list[bytes]:
        """The names that are there of a file, or of everything in a folder."""
        if self.has(name):
            return [name]
        return self.below(name)

    def below(self, folder: bytes) -> list[bytes]:
        """The names of everything that is there in a folder, in order."""
        living, prefix = self.living(), folder.rstrip(b"/") + b"/"
        return living[
            bisect_left(living, prefix) : bisect_left(living, prefix[:-1] + b"0")
        ]  # "0" follows "/"

    def living(self) -> list[bytes]:
        """Every name whose file is there, in order; not to be changed."""
        changes, names = self._sorted
        if changes != self._changes:
            changes = self._changes  # first: what changes while this reads makes it read again the next time
            names = self._read_living()
            self._sorted = changes, names
        return names

    def _read_living(self) -> list[bytes]:
        return sorted(
            name
            for paths, names in zip(self.paths, self.names, strict=True)
            for path, name in zip(paths, names, strict=False)  # one may be added just now
            if path
        )
