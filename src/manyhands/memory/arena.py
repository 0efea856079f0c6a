"""The arena of this process's family: made or received once, found by those who need it.

A family is a process with all that it starts through manyhands. Its first member makes the arena, the others are
given its descriptor when they start (`give`, `take`; the process room carries it over), so that every member can
read every block, whoever of them is still alive. A process that was started by other means has a family of its
own; an item from another family names the process that keeps its arena, and is found through that (`resolve`).

Always true:

1. Nothing is mapped and no memory is used before the first large object, or the first start of a process.
2. A forked child goes on with its parent's arena.

Threads: any.
"""

from __future__ import annotations

import contextlib
import os
import threading
from weakref import WeakValueDictionary

from manyhands import config
from manyhands._native import Arena, Block
from manyhands.errors import DescriptorLostError, OutOfMemoryError


class _Family:
    """What this process knows of arenas. One instance; it is the room's only state."""

    def __init__(self) -> None:
        self.lock = (
            threading.RLock()
        )  # a signal handler or a finalizer may come here while its thread is here
        self.own: Arena | None = None
        self.received_fd: int | None = None
        self.strangers: dict[int, Arena] = {}
        self.held: WeakValueDictionary[int, Block] = WeakValueDictionary()

    def arena(self) -> Arena:
        with self.lock:
            if self.own is None:
                self.own = self._received() or Arena.create(config.arena_bytes(), config.arena_budget_bytes())
            return self.own

    def _received(self) -> Arena | None:
        if self.received_fd is None:
            return None
        arena = Arena.attach(self.received_fd, config.arena_budget_bytes())
        self.received_fd = None
        return arena


_family = _Family()


def _after_fork_in_child() -> None:
    _family.lock = threading.RLock()  # another thread of the parent may have held it
    _family.held = WeakValueDictionary()  # these are the parent's holds


os.register_at_fork(after_in_child=_after_fork_in_child)


def prepare_fork() -> None:
    """The child will belong to the family: without an arena now it would begin one of its own."""
    with contextlib.suppress(OutOfMemoryError, OSError):
        family()


def family() -> Arena:
    """The arena of this process's family, made or mapped now if need be. `OutOfMemoryError` if it is refused."""
    return _family.arena()


def hold(number: int) -> Block:
    """This process's hold of a shared block of the family: one, however many views there are."""
    with _family.lock:
        block = _family.held.get(number)
    if block is None:
        block = family().hold(number)
        with _family.lock:
            _family.held[number] = block
    return block


def give() -> int:
    """The descriptor that a starting process must get."""
    return family().fd


def take(fd: int) -> None:
    """In a starting process: this is the family's arena. It is mapped at the first need."""
    _family.own, _family.received_fd = None, fd


def reclaim(_pid: int) -> None:
    """A process died: free the blocks that it held and the segments that it leased."""
    if _family.own is not None:
        _family.own.reclaim()


def resolve(arena_id: int, keeper_pid: int, keeper_fd: int) -> Arena:
    """The arena of that id: the family's, or a stranger's, reached through the process that keeps it."""
    if _family.own is not None or _family.received_fd is not None:
        own = family()
        if own.id == arena_id:
            return own
    found = _family.strangers.get(arena_id)
    if found is None:
        found = _family.strangers[arena_id] = _attach_stranger(keeper_pid, keeper_fd)
    return found


def _attach_stranger(pid: int, fd: int) -> Arena:
    path = f"/proc/{pid}/fd/{fd}"
    try:
        new = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError, ProcessLookupError) as error:
        raise DescriptorLostError(
            f"this item's memory belongs to process {pid} and its children, which was not started by manyhands "
            f"from here, and it has ended ({path}: {error.strerror}); keep it alive until the item is received"
        ) from error
    try:
        return Arena.attach(new, config.arena_budget_bytes())
    except BaseException:
        os.close(new)
        raise
