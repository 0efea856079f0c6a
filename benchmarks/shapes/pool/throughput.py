"""Tasks with no work in three ways: submitted one by one, streamed, mapped. No chunk size is given.

A pool that is too slow for all items is given as many as fit the time (see `fitting`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.rivals.pools import OpenPool
from benchmarks.shapes import Metric
from benchmarks.shapes.pool import PoolShape, check, fitting, seconds
from benchmarks.tasks import echo

#: Runs a pool over some items and returns the total of the results.
Run = Callable[[OpenPool, Sequence[int]], int]


def _submit(pool: OpenPool, items: Sequence[int]) -> int:
    return sum(pool.gather(echo, items))


def _stream(pool: OpenPool, items: Sequence[int]) -> int:
    total = 0
    for result in pool.stream(echo, items):
        total += result
    return total


def _map(pool: OpenPool, items: Sequence[int]) -> int:
    return sum(pool.map(echo, items))


def _measurer(run: Run, most: int) -> Callable[[OpenPool, bool], dict[str, float]]:
    def measure(pool: OpenPool, quick: bool) -> dict[str, float]:
        items = list(range(most))

        def work(count: int) -> None:
            check(run(pool, items[:count]), count * (count - 1) // 2)

        count = fitting(work, most, quick)
        took = seconds(work, count)
        return {"items_per_s": count / took, "items": count, "seconds": took}

    return measure


def _rate(unit: str) -> tuple[Metric, ...]:
    return (Metric("rate", "items_per_s", unit, higher_is_better=True),)


SHAPES = (
    PoolShape(
        "pool_submit",
        "submitted one by one, then gathered",
        _rate("tasks/s"),
        "submit",
        _measurer(_submit, 100_000),
    ),
    PoolShape(
        "pool_stream",
        "streamed, results taken one by one in any order",
        _rate("items/s"),
        "stream",
        _measurer(_stream, 200_000),
    ),
    PoolShape("pool_map", "map of small ints", _rate("items/s"), "map", _measurer(_map, 1_000_000)),
)
