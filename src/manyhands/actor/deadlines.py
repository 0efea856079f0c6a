"""When requests are to be given up: a heap. Part of the actor room; pure, the caller brings the time.

Always true:

1. It holds at most twice as many entries as requests with a deadline are open, and a few: of those that were answered
   long before their deadline no more than that is kept.
"""

from __future__ import annotations

import heapq
from collections.abc import Container, Iterator

#: So many entries of answered requests are kept in any case: to sweep them out sooner would cost more than it frees.
_SWEEP_LEAST = 64


class Deadlines:
    """See the module. `is_open`: the ids of the requests that have not ended."""

    def __init__(self, is_open: Container[int]) -> None:
        self._is_open = is_open
        self._heap: list[tuple[int, int, float]] = []  # when, request, seconds given
        self._sweep_at = _SWEEP_LEAST

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, when_ns: int, request: int, seconds: float) -> None:
        """The request is to be given up then."""
        heapq.heappush(self._heap, (when_ns, request, seconds))
        if len(self._heap) > self._sweep_at:
            self._sweep()

    def _sweep(self) -> None:
        self._heap = [entry for entry in self._heap if entry[1] in self._is_open]
        heapq.heapify(self._heap)
        self._sweep_at = max(_SWEEP_LEAST, 2 * len(self._heap))

    @property
    def first_ns(self) -> int:
        """The first of them; 0: there is none. May be that of a request that has ended since it was looked at."""
        while self._heap and self._heap[0][1] not in self._is_open:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else 0

    def due(self, now_ns: int) -> Iterator[tuple[int, float]]:
        """Requests whose time has come, and how many seconds they were given; each once."""
        while self._heap and self._heap[0][0] <= now_ns:
            _, request, seconds = heapq.heappop(self._heap)
            yield request, seconds
