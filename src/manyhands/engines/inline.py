"""The inline engine: for debugging, tasks run in the caller's thread, one by one, in the order of their inputs.

A task is done when the call that submits it returns: a breakpoint stops in it, a traceback leads from the caller into
it, and nothing depends on time. `manyhands.pool.inline` drives it: whoever has submitted something calls `work` until
nothing is left.

Ctrl-C in a task, and leaving the debugger in it, end the submitting call as well. A `task_timeout` cannot be enforced
here, and a task that runs cannot be cancelled by another thread: its outcome is dropped, but it runs to its end.

Always true:

1. One thread works at a time; which one does not matter to what is worked on.
2. Whoever has worked looks whether there is more before it leaves, so nothing is left lying that came meanwhile.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from manyhands.engines import worker_state
from manyhands.engines.batch import attempt
from manyhands.engines.bench import Bench, Portion
from manyhands.engines.in_process import InProcessEngine
from manyhands.scheduler.work import Lease, Source


class InlineEngine(InProcessEngine):
    """See the module. Threads: `work` and `wait` any; the rest as the protocol says."""

    name = "inline"
    needs_supervisor = False

    def __init__(
        self, initializer: Callable[..., object] | None, initargs: tuple[Any, ...],
        finalizer: Callable[[], object] | None,
    ) -> None:  # fmt: skip
        super().__init__(initializer, initargs, finalizer)
        self._steps: deque[Callable[[], None]] = deque()
        self._working = threading.Lock()
        self._who: int | None = None  # the thread that holds it
        self._states: dict[int, dict[str, Any]] = {}

    # ---- the owner's ----

    def start(self, worker: int) -> None:
        """It begins when somebody works."""
        bench = self._crew[worker] = Bench(worker, self._say)
        self._states[worker] = {}
        self._steps.append(partial(self._begin, bench))

    def send(self, lease: Lease) -> None:
        """It is run when somebody works."""
        bench = self._crew.get(lease.worker)
        if bench is not None:  # else its death has been said, and brings the lease back
            self._steps.append(partial(self._go_on, bench, bench.give(lease)))

    def kill(self, worker: int) -> bool:
        """Give the worker up: what it runs is dropped when it ends."""
        bench = self._crew.get(worker)
        if bench is not None:
            bench.give_up()
            self._states.pop(worker, None)
        return False

    def dismiss(self, worker: int) -> None:
        """It ends when somebody works."""
        bench = self._crew.get(worker)
        if bench is not None:
            self._steps.append(partial(self._end, bench))

    def close(self) -> None:
        """Forget what nobody will do."""
        self._steps.clear()
        self._crew.clear()
        self._states.clear()

    # ---- working ----

    @property
    def is_inside(self) -> bool:
        """Is this thread within a task of this engine?"""
        return self._who == threading.get_ident()

    @property
    def is_worked_on(self) -> bool:
        """Is some thread at it?"""
        return self._who is not None

    def work(self) -> bool:
        """Do the next step here. False: there is none, or somebody is at it already, who will look for more."""
        if not self._steps or not self._working.acquire(blocking=False):
            return False
        self._who = threading.get_ident()
        try:
            step = self._steps.popleft() if self._steps else None
            if step is not None:
                step()
        finally:
            self._who = None
            self._working.release()
        return True

    def wait(self, timeout: float | None) -> None:
        """Work; or until whoever works has done a step."""
        if not self.work():
            limit = -1 if timeout is None else min(max(timeout, 0.0), threading.TIMEOUT_MAX)
            if self._working.acquire(timeout=limit):
                self._working.release()

    def run_here(self, source: Source, item: Any, index: int | None) -> tuple[Any, BaseException | None]:
        """Run one task now, within another."""
        return attempt(source.function, source.form, item, index)

    # ---- steps ----

    def _begin(self, bench: Bench) -> None:
        with self._as_worker(bench):
            if self._initialize(bench):
                bench.say_ready()

    def _end(self, bench: Bench) -> None:
        with self._as_worker(bench):
            self._finalize(bench)
        self._states.pop(bench.number, None)

    def _go_on(self, bench: Bench, portion: Portion) -> None:
        """Run some of the portion; the rest of it comes next."""
        try:
            with self._as_worker(bench):
                self._run_some(bench, portion)
        except BaseException:
            if bench.is_busy:  # broken off where no task could catch it: what comes of its item is not known
                bench.give_up()
            raise
        finally:
            if portion.begun < portion.end and not bench.is_given_up:
                self._steps.appendleft(partial(self._go_on, bench, portion))

    @contextmanager
    def _as_worker(self, bench: Bench) -> Iterator[None]:
        """`manyhands.worker_state` is the worker's meanwhile."""
        here = worker_state._here
        before, here.state = here.state, self._states.get(bench.number, {})
        try:
            yield
        finally:
            here.state = before

    def stops(self, error: BaseException) -> bool:
        """Ctrl-C, and leaving the debugger."""
        debugger = sys.modules.get("bdb")
        return isinstance(error, KeyboardInterrupt) or (
            debugger is not None and isinstance(error, debugger.BdbQuit)
        )
