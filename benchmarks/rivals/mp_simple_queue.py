"""multiprocessing.SimpleQueue: a pipe and two locks, no thread. It has no settings."""

from __future__ import annotations

import multiprocessing

from benchmarks.payloads import Payload
from benchmarks.rivals import ForkingRival, Line, Variant


class MpSimpleQueue(ForkingRival):
    """The standard library's simplest queue."""

    name, package = "mp.SimpleQueue", "multiprocessing"

    def variants(self, payload: Payload) -> tuple[Variant, ...]:  # noqa: ARG002 - the protocol
        """It has no settings."""
        return (Variant("SimpleQueue", "no settings"),)

    def open(self, payload: Payload, variant: str) -> Line:  # noqa: ARG002 - the protocol
        """The only kind there is."""
        return Line(multiprocessing.get_context("fork").SimpleQueue())


RIVAL = MpSimpleQueue()
