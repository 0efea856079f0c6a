"""A worker is killed in one of 200 small tasks: when does the caller learn it, and which other results are lost?

The task notes the time right before it kills its process. A caller that hears nothing for `PATIENCE_S` is hung.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.rivals.pools import OpenPool
from benchmarks.shapes import Hang, Metric
from benchmarks.shapes.pool import PoolShape
from benchmarks.tasks import die, spin

TASKS = 200
VICTIM = 100
TASK_NS = 1_000_000
PATIENCE_S = 5.0

_TIMEOUTS = (TimeoutError, multiprocessing.TimeoutError)


def _measure(pool: OpenPool, quick: bool) -> dict[str, float]:  # noqa: ARG001 - one size for both
    _ = pool.gather(spin, [TASK_NS] * 20)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "stamp"
        waits = [
            pool.submit(die, str(path)) if number == VICTIM else pool.submit(spin, TASK_NS)
            for number in range(TASKS)
        ]
        heard = _when_it_fails(waits.pop(VICTIM))
        killed = int(path.read_text())
    return {"error_s": (heard - killed) / 1e9, "lost": _lost(waits)}


def _when_it_fails(wait: Callable[[float], Any]) -> int:
    try:
        wait(PATIENCE_S)
    except _TIMEOUTS:
        raise Hang(f"no error after {PATIENCE_S:g} s") from None
    except Exception:
        return time.monotonic_ns()
    raise RuntimeError("the task that was killed has a result")


def _lost(waits: list[Callable[[float], Any]]) -> int:
    """How many have no result, by an error or within the patience."""
    deadline, lost = time.monotonic() + PATIENCE_S, 0
    for wait in waits:
        try:
            wait(max(deadline - time.monotonic(), 0))
        except Exception:
            lost += 1
    return lost


METRICS = (
    Metric("until the error", "error_s", "s", higher_is_better=False),
    Metric("other results lost", "lost", "", higher_is_better=False),
)
SHAPES = (
    PoolShape("pool_death", f"a worker killed in one of {TASKS} tasks of 1 ms", METRICS, "death", _measure),
)
