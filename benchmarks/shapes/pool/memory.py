"""How much the parent grows while an input far too long to be held is streamed.

The input is a generator of ten million ints. It ends early when the time is up, so that a slow pool is judged by
what it had swallowed until then. Less than 1 MiB counts as 1 MiB: that is the allocator's, not the pool's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

from benchmarks.payloads import MIB
from benchmarks.rivals.pools import OpenPool
from benchmarks.shapes import Metric
from benchmarks.shapes.pool import PoolShape
from benchmarks.tasks import echo

#: Items and seconds: full and quick.
LIMITS = {False: (10_000_000, 3.0), True: (300_000, 1.5)}


def _measure(pool: OpenPool, quick: bool) -> dict[str, float]:
    items, limit_s = LIMITS[quick]
    _take(pool, iter(range(1000)), time.monotonic() + limit_s)
    _reset_peak()
    before = _peak_bytes()
    deadline = time.monotonic() + limit_s
    given = count()
    taken = _take(pool, _until(deadline, items, given), deadline)
    growth = _peak_bytes() - before
    return {"growth_bytes": max(growth, MIB), "taken": taken, "given": next(given)}


def _until(deadline: float, items: int, given: Iterator[int]) -> Iterator[int]:
    for item in range(items):
        if time.monotonic() > deadline:
            return
        next(given)
        yield item


def _take(pool: OpenPool, items: Iterator[int], deadline: float) -> int:
    taken = 0
    for _ in pool.stream(echo, items):
        taken += 1
        if time.monotonic() > deadline:
            break
    return taken


def _reset_peak() -> None:
    """Make the peak of the resident set what it is now, where the kernel lets us; else it is what it was."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


METRICS = (Metric("growth of the parent", "growth_bytes", "B", higher_is_better=False),)
SHAPES = (
    PoolShape("pool_memory", "ten million items streamed from a generator", METRICS, "memory", _measure),
)
