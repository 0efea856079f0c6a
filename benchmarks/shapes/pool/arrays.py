"""Arrays of 100 MB, one at a time, to a task and back from one.

As an argument each array is new to the pool, so remembering the last ones helps nobody; it is made before the
clock runs and dropped after its task, as in a program that reads one block after the other. As a result it is the
worker's one array, marked anew each time; only those are timed that the worker has returned before, because
the first one has its making in it.
"""

from __future__ import annotations

import time
from typing import Any

from benchmarks.rivals.pools import OpenPool
from benchmarks.shapes import Metric
from benchmarks.shapes.pool import PoolShape, check
from benchmarks.tasks import ARRAY_BYTES, touch

METRICS = (Metric("rate", "bytes_per_s", "B/s", higher_is_better=True),)

#: Arrays sent before the clock counts, and then with it: full and quick.
COUNTS = {False: (2, 4), True: (1, 2)}


def _argument(pool: OpenPool, quick: bool) -> dict[str, float]:
    warm, timed = COUNTS[quick]
    call = pool.caller()
    times = [_send(call, pool.array(number)) for number in range(warm + timed)]
    return _rate(times[warm:])


def _send(call: Any, array: Any) -> float:
    expected = touch(array)
    began = time.perf_counter()
    found = call(touch, (array,))
    took = time.perf_counter() - began
    check(found, expected)
    return took


def _result(pool: OpenPool, quick: bool) -> dict[str, float]:
    warm, timed = COUNTS[quick]
    call, times = pool.caller(), []
    for number in range(4 * (warm + timed)):
        began = time.perf_counter()
        array = call(pool.result_task, (number,))
        turn, mark = float(array[0]), float(array[-1])
        took = time.perf_counter() - began
        check(mark, number)
        if turn > warm:
            times.append(took)
        if len(times) == timed:
            return _rate(times)
    raise RuntimeError("the tasks went to ever new workers")


def _rate(times: list[float]) -> dict[str, float]:
    return {"bytes_per_s": ARRAY_BYTES * len(times) / sum(times), "arrays": len(times)}


SHAPES = (
    PoolShape("pool_array_argument", "float64 array of 100 MB to a task", METRICS, "argument", _argument),
    PoolShape("pool_array_result", "float64 array of 100 MB from a task", METRICS, "result", _result),
)
