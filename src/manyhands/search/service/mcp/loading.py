"""The tree of the session: read in a thread while the client already talks, followed from then on, closed at the end.

Always true:

1. Who asks before the tree is there waits for it, or is told how far it is.
2. `give_up` ends the reading at its next step, and leaves nothing of it.
3. What went wrong is kept as `error`, and ends the session.

Threads: the loop's; `_read` runs in another. Processes: one.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import anyio
import anyio.to_thread

import manyhands.search
from manyhands.errors import ManyhandsError
from manyhands.search.service.mcp.wire import tell


class _Unwanted(Exception):
    """Nobody waits for the tree any more."""


class StillLoadingError(ManyhandsError):
    """The tree is not there yet. `done` and `total` files have been read by now, as far as is known."""

    def __init__(self, done: int, total: int | None) -> None:
        super().__init__(done, total)
        self.done = done
        self.total = total

    def __str__(self) -> str:
        far = f"{self.done:,} of {self.total:,} files" if self.total else "not counted yet"
        return f"the files are still being read ({far}): ask again in a moment"


class Loading:
    """See the module."""

    def __init__(self, roots: Sequence[bytes], options: Mapping[str, Any]) -> None:
        self._roots, self._options = roots, options
        self._ready = anyio.Event()
        self._unwanted = threading.Event()
        self._shows = sys.stderr is not None and sys.stderr.isatty()
        self._far: tuple[int, int | None] = 0, None
        self._tree: Any = None
        self.error: BaseException | None = None

    async def run(self, session: anyio.CancelScope) -> None:
        """Read the files; when that fails, end the session."""
        try:
            self._tree = await anyio.to_thread.run_sync(self._read)
        except _Unwanted:
            return
        except Exception as error:
            self.error = error
            session.cancel()
        else:
            self._ready.set()

    async def tree(self, deadline_s: float) -> manyhands.search.Tree:
        """The tree, when it is there. Raises `StillLoadingError` when it is not by then."""
        with anyio.move_on_after(deadline_s):
            await self._ready.wait()
        if self._tree is None:
            raise StillLoadingError(*self._far)
        tree: manyhands.search.Tree = self._tree
        return tree

    def give_up(self) -> None:
        """Want it no more."""
        self._unwanted.set()

    def close(self) -> None:
        """End the tree, if there is one."""
        if self._tree is not None:
            self._tree.close()

    def _read(self) -> Any:
        first, *others = self._roots
        options = dict(self._options) | {"watch": True, "progress": self._advance}
        try:
            return manyhands.search.open(first, *others, **options)
        finally:
            self._show("\n")

    def _advance(self, done: int, total: int | None) -> None:
        """Called as files are read; what it raises ends the reading."""
        if self._unwanted.is_set():
            raise _Unwanted
        self._far = done, total
        self._show(f"\rmanyhands: {done:,} of {total or 0:,} files read")

    def _show(self, text: str) -> None:
        if self._shows:
            tell(text)
