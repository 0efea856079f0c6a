"""Shares of a corpus: one contiguous range of the sorted files a shard, balanced by what they cost to load.

Pure. Always true: pieces follow each other without a gap, and together they are all files.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate, pairwise

from manyhands.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: Opening a file costs about as much as reading so many bytes.
FILE_COST_BYTES = 4096


class Piece:
    """Files `first` up to, without, `stop`; `size_bytes` is their text (0 when sizes were not known)."""

    __slots__ = ("first", "size_bytes", "stop")

    def __init__(self, first: int, stop: int, size_bytes: int) -> None:
        self.first, self.stop, self.size_bytes = first, stop, size_bytes

    def __len__(self) -> int:
        return self.stop - self.first

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Piece) and self._facts() == other._facts()

    def __hash__(self) -> int:
        return hash(self._facts())

    def __repr__(self) -> str:
        return f"Piece({self.first}, {self.stop}, {self.size_bytes})"

    def _facts(self) -> tuple[int, int, int]:
        return self.first, self.stop, self.size_bytes


def split(files: Sequence[bytes], sizes: Sequence[int] | None, shards: int) -> list[Piece]:
    """`shards` pieces, none empty; fewer when there are fewer files, but always one. `sizes`: bytes; None: unknown."""
    if shards < 1:
        raise UsageError(f"shards is {shards}; it must be 1 or more")
    if sizes is not None and len(sizes) != len(files):
        raise UsageError(
            f"sizes has {len(sizes)} numbers for {len(files)} files; it must have one a file, or be None"
        )
    known = [0] * len(files) if sizes is None else sizes
    cuts = _cuts(list(accumulate((size + FILE_COST_BYTES for size in known), initial=0)), shards)
    return [Piece(a, b, sum(known[a:b])) for a, b in pairwise(cuts)]


def _cuts(costs: list[int], shards: int) -> list[int]:
    """Where pieces begin and end. `costs`: of all files before each place."""
    files = len(costs) - 1
    shards = max(1, min(shards, files))
    cuts = [0]
    for piece in range(1, shards):
        cut = _nearest(costs, costs[-1] * piece // shards)
        most = files - (shards - piece)  # one file is left for each piece to come
        cuts.append(max(cuts[-1] + 1, min(cut, most)))
    return [*cuts, files]


def _nearest(costs: list[int], wanted: int) -> int:
    place = bisect_left(costs, wanted)
    if place and wanted - costs[place - 1] < costs[place] - wanted:
        return place - 1
    return place
