"""The threads engine: one thread a worker. For tasks that wait, for functions that release the GIL, for what cannot be
pickled.

A thread cannot be killed. When a task is cancelled or runs too long, or the pool is terminated, its thread is given
up: the caller is told at once, another thread takes its place, and the old one leaves when its task ends; what the
task still returns is dropped. So a task that never ends keeps its thread for ever.

Always true: `close` joins every thread but those that were given up while code of the user's ran in them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from manyhands.engines import worker_state
from manyhands.engines.batch import AsIs
from manyhands.engines.bench import Bench, Portion
from manyhands.engines.in_process import InProcessEngine
from manyhands.scheduler.work import Lease, Source


class _Thread(threading.Thread):
    """A worker: its bench, and the portions that come to it; None ends it."""

    def __init__(self, target: Callable[[_Thread], None], bench: Bench) -> None:
        super().__init__(name=f"manyhands-worker-{bench.number}", daemon=True)
        self.bench = bench
        self.portions: SimpleQueue[Portion | None] = SimpleQueue()
        self._work = target

    def run(self) -> None:
        """What the thread does."""
        self._work(self)
        del self._work  # as threading's own: no cycle through the engine


class ThreadsEngine(InProcessEngine):
    """See the module."""

    name = "threads"
    needs_supervisor = True

    def __init__(
        self, initializer: Callable[..., object] | None, initargs: tuple[Any, ...],
        finalizer: Callable[[], object] | None,
    ) -> None:  # fmt: skip
        super().__init__(initializer, initargs, finalizer)
        self._threads: dict[int, _Thread] = {}

    # ---- the owner's ----

    def start(self, worker: int) -> None:
        """Start a thread."""
        for number, thread in list(self._threads.items()):
            if not thread.is_alive():
                del self._threads[number]
        thread = _Thread(self._work, Bench(worker, self._say))
        thread.start()
        self._threads[worker], self._crew[worker] = thread, thread.bench

    def send(self, lease: Lease) -> None:
        """Put it into the thread's queue."""
        thread = self._threads.get(lease.worker)
        if thread is not None:  # else its death has been said, and brings the lease back
            thread.portions.put(thread.bench.give(lease))

    def kill(self, worker: int) -> bool:
        """Give the worker up."""
        thread = self._threads.get(worker)
        if thread is not None:
            if thread.bench.give_up():
                del self._threads[worker]  # not to be joined: it runs as long as it likes
            thread.portions.put(None)
        return False

    def dismiss(self, worker: int) -> None:
        """The last message."""
        thread = self._threads.get(worker)
        if thread is not None:
            thread.portions.put(None)

    def close(self) -> None:
        """Join the threads."""
        for worker in list(self._crew):
            self.kill(worker)
        for thread in self._threads.values():
            if thread is not threading.current_thread():
                thread.join()
        self._threads.clear()
        self._crew.clear()

    # ---- the worker's ----

    def _work(self, thread: _Thread) -> None:
        worker_state.begin_thread()
        bench = thread.bench
        if not self._initialize(bench):
            return
        bench.say_ready()
        while (portion := thread.portions.get()) is not None:
            while self._run_some(bench, portion):
                pass
            del portion  # and the inputs with it
        self._finalize(bench)

    def _run_one(self, source: Source, item: Any, index: int | None) -> tuple[Any, BaseException | None]:
        value, error = super()._run_one(source, item, index)
        return value, None if error is None else AsIs.dump_error(error)
