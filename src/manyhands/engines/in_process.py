"""What the engines have in common whose workers are in this process: `threads` and `inline`.

Owns the crew: of each worker its bench. Functions, inputs and results are the objects themselves: nothing is pickled.

A worker here cannot be killed. Instead it is given up: its death is said at once, so that the scheduler puts another
in its place, and what it still runs is dropped when it ends.

Threads: as the protocol says; `_run_some` is a worker's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from manyhands.engines.batch import AsIs, attempt
from manyhands.engines.bench import Bench, Portion
from manyhands.engines.happenings import Happenings
from manyhands.engines.protocol import Died, Event, Refused, Running
from manyhands.scheduler.work import Lease, Source


class InProcessEngine(Happenings):
    """See the module."""

    #: What workers assign to globals, the caller sees; what it gives them, they may change.
    shares_memory = True

    def __init__(
        self, initializer: Callable[..., object] | None, initargs: tuple[Any, ...],
        finalizer: Callable[[], object] | None,
    ) -> None:  # fmt: skip
        super().__init__()
        self._initializer, self._initargs, self._finalizer = initializer, initargs, finalizer
        self._crew: dict[int, Bench] = {}

    # ---- work ----

    prepare = staticmethod(AsIs.prepare)
    encode = staticmethod(AsIs.encode)
    decode = staticmethod(AsIs.decode)

    def is_opaque(self, item: Any) -> bool:  # noqa: ARG002
        """It is the object itself."""
        return False

    def cut(self, lease: Lease, half: bool, whole: bool) -> tuple[int, int]:
        """As the protocol says."""
        bench = self._crew.get(lease.worker)
        return (lease.done, lease.end) if bench is None else bench.cut(lease, half, whole)

    def forget(self, lease: Lease) -> None:
        """As the protocol says."""
        bench = self._crew.get(lease.worker)
        if bench is not None:
            bench.forget(lease)

    def begun(self, lease: Lease) -> int:
        """As the protocol says."""
        bench = self._crew.get(lease.worker)
        return lease.done if bench is None else bench.begun(lease)

    # ---- events ----

    def events(self) -> list[Event]:
        """As the protocol says."""
        heard: list[Event] = self._heard()
        for event in heard:
            if type(event) is Died:
                self._crew.pop(event.worker, None)
        return heard

    def peek(self) -> list[Event]:
        """Results that workers have put down but not told."""
        return [event for bench in self._crew.values() for event in bench.peek()]

    def running(self) -> list[Running]:
        """As the protocol says."""
        return [found for bench in self._crew.values() for found in bench.running()]

    # ---- a worker ----

    def _run_some(self, bench: Bench, portion: Portion) -> bool:
        """Run items until it is time to tell. False: none is left."""
        batch = portion.lease.batch
        while (place := bench.claim(portion)) is not None:
            index = None if batch.source.owner is None else batch.first + place
            value, error = self._run_one(batch.source, batch.items[place], index)
            is_due = bench.put_down(value, error)
            if error is not None and self.stops(error):
                bench.say_results()
                raise error
            value = error = None  # a large one is not to be kept until the next
            if is_due:
                bench.say_results()
                return True
        bench.say_results()
        return False

    def _run_one(self, source: Source, item: Any, index: int | None) -> tuple[Any, BaseException | None]:
        return attempt(source.function, source.form, item.item if source.owner is None else item, index)

    def stops(self, error: BaseException) -> bool:  # noqa: ARG002
        """Is it for whoever waits in this thread, besides being the task's error?"""
        return False

    def _initialize(self, bench: Bench) -> bool:
        """Run the initializer. False: it raised, or the worker is given up."""
        if self._initializer is None:
            return not bench.is_given_up
        try:
            return bench.run(self._initializer, *self._initargs)
        except BaseException as error:
            bench.leave(Refused(bench.number, AsIs.dump_error(error)))
            return False

    def _finalize(self, bench: Bench) -> None:
        """Run the finalizer, unless the worker is given up; then it is gone."""
        if self._finalizer is not None:
            try:
                bench.run(self._finalizer)
            except BaseException:
                import sys
                import traceback

                sys.stderr.write(
                    "manyhands: the finalizer of a pool's worker raised:\n" + traceback.format_exc()
                )
        bench.leave()
