"""manyhands: its own processes (the default start method) and its own Queue, unbounded by count.

`put_many`/`get_many` are an extra row: no rival is asked to compare one-by-one figures with it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from benchmarks.payloads import Payload
from benchmarks.rivals import Line, Variant
from benchmarks.rivals.batches import BATCH, BatchLine


def _library() -> Any:
    return import_module("manyhands")


class Manyhands:
    """The library that this repository makes."""

    name = package = "manyhands"
    ours = True

    def usable(self) -> str | None:
        """None when manyhands is installed and its native core works."""
        try:
            library = _library()
            library.Queue, library.Process  # noqa: B018 - public names load lazily
        except (ImportError, AttributeError) as error:
            return f"not usable ({error})"
        return None

    def variants(self, payload: Payload) -> tuple[Variant, ...]:
        """The plain Queue; batches for small items."""
        plain = Variant("Queue", "defaults")
        if payload.item_bytes > 4096:
            return (plain,)
        return plain, Variant("put_many", f"batches of {BATCH}", extra=True)

    def open(self, payload: Payload, variant: str) -> Line:  # noqa: ARG002 - the protocol
        """An unbounded queue."""
        queue = _library().Queue()
        return BatchLine(queue) if variant == "put_many" else Line(queue)

    def process(self, target: Callable[..., object], args: tuple[Any, ...]) -> Any:
        """A process by the default start method."""
        return _library().Process(target=target, args=args, daemon=True)

    def sweep(self, pid: int) -> None:
        """manyhands creates nothing under a name."""


RIVAL = Manyhands()
