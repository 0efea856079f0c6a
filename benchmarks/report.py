"""The tables. A ratio above 1 means better than the best rival, whichever direction is good for the figure.

Rows are sorted by their median, losses of manyhands included and counted at the end. Extra rows (batches,
the bare interpreter) show a ratio but are neither the best rival nor counted.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from benchmarks.harness import Entry
from benchmarks.record import Record
from benchmarks.shapes import Contestant, Metric

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
        """How many times better than `other` (below 1: worse); None where that says nothing."""
        if other is None or not self.values or not other.values or min(self.median, other.median) <= 0:
            return None
        better = self.median / other.median
        return better if metric.higher_is_better else 1 / better


def show(entries: list[Entry], record: Record, rounds: int, asked: int) -> str:
    """The whole report."""
    parts = [_head(record, rounds, asked)]
    verdicts: list[str] = []
    for _, group in groupby(entries, key=lambda entry: entry.shape.name):
        of_shape = list(group)
        for metric in of_shape[0].shape.metrics:
            rows = _rows(of_shape, metric)
            title = f"{of_shape[0].shape.name}: {of_shape[0].shape.title} [{_metric_title(metric)}]"
            parts.append(_table(title, rows, metric))
            verdicts += _verdicts(f"{of_shape[0].shape.name} {metric.title}", rows, metric)
    if verdicts:
        parts.append(
            "manyhands against the best rival of each table (or the one that is like for like):\n"
            + "\n".join(verdicts)
        )
    if record.path is not None:
        parts.append(f"every measurement: benchmarks/results/{record.path.name}")
    return "\n\n".join(parts)


def _head(record: Record, rounds: int, asked: int) -> str:
    head = record.head
    memory = head["memory_bytes"] / (1 << 30)
    versions = ", ".join(f"{name} {version}" for name, version in head["versions"].items())
    stopped = f" (stopped by the time budget; {asked} asked for)" if rounds < asked else ""
    dirty = " with uncommitted changes" if head["dirty"] else ""
    return (
        f"{head['cpu']}, {head['usable_cores']} of {head['cores']} cores, {memory:.0f} GiB, kernel "
        f"{head['kernel']}, {head['python']}, load {head['load_before']:.2f}\n"
        f"commit {head['commit']}{dirty}; {versions}\n"
        f"{rounds} whole rounds{stopped}; median and (min-max) of all measurements"
    )


def _metric_title(metric: Metric) -> str:
    direction = "more is better" if metric.higher_is_better else "less is better"
    return f"{metric.title}, {direction}"


def _rows(entries: Iterable[Entry], metric: Metric) -> list[Row]:
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


def _best_rival(rows: list[Row]) -> Row | None:
    """The first of the sorted rows that manyhands must be compared with."""
    return next((r for r in rows if r.values and not r.contestant.ours and not r.contestant.extra), None)


def _table(title: str, rows: list[Row], metric: Metric) -> str:
    best = _best_rival(rows)
    peers = {row.contestant.label: row for row in rows}
    lines = [f"{title}", f"  {'':<42}{'median':>12}  {'min-max':<24}{'x best rival':>12}"]
    seen: set[str] = set()
    for row in rows:
        note = _notes(row, peers, seen, metric)
        if row.values and not row.contestant.extra:
            seen.add(row.contestant.rival)
        lines.append(_line(row, best, metric) + note)
    return "\n".join(line.rstrip() for line in lines)


def _line(row: Row, best: Row | None, metric: Metric) -> str:
    label = row.contestant.label
    if not row.values:
        return f"  {label:<42}{'-':>12}  "
    low, high = (_quantity(value, metric.unit) for value in (min(row.values), max(row.values)))
    ratio = row.ratio(best, metric)
    shown = f"{ratio:.2f}" if ratio is not None else "-"
    return f"  {label:<42}{_quantity(row.median, metric.unit):>12}  {f'{low} - {high}':<24}{shown:>12}  "


def _notes(row: Row, peers: dict[str, Row], seen: set[str], metric: Metric) -> str:
    """What else is to be said of a row: extra, second-best setting, like for like, trouble."""
    who, notes = row.contestant, []
    if who.extra:
        notes.append("extra, not compared")
    elif who.rival in seen and row.values and row.entry.shape.group == "queue":
        notes.append("not its best setting")
    ratio = row.ratio(peers.get(who.peer or ""), metric)
    if ratio is not None:
        notes.append(f"like for like {ratio:.2f}")
    if row.trouble:
        notes.append(row.trouble)
    return "; ".join(notes)


def _verdicts(name: str, rows: list[Row], metric: Metric) -> list[str]:
    """A line for each row of ours that counts: against its peer where it has one, else against the best."""
    peers, best, lines = {row.contestant.label: row for row in rows}, _best_rival(rows), []
    for row in rows:
        who = row.contestant
        rival = peers.get(who.peer) if who.peer else best
        ratio = row.ratio(rival, metric)
        if not who.ours or who.extra or rival is None or ratio is None:
            continue
        word = "wins" if ratio >= 1.05 else "LOSES" if ratio <= 0.95 else "equal"
        full_name = f"{name} ({who.variant})" if who.peer else name
        lines.append(f"  {full_name:<34} {word:<6} {ratio:6.2f}  against {rival.contestant.label}")
    return lines


def _quantity(value: float, unit: str) -> str:
    """A figure in three digits with its prefix: 1.23 M items/s, 86.4 µs."""
    scale, prefix = next((pair for pair in _PREFIXES if abs(value) >= pair[0]), (1.0, ""))
    short = unit.replace("items/s", "/s")
    return f"{value / scale:.3g} {prefix}{short}"
