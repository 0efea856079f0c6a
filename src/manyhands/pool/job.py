"""What becomes of a map: its results, gathered in order or streamed as they come.

A job is the owner of one source. The core delivers to it, under its lock; it says who is to be told, later.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from manyhands.pool.result import Announced, Result, settle

if TYPE_CHECKING:
    from manyhands.pool.core import Core
    from manyhands.scheduler.work import Source


class Progress(Protocol):
    """What `manyhands.observe.progress` makes."""

    def total(self, n: int | None) -> None:
        """Set the total; None when it is not known."""

    def advance(self, n: int = 1) -> None:
        """So many more are done."""

    def close(self) -> None:
        """It is over."""


class _Step:
    """So many more items are done: told to a progress bar."""

    def __init__(self, progress: Progress, n: int) -> None:
        self.progress, self.n = progress, n

    def announce(self) -> None:
        """Move the bar."""
        self.progress.advance(self.n)


class Job:
    """What the two kinds have in common."""

    source: Source

    def __init__(self, core: Core, progress: Progress | None) -> None:
        self._core = core
        self._progress = progress
        self.result: Result[Any] = Result(core)
        self.result.job = self

    def deliver(
        self, first: int, values: list[Any], errors: dict[int, BaseException] | None, known: int
    ) -> list[Announced]:
        """Items [first + known, first + len(values)) are done. Who is to be told?"""
        told = self._take(first, values, errors, known)
        if self._progress is not None:
            told.append(_Step(self._progress, len(values) - known))
        return told

    def _take(
        self, first: int, values: list[Any], errors: dict[int, BaseException] | None, known: int
    ) -> list[Announced]:
        raise NotImplementedError


class MapJob(Job):
    """A map whose results are wanted all together: `result` gets the list, or the first error in input order."""

    def __init__(self, core: Core, size: int, progress: Progress | None) -> None:
        super().__init__(core, progress)
        self.values: list[Any] = [None] * size
        self.left = size
        self.errors: dict[int, BaseException] = {}

    def _take(
        self, first: int, values: list[Any], errors: dict[int, BaseException] | None, known: int
    ) -> list[Announced]:
        fresh = values[known:] if known else values
        self.values[first + known : first + len(values)] = fresh
        for place, error in (errors or {}).items():
            if place >= known:
                self.errors[first + place] = error
        self.left -= len(fresh)
        return [] if self.left else self.finish()

    def finish(self) -> list[Announced]:
        """All is there."""
        self._core.forget(self)
        values, self.values = self.values, []
        if not self.errors:
            return [self.result] if settle(self.result, values) else []
        index = min(self.errors)
        error = self.errors.pop(index)
        if self.errors:
            error.add_note(f"[{len(self.errors)} other items of this map failed too]")
        self.errors = {}
        return [self.result] if settle(self.result, None, error) else []


class StreamJob(Job):
    """A map whose results are taken one by one. They arrive in pieces: (values, errors), in order or as they come."""

    def __init__(self, core: Core, ordered: bool, progress: Progress | None) -> None:
        super().__init__(core, progress)
        self.ordered = ordered
        self.pieces: deque[tuple[list[Any], dict[int, BaseException] | None]] = deque()
        self.early: dict[int, tuple[list[Any], dict[int, BaseException] | None]] = {}
        self.next_index = 0  # of the first item that has not gone into `pieces`
        self.changed = threading.Condition()

    def _take(
        self, first: int, values: list[Any], errors: dict[int, BaseException] | None, known: int
    ) -> list[Announced]:
        if known:
            values = values[known:]
            errors = (
                {place - known: error for place, error in errors.items() if place >= known}
                if errors
                else None
            )
        piece = (values, errors)
        if not self.ordered:
            self.pieces.append(piece)
            return [self]
        self.early[first + known] = piece
        while (ready := self.early.pop(self.next_index, None)) is not None:
            self.pieces.append(ready)
            self.next_index += len(ready[0])
        return [self]

    def announce(self) -> None:
        """Wake whoever waits for the next piece while another thread leads."""
        with self.changed:
            self.changed.notify_all()

    def wait_elsewhere(self, is_done: Callable[[], bool]) -> Callable[[float | None], object]:
        """For `Core.drive_until`."""

        def wait(left: float | None) -> None:
            with self.changed:
                if not is_done():
                    self.changed.wait(left)

        return wait
