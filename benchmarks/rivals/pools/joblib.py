"""joblib: `Parallel` over its copy of loky; batches by measured time, arrays by files in /dev/shm.

It has no call that submits one task and returns: a round trip is a `Parallel` of one task, and the shapes that
submit go without it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import tasks
from benchmarks.rivals import Variant
from benchmarks.rivals.pools import DEFAULTS, WORKERS, OpenPool, PoolRival, Task, Use
from benchmarks.rivals.pools.loky import KEPT, sweep_semaphores

_NO_FILES = Variant("max_nbytes=None", "arrays pickled instead of put into a file")
_SAME_AGAIN = Variant("same array again", "an array that it has a file of already", extra=True)
_VARIANTS: dict[Use, tuple[Variant, ...]] = {
    "argument": (DEFAULTS, _NO_FILES, _SAME_AGAIN),
    "second": (DEFAULTS, KEPT),
    "submit": (),
    "death": (),
}


class JoblibPool(OpenPool):
    """A `Parallel` as a context, so that its workers stay between calls."""

    def __init__(self, library: Any, use: Use, variant: str) -> None:
        self.library, self.kept = library, variant == KEPT.name
        settings: dict[str, Any] = {"max_nbytes": None} if variant == _NO_FILES.name else {}
        if use in ("stream", "memory"):
            settings["return_as"] = "generator_unordered"
        self.parallel = library.Parallel(n_jobs=WORKERS, **settings).__enter__()
        if variant == _SAME_AGAIN.name:
            same = tasks.new_array(0)
            self.array = lambda _: same

    def caller(self) -> Callable[[Task, tuple[Any, ...]], Any]:
        """A `Parallel` of one task."""
        parallel, delayed = self.parallel, self.library.delayed
        return lambda task, args: parallel([delayed(task)(*args)])[0]

    def stream(self, task: Task, items: Iterable[Any]) -> Iterator[Any]:
        """``return_as="generator_unordered"``."""
        delayed = self.library.delayed
        return iter(self.parallel(delayed(task)(item) for item in items))

    def map(self, task: Task, items: Sequence[Any]) -> Sequence[Any]:
        """A `Parallel` over all items, in batches of its own choosing."""
        delayed = self.library.delayed
        results: Sequence[Any] = self.parallel(delayed(task)(item) for item in items)
        return results

    def terminate(self) -> None:
        """Leave the context, which keeps the workers for the next one; then shut those down as well."""
        self.parallel.__exit__(None, None, None)
        if not self.kept:
            self.library.externals.loky.get_reusable_executor(reuse=True).shutdown(kill_workers=True)


class Joblib(PoolRival):
    """https://github.com/joblib/joblib, with its default backend."""

    name = package = "joblib"

    def variants(self, use: Use) -> tuple[Variant, ...]:
        """Its defaults; two ways to send an array; nothing where it would have to submit."""
        return _VARIANTS.get(use, (DEFAULTS,))

    def open(self, use: Use, variant: str) -> JoblibPool:
        """A context that has not started its workers yet."""
        return JoblibPool(self.imports(), use, variant)

    def sweep(self, pid: int) -> None:
        """Remove the files and semaphores of a killed measurement."""
        for path in Path("/dev/shm").glob(f"*joblib_memmapping_folder_{pid}_*"):
            shutil.rmtree(path, ignore_errors=True)
        sweep_semaphores(pid)


RIVAL = Joblib()
