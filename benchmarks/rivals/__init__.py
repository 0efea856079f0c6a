"""The contestants: one file each, one small protocol.

A rival is a module-level object that follows `Rival`:

- ``usable()`` says in a few words why it cannot run here, or returns None when it can;
- ``variants(payload)`` lists the settings worth measuring for this payload. All are measured; the report
  ranks a rival by its best one and shows the others as well;
- ``open(payload, variant)`` makes a queue, as a `Line` that can be an argument of a process;
- ``process(target, args)`` makes a process, not started, in the way its users would;
- ``sweep(pid)`` removes what a killed measurement of that process id left behind in the system.

A `Line` gives the calls that the measured loops use: they are bound once, before the clock starts, so that
nothing of this protocol stands between the loop and the library.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

from benchmarks.payloads import Get, Payload

Put = Callable[[Any], object]


@dataclass(frozen=True)
class Variant:
    """One way to use a rival. An `extra` one is shown but takes no part in the comparison."""

    name: str
    why: str
    extra: bool = False


class Line:
    """A queue between processes. This base class suits anything with `put` and `get`."""

    def __init__(self, queue: Any) -> None:
        self.queue = queue

    def putter(self) -> Put:
        """The call that puts one item."""
        put: Put = self.queue.put
        return put

    def getter(self) -> Get:
        """The call that waits for one item and returns it."""
        get: Get = self.queue.get
        return get

    def sender(self) -> Callable[[Iterable[Any]], None]:
        """The loop that puts every item of an iterable."""
        put = self.putter()

        def send(items: Iterable[Any]) -> None:
            for item in items:
                put(item)

        return send

    def close(self) -> None:
        """Free what the queue holds. The process that opened it calls this once, at the end."""


class Rival(Protocol):
    """See the module's docstring."""

    name: str
    package: str
    ours: bool

    def usable(self) -> str | None: ...
    def variants(self, payload: Payload) -> tuple[Variant, ...]: ...
    def open(self, payload: Payload, variant: str) -> Line: ...
    def process(self, target: Callable[..., object], args: tuple[Any, ...]) -> Any: ...
    def sweep(self, pid: int) -> None: ...


class ForkingRival:
    """What the rivals without processes of their own share: those of multiprocessing, forked."""

    name = package = ""
    ours = False

    def usable(self) -> str | None:
        """None when the package is there, else why not."""
        try:
            import_module(self.package.replace("-", "_"))
        except ImportError as error:
            return f"not installed ({error})"
        return None

    def process(self, target: Callable[..., object], args: tuple[Any, ...]) -> Any:
        """A forked process, the fastest to start and the only method that all of these support."""
        return multiprocessing.get_context("fork").Process(target=target, args=args, daemon=True)

    def sweep(self, pid: int) -> None:
        """Nothing is left behind under a name."""


_MODULES = ("manyhands", "mp_queue", "mp_simple_queue", "faster_fifo", "hyperq")


def load() -> dict[str, Rival]:
    """Every rival by its name, ours first."""
    rivals = [import_module(f"benchmarks.rivals.{module}").RIVAL for module in _MODULES]
    return {rival.name: rival for rival in rivals}


_PACKAGES = (
    "manyhands",
    "faster-fifo",
    "hyperq",
    "loky",
    "pebble",
    "mpire",
    "joblib",
    "numpy",
    "cloudpickle",
)


def versions() -> dict[str, str]:
    """The version of each library that takes part, for the record."""
    found: dict[str, str] = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
