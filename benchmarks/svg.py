"""Horizontal bars on a log scale as SVG text. Knows nothing of benchmarks but that a ratio above 1 is good.

A rectangle lies behind everything, so the picture reads the same on a light page and on a dark one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from benchmarks.ranking import Verdict, verdict

WIDTH, ROW, BAR, HEAD, FOOT = 900, 24, 14, 72, 30

#: The scale lies between the names on the left and the words on the right.
LEFT, RIGHT = 210, 520

COLOURS: dict[Verdict, str] = {"wins": "#2d7d9a", "equal": "#8a8f98", "LOSES": "#c4552d"}
LEGEND: dict[Verdict, str] = {"wins": "better", "equal": "equal", "LOSES": "worse"}
PAPER, INK, FAINT = "#fbfbf9", "#22262b", "#c9ccd1"


@dataclass(frozen=True)
class Bar:
    """A row: its name, the ratio (None: only words), the words beside it."""

    name: str
    ratio: float | None
    words: str


@dataclass(frozen=True)
class Scale:
    """Where a ratio lies: powers of ten from `low` to `high`."""

    low: int
    high: int

    def x(self, ratio: float) -> float:
        """The place of a ratio; what is off the scale lies at its end."""
        exponent = math.inf if math.isinf(ratio) else math.log10(ratio) if ratio > 0 else -math.inf
        part = (min(max(exponent, self.low), self.high) - self.low) / (self.high - self.low)
        return LEFT + part * (RIGHT - LEFT)


def draw(title: str, subtitle: str, bars: Sequence[Bar]) -> str:
    """The whole picture."""
    height = HEAD + ROW * len(bars) + FOOT
    scale = _scale(bars)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" rx="6" fill="{PAPER}"/>',
        _text(16, 26, title, size=16),
        _text(16, 46, subtitle, size=11),
        *_legend(),
        *_grid(scale, height - FOOT),
        *(part for number, bar in enumerate(bars) for part in _row(bar, scale, HEAD + ROW * number)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _scale(bars: Sequence[Bar]) -> Scale:
    """Whole powers of ten around all ratios and around 1."""
    exponents = [math.log10(bar.ratio) for bar in bars if bar.ratio and math.isfinite(bar.ratio)]
    low, high = min([*exponents, 0]), max([*exponents, 0])
    return Scale(min(math.floor(low), -1), max(math.ceil(high), 1))


def _legend() -> list[str]:
    parts = []
    for place, (word, colour) in enumerate(COLOURS.items()):
        x = 660 + 78 * place
        parts += [f'<rect x="{x}" y="17" width="10" height="10" fill="{colour}"/>']
        parts += [_text(x + 15, 26, LEGEND[word], size=11)]
    return parts


def _grid(scale: Scale, bottom: int) -> list[str]:
    """A line at each power of ten, a dark one at 1."""
    parts = []
    for exponent in range(scale.low, scale.high + 1):
        x, colour = scale.x(10.0**exponent), INK if exponent == 0 else FAINT
        parts.append(
            f'<line x1="{x:.1f}" y1="{HEAD - 6}" x2="{x:.1f}" y2="{bottom}" stroke="{colour}" stroke-width="1"/>'
        )
        parts.append(_text(x, bottom + 16, f"{10.0**exponent:g}", size=11, anchor="middle"))
    return parts


def _row(bar: Bar, scale: Scale, y: int) -> list[str]:
    base = y + ROW // 2 + 4
    parts = [_text(LEFT - 10, base, bar.name, anchor="end"), _text(RIGHT + 62, base, bar.words, size=11)]
    if bar.ratio is not None:
        start, end = sorted((scale.x(1.0), scale.x(bar.ratio)))
        colour = COLOURS[verdict(bar.ratio)]
        parts.append(
            f'<rect x="{start:.1f}" y="{y + (ROW - BAR) // 2}" width="{max(end - start, 1.5):.1f}" '
            f'height="{BAR}" fill="{colour}"/>'
        )
        parts.append(_text(RIGHT + 8, base, _times(bar.ratio), weight="bold"))
    return parts


def _times(ratio: float) -> str:
    if math.isinf(ratio):
        return "∞"
    return f"{ratio:.0f} x" if ratio >= 10 else f"{ratio:.2f} x"


def _text(
    x: float, y: float, words: str, *, size: int = 12, anchor: str = "start", weight: str = "normal"
) -> str:
    return (
        f'<text x="{x:g}" y="{y}" fill="{INK}" font-size="{size}" text-anchor="{anchor}" '
        f'font-weight="{weight}">{escape(words)}</text>'
    )
