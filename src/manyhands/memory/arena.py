"""The arena of this process's family: made or received once, found by those who need it.

A family is a process with all that it starts through manyhands. Its first member makes the arena, the others are
given its descriptor when they start (`give`, `received.take`; the process room carries it), so that every member can
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
import select
import threading
from weakref import WeakValueDictionary

from manyhands import _native, config
from manyhands._native import Arena, Block
from manyhands.errors import DescriptorLostError, OutOfMemoryError
from manyhands.memory import received


class _Family:
    """What this process knows of arenas. One instance; it is the room's only state."""

    def __init__(self) -> None:
        self.lock = (
            threading.RLock()
        )  # a signal handler or a finalizer may come here while its thread is here
        self.own: Arena | None = None
        self.strangers: dict[int, Arena] = {}
        self.held: WeakValueDictionary[int, Block] = WeakValueDictionary()

    def arena(self) -> Arena:
        with self.lock:
            if self.own is None:
                self.own = self._received() or Arena.create(config.arena_bytes(), config.arena_budget_bytes())
            return self.own

    def _received(self) -> Arena | None:
        fd = received.pop()
        if fd is None:
            return None
        try:
            return Arena.attach(fd, config.arena_budget_bytes())
        except BaseException:
            received.take(fd)
            raise


_family = _Family()


class _Witnesses:
    """Which forks' children may still see blocks that this process held then.

    A witness is a pipe that the child inherits: when its write end is closed everywhere, the child and all that it
    forked have ended, or are other programs now. Without a descriptor for one, its fork counts as living for ever.
    """

    def __init__(self) -> None:
        self.ends: dict[int, int] = {}  # fork -> read end, or -1
        self.write: int | None = None

    def before(self) -> None:
        if not _native.holds():
            return
        fork = _native.note_fork()
        try:
            self.ends[fork], self.write = os.pipe2(os.O_CLOEXEC)
        except OSError:
            self.ends[fork] = -1

    def in_parent(self) -> None:
        if self.write is not None:
            os.close(self.write)
        self.write = None

    def in_child(self) -> None:
        """Keep the write end open for life; the others are the parent's."""
        for end in self.ends.values():
            if end >= 0:
                os.close(end)
        self.ends, self.write = {}, None

    def release(self) -> None:
        """End the holds that no child sees any more."""
        for fork, end in list(self.ends.items()):
            if end >= 0 and _is_closed(end):
                os.close(self.ends.pop(fork))
        _native.release_pinned(tuple(self.ends))


def _is_closed(read_end: int) -> bool:
    poll = select.poll()
    poll.register(read_end, 0)
    return bool(poll.poll(0))


_witnesses = _Witnesses()


def _after_fork_in_child() -> None:
    _family.lock = threading.RLock()  # another thread of the parent may have held it
    _family.held = WeakValueDictionary()  # these are the parent's holds
    _witnesses.in_child()


os.register_at_fork(
    before=_witnesses.before, after_in_parent=_witnesses.in_parent, after_in_child=_after_fork_in_child
)


def prepare_fork() -> None:
    """The child will belong to the family: without an arena now it would begin one of its own."""
    with contextlib.suppress(OutOfMemoryError, OSError):
        family()


def alloc(size_bytes: int) -> Block:
    """A fresh block of the family's arena. Raises `OutOfMemoryError` when the system refuses it."""
    if _witnesses.ends:
        _witnesses.release()
    return family().alloc(size_bytes)


def statistics() -> dict[str, int]:
    """What this process has leased, given to others and keeps warm: bytes, and the number of blocks."""
    _witnesses.release()
    return family().statistics()


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


def reclaim(_pid: int) -> None:
    """A process died: free the blocks that it held and the segments that it leased."""
    _witnesses.release()
    if _family.own is not None:
        _family.own.reclaim()


def resolve(arena_id: int, keeper_pid: int, keeper_fd: int) -> Arena:
    """The arena of that id: the family's, or a stranger's, reached through the process that keeps it."""
    if _family.own is not None or received.is_there():
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
