"""The picture of a run: ``python -m benchmarks picture [FILE ...] [--to docs/benchmarks.svg]``.

A bar for each figure of the queue and pool shapes, on a log scale: manyhands against the best rival's best
setting. Without a file it takes the newest one in ``results``. Of each shape it takes the newest run in the files.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from benchmarks import shapes
from benchmarks.harness import Entry, Measurement
from benchmarks.processes import ROOT
from benchmarks.ranking import best_of_ours, best_rival, quantity, rows_of
from benchmarks.record import RESULTS
from benchmarks.shapes import Metric, Shape
from benchmarks.svg import Bar, draw

GROUPS = ("queue", "pool")


@dataclass(frozen=True)
class Run:
    """The rows of one run: its head and its measurements."""

    head: dict[str, Any]
    measurements: list[dict[str, Any]]


def main(arguments: list[str]) -> int:
    """Draw; 0 when there was something to draw."""
    parser = argparse.ArgumentParser("python -m benchmarks picture", description="draw an earlier run as SVG")
    parser.add_argument("files", nargs="*", type=Path, help="results (default: the newest file of them)")
    parser.add_argument("--to", type=Path, default=ROOT / "docs" / "benchmarks.svg", help="where to write")
    options = parser.parse_args(arguments)
    runs = read(options.files or newest())
    bars = [bar for shape in shapes.load().values() if shape.group in GROUPS for bar in _bars(shape, runs)]
    if not bars:
        print("benchmarks: no queue or pool figures in there", file=sys.stderr)
        return 2
    options.to.write_text(draw("manyhands / best rival", _subtitle(runs), bars), encoding="utf-8")
    print(options.to)
    return 0


def newest() -> list[Path]:
    """The file with the newest run in it, as a list; empty if there is none. Those of searches have no bars."""
    files = [path for path in RESULTS.glob("*.jsonl") if "-search" not in path.stem]
    return sorted(files, key=lambda path: max(run.head["run"] for run in read([path])))[-1:]


def read(files: Iterable[Path]) -> list[Run]:
    """All runs in the files, the oldest first."""
    runs: dict[str, Run] = {}
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row["row"] == "run":
                runs[row["run"]] = Run(row, [])
            else:
                runs[row["run"]].measurements.append(row)
    return [runs[began] for began in sorted(runs)]


def _subtitle(runs: list[Run]) -> str:
    head = runs[-1].head
    commits = ", ".join(dict.fromkeys(run.head["commit"] for run in runs))
    return (
        f"{head['run'][:10]}, commit {commits}, {head['cpu']}, {head['usable_cores']} cores, {head['python']}"
    )


def _bars(shape: Shape, runs: list[Run]) -> list[Bar]:
    """A bar a metric, from the newest run that measured the shape; none if no run did."""
    for run in reversed(runs):
        rows = [row for row in run.measurements if row["shape"] == shape.name]
        if rows:
            entries = _entries(shape, rows)
            return [_bar(shape, metric, entries) for metric in shape.metrics]
    return []


def _entries(shape: Shape, rows: list[dict[str, Any]]) -> list[Entry]:
    """What the harness had in its hands; settings that are no longer measured are left out."""
    entries = {(one.rival, one.variant): Entry(shape, one) for one in shape.contestants()}
    names = [field.name for field in fields(Measurement)]
    for row in rows:
        entry = entries.get((row["rival"], row["variant"]))
        if entry is not None:
            entry.measurements.append(Measurement(**{name: row[name] for name in names}))
    return list(entries.values())


def _bar(shape: Shape, metric: Metric, entries: list[Entry]) -> Bar:
    rows = rows_of(entries, metric)
    ours, rival = best_of_ours(rows), best_rival(rows)
    name = f"{shape.name} {metric.title}" if len(shape.metrics) > 1 else shape.name
    if ours is None:
        return Bar(name, None, "no figure of manyhands")
    figure = quantity(ours.median, metric.unit)
    if rival is None:
        return Bar(name, None, f"{figure}; no figure of a rival")
    words = f"{figure} against {quantity(rival.median, metric.unit)}, {rival.contestant.rival}"
    return Bar(name, ours.ratio(rival, metric), words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
