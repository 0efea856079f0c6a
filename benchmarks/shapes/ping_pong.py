"""An int there and back through two queues, nobody else about: the latency of a message."""

from __future__ import annotations

import time
from typing import Any

from benchmarks import payloads, rivals
from benchmarks.payloads import Get
from benchmarks.rivals import Line, Put
from benchmarks.shapes import Contestant, Metric
from benchmarks.shapes.stream import STOP, queue_contestants


class PingPong:
    """Round trips, each timed."""

    name = "ping_pong"
    title = "an int there and back, 2 processes, 2 queues"
    group = "queue"
    metrics = (
        Metric("p50", "p50_s", "s", higher_is_better=False),
        Metric("p99", "p99_s", "s", higher_is_better=False),
    )

    def contestants(self) -> list[Contestant]:
        """Every rival, one by one."""
        return queue_contestants(payloads.INTS, batches=False)

    def run(self, contestant: Contestant, quick: bool) -> dict[str, float]:
        """Play and return the quantiles."""
        trips = 1500 if quick else 5000
        rival = rivals.load()[contestant.rival]
        there, back = (rival.open(payloads.INTS, contestant.variant) for _ in range(2))
        try:
            child = rival.process(_echo, (there, back))
            child.start()
            put, get = there.putter(), back.getter()
            _play(put, get, trips // 5)
            times = sorted(_play(put, get, trips))
            put(STOP)
            child.join()
        finally:
            there.close()
            back.close()
        return {"p50_s": times[trips // 2] / 1e9, "p99_s": times[trips * 99 // 100] / 1e9}


def _play(put: Put, get: Get, trips: int) -> list[int]:
    times = []
    for number in range(trips):
        began = time.perf_counter_ns()
        put(number)
        answer = get()
        times.append(time.perf_counter_ns() - began)
        if answer != number:
            raise RuntimeError(f"{answer!r} came back for {number!r}")
    return times


def _echo(there: Line, back: Line) -> None:
    get: Any = there.getter()
    put = back.putter()
    while (item := get()) != STOP:
        put(item)


SHAPES = (PingPong(),)
