"""What one process holds, and what it can be asked. An `ActorGroup` makes one a piece.

Held, for each group, are its numbers and nothing else of size: 4 bytes a row, or 8. The first question sorts them, in
place; from then on each question is some binary searches.

Always true:

1. Numbers are finite: others are counted (`left_out`) and dropped when they come in.
2. A sorted group stays sorted. Nothing but sorting and sums takes longer for more rows.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from resident_table.chunk import Chunk, check_groups
from resident_table.sketch import Sketch, keys_of

#: The sum of so many rows is kept, so that a sum over a range adds these up, and few rows.
_BLOCK = 4096
_ROWS_AT_A_TIME = 256 * _BLOCK


class Part(NamedTuple):
    """One group between the ends of a question: of one shard, or of all."""

    count: int
    total: float
    counts: np.ndarray  # of each bin
    sketch: Sketch


class Held(NamedTuple):
    """What a shard has: rows and bytes of its numbers, and how many rows had none."""

    rows: int
    size_bytes: int
    left_out: int
    low: Any  # None when there are no numbers
    high: Any


class Group:
    """The numbers of one group."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        self._sums: np.ndarray | None = None

    def sort(self) -> None:
        """Once; costs about 40 ns a row."""
        if self._sums is not None:
            return
        self.values.sort()
        sums, keys, starts = [], [], []
        for start, part in self._in_float64():
            sums.append(np.add.reduceat(part, np.arange(0, len(part), _BLOCK)))
            bucket = keys_of(part)
            changes = np.flatnonzero(np.diff(bucket, prepend=bucket[0] - 1))
            keys.append(bucket[changes])
            starts.append(changes + start)
        self._sums, self._keys, self._starts = map(np.concatenate, (sums, keys, starts))

    def _in_float64(self) -> Iterator[tuple[int, np.ndarray]]:
        for start in range(0, len(self.values), _ROWS_AT_A_TIME):
            yield start, self.values[start : start + _ROWS_AT_A_TIME].astype(np.float64)

    def between(self, edges: np.ndarray) -> Part:
        """What is in each bin: from its lower edge up to, but not including, its upper; the last one includes both."""
        bounds = np.searchsorted(self.values, edges)
        bounds[-1] = np.searchsorted(self.values, edges[-1], side="right")
        first, last = int(bounds[0]), int(bounds[-1])
        return Part(last - first, self._sum(first, last), np.diff(bounds), self._sketch(first, last))

    def _sum(self, first: int, last: int) -> float:
        whole, end = -(-first // _BLOCK), last // _BLOCK
        if whole >= end:
            return float(self.values[first:last].sum(dtype=np.float64))
        ends = self.values[first : whole * _BLOCK], self.values[end * _BLOCK : last]
        return float(self._sums[whole:end].sum() + sum(rows.sum(dtype=np.float64) for rows in ends))

    def _sketch(self, first: int, last: int) -> Sketch:
        bounds = np.clip(np.append(self._starts, len(self.values)), first, last)
        counts = np.diff(bounds)
        return Sketch(self._keys[counts > 0], counts[counts > 0])


class Shard:
    """The rows of one piece."""

    def __init__(self, piece: Any) -> None:
        self._left_out = 0
        filed: dict[str, list[np.ndarray]] = {}
        for chunk in piece.chunks():
            self._file(chunk, filed)
        # One after the other: what was filed of a group is let go of before the next one is put together.
        self._groups = {label: Group(np.concatenate(filed.pop(label))) for label in sorted(filed)}

    def _file(self, chunk: Chunk, filed: dict[str, list[np.ndarray]]) -> None:
        finite = np.isfinite(chunk.values)
        self._left_out += len(finite) - int(np.count_nonzero(finite))
        for code, label in enumerate(chunk.labels):
            values = chunk.values[(chunk.codes == code) & finite]
            if len(values):
                filed.setdefault(label, []).append(values)
        check_groups(filed)

    def held(self) -> Held:
        """How much there is, and from where to where it goes."""
        groups = [group.values for group in self._sorted().values()]
        rows, size = sum(map(len, groups)), sum(values.nbytes for values in groups)
        low = min((values[0] for values in groups), default=None)
        return Held(rows, size, self._left_out, low, max((values[-1] for values in groups), default=None))

    def summary(self, edges: np.ndarray) -> dict[str, Part]:
        """Each group between these edges. Edges are of the same kind as the numbers."""
        return {label: group.between(edges) for label, group in self._sorted().items()}

    def _sorted(self) -> dict[str, Group]:
        for group in self._groups.values():
            group.sort()
        return self._groups
