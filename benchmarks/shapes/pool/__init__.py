"""The engine of the pool shapes: open a rival's pool, measure with it, end it.

Every pool has two workers, and every measurement warms it up by the calls that it then times.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.rivals import pools
from benchmarks.rivals.pools import OpenPool, Use
from benchmarks.shapes import Contestant, Metric

#: How long the timed part may take at most, for the shapes that give a slow pool fewer items: full and quick.
TIMED_S = {False: 1.0, True: 0.4}

#: A warm-up shorter than this says little about the rate.
WARM_S = 0.1


@dataclass(frozen=True)
class PoolShape:
    """One use of a pool. `measure` gets it open, and whether to be quick, and returns the figures."""

    name: str
    title: str
    metrics: tuple[Metric, ...]
    use: Use
    measure: Callable[[OpenPool, bool], dict[str, float]]
    group: str = field(default="pool", init=False)

    def contestants(self) -> list[Contestant]:
        """Every variant of every pool that can be used so."""
        return pool_contestants(self.use)

    def run(self, contestant: Contestant, quick: bool) -> dict[str, float]:
        """Measure in a pool that nobody has used."""
        rival = pools.load()[contestant.rival]
        rival.imports()
        pool = rival.open(self.use, contestant.variant)
        try:
            return self.measure(pool, quick)
        finally:
            pool.terminate()


def pool_contestants(use: Use) -> list[Contestant]:
    """Every variant of every pool that has a way to do such a thing."""
    return [
        Contestant(rival.name, variant.name, rival.ours, variant.extra, rival.usable())
        for rival in pools.load().values()
        for variant in rival.variants(use)
    ]


def fitting(work: Callable[[int], object], most: int, quick: bool) -> int:
    """Warm up by ``work(count)`` with growing counts; return how many items fit the time, `most` at most.

    So a pool that needs a minute for a million items is given fewer: the figure is a rate.
    """
    count = max(most // 1024, 4)
    work(count)  # some start their workers only now
    while True:
        began = time.perf_counter()
        work(count)
        took = time.perf_counter() - began
        if took >= WARM_S or count * 4 > most:
            return min(most, max(count, int(count / took * TIMED_S[quick])))
        count *= 4


def seconds(work: Callable[[int], object], count: int) -> float:
    """How long ``work(count)`` takes."""
    began = time.perf_counter_ns()
    work(count)
    return (time.perf_counter_ns() - began) / 1e9


def check(found: float, expected: float) -> None:
    """Refuse the figure of a pool that lost or changed a result."""
    if found != expected:
        raise RuntimeError(f"wrong results: {found!r}, expected {expected!r}")
