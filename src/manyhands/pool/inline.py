"""The core of an inline pool: it has no workers, so whoever submits or waits does the work, here and now.

Always true:

1. What was submitted is done, and told, when the submitting call returns; unless another thread is at work, which
   then does it.
2. A task may use the pool that runs it: what it submits does not wait for its turn, which would never come, but is
   done at once, as a call within the call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from manyhands.engines.inline import InlineEngine
from manyhands.pool import options
from manyhands.pool.core import Core
from manyhands.pool.job import Job
from manyhands.pool.lead import left_until
from manyhands.pool.result import Result
from manyhands.scheduler.work import Calls, Source

if TYPE_CHECKING:
    from manyhands.engines.protocol import Engine


class InlineCore(Core):
    """See the module. One worker: tasks run in the order of their inputs."""

    engine: InlineEngine

    def __init__(self, engine: Engine, _hands: int, max_tasks: int | None = None) -> None:
        super().__init__(engine, 1, max_tasks)

    def begin(self) -> None:
        """The initializer runs now."""
        super().begin()
        self.turn()

    def submit_call(self, source: Calls, result: Result[Any]) -> None:
        """A single call."""
        if not self.engine.is_inside:
            super().submit_call(source, result)
            return
        self.check_open()
        value, error = self.engine.run_here(source, result.item, None)
        with self._lock:
            self._settle(result, value, error)
        self._tell()
        self._stop_if_told(error)

    def submit_and_drive(self, source: Calls, result: Result[Any]) -> None:
        """The same: to submit it is to do it."""
        self.submit_call(source, result)

    def submit(self, source: Source, job: Job) -> None:
        """The items of a map, or more of them."""
        if not self.engine.is_inside:
            super().submit(source, job)
            return
        self.check_open()
        with self._lock:
            self._open_jobs.add(job)
        while (batch := source.take(1)) is not None:
            value, error = self.engine.run_here(source, batch.items[0], batch.first)
            with self._lock:
                self._told += job.deliver(batch.first, [value], None if error is None else {0: error}, 0)
            self._tell()
            self._stop_if_told(error)

    def _stop_if_told(self, error: BaseException | None) -> None:
        if error is not None and self.engine.stops(error):
            raise error

    def turn(self, tell: bool = True) -> None:
        """A turn; then all work that there is, each step with a turn."""
        super().turn(tell)
        while self.engine.work():
            super().turn(tell)

    def drive_until(
        self,
        is_done: Callable[[], bool],
        timeout: float | None,
        wait_elsewhere: Callable[[float | None], object],
    ) -> bool:
        """Work until `is_done`, or wait for the thread that does."""
        deadline = options.deadline_of(timeout)
        while not is_done():
            self.turn()
            left = left_until(deadline)
            if is_done():
                break
            if left == 0:
                return False
            if self.engine.is_inside and left is None:
                raise RuntimeError(
                    "a task of an inline pool waits for what comes after it, in the same thread: it would wait for ever"
                )
            if self.engine.is_worked_on and not self.engine.is_inside:
                self.engine.wait(left)
            else:
                wait_elsewhere(left)
        return True
