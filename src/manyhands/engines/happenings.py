"""How threads come to know what has happened: the waiting half of every engine whose workers are no processes of ours.

Owns the events that nobody has heard yet, and the two places where one waits for them: the leader's and the
supervisor's (see `manyhands.engines.protocol`).

Always true:

1. An event is in the queue before anybody is woken for it; so whoever is woken finds it, or another has taken it.
2. While somebody leads, events wake the leader only. A leader that leaves looks once more, after it has said so: an
   event comes before that look, or wakes the supervisor.

Threads: any may say; one waits in `wait`, one in `watch`.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any


class Gate:
    """One thread waits at it; any may open it; it shuts behind whoever goes through.

    It is a lock that nobody owns, the quickest thing that Python has for this. Opened twice, it lets one through:
    who comes through looks at everything there is.
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def open(self) -> None:
        """Let the one who waits go on, or the next who comes."""
        try:
            self._lock.release()
        except RuntimeError:  # it is open
            return

    def wait(self, timeout: float | None) -> None:
        """Until it is open, or in time."""
        self._lock.acquire(timeout=-1 if timeout is None else min(max(timeout, 0.0), threading.TIMEOUT_MAX))


class Happenings:
    """See the module; the part of `Engine` that waits."""

    def __init__(self) -> None:
        self._unheard: deque[Any] = deque()
        self._is_led = False
        self._leader, self._supervisor = Gate(), Gate()

    def _say(self, *what: Any) -> None:
        """Something has happened. Does not block, and takes no lock but the gate's."""
        self._unheard.extend(what)
        (self._leader if self._is_led else self._supervisor).open()

    def _heard(self) -> list[Any]:
        """What has been said since the last call."""
        take = self._unheard.popleft
        return [take() for _ in range(len(self._unheard))]

    @property
    def pending(self) -> bool:
        """Has anything been said?"""
        return bool(self._unheard)

    def lead(self, begins: bool) -> bool:
        """From now on events are the leader's, or the supervisor's. Are there any?"""
        self._is_led = begins
        return bool(self._unheard)

    def wait(self, timeout: float | None) -> None:
        """The leader's wait."""
        if not self._unheard:
            self._leader.wait(timeout)

    def watch(self, timeout: float | None) -> None:
        """The supervisor's wait. There are no deaths here that nobody says, so it waits at its gate alone."""
        self._supervisor.wait(timeout)

    def nudge(self) -> None:
        """End the leader's wait."""
        self._leader.open()

    def wake(self) -> None:
        """End the supervisor's wait."""
        self._supervisor.open()
