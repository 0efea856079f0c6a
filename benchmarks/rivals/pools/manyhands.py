"""manyhands.Pool, by the methods that it shares with multiprocessing.Pool, with its defaults.

Arrays born in shared memory (`manyhands.empty`) are an extra row: a user must ask for them.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from benchmarks import tasks
from benchmarks.rivals import Variant
from benchmarks.rivals.pools import DEFAULTS, WORKERS, PoolRival, Use, chunked, chunksize_of
from benchmarks.rivals.pools.families import PoolLike

_BORN_SHARED = Variant("mh.empty", "arrays born in shared memory", extra=True)


class Manyhands(PoolRival):
    """The library that this repository makes."""

    name = package = "manyhands"
    ours = True

    def usable(self) -> str | None:
        """None when manyhands is installed and has a Pool."""
        missing = super().usable()
        if missing is None and "Pool" not in dir(import_module("manyhands")):
            return "no Pool yet"
        return missing

    def imports(self) -> Any:
        """The library, and the Pool that it loads at its first use."""
        library = super().imports()
        library.Pool  # noqa: B018 - the access loads it
        return library

    def variants(self, use: Use) -> tuple[Variant, ...]:
        """Its defaults; a chunk size and shared arrays as extras."""
        extras = {
            "stream": (chunked(1000),),
            "argument": (_BORN_SHARED,),
            "result": (_BORN_SHARED,),
        }
        return DEFAULTS, *extras.get(use, ())

    def open(self, use: Use, variant: str) -> PoolLike:  # noqa: ARG002 - the protocol
        """A pool with the default start method."""
        pool = PoolLike(self.imports().Pool(processes=WORKERS), chunksize_of(variant))
        if variant == _BORN_SHARED.name:
            pool.array, pool.result_task = tasks.shared_array, tasks.kept_shared_array
        return pool


RIVAL = Manyhands()
