"""The table: a line a goal, with ours, ripgrep's, how they compare, the goal and the verdict. Losses are shown as such.

Always true: a shape in which the two did not agree has no figure, only what was wrong.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.harness import Measurement
from benchmarks.ranking import quantity
from benchmarks.search.goals import GOALS, Goal

_HEAD = ("", "ours", "min - max", "ripgrep", "ratio", "rows", "goal", "verdict")
_WIDTHS = (34, 10, 21, 10, 9, 10, 17, 0)


def show(head: dict[str, Any], measurements: Sequence[Measurement], judged: bool, saved: str) -> str:
    """All of it. `judged`: the corpus is the one that the goals speak of."""
    lines = [_machine(head), "", _row(_HEAD)]
    lines += [_line(goal, measurements, judged) for goal in GOALS]
    lines += _notes(measurements)
    if saved:
        lines.append(f"every measurement: {saved}")
    return "\n".join(lines)


def faults(measurements: Sequence[Measurement]) -> list[Measurement]:
    """What failed, hung, or did not agree with ripgrep; not what needs a program that is not here."""
    return [one for one in measurements if one.status not in ("ok", "unusable")]


def _machine(head: dict[str, Any]) -> str:
    dirty = " with uncommitted changes" if head["dirty"] else ""
    versions = ", ".join(f"{name} {version}" for name, version in head["search_versions"].items())
    return (
        f"{head['cpu']}, {head['usable_cores']} of {head['cores']} cores, "
        f"{head['memory_bytes'] / (1 << 30):.0f} GiB, kernel {head['kernel']}, {head['python']}, "
        f"load {head['load_before']:.2f}\n"
        f"commit {head['commit']}{dirty}; {versions}\n"
        f"corpus: {head['corpus']}; medians over rounds; ratio: how many times as good as ripgrep's"
    )


def _row(cells: Sequence[str]) -> str:
    first, *rest = (
        f"{cell:>{width}}" if place else f"{cell:<{width}}"
        for place, (cell, width) in enumerate(zip(cells, _WIDTHS, strict=True))
    )
    return "  ".join([first, *rest]).rstrip()


def _line(goal: Goal, measurements: Sequence[Measurement], judged: bool) -> str:
    ours = _of(goal, "manyhands", measurements)
    if not ours:
        why = "not here" if is_lacking(goal, measurements) else "NO FIGURE"
        return _row((goal.title, "-", "", "", "", "", _wanted(goal), why))
    theirs = _of(goal, "ripgrep", measurements)
    median = _median(ours, goal.key)
    ratio = compared(goal, median, _median(theirs, goal.key)) if theirs else None
    return _row((
        goal.title,
        _shown(median, goal.unit),
        _spread(ours, goal),
        _shown(_median(theirs, goal.key), goal.unit) if theirs else "",
        "" if ratio is None else f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.3g}",
        f"{ours[0].figures['rows']:,.0f}" if "rows" in ours[0].figures else "",
        _wanted(goal),
        verdict(goal, median, ratio, judged),
    ))  # fmt: skip


def is_lacking(goal: Goal, measurements: Sequence[Measurement]) -> bool:
    """Does what measures it need a program that is not here?"""
    return any(
        one.status == "unusable" and one.shape == goal.shape and goal.variant.startswith(one.variant)
        for one in measurements
    )


def _shown(value: float, unit: str) -> str:
    """Counts in full, and no thousandths of answers a second."""
    if unit == "":
        return f"{value:,.0f}"
    return f"{value:.3g} {unit}" if unit == "/s" and value < 1 else quantity(value, unit)


def _of(goal: Goal, who: str, measurements: Sequence[Measurement]) -> list[Measurement]:
    """Measurements of a goal's figure; ripgrep has one for all variants of a shape, or one each."""
    found = [
        one
        for one in measurements
        if one.shape == goal.shape and one.rival == who and one.status == "ok" and goal.key in one.figures
    ]
    wanted = (goal.variant,) if who == "manyhands" else (goal.variant, "")
    return [one for one in found if one.variant in wanted]


def _median(found: Sequence[Measurement], key: str) -> float:
    return statistics.median(one.figures[key] for one in found)


def _spread(found: Sequence[Measurement], goal: Goal) -> str:
    low, high = ("min_s", "max_s") if goal.key == "p50_s" else (goal.key, goal.key)
    least, most = min(one.figures[low] for one in found), max(one.figures[high] for one in found)
    return "" if least == most else f"{_shown(least, goal.unit)} - {_shown(most, goal.unit)}"


def compared(goal: Goal, ours: float, theirs: float) -> float:
    """How many times as good as the rival's: for rates more is better, for all else less."""
    return ours / theirs if goal.unit == "/s" else theirs / ours


def _wanted(goal: Goal) -> str:
    if goal.kind == "times ripgrep":
        return f"{goal.value:,g} x ripgrep"
    return f"{goal.kind} {_shown(goal.value, goal.unit)}" if goal.kind else ""


def verdict(goal: Goal, ours: float, ratio: float | None, judged: bool) -> str:
    """In a word or two."""
    words = []
    if goal.kind and judged:
        figure = ratio if goal.kind == "times ripgrep" else ours
        met = figure is not None and (
            figure <= goal.value if goal.kind == "at most" else figure >= goal.value
        )
        words.append("met" if met else "MISSED")
    if ratio is not None and ratio < 1:
        words.append("slower than ripgrep")
    return ", ".join(words)


def _notes(measurements: Sequence[Measurement]) -> list[str]:
    """What was skipped, how files were watched, and everything that was wrong."""
    lines = [""]
    for one in measurements:
        if one.status != "ok":
            lines.append(f"{one.status.upper()} {one.shape} {one.variant}: {one.note}")
        elif one.note and one.round <= 1:
            lines.append(f"{one.shape}: {one.note}")
    return lines
