"""How pools and actors end that nobody ended: forgotten ones, and those that are open at the interpreter's exit."""

from __future__ import annotations

import atexit
import os
import warnings
import weakref
from typing import Protocol


class Core(Protocol):
    """What stands behind a user's pool or actors, and is to be ended."""

    open: bool

    @property
    def is_usable(self) -> bool:
        """Neither broken nor terminated."""

    def abandon(self) -> None:
        """Nobody holds it any more."""

    def end_at_exit(self, waits: bool, /) -> None:
        """The interpreter ends."""


_live: weakref.WeakKeyDictionary[Core, bool] = weakref.WeakKeyDictionary()


def remember(core: Core, waits: bool) -> None:
    """End it at exit: by waiting for its work, or at once."""
    _live[core] = waits
    # Functions run at exit in the opposite order: the pools' end comes before that of all that they stand on.
    atexit.unregister(_end_all)
    atexit.register(_end_all)


def abandon(core: Core, pid: int, kind: str) -> None:
    """The user's object is garbage. Runs wherever the collector runs, so it only leaves word."""
    if os.getpid() != pid:
        return
    if core.open and core.is_usable:
        warnings.warn(
            f"a manyhands.{kind} was forgotten while it was open: use it in a with statement, or terminate() it",
            ResourceWarning,
            stacklevel=2,
        )
    core.abandon()


def _in_child() -> None:
    """A forked copy of a pool is of no use: the workers are the parent's."""
    for core in list(_live):
        core.open = False


os.register_at_fork(after_in_child=_in_child)


def _end_all() -> None:
    for core, waits in list(_live.items()):
        core.end_at_exit(waits)
