"""Where an owner of processes waits: one ring that all of them answer by, their deaths, and a bell. Both the pool's
engine and the actors' hands are made of it.

Always true:

1. While somebody leads, answers ring no bell; while nobody does, each first one does.
2. A death that was noticed stays in `_dead` until it is buried.
3. The supervisor hears the bell, but for the time in which it is lent to somebody who listens to `bell_fd`; the alarm,
   which `wake` rings, it always hears.

Threads: `wait` is the leader's, `watch` the supervisor's; `nudge` and `wake` anybody's.
"""

from __future__ import annotations

import contextlib
import os
import select
from collections import deque
from collections.abc import Callable, Iterator
from queue import Empty, Full
from typing import Any, Generic, Protocol, TypeVar

from manyhands.channel.ring import RingHandle
from manyhands.engines.local import wire
from manyhands.errors import ClosedResourceError

_MANY = 256

#: A process that was stopped while it held the ring's lock lets nobody put anything: a nudge is given up then, and a
#: leader looks by itself so often whether it still has something to wait for.
_NUDGE_S, _LOOK_S = 0.05, 1.0


class Hand(Protocol):
    """One process, as its owner holds it."""

    process: Any


H = TypeVar("H", bound=Hand)


class Lookout(Generic[H]):
    """See the module."""

    def __init__(self, results: RingHandle) -> None:
        self._results = results
        self._bell = wire.Bell(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
        self._alarm_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll = select.epoll()
        self._epoll.register(self._bell.fd, select.EPOLLIN)
        self._epoll.register(self._alarm_fd, select.EPOLLIN)
        self._watched: dict[int, H] = {}
        self._dead: deque[H] = deque()
        results.native.want_bell(True)

    def _watch_over(self, hand: H) -> None:
        """Its process has been started: hear of its end."""
        self._watched[hand.process.sentinel] = hand
        self._epoll.register(hand.process.sentinel, select.EPOLLIN | select.EPOLLONESHOT)

    def _arrived(self) -> Iterator[tuple[int, Any]]:
        """The messages that are there, as (kind, buffer)."""
        ring = self._results.native
        while ring.unread:
            try:
                arrived = ring.get_many(_MANY, 0)
            except Empty:
                break
            yield from (message for message in arrived if message is not None)

    @property
    def pending(self) -> bool:
        """Is there a message, or a death?"""
        return self._results.native.unread > 0 or bool(self._dead)

    def lead(self, begins: bool) -> bool:
        """While somebody leads, results ring no bell."""
        try:
            return self._results.native.want_bell(not begins) > 0 or bool(self._dead)
        except ClosedResourceError:
            return False

    def wait(self, timeout: float | None) -> None:
        """Until there is a message, or for a moment."""
        self._results.native.wait(_LOOK_S if timeout is None else min(timeout, _LOOK_S))

    def watch(self, timeout: float | None) -> None:
        """Until a process ends, or the bell or the alarm rings."""
        for fd, _ in self._epoll.poll(timeout):
            if fd in (self._bell.fd, self._alarm_fd):
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(fd)
            elif (hand := self._watched.pop(fd, None)) is not None:
                self._dead.append(hand)

    def nudge(self) -> None:
        """An empty message."""
        with contextlib.suppress(Full):
            self._results.native.put(None, _NUDGE_S)

    def wake(self) -> None:
        """Ring the alarm."""
        with contextlib.suppress(OSError, ValueError):  # closed meanwhile: nobody sleeps there any more
            os.eventfd_write(self._alarm_fd, 1)

    @property
    def bell_fd(self) -> int:
        """The eventfd that answers ring."""
        return self._bell.fd

    def lend_bell(self, lent: bool) -> None:
        """Somebody else listens to it, or does so no more."""
        with contextlib.suppress(OSError, ValueError):  # closed meanwhile; to modify needs no memory
            self._epoll.modify(self._bell.fd, 0 if lent else select.EPOLLIN)

    def _close_lookout(self, discard: Callable[[int, Any], None]) -> None:
        """Nothing lives any more: close ring and descriptors."""
        let_go(self._results, discard)
        self._epoll.close()
        bell, alarm = self._bell.fd, self._alarm_fd
        self._bell.fd = self._alarm_fd = -1  # first: who wakes meanwhile must not write to somebody else's
        if bell >= 0:
            os.close(bell)
            os.close(alarm)


def let_go(ring: RingHandle, discard: Callable[[int, Any], None]) -> None:
    """Close a ring whose other holder may have died: read it empty, so that nothing in it is lost."""
    native = ring.native
    with contextlib.suppress(Exception):
        while not native.closed and native.unread:
            for message in native.get_many(_MANY, 0):
                if message is not None:
                    discard(*message)
    ring.close()
