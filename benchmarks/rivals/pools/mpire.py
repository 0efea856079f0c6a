"""mpire: the names of multiprocessing.Pool, a queue a worker, chunks and a window of its own choosing."""

from __future__ import annotations

from benchmarks.rivals.pools import WORKERS, PoolRival, Use
from benchmarks.rivals.pools.families import PoolLike


class Mpire(PoolRival):
    """https://github.com/sybrenjansen/mpire. It chooses chunks for ``map`` and ``imap_unordered`` alike."""

    name = package = "mpire"

    def open(self, use: Use, variant: str) -> PoolLike:  # noqa: ARG002 - the protocol
        """A forked pool. `keep_alive`: without it each ``map`` would start and end the workers."""
        return PoolLike(self.imports().WorkerPool(n_jobs=WORKERS, keep_alive=True))


RIVAL = Mpire()
