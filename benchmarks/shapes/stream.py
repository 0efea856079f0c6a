"""The engine of most queue shapes: producers send a number of items, consumers take and use them.

Both ends are warm before the clock starts: the same calls have carried half as many items, which also
touches the pages of every ring. The clock starts when the first producer begins and stops when the consumer
has used the last item. The measuring process is the single end; the many ends (or the one producer) are its
children.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks import rivals
from benchmarks.control import Control, call
from benchmarks.payloads import Get, Payload
from benchmarks.rivals import Line, Rival
from benchmarks.shapes import Contestant, Metric

ITEMS = Metric("rate", "items_per_s", "items/s", higher_is_better=True)
BYTES = Metric("rate", "bytes_per_s", "B/s", higher_is_better=True)

#: What tells one of several consumers that there is no more. The payload of those shapes is ints from 0 up.
STOP = -1


def queue_contestants(payload: Payload, batches: bool = True) -> list[Contestant]:
    """Every variant of every rival for a payload; without the batching ones where those make no sense."""
    return [
        Contestant(rival.name, variant.name, rival.ours, variant.extra, rival.usable())
        for rival in rivals.load().values()
        for variant in rival.variants(payload)
        if batches or not variant.extra
    ]


@dataclass(frozen=True)
class Stream:
    """One producer or several, one consumer or several (never several of both)."""

    name: str
    title: str
    payload_name: str
    count: int
    producers: int = 1
    consumers: int = 1
    metrics: tuple[Metric, ...] = (ITEMS,)
    group: str = field(default="queue", init=False)

    @property
    def payload(self) -> Payload:
        """Looked up by name, because a shape travels to the processes it starts."""
        from benchmarks import payloads

        payload: Payload = getattr(payloads, self.payload_name)
        return payload

    def contestants(self) -> list[Contestant]:
        """Every variant of every rival; one by one only where several consumers share the queue."""
        return queue_contestants(self.payload, batches=self.consumers == 1)

    def run(self, contestant: Contestant, quick: bool) -> dict[str, float]:
        """Stream once and return the rates."""
        shape = replace(self, count=max(self.count // 4, 8)) if quick else self
        rival = rivals.load()[contestant.rival]
        line = rival.open(self.payload, contestant.variant)
        run = shape._run_consumers if self.consumers > 1 else shape._run_producers
        try:
            seconds = run(rival, line)
        finally:
            line.close()
        rate = shape.count / seconds
        return {"items_per_s": rate, "bytes_per_s": rate * self.payload.item_bytes, "seconds": seconds}

    @property
    def _share(self) -> int:
        return self.count // self.producers

    def _run_producers(self, rival: Rival, line: Line) -> float:
        """Children produce, this process consumes."""
        warm, share, everyone = self._share // 2, self._share, self.producers
        with Control() as control:
            children = _start(
                rival, everyone, _produce, (line, control.address, self.payload_name, warm, share)
            )
            control.accept(everyone)
            get, drain = line.getter(), self.payload.drain
            drain(get, warm * everyone)
            control.gather()
            control.go()
            total = drain(get, share * everyone)
            stopped = time.monotonic_ns()
            started = min(int(str(began)) for began in control.gather())
            _join(children)
        _check(total, self.payload.expected(share) * everyone)
        return (stopped - started) / 1e9

    def _run_consumers(self, rival: Rival, line: Line) -> float:
        """Children consume, this process produces."""
        warm, count, everyone = self.count // 2, self.count, self.consumers
        with Control() as control:
            children = _start(rival, everyone, _consume, (line, control.address))
            control.accept(everyone)
            send = line.sender()
            send(_with_stops(range(warm), everyone))
            control.gather()
            control.go()
            started = time.monotonic_ns()
            send(_with_stops(range(count), everyone))
            ends: list[Any] = control.gather()
            _join(children)
        _check(sum(total for total, _ in ends), self.payload.expected(count))
        return float(max(stopped for _, stopped in ends) - started) / 1e9


def _produce(line: Line, address: str, payload_name: str, warm: int, count: int) -> None:
    """A producer's whole life."""
    from benchmarks import payloads

    payload: Payload = getattr(payloads, payload_name)
    with call(address) as control:
        send = line.sender()
        send(payload.items(warm))
        items = payload.items(count)
        control.send("warm")
        control.recv()
        control.send(time.monotonic_ns())
        send(items)


def _consume(line: Line, address: str) -> None:
    """The whole life of one consumer among several."""
    with call(address) as control:
        get = line.getter()
        _drain_until_stop(get)
        control.send("warm")
        control.recv()
        total = _drain_until_stop(get)
        control.send((total, time.monotonic_ns()))


def _drain_until_stop(get: Get) -> int:
    total = 0
    while (item := get()) != STOP:
        total += item
    return total


def _with_stops(items: range, consumers: int) -> Iterable[int]:
    yield from items
    yield from [STOP] * consumers


def _start(rival: Rival, number: int, target: Callable[..., None], args: tuple[Any, ...]) -> list[Any]:
    children = [rival.process(target, args) for _ in range(number)]
    for child in children:
        child.start()
    return children


def _join(children: list[Any]) -> None:
    for child in children:
        child.join()
        if child.exitcode != 0:
            raise RuntimeError(f"a process of the measurement ended with {child.exitcode}")


def _check(total: float, expected: float) -> None:
    """Refuse the figure of a queue that lost or changed an item."""
    if total != expected:
        raise RuntimeError(f"wrong items arrived: total {total!r}, expected {expected!r}")
