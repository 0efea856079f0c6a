"""The seam between what users hold and what carries it: a small protocol. Floor 0.

`Channel` is what `manyhands.channel` needs of a ring. The native ring (`manyhands._native.Ring`) is one
implementation; a portable one, over the pipes of ``multiprocessing.connection`` for machines without the native
core, will be another. ``tests/contract`` holds every implementation to the same behaviour.
"""

from __future__ import annotations

from typing import Any, Protocol


class Channel(Protocol):
    """Messages from any process to any process, in order, each to one reader.

    Time-outs are seconds; None waits for ever and 0 does not wait. Every wait is interrupted by signals with Python
    handlers and by ``close`` in another thread. No room raises `queue.Full`, no message `queue.Empty`, a
    closed channel `manyhands.errors.ClosedResourceError`.
    """

    @property
    def unread(self) -> int:
        """How many messages wait; exact at the instant it looks."""

    @property
    def max_items(self) -> int:
        """How many may wait before writers wait; 0: no limit."""

    @property
    def closed(self) -> bool:
        """Was it closed in this process?"""

    def put(self, obj: object, timeout: float | None, /) -> bool:
        """Send a plain object (None, bool, int, float, short bytes and str). False: not plain, nothing was done."""

    def queue_put(self, obj: object, block: bool = True, timeout: float | None = None) -> None:
        """Send any object: what ``Queue.put`` is."""

    def queue_get(self, block: bool = True, timeout: float | None = None) -> Any:
        """What ``Queue.get`` is."""

    def put_plain(self, items: list[Any], start: int, /) -> int:
        """Send ``items[start:]`` without waiting, up to the first that is not plain or finds no room: how many."""

    def send(self, kind: int, parts: tuple[Any, ...], heavy: int, timeout: float | None, /) -> bool:
        """Send a message of `kind` made of buffers; `heavy` bytes of it lie elsewhere."""

    def get(self, timeout: float | None, /) -> Any:
        """Take the next message and decode it. One that cannot be decoded is taken, and raises."""

    def get_many(self, most: int, timeout: float | None, /) -> list[Any]:
        """Wait for one message, then take what is there, up to `most`."""

    def wait(self, timeout: float | None, /) -> bool:
        """Wait until there is a message; is there one?"""

    def done(self) -> None:
        """One more message is dealt with. `ValueError` when more than were sent."""

    def join(self, timeout: float | None, /) -> bool:
        """Wait until all are dealt with; were they in time?"""

    def close(self) -> None:
        """Let go; threads of this process that wait inside get an error. The last holder frees what is unread."""
