"""The bell of an exchange, lent to an asyncio loop. Part of the actor room.

Answers ring a bell (an eventfd), and the supervisor's thread hears it. Tasks that wait for them would then be woken by
way of two threads; so while the tasks of one loop are all who wait, that loop hears the bell and takes the turn.

Always true:

1. It is lent when a task of the loop goes to sleep and nobody else waits, and taken back as soon as somebody comes to
   wait in another way: a loop that is busy, or was closed, delays its own tasks at most.
2. Deaths, deadlines and closing never come by the bell: they wake the supervisor in every case.
3. The loop listens on a descriptor of its own, which is closed where the loop has let go of it: it is never another's.

Threads: under the exchange's lock; `lend` in the loop's own.
"""

from __future__ import annotations

import contextlib
import os
import sys
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from manyhands.actor.protocol import Hands

if TYPE_CHECKING:
    import asyncio


class Ear:
    """See the module. `hear`: what the loop calls when the bell rings."""

    def __init__(self, hands: Hands, hear: Callable[[], None]) -> None:
        self._hands, self._hear = hands, hear
        self._copy: _Copy | None = _Copy(hands.bell_fd)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_due = False  # the loop has been told to take another turn

    @property
    def is_lent(self) -> bool:
        """Does a loop hear it?"""
        return self._loop is not None

    def is_lent_to(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Does this one?"""
        return self._loop is loop

    def is_lost(self) -> bool:
        """Was it lent to a loop that is closed?"""
        return self._loop is not None and self._loop.is_closed()

    def lend(self, loop: asyncio.AbstractEventLoop) -> bool:
        """To this loop, which runs. False: there is no descriptor for that, or it has no readers."""
        try:
            self._copy = copy = self._copy or _Copy(self._hands.bell_fd)
            loop.add_reader(copy.fd, self._hear)
        except (OSError, NotImplementedError):
            return False
        self._is_due = False
        self._loop = loop
        self._hands.lend_bell(True)
        return True

    def take_back(self) -> None:
        """The supervisor is to hear it again."""
        loop, copy = self._loop, self._copy
        if loop is None or copy is None:
            return
        self._hands.lend_bell(
            False
        )  # first: an interrupt may come after each of these, and somebody is to hear
        self._loop = None
        if is_running(loop):
            loop.remove_reader(copy.fd)
            return
        self._copy = None  # the loop's, until it has let go of it, or is closed
        with contextlib.suppress(RuntimeError):  # it is closed, and listens to nothing any more
            loop.call_soon_threadsafe(_let_go, loop, copy)

    def close(self) -> None:
        """Nobody is to hear anything any more."""
        self.take_back()
        if self._copy is not None:
            self._copy.close()
            self._copy = None

    def again(self) -> bool:
        """There is more than was heard: the loop is to take another turn. False: none listens in this thread."""
        loop = self._loop
        if loop is None or not is_running(loop):
            return False
        if not self._is_due:
            self._is_due = True
            loop.call_soon(self._hear)
        return True

    def silence(self) -> None:
        """It has rung, and that was heard."""
        self._is_due = False
        copy = self._copy
        if copy is not None and copy.close.alive:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(copy.fd)


class _Copy:
    """A descriptor of a loop's own for the bell. `close` closes it, once; so does forgetting it, as a loop does that is
    closed before it has let go."""

    def __init__(self, bell_fd: int) -> None:
        self.fd = os.dup(bell_fd)
        self.close = weakref.finalize(self, os.close, self.fd)
        self.close.atexit = False


def is_running(loop: asyncio.AbstractEventLoop) -> bool:
    """Is this its thread? (There is no loop without its module.)"""
    return sys.modules["asyncio"]._get_running_loop() is loop


def _let_go(loop: asyncio.AbstractEventLoop, copy: _Copy) -> None:
    loop.remove_reader(copy.fd)
    copy.close()
