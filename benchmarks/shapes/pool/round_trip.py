"""One task there, its result back, nobody else about: the latency of a warm pool."""

from __future__ import annotations

import time

from benchmarks.rivals.pools import OpenPool
from benchmarks.shapes import Metric
from benchmarks.shapes.pool import PoolShape, fitting
from benchmarks.tasks import echo

TRIPS = 3000


def _measure(pool: OpenPool, quick: bool) -> dict[str, float]:
    call = pool.caller()

    def trips(count: int) -> list[int]:
        times = []
        for number in range(count):
            began = time.perf_counter_ns()
            answer = call(echo, (number,))
            times.append(time.perf_counter_ns() - began)
            if answer != number:
                raise RuntimeError(f"{answer!r} came back for {number!r}")
        return times

    count = fitting(trips, TRIPS, quick)
    times = sorted(trips(count))
    return {"p50_s": times[count // 2] / 1e9, "p99_s": times[count * 99 // 100] / 1e9, "trips": count}


METRICS = (
    Metric("p50", "p50_s", "s", higher_is_better=False),
    Metric("p99", "p99_s", "s", higher_is_better=False),
)
SHAPES = (PoolShape("pool_round_trip", "a task with no work, one at a time", METRICS, "call", _measure),)
