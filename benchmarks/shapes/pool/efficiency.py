"""How much of two cores a `map` of busy tasks turns into work, by the size of a task.

A task spins until its thread has had so much CPU time, so a worker that is kept off its core makes no progress;
it returns how much it had, which is a little more. 100 % is two cores with nothing but tasks on them: the parent's
own work shows as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.rivals.pools import WORKERS, OpenPool
from benchmarks.shapes import Metric
from benchmarks.shapes.pool import PoolShape, check, fitting
from benchmarks.tasks import spin

#: The wall time of a perfect pool: full and quick.
IDEAL_S = {False: 0.8, True: 0.3}

SIZES = {"10us": 10_000, "100us": 100_000, "1ms": 1_000_000, "10ms": 10_000_000}


def _measurer(task_ns: int) -> Callable[[OpenPool, bool], dict[str, float]]:
    def measure(pool: OpenPool, quick: bool) -> dict[str, float]:
        def work(count: int) -> int:
            used = pool.map(spin, [task_ns] * count)
            check(len(used), count)
            return sum(used)

        count = fitting(work, int(WORKERS * IDEAL_S[quick] * 1e9 / task_ns), quick)
        began = time.perf_counter_ns()
        used_ns = work(count)
        took_ns = time.perf_counter_ns() - began
        return {"percent": 100 * used_ns / (WORKERS * took_ns), "items": count, "seconds": took_ns / 1e9}

    return measure


METRICS = (Metric("efficiency", "percent", "%", higher_is_better=True),)
SHAPES = tuple(
    PoolShape(f"pool_efficiency_{size}", f"map of busy tasks of {size}", METRICS, "work", _measurer(task_ns))
    for size, task_ns in SIZES.items()
)
