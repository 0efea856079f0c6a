"""From before a pool's constructor to the first result, with the library imported: the first pool and the second.

The second is opened after the first has been ended, in the same program.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from benchmarks.rivals import pools
from benchmarks.rivals.pools import PoolRival, Use
from benchmarks.shapes import Contestant, Metric
from benchmarks.shapes.pool import check, pool_contestants
from benchmarks.tasks import echo


@dataclass(frozen=True)
class PoolStart:
    """Opens as many pools one after the other and reports the last."""

    name: str
    title: str
    use: Use
    number: int
    metrics: tuple[Metric, ...] = (Metric("time", "seconds", "s", higher_is_better=False),)
    group: str = field(default="pool", init=False)

    def contestants(self) -> list[Contestant]:
        """Every pool."""
        return pool_contestants(self.use)

    def run(self, contestant: Contestant, quick: bool) -> dict[str, float]:  # noqa: ARG002 - short as it is
        """Open, call once, end; again if it is the second that counts."""
        rival = pools.load()[contestant.rival]
        rival.imports()
        times = [self._once(rival, contestant.variant) for _ in range(self.number)]
        return {"seconds": times[-1]}

    def _once(self, rival: PoolRival, variant: str) -> float:
        began = time.perf_counter()
        pool = rival.open(self.use, variant)
        found = pool.caller()(echo, (1,))
        took = time.perf_counter() - began
        pool.terminate()
        check(found, 1)
        return took


SHAPES = (
    PoolStart("pool_cold", "constructor to first result, first pool", "first", number=1),
    PoolStart("pool_second", "constructor to first result, second pool", "second", number=2),
)
