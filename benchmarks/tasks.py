"""What the workers of a pool are asked to do. A module of its own, because workers import it by name."""

from __future__ import annotations

import os
import signal
import time
from functools import cache
from typing import Any

from benchmarks.stamp import stamp

#: 100 MB as float64.
ARRAY_ITEMS = 12_500_000
ARRAY_BYTES = 8 * ARRAY_ITEMS


def echo(x: Any) -> Any:
    """No work at all; what comes back shows that it ran."""
    return x


def spin(task_ns: int) -> int:
    """Keep a core busy for so long, by the thread's own CPU time; return how much it really was.

    So being preempted is not work done; and one look at that clock takes about half a microsecond.
    """
    began = time.thread_time_ns()
    while (used := time.thread_time_ns() - began) < task_ns:
        pass
    return used


def die(path: str) -> None:
    """Note the time, then go the way of a worker that the kernel kills for its memory."""
    stamp(path)
    os.kill(os.getpid(), signal.SIGKILL)


def new_array(number: int) -> Any:
    """An array that holds its number everywhere, every page of it touched."""
    import numpy as np

    return np.full(ARRAY_ITEMS, float(number))


def shared_array(number: int) -> Any:
    """The same, born in manyhands' shared memory."""
    from manyhands import empty

    array = empty(ARRAY_ITEMS, "float64")
    array[:] = number
    return array


def touch(array: Any) -> float:
    """Use two elements of an argument."""
    return float(array[0] + array[-1])


@cache
def _kept(shared: bool) -> Any:
    return shared_array(0) if shared else new_array(0)


def kept_array(number: int, shared: bool = False) -> Any:
    """This worker's one array, marked: how often it has been returned, …, the number that was asked for."""
    array = _kept(shared)
    array[0] += 1
    array[-1] = number
    return array


def kept_shared_array(number: int) -> Any:
    """The same out of manyhands' shared memory."""
    return kept_array(number, shared=True)
