"""What is measured: one file each, one small protocol.

A shape has a `name`, a `title`, the `group` it belongs to and the `metrics` it yields. ``contestants()``
lists who takes part; ``run(contestant, quick)`` makes one measurement in the process that calls it (a fresh
one: see ``benchmarks/one.py``) and returns a figure for each metric.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Protocol


@dataclass(frozen=True)
class Metric:
    """A figure: its title in the tables, its key in the results, its unit, and which direction is good."""

    title: str
    key: str
    unit: str
    higher_is_better: bool


@dataclass(frozen=True)
class Contestant:
    """Who is measured: a rival and one variant of it. `peer` is the like-for-like rival, if there is one."""

    rival: str
    variant: str
    ours: bool = False
    extra: bool = False
    unusable: str | None = None
    peer: str | None = None

    @property
    def label(self) -> str:
        """How the tables call it."""
        return f"{self.rival} ({self.variant})" if self.variant else self.rival


class Hang(Exception):
    """A shape waited in vain for what it measures. Reported as the watchdog's HANG is, but sooner."""


#: The exit code of a measurement that ended by `Hang`.
EXIT_HANG = 75


class Shape(Protocol):
    """See the module's docstring."""

    name: str
    title: str
    group: str
    metrics: tuple[Metric, ...]

    def contestants(self) -> list[Contestant]: ...
    def run(self, contestant: Contestant, quick: bool) -> dict[str, float]: ...


_MODULES = (
    "ints",
    "bytes_1k",
    "bytes_64k",
    "arrays",
    "ping_pong",
    "producers",
    "consumers",
    "start",
    "import_time",
    "pool.round_trip",
    "pool.throughput",
    "pool.efficiency",
    "pool.arrays",
    "pool.start",
    "pool.memory",
    "pool.death",
)


def load() -> dict[str, Shape]:
    """Every shape by its name, in the order of the report."""
    shapes = [shape for module in _MODULES for shape in import_module(f"benchmarks.shapes.{module}").SHAPES]
    return {shape.name: shape for shape in shapes}
