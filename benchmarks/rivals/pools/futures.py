"""concurrent.futures.ProcessPoolExecutor: futures, a thread that feeds a short call queue, two locks."""

from __future__ import annotations

import multiprocessing

from benchmarks.rivals import Variant
from benchmarks.rivals.pools import DEFAULTS, WORKERS, PoolRival, Use, chunked, chunksize_of
from benchmarks.rivals.pools.families import ExecutorLike


class Futures(PoolRival):
    """The standard library's executor, forked."""

    name, package = "ProcessPoolExecutor", "concurrent.futures.process"

    def variants(self, use: Use) -> tuple[Variant, ...]:
        """Its defaults, which send items one by one; its ``map`` with chunks as an extra."""
        chunks = {"stream": (chunked(1000),), "map": (chunked(10_000),)}
        return DEFAULTS, *chunks.get(use, ())

    def open(self, use: Use, variant: str) -> ExecutorLike:  # noqa: ARG002 - the protocol
        """A forked executor."""
        context = multiprocessing.get_context("fork")
        executor = self.imports().ProcessPoolExecutor(WORKERS, mp_context=context)
        return ExecutorLike(executor, chunksize_of(variant))


RIVAL = Futures()
