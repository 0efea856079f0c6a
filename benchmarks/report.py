"""The tables. A ratio above 1 means better than the best rival, whichever direction is good for the figure.

Rows are sorted by their median, losses of manyhands included and counted at the end. Extra rows (batches,
the bare interpreter) show a ratio but are neither the best rival nor counted.
"""

from __future__ import annotations

from itertools import groupby

from benchmarks.harness import Entry
from benchmarks.plan import Limits
from benchmarks.ranking import Row, best_rival, quantity, rows_of, verdict
from benchmarks.record import Record
from benchmarks.shapes import Metric


def show(entries: list[Entry], record: Record, rounds: int, limits: Limits) -> str:
    """The whole report."""
    parts = [_head(record, rounds, limits)]
    verdicts: list[str] = []
    for _, group in groupby(entries, key=lambda entry: entry.shape.name):
        of_shape = list(group)
        for metric in of_shape[0].shape.metrics:
            rows = rows_of(of_shape, metric)
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


def _head(record: Record, rounds: int, limits: Limits) -> str:
    head = record.head
    memory = head["memory_bytes"] / (1 << 30)
    versions = ", ".join(f"{name} {version}" for name, version in head["versions"].items())
    asked = limits.most_rounds
    stopped = f" (stopped by the time budget; {asked} asked for)" if rounds < asked else ""
    fewer = "".join(f", {group} {number}" for group, number in limits.rounds.items() if number < asked)
    dirty = " with uncommitted changes" if head["dirty"] else ""
    return (
        f"{head['cpu']}, {head['usable_cores']} of {head['cores']} cores, {memory:.0f} GiB, kernel "
        f"{head['kernel']}, {head['python']}, load {head['load_before']:.2f}\n"
        f"commit {head['commit']}{dirty}; {versions}\n"
        f"{rounds} whole rounds{fewer}{stopped}; median and (min-max) of all measurements"
    )


def _metric_title(metric: Metric) -> str:
    direction = "more is better" if metric.higher_is_better else "less is better"
    return f"{metric.title}, {direction}"


def _table(title: str, rows: list[Row], metric: Metric) -> str:
    best = best_rival(rows)
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
    low, high = (quantity(value, metric.unit) for value in (min(row.values), max(row.values)))
    ratio = row.ratio(best, metric)
    shown = f"{ratio:.2f}" if ratio is not None else "-"
    return f"  {label:<42}{quantity(row.median, metric.unit):>12}  {f'{low} - {high}':<24}{shown:>12}  "


def _notes(row: Row, peers: dict[str, Row], seen: set[str], metric: Metric) -> str:
    """What else is to be said of a row: extra, second-best setting, like for like, trouble."""
    who, notes = row.contestant, []
    if who.extra:
        notes.append("extra, not compared")
    elif who.rival in seen and row.values and row.entry.shape.group in ("queue", "pool"):
        notes.append("not its best setting")
    ratio = row.ratio(peers.get(who.peer or ""), metric)
    if ratio is not None:
        notes.append(f"like for like {ratio:.2f}")
    if row.trouble:
        notes.append(row.trouble)
    return "; ".join(notes)


def _verdicts(name: str, rows: list[Row], metric: Metric) -> list[str]:
    """A line for each row of ours that counts: against its peer where it has one, else against the best."""
    peers, best, lines = {row.contestant.label: row for row in rows}, best_rival(rows), []
    for row in rows:
        who = row.contestant
        rival = peers.get(who.peer) if who.peer else best
        ratio = row.ratio(rival, metric)
        if not who.ours or who.extra or rival is None or ratio is None:
            continue
        full_name = f"{name} ({who.variant})" if who.peer else name
        lines.append(f"  {full_name:<34} {verdict(ratio):<6} {ratio:6.2f}  against {rival.contestant.label}")
    return lines
