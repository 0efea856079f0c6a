"""What a worker is before its first task: its surroundings, its initializer, its finalizer."""

from __future__ import annotations

import _pickle as pickle
import os
import sys

from manyhands import byvalue, config

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: What numeric libraries read, when they are loaded, to choose how many threads they use.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS",
            "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS", "RAYON_NUM_THREADS", "POLARS_MAX_THREADS")  # fmt: skip


class Setup:
    """How the workers of a pool are set up; travels to each of them. What the user gave is pickled on its own, so
    that it is unpickled when the surroundings are right."""

    def __init__(
        self, initializer: Callable[..., object] | None, initargs: tuple[Any, ...],
        finalizer: Callable[[], object] | None, cores_each: int,
    ) -> None:  # fmt: skip
        self.given = byvalue.dumps((initializer, initargs, finalizer))
        self.cores_each = cores_each

    def begin(self) -> Callable[[], object] | None:
        """In the worker: settle down and run the initializer. Returns the finalizer."""
        limit_threads(self.cores_each)
        initializer, initargs, finalizer = pickle.loads(self.given)
        if initializer is not None:
            initializer(*initargs)
        found: Callable[[], object] | None = finalizer
        return found


def limit_threads(cores: int) -> None:
    """Let numeric libraries use so many threads, unless the user has said otherwise; also those loaded already."""
    os.environ[config.CORES] = str(cores)
    for name in _THREADS:
        os.environ.setdefault(name, str(cores))
    if (
        "numpy" in sys.modules or "scipy" in sys.modules
    ):  # loaded before the fork: only threadpoolctl can tell them
        try:
            from threadpoolctl import threadpool_limits
        except ImportError:
            return
        threadpool_limits(cores)
