"""multiprocessing.Queue: a pipe, two locks, and a feeder thread in each process that puts."""

from __future__ import annotations

import multiprocessing

from benchmarks.payloads import Payload
from benchmarks.rivals import ForkingRival, Line, Variant


class MpQueue(ForkingRival):
    """The standard library's queue, with its defaults."""

    name, package = "mp.Queue", "multiprocessing"

    def variants(self, payload: Payload) -> tuple[Variant, ...]:  # noqa: ARG002 - the protocol
        """Unbounded."""
        return (Variant("Queue", "maxsize=0, its default: bounds were no faster"),)

    def open(self, payload: Payload, variant: str) -> Line:  # noqa: ARG002 - the protocol
        """An unbounded queue."""
        return Line(multiprocessing.get_context("fork").Queue())


RIVAL = MpQueue()
