"""What lies before a worker of this process: its portions of leases, and results that it has not told yet.

A worker claims one item, runs it, puts its result down, claims the next. What it has not claimed can be taken back at
any time; what it has put down is told after a millisecond, or when somebody looks (`peek`).

Always true:

1. Results are said in the order of their items, and all of them before the worker's death.
2. A worker that is given up (`give_up`) claims nothing more, and what it still puts down is dropped: its death has been
   said, and what it ran is another's business or nobody's.

Threads: the worker calls `claim`, `put_down`, `say_…`, `run` and `leave`; the rest is the owner's.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

from manyhands.engines.protocol import Death, Died, Finished, Ready, Running
from manyhands.scheduler.work import Lease

#: Results are told when they are so old.
FLUSH_NS = 1_000_000


class Portion:
    """A lease as its worker has it: items before `begun` are begun, those from `end` on were taken back."""

    __slots__ = ("begun", "end", "lease")

    def __init__(self, lease: Lease) -> None:
        self.lease, self.begun, self.end = lease, 0, len(lease.batch.items)

    def cut(self, half: bool, whole: bool) -> None:
        """Take back what is not begun, or half of it; with `whole` only if nothing is."""
        if not (whole and self.begun):
            self.end = self.begun + ((self.end - self.begun) // 2 if half else 0)

    @property
    def is_timed(self) -> bool:
        """Have its items a time limit?"""
        return self.lease.batch.source.options.task_timeout_ns is not None


class Bench:
    """See the module."""

    def __init__(self, number: int, say: Callable[..., None]) -> None:
        self.number = number
        self.is_given_up = False
        self.is_busy = False  # code of the user's runs
        self._say = say
        self._lock = threading.Lock()
        self._portions: dict[int, Portion] = {}
        self._current: Portion | None = None  # whose results are in `_values`
        self._values: list[Any] = []
        self._errors: dict[int, BaseException] = {}
        self._first = 0  # place of the first of them
        self._since = 0  # when that one was begun
        self._began_ns = 0  # when the item that runs was

    # ---- the owner's ----

    def give(self, lease: Lease) -> Portion:
        """The worker is to run it."""
        portion = self._portions[lease.number] = Portion(lease)
        return portion

    def forget(self, lease: Lease) -> None:
        """Nothing more can come of it."""
        self._portions.pop(lease.number, None)

    def cut(self, lease: Lease, half: bool, whole: bool) -> tuple[int, int]:
        """As the engine's."""
        portion = self._portions.get(lease.number)
        if portion is None:
            return lease.done, lease.end
        with self._lock:
            portion.cut(half, whole)
            return portion.begun, portion.end

    def begun(self, lease: Lease) -> int:
        """As the engine's."""
        portion = self._portions.get(lease.number)
        return lease.done if portion is None else portion.begun

    def peek(self) -> list[Finished]:
        """What lies finished, if all before it has been heard."""
        with self._lock:
            if self._current is None or self._first > self._current.lease.done:
                return []
            finished = self._take_results()
        return [] if finished is None else [finished]

    def running(self) -> list[Running]:
        """The item that runs, if it has a time limit."""
        with self._lock:
            current = self._current
            if not self.is_busy or current is None or not current.is_timed:
                return []
            return [Running(current.lease, current.begun - 1, self._began_ns)]

    def give_up(self) -> bool:
        """The worker's death is said now, whatever it does. Does it run something?"""
        with self._lock:
            if not self.is_given_up:
                self._die()
            return self.is_busy

    # ---- the worker's ----

    def claim(self, portion: Portion) -> int | None:
        """The place of the next item to run; None when there is none."""
        with self._lock:
            if self.is_given_up or portion.begun >= portion.end:
                return None
            place = portion.begun
            portion.begun += 1
            self._began_ns = time.monotonic_ns()
            if portion is not self._current:
                self._current, self._first, self._since = portion, place, self._began_ns
            self.is_busy = True
            return place

    def put_down(self, value: Any, error: BaseException | None) -> bool:
        """What came of the item that was claimed last. Is it time to tell?"""
        with self._lock:
            self.is_busy = False
            if self.is_given_up:
                return False
            if error is not None:
                self._errors[len(self._values)] = error
            self._values.append(value)
            return time.monotonic_ns() - self._since >= FLUSH_NS

    def say_ready(self) -> None:
        """The worker takes portions from now on."""
        with self._lock:
            if not self.is_given_up:
                self._say(Ready(self.number))

    def say_results(self) -> None:
        """Tell what was put down."""
        with self._lock:
            self._say_results()

    def run(self, function: Callable[..., object], *args: Any) -> bool:
        """Run code of the user's that is no task. False: the worker is given up, it is not to run anything."""
        with self._lock:
            if self.is_given_up:
                return False
            self.is_busy = True
        try:
            function(*args)
        finally:
            with self._lock:
                self.is_busy = False
        return True

    def leave(self, *last_words: Any) -> None:
        """The worker is at its end."""
        with self._lock:
            if not self.is_given_up:
                self._die(*last_words)

    # ---- under the lock ----

    def _die(self, *last_words: Any) -> None:
        self.is_given_up = True
        self._say_results()
        begun = {number: portion.begun for number, portion in self._portions.items()}
        self._say(*last_words, Died(self.number, begun, Death(os.getpid(), None)))

    def _say_results(self) -> None:
        finished = self._take_results()
        if finished is not None:
            self._say(finished)  # under the lock: another may not overtake it

    def _take_results(self) -> Finished | None:
        if not self._values:
            return None
        assert self._current is not None
        now = self._began_ns if self.is_busy else time.monotonic_ns()
        errors = self._errors or None
        finished = Finished(self._current.lease, self._first, self._values, errors, now - self._since)
        self._first += len(self._values)
        self._values, self._errors, self._since = [], {}, now
        return finished
