"""The chart of an answer, as SVG and PNG, drawn by matplotlib's Agg without any window.

Above, how the groups' numbers are spread; below, each group's quantiles and mean on the same axis. A group has one
colour in both, and its name stands beside its quantiles, largest median first.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from resident_table.answer import QUANTILES, Answer
from resident_table.shard import Part

MOST_DRAWN = 8

_INK, _FAINT = "#222222", "#8a8a8a"
_COLOURS = ["#4477aa", "#66ccee", "#228833", "#ccbb44", "#ee6677", "#aa3377", "#ee8866", "#777777"]


class Words(NamedTuple):
    """What the chart says in words."""

    title: str
    below_title: str
    axis: str
    warning: str  # empty when there is nothing to warn of


def draw(answer: Answer, words: Words, folder: Path) -> list[Path]:
    """Write both files and say where they are. Raises ImportError without matplotlib, OSError when it cannot write."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.use("Agg")
    settings = {
        "font.size": 10,
        "svg.hashsalt": "resident_chart",
        "axes.edgecolor": _FAINT,
        "text.color": _INK,
    }
    with mpl.rc_context(settings):
        drawn = _largest(answer.groups)
        figure = Figure(figsize=(9, 5.2 + 0.26 * len(drawn)), layout="constrained")
        above, below = figure.subplots(
            2, 1, sharex=True, gridspec_kw={"height_ratios": [3.6, 0.6 + 0.26 * len(drawn)]}
        )
        _spread(above, answer.edges, drawn)
        _quantiles(below, drawn)
        below.set_xlabel(words.axis)
        below.set_xlim(answer.edges[0], answer.edges[-1])
        _title(figure, words, len(answer.groups) - len(drawn))
        return _write(figure, folder)


def _largest(groups: dict[str, Part]) -> dict[str, Part]:
    some = sorted(
        ((part, label) for label, part in groups.items() if part.count), key=lambda pair: -pair[0].count
    )
    some = sorted(some[:MOST_DRAWN], key=lambda pair: pair[0].sketch.quantile(0.5))
    return {label: part for part, label in some}


def _spread(axes: Any, edges: np.ndarray, groups: dict[str, Part]) -> None:
    most = max(int(part.counts.max()) for part in groups.values())
    unit, name = _unit(most)
    for colour, (label, part) in zip(_COLOURS, groups.items(), strict=False):
        axes.stairs(part.counts / unit, edges, fill=True, color=colour, alpha=0.18, linewidth=0)
        axes.stairs(part.counts / unit, edges, color=colour, linewidth=1.6, label=label)
    axes.set_ylim(bottom=0)
    axes.set_ylabel(f"rows a bin{name}")
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    _bare(axes, "top", "right")
    if len(groups) > 1:
        axes.legend(frameon=False, reverse=True)


def _unit(most: int) -> tuple[float, str]:
    for unit, name in ((1e6, ", millions"), (1e3, ", thousands")):
        if most >= 2 * unit:
            return unit, name
    return 1, ""


def _quantiles(axes: Any, groups: dict[str, Part]) -> None:
    for place, (colour, part) in enumerate(zip(_COLOURS, groups.values(), strict=False)):
        p5, p25, p50, p75, p95 = map(part.sketch.quantile, QUANTILES)
        axes.plot([p5, p95], [place, place], color=colour, linewidth=1.6)
        axes.plot([p25, p75], [place, place], color=colour, linewidth=7, solid_capstyle="butt")
        axes.plot(p50, place, "|", color=_INK, markersize=13, markeredgewidth=1.8)
        axes.plot(part.total / part.count, place, "o", color="white", markeredgecolor=_INK, markersize=4.5)
    axes.set_yticks(range(len(groups)), list(groups))
    axes.set_ylim(-0.6, len(groups) - 0.4)
    axes.tick_params(axis="y", length=0)
    _bare(axes, "top", "right", "left")
    _explain(axes)


def _explain(axes: Any) -> None:
    from matplotlib.lines import Line2D

    signs = [
        Line2D([], [], color=_FAINT, linewidth=1.6, label="5 to 95 %"),
        Line2D([], [], color=_FAINT, linewidth=7, label="25 to 75 %"),
        Line2D(
            [], [], color=_INK, marker="|", linestyle="", markersize=11, markeredgewidth=1.8, label="median"
        ),
        Line2D(
            [],
            [],
            color="white",
            marker="o",
            linestyle="",
            markeredgecolor=_INK,
            markersize=4.5,
            label="mean",
        ),
    ]
    axes.legend(
        handles=signs, ncols=4, frameon=False, fontsize=8.5, loc="lower left", bbox_to_anchor=(0, 1), borderpad=0,
        borderaxespad=0.2, handlelength=1.4,
    )  # fmt: skip


def _bare(axes: Any, *sides: str) -> None:
    for side in sides:
        axes.spines[side].set_visible(False)


def _title(figure: Any, words: Words, hidden: int) -> None:
    axes = figure.axes[0]
    rest = f"; the {MOST_DRAWN} largest groups, {hidden} more are not drawn" if hidden else ""
    axes.set_title(words.title + "\n", loc="left", fontsize=14, fontweight="bold")
    axes.text(0, 1.035, words.below_title + rest, transform=axes.transAxes, fontsize=9.5, color=_FAINT)
    if words.warning:
        axes.text(
            1, 1.035, words.warning, transform=axes.transAxes, ha="right", fontweight="bold", color="#bb2222"
        )


def _write(figure: Any, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "resident_chart.svg", folder / "resident_chart.png"]
    figure.savefig(paths[0], metadata={"Date": None})
    figure.savefig(paths[1], dpi=150)
    return paths
