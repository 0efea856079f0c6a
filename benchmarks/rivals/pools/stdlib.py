"""multiprocessing.Pool: one task queue and one result queue under locks, three threads in the parent."""

from __future__ import annotations

import multiprocessing

from benchmarks.rivals import Variant
from benchmarks.rivals.pools import DEFAULTS, WORKERS, PoolRival, Use, chunked, chunksize_of
from benchmarks.rivals.pools.families import PoolLike


class StdlibPool(PoolRival):
    """The standard library's pool, forked."""

    name, package = "mp.Pool", "multiprocessing.pool"

    def variants(self, use: Use) -> tuple[Variant, ...]:
        """Its defaults. Its ``map`` chooses a chunk size, its ``imap_unordered`` takes 1."""
        return (DEFAULTS, chunked(1000)) if use == "stream" else (DEFAULTS,)

    def open(self, use: Use, variant: str) -> PoolLike:  # noqa: ARG002 - the protocol
        """A forked pool."""
        return PoolLike(multiprocessing.get_context("fork").Pool(WORKERS), chunksize_of(variant))


RIVAL = StdlibPool()
