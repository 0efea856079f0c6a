"""pebble: a pool that knows which worker has which task and can stop it; threads that poll every 0.1 s."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from benchmarks.rivals import Variant
from benchmarks.rivals.pools import DEFAULTS, WORKERS, PoolRival, Task, Use, chunked, chunksize_of
from benchmarks.rivals.pools.families import FutureLike


class PebblePool(FutureLike):
    """Its ProcessPool."""

    def __init__(self, pool: Any, chunksize: int | None) -> None:
        self.pool = pool
        super().__init__(pool.schedule, chunksize)

    def results(self, task: Task, items: Iterable[Any], **chunks: int) -> Iterator[Any]:
        """``map``, whose result is an iterator."""
        return iter(self.pool.map(task, items, **chunks).result())

    def terminate(self) -> None:
        """``stop`` and ``join``."""
        self.pool.stop()
        self.pool.join()


class Pebble(PoolRival):
    """https://github.com/noxdafox/pebble."""

    name = package = "pebble"

    def variants(self, use: Use) -> tuple[Variant, ...]:
        """Its defaults, which send items one by one; its ``map`` with chunks as an extra."""
        return (DEFAULTS, chunked(1000)) if use in ("stream", "map") else (DEFAULTS,)

    def open(self, use: Use, variant: str) -> PebblePool:  # noqa: ARG002 - the protocol
        """A pool with its default context, fork."""
        return PebblePool(self.imports().ProcessPool(max_workers=WORKERS), chunksize_of(variant))


RIVAL = Pebble()
