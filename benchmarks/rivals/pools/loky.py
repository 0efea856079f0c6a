"""loky: an executor whose workers are started anew instead of forked, kept and reused by whoever asks next."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.rivals import Variant
from benchmarks.rivals.pools import DEFAULTS, WORKERS, PoolRival, Use, chunked, chunksize_of
from benchmarks.rivals.pools.families import ExecutorLike

#: Its users seldom close it: what they call a second pool is the first one.
KEPT = Variant("first one kept", "the first was never closed: no second pool", extra=True)


class LokyExecutor(ExecutorLike):
    """Its reusable executor."""

    def __init__(self, executor: Any, variant: str) -> None:
        super().__init__(executor, chunksize_of(variant))
        self.kept = variant == KEPT.name

    def terminate(self) -> None:
        """``shutdown`` with its workers, unless the next user shall have them."""
        if not self.kept:
            self.executor.shutdown(wait=True, kill_workers=True)


class Loky(PoolRival):
    """https://github.com/joblib/loky."""

    name = package = "loky"

    def variants(self, use: Use) -> tuple[Variant, ...]:
        """Its defaults; its ``map`` with chunks, and the executor that is kept, as extras."""
        extras = {"stream": (chunked(1000),), "map": (chunked(10_000),), "second": (KEPT,)}
        return DEFAULTS, *extras.get(use, ())

    def open(self, use: Use, variant: str) -> LokyExecutor:  # noqa: ARG002 - the protocol
        """What its documentation recommends."""
        return LokyExecutor(self.imports().get_reusable_executor(max_workers=WORKERS), variant)

    def sweep(self, pid: int) -> None:
        """Remove the names of a killed measurement's semaphores."""
        sweep_semaphores(pid)


def sweep_semaphores(pid: int) -> None:
    """Remove the names that loky's semaphores have in the system."""
    for path in Path("/dev/shm").glob(f"sem.loky-{pid}-*"):
        with suppress(OSError):
            path.unlink()


RIVAL = Loky()
