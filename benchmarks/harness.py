"""Measure all contestants in turn, in several rounds: A B C, A B C, … Drift of the machine hits all alike.

Each measurement is a fresh process under a watchdog. One that hangs is killed, reported as HANG, and not
tried again in that shape. Every measurement is kept in the record; nothing is dropped from the report.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from benchmarks import rivals
from benchmarks.plan import Limits
from benchmarks.processes import Ended, run
from benchmarks.record import Record
from benchmarks.rivals import pools
from benchmarks.shapes import EXIT_HANG, Contestant, Shape

Status = Literal["ok", "hang", "error", "unusable"]


@dataclass(frozen=True)
class Measurement:
    """The outcome of one try."""

    shape: str
    rival: str
    variant: str
    round: int
    status: Status
    figures: dict[str, float] = field(default_factory=dict)
    note: str = ""
    left_behind: int = 0
    wall_s: float = 0.0


@dataclass
class Entry:
    """A contestant in a shape, with its measurements so far."""

    shape: Shape
    contestant: Contestant
    measurements: list[Measurement] = field(default_factory=list)

    @property
    def out_of_the_race(self) -> bool:
        """It cannot run here, or hung once."""
        return any(measurement.status in ("hang", "unusable") for measurement in self.measurements)


def enter(shapes: Iterable[Shape], only_rivals: Sequence[str]) -> list[Entry]:
    """Who takes part: all, or the rivals whose name holds one of the given words."""
    return [
        Entry(shape, contestant)
        for shape in shapes
        for contestant in shape.contestants()
        if not only_rivals or any(word in contestant.rival for word in only_rivals)
    ]


def measure(entries: list[Entry], limits: Limits, record: Record) -> int:
    """Fill the entries round by round; return how many whole rounds were made within the budget."""
    deadline = time.monotonic() + limits.budget_s
    for number in range(1, limits.most_rounds + 1):
        for entry in entries:
            rounds = limits.rounds[entry.shape.group]
            if entry.out_of_the_race or number > rounds:
                continue
            if time.monotonic() > deadline:
                return number - 1
            measurement = _measure_one(entry, number, limits)
            entry.measurements.append(measurement)
            record.measurement(asdict(measurement))
            _say(measurement, rounds)
    return limits.most_rounds


def _measure_one(entry: Entry, number: int, limits: Limits) -> Measurement:
    who = entry.contestant
    names = (entry.shape.name, who.rival, who.variant)
    if who.unusable:
        return Measurement(*names, number, "unusable", note=_without_paths(who.unusable))
    size = "quick" if limits.quick else "full"
    began = time.monotonic()
    ended = run(["-m", "benchmarks.one", *names, size], limits.watchdog_s)
    wall_s = round(time.monotonic() - began, 3)
    for known in (rivals.load(), pools.load()):
        if who.rival in known:
            known[who.rival].sweep(ended.pid)
    status, figures, note = _judge(ended, limits.watchdog_s)
    return Measurement(*names, number, status, figures, note, ended.left_behind, wall_s)


def _judge(ended: Ended, watchdog_s: float) -> tuple[Status, dict[str, float], str]:
    if ended.exitcode is None:
        return "hang", {}, f"killed after {watchdog_s:g} s"
    if ended.exitcode != 0:
        lines = ended.errors.strip().splitlines() or [f"exit code {ended.exitcode}"]
        status: Status = "hang" if ended.exitcode == EXIT_HANG else "error"
        return status, {}, _without_paths(lines[-1])[:200]
    return "ok", json.loads(ended.output.splitlines()[-1]), ""


def _without_paths(note: str) -> str:
    """Keep file names only: results are published, the machine's directories are not."""
    return re.sub(r"/(?:[\w.+-]+/)+", "", note)


def _say(measurement: Measurement, rounds: int) -> None:
    label = f"{measurement.rival} {measurement.variant}".strip()
    outcome = measurement.note or measurement.status
    left = f", left {measurement.left_behind} processes behind" if measurement.left_behind else ""
    print(
        f"round {measurement.round}/{rounds}  {measurement.shape:<20} {label:<34} "
        f"{measurement.wall_s:5.1f} s  {outcome}{left}",
        file=sys.stderr,
    )
