"""Who is who: this process, its parent, its children, and how they end with it. Part of the process room.

Owns the set of started children that were not yet found dead, the numbers in the names of children, and the
end of children at the owner's exit.

Always true:

1. At exit of an owner, daemon children get SIGTERM, and SIGKILL `GRACE_S` seconds later; the others are
   joined. A child does the same with its own children, daemon or not.
2. A forked copy begins with no children.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import time

from manyhands.errors import UsageError
from manyhands.process import liveness, watch

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    from manyhands.process.handle import Process

#: How long daemon children may take to end after SIGTERM.
GRACE_S = 2.0


class ParentProcess:
    """The process that started this one. It cannot be signalled from here, only waited for."""

    def __init__(self, name: str, pid: int, sentinel: int) -> None:
        self.name = name
        self.pid = pid
        self.sentinel = sentinel  # its liveness pipe

    @property
    def ident(self) -> int:
        """Its pid."""
        return self.pid

    def is_alive(self) -> bool:
        """Does it still live? (True, practically: when it dies, this process is killed.)"""
        return not liveness.owner_is_gone(self.sentinel)

    def join(self, timeout: float | None = None) -> None:
        """Block until it has ended, at most `timeout` seconds."""
        watch.wait([self.sentinel], timeout)

    def __repr__(self) -> str:
        return f"<ParentProcess name={self.name!r} pid={self.pid}>"


class _Members:
    """The family as seen from one process."""

    def __init__(self) -> None:
        self.current: Process | None = None
        self.parent: ParentProcess | None = None
        self.children: set[Process] = set()
        self.numbers = itertools.count(1)


_members = _Members()


def current_process() -> Process:
    """The Process object of this process; that of the main program is named ``MainProcess``.

    >>> current_process().pid == os.getpid()
    True
    """
    if _members.current is None:
        from manyhands.process.handle import main_process

        _members.current = main_process()
    return _members.current


def is_current(process: Process) -> bool:
    """Is `process` the one we are in?"""
    return process is _members.current


def parent_process() -> ParentProcess | None:
    """The process that started this one, or None in the main program."""
    return _members.parent


def active_children() -> list[Process]:
    """The children that are alive. Joins those that have ended. Does not block."""
    for child in list(_members.children):
        child.is_alive()  # forgets it when it is dead
    return list(_members.children)


def next_identity() -> tuple[int, ...]:
    """The number of a new Process under the numbers of those above it."""
    return (*current_process()._identity, next(_members.numbers))


def born(child: Process) -> None:
    """A child was started."""
    _members.children.add(child)


def dead(child: Process) -> None:
    """A child was found dead."""
    _members.children.discard(child)


def enter(owner: tuple[str, int], sentinel: int) -> None:
    """In a new child: there is a parent, and no children yet."""
    global _members
    _members = _Members()
    _members.parent = ParentProcess(*owner, sentinel)


def become(process: Process) -> None:
    """In a new child: this is who we are."""
    _members.current = process


def end_children() -> None:
    """Terminate the daemon children and join the rest. Blocks until the last one is gone."""
    children = active_children()
    daemons = [child for child in children if child.daemon]
    closed = contextlib.suppress(UsageError)  # by another thread, meanwhile: then it has ended
    for child in daemons:
        with closed:
            child.terminate()
    deadline = time.monotonic() + GRACE_S
    for child in daemons:
        with closed:
            child.join(max(0.0, deadline - time.monotonic()))
            child.kill()
    for child in children:
        with closed:
            child.join()


def _forget_children() -> None:
    """In a bare fork: the children are the parent's."""
    _members.children = set()


os.register_at_fork(after_in_child=_forget_children)


def _at_exit(pid: int = os.getpid()) -> None:
    if os.getpid() != pid:  # a bare os.fork() of a user that runs to its end
        return
    end_children()
    from manyhands.process import connection

    connection.stop()


atexit.register(_at_exit)
