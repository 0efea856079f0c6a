"""The contestants among pools: one file each, one small protocol.

A rival is a module-level object derived from `PoolRival`:

- ``usable()`` says in a few words why it cannot run here, or returns None when it can. It imports nothing of
  the rival: what a parent has imported is what a fork copies, and only the measured library shall be in there;
- ``imports()`` imports it as its users' programs do, before any clock starts;
- ``variants(use)`` lists the settings worth measuring for a use; none when it has no way to do such a thing;
- ``open(use, variant)`` makes a pool of `WORKERS` workers, as an `OpenPool`;
- ``sweep(pid)`` removes what a killed measurement of that process id left behind in the system.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

from benchmarks import tasks
from benchmarks.rivals import Variant

WORKERS = 2

#: What a pool is used for. Each shape has one; the settings of a rival depend on it.
Use = Literal[
    "call", "submit", "stream", "map", "work", "argument", "result", "first", "second", "memory", "death"
]

Task = Callable[..., Any]

DEFAULTS = Variant("defaults", "as its users write it")


class OpenPool:
    """A running pool. Each method is the rival's own way to do the thing, with no more in between than a call."""

    #: Makes the array that is sent, and the task that returns one.
    array: Callable[[int], Any] = staticmethod(tasks.new_array)
    result_task: Task = staticmethod(tasks.kept_array)

    def caller(self) -> Callable[[Task, tuple[Any, ...]], Any]:
        """The call that runs one task and waits for its result."""
        raise NotImplementedError

    def gather(self, task: Task, items: Iterable[Any]) -> list[Any]:
        """Submit all, one by one, then collect all."""
        raise NotImplementedError

    def stream(self, task: Task, items: Iterable[Any]) -> Iterator[Any]:
        """Results as they come, in any order."""
        raise NotImplementedError

    def map(self, task: Task, items: Sequence[Any]) -> Sequence[Any]:
        """All results, in order."""
        raise NotImplementedError

    def submit(self, task: Task, item: Any) -> Callable[[float], Any]:
        """Start one task; return the call that waits so many seconds for its result, or raises."""
        raise NotImplementedError

    def terminate(self) -> None:
        """End it at once, wanted results or not."""
        raise NotImplementedError


class PoolRival:
    """See the module's docstring."""

    name = package = ""
    ours = False

    def usable(self) -> str | None:
        """None when the package is there, else why not."""
        return None if find_spec(self.package) else "not installed"

    def imports(self) -> Any:
        """Import and return the library."""
        return import_module(self.package)

    def variants(self, use: Use) -> tuple[Variant, ...]:  # noqa: ARG002 - the protocol
        """Its defaults, if nothing else is known."""
        return (DEFAULTS,)

    def open(self, use: Use, variant: str) -> OpenPool:
        """A pool for this use with the settings of the variant."""
        raise NotImplementedError

    def sweep(self, pid: int) -> None:
        """Nothing is left behind under a name."""


def chunked(chunksize: int) -> Variant:
    """The extra variant with a chunk size given by hand."""
    return Variant(f"chunksize={chunksize}", "found by trying powers of ten", extra=True)


def chunksize_of(variant: str) -> int | None:
    """The chunk size that a variant's name gives, if it gives one."""
    _, given, chunksize = variant.partition("chunksize=")
    return int(chunksize) if given else None


_MODULES = ("manyhands", "stdlib", "futures", "loky", "pebble", "mpire", "joblib")


def load() -> dict[str, PoolRival]:
    """Every pool by its name, ours first."""
    rivals = [import_module(f"benchmarks.rivals.pools.{module}").RIVAL for module in _MODULES]
    return {rival.name: rival for rival in rivals}
