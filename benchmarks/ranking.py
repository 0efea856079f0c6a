"""Who is better than whom, and by how much. A ratio above 1 means better, whichever direction is good.

Extra rows (batches, the bare interpreter) are neither the best rival nor counted.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from benchmarks.harness import Entry
from benchmarks.shapes import Contestant, Metric

Verdict = Literal["wins", "equal", "LOSES"]

_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))


@dataclass(frozen=True)
class Row:
    """One contestant's figures for one metric."""

    entry: Entry
    values: list[float]
    trouble: str

    @property
    def contestant(self) -> Contestant:
        """Whose figures they are."""
        return self.entry.contestant

    @property
    def median(self) -> float:
        """The figure that ranks it. Only for rows with values."""
        return statistics.median(self.values)

    def ratio(self, other: Row | None, metric: Metric) -> float | None:
        """How many times better than `other` (below 1: worse); None where there is nothing to compare."""
        if other is None or not self.values or not other.values:
            return None
        more, less = self.median, other.median
        if not metric.higher_is_better:
            more, less = less, more
        if less <= 0:
            return 1.0 if more <= 0 else math.inf
        return more / less


def rows_of(entries: Iterable[Entry], metric: Metric) -> list[Row]:
    """A row each, the best first, those without figures last."""
    rows = [_row(entry, metric) for entry in entries]
    sign = -1 if metric.higher_is_better else 1
    return sorted(rows, key=lambda row: (not row.values, sign * row.median if row.values else 0))


def _row(entry: Entry, metric: Metric) -> Row:
    good = [one.figures[metric.key] for one in entry.measurements if one.status == "ok"]
    return Row(entry, good, _trouble(entry))


def _trouble(entry: Entry) -> str:
    """Whatever went wrong, in a few words; empty if nothing did."""
    if entry.contestant.unusable:
        return entry.measurements[0].note if entry.measurements else "not measured"
    bad = [one for one in entry.measurements if one.status != "ok"]
    words = []
    if bad:
        words.append(f"{bad[0].status.upper()} in {len(bad)} of {len(entry.measurements)}: {bad[0].note}")
    if left := max((one.left_behind for one in entry.measurements if one.status == "ok"), default=0):
        words.append(f"LEFT {left} PROCESSES BEHIND")
    return "; ".join(words)


def best_rival(rows: list[Row]) -> Row | None:
    """The first of the sorted rows that manyhands must be compared with."""
    return next((r for r in rows if r.values and not r.contestant.ours and not r.contestant.extra), None)


def best_of_ours(rows: list[Row]) -> Row | None:
    """The first of the sorted rows that is manyhands', extras aside."""
    return next((r for r in rows if r.values and r.contestant.ours and not r.contestant.extra), None)


def verdict(ratio: float) -> Verdict:
    """In a word; within 5 % nobody wins."""
    return "wins" if ratio >= 1.05 else "LOSES" if ratio <= 0.95 else "equal"


def quantity(value: float, unit: str) -> str:
    """A figure in three digits with its prefix: 1.23 M items/s, 86.4 µs."""
    scale, prefix = next((pair for pair in _PREFIXES if abs(value) >= pair[0]), (1.0, ""))
    short = unit.replace("items/s", "/s").replace("tasks/s", "/s")
    return f"{value / scale:.3g} {prefix}{short}".rstrip()
