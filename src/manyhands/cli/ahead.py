"""An iterator that runs ahead in a thread of its own, but not too far.

It reads the input and submits it, while the main thread waits for results: so a result is printed when it is there,
also when the next input takes its time. How far ahead depends on how fast results are taken: a quarter of a second's
worth, so memory is bounded, whatever the length of the input.

Always true: the thread lives from `start` to `stop`, or to the end of the items; `stop` joins it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

_AHEAD_S, _MEASURE_S = 0.25, 0.02


class Window:
    """How many inputs may be under way."""

    def __init__(self, least: int, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = self._least = least
        self._most, self._clock = max(least, most), clock
        self._count, self._since = 0, clock()

    def passed(self, n: int) -> None:
        """So many more are done.

        >>> times = iter([0.0, 0.01, 0.5])
        >>> window = Window(8, 1000, clock=lambda: next(times))
        >>> window.passed(100); window.limit
        8
        >>> window.passed(100); window.limit
        100
        """
        self._count += n
        past = self._clock() - self._since
        if past >= _MEASURE_S:
            self.limit = min(max(self._least, int(self._count / past * _AHEAD_S)), self._most)
            self._count, self._since = 0, self._since + past


class Ahead(Generic[T]):
    """Iterates over `items`, which are made in another thread. An item counts until the next one is asked for.

    `size` says how many inputs an item is; `idle` is called before each wait. Threads: one.
    """

    def __init__(
        self, items: Iterator[T], window: Window, size: Callable[[T], int], idle: Callable[[], object]
    ) -> None:
        self._items, self._window, self._size, self._idle = items, window, size, idle
        self._ready: deque[T] = deque()
        self._changed = threading.Condition()
        self._under_way = self._held = 0
        self._over = self._stopped = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="manyhands-map-input")

    def start(self) -> None:
        """Begin to make items."""
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        self._let_go()
        if not self._ready:
            self._idle()
        with self._changed:
            while not (self._ready or self._over):
                self._changed.wait()
            if self._ready:
                item = self._ready.popleft()
                self._held = self._size(item)
                return item
        if self._error is not None:
            raise self._error
        raise StopIteration

    def _let_go(self) -> None:
        self._window.passed(self._held)
        with self._changed:
            self._under_way -= self._held
            self._held = 0
            if self._under_way <= self._window.limit * 3 // 4:  # not for each: switching threads is dear
                self._changed.notify()

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._offer(item):
                    return
        except BaseException as error:  # it is the other thread's business
            self._error = error
        finally:
            with self._changed:
                self._over = True
                self._changed.notify()

    def _offer(self, item: T) -> bool:
        """Hand it over, and wait for room for another. False: nobody wants more."""
        with self._changed:
            self._ready.append(item)
            self._under_way += self._size(item)
            self._changed.notify()
            while self._under_way >= self._window.limit and not self._stopped:
                self._changed.wait()
            return not self._stopped

    def stop(self) -> None:
        """Want no more. Whatever the items wait for must have been stopped before."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if self._thread.ident is not None:  # it has been started
            self._thread.join()
