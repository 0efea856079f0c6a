"""The engine over any `concurrent.futures.Executor`: a pool's manners, and somebody else's workers.

Each lease is one call of the executor's `submit`. The pool's workers are places only: so many leases are out at once,
two for each, and the executor runs them where and in which order it likes. Set `processes` to what it has.

What that means:

- Unless the executor runs threads of this process (`ThreadPoolExecutor`), everything travels as bytes, functions of
  ``__main__`` and lambdas by value.
- What the executor has begun cannot be stopped. A task that is cancelled, or runs too long, is given up: the caller is
  told at once, and what the task still returns is dropped.
- Items with a time limit go one by one, since it must be known which one runs; the limit counts from when the
  executor's future is first seen running.
- When the executor breaks, so does the pool, with that as its cause. `close` leaves the executor open.

Always true: a future tells of its end by a word in a queue; whoever hears it, under the pool's lock, does the rest.

Threads: as the protocol says.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from typing import Any

from manyhands.engines.batch import AsIs, ByValue, Outcome, run_batch
from manyhands.engines.bench import Portion
from manyhands.engines.happenings import Happenings
from manyhands.engines.protocol import Death, Died, Event, Finished, Ready, Running
from manyhands.errors import UsageError
from manyhands.scheduler.work import Lease


class _Errand(Portion):
    """A lease, as the executor has it: items before `begun` have been submitted, those from `first` on in `future`."""

    __slots__ = ("first", "future", "seen_ns", "unsent")

    def __init__(self, lease: Lease) -> None:
        super().__init__(lease)
        self.future: Future[Outcome] | None = None
        self.first = 0
        self.seen_ns = 0  # when it was first seen running
        self.unsent: dict[int, BaseException] = {}  # what could not be sent, by place in the future's items

    @property
    def is_waiting(self) -> bool:
        """Is there something to submit?"""
        return self.future is None and self.begun < self.end

    def recall(self) -> bool:
        """Take it back from the executor. False: it has begun, and there is no way back."""
        future = self.future
        if future is not None:
            self.future = None  # before: its end is nobody's business
            if not future.cancel():
                self.future = future
                return False
            self.begun = self.first
        return True


class ExecutorEngine(Happenings):
    """See the module."""

    name = "executor"
    needs_supervisor = True

    def __init__(
        self, executor: Executor, initializer: Any, initargs: tuple[Any, ...], finalizer: Any
    ) -> None:
        super().__init__()
        for what, value in (("initializer", initializer), ("initargs", initargs), ("finalizer", finalizer)):
            if value:
                raise UsageError(
                    f"{what} cannot be given to a pool over an executor, which starts its workers itself: "
                    f"give it to {type(executor).__name__}"
                )
        self._executor = executor
        self.shares_memory = _shares_memory(executor)
        self._carrier = AsIs if self.shares_memory else ByValue
        self._crew: dict[int, dict[int, _Errand]] = {}
        self._refused: set[int] = set()  # workers for which the executor takes nothing any more

    # ---- work ----

    def prepare(self, function: Any) -> Any:
        """As the protocol says."""
        return self._carrier.prepare(function)

    def encode(self, value: Any) -> Any:
        """As the protocol says."""
        return self._carrier.encode(value)

    def is_opaque(self, item: Any) -> bool:  # noqa: ARG002
        """Bytes are."""
        return not self.shares_memory

    def decode(self, item: Any) -> Any:
        """What is as it was."""
        return item

    def send(self, lease: Lease) -> None:
        """Submit it, at once if may be."""
        errands = self._crew.get(lease.worker)
        if errands is not None:  # else its death has been said, and brings the lease back
            errands[lease.number] = _Errand(lease)
            self._advance(lease.worker)

    def _advance(self, worker: int) -> None:
        """Submit what may be submitted. What has a time limit runs alone, so that it does not wait within the limit."""
        errands = list(self._crew[worker].values())
        for errand in errands:
            if worker in self._refused:
                break
            if errand.is_waiting and (errand is errands[0] or not errand.is_timed):
                self._submit(worker, errand)
            if errand.is_timed:
                break
        if worker in self._refused and all(errand.future is None for errand in errands):
            self._give_up(worker)

    def _submit(self, worker: int, errand: _Errand) -> None:
        """Submit its next item, or all of them."""
        batch, source, carrier = errand.lease.batch, errand.lease.batch.source, self._carrier
        errand.first = errand.begun
        errand.begun = errand.first + 1 if errand.is_timed else errand.end
        errand.seen_ns, errand.unsent = 0, {}
        items = batch.items[errand.first : errand.begun]
        is_map = source.owner is not None
        sent = self._encode_all(items, errand.unsent) if is_map else [call.item for call in items]
        function, first = carrier.function_of(source.function), batch.first + errand.first if is_map else None
        try:
            future = self._executor.submit(run_batch, carrier, function, source.form, sent, first)
        except (BrokenExecutor, RuntimeError):  # it is broken, or shut down: `start` will say so
            errand.begun = errand.first
            self._refused.add(worker)
        except Exception as error:  # of its own making
            self._say(_all_failed(errand, error))
        else:
            errand.future = future
            future.add_done_callback(lambda done: self._say((errand, done)))

    def _encode_all(self, items: list[Any], unsent: dict[int, BaseException]) -> list[Any]:
        sent = []
        for place, item in enumerate(items):
            try:
                sent.append(self._carrier.encode(item))
            except Exception as error:
                unsent[place] = error
                sent.append(b"")  # fails there, too
        return sent

    def cut(self, lease: Lease, half: bool, whole: bool) -> tuple[int, int]:
        """Cancel the future, if that is still possible, and submit again what is to stay."""
        errand = self._crew.get(lease.worker, {}).get(lease.number)
        if errand is None:
            return lease.done, lease.end
        if not errand.recall() and not errand.is_timed:
            return lease.done, errand.end  # how far it is cannot be known
        errand.cut(half, whole)
        self._advance(lease.worker)
        return min(errand.begun, errand.end) if errand.is_timed else lease.done, errand.end

    def forget(self, lease: Lease) -> None:
        """As the protocol says. The next may have waited for its end."""
        errands = self._crew.get(lease.worker)
        if errands is not None and errands.pop(lease.number, None) is not None:
            self._advance(lease.worker)

    def begun(self, lease: Lease) -> int:
        """All that was submitted, when the executor has begun to run it."""
        errand = self._crew.get(lease.worker, {}).get(lease.number)
        if errand is None or errand.future is None:
            return lease.done
        return errand.begun if errand.future.running() else errand.first

    # ---- workers ----

    def start(self, worker: int) -> None:
        """See whether the executor takes work; raise what it raises."""
        try:
            self._executor.submit(os.getpid)
        except Exception as error:
            from manyhands.failures import PoolBrokenError

            raise PoolBrokenError(
                f"the pool's executor takes no work ({type(error).__name__}: {error}); make a new one, and a new pool"
            ) from error
        self._crew[worker] = {}
        self._say(Ready(worker))

    def kill(self, worker: int) -> bool:
        """Give up what it has."""
        if worker in self._crew:
            self._give_up(worker)
        return False

    def dismiss(self, worker: int) -> None:
        """There is nobody to tell."""
        self.kill(worker)

    def _give_up(self, worker: int) -> None:
        """Its death is said; what the executor still runs of it is dropped when it ends."""
        errands = self._crew.pop(worker)
        self._refused.discard(worker)
        for errand in errands.values():
            errand.recall()
        begun = {number: errand.begun for number, errand in errands.items()}
        self._say(Died(worker, begun, Death(None, None)))

    # ---- events ----

    def events(self) -> list[Event]:
        """What futures have brought."""
        events: list[Event] = []
        for what in self._heard():
            if isinstance(what, Ready | Died):
                events.append(what)
            else:
                events += self._hear(*what)
        return events

    def _hear(self, errand: _Errand, future: Future[Outcome]) -> list[Event]:
        """What a future's end says of its errand; nothing, when it was called back or given up."""
        lease, first = errand.lease, errand.first
        worker = lease.worker
        if future is not errand.future or lease.number not in self._crew.get(worker, {}):
            return []
        errand.future = None
        events: list[Event] = []
        error = None if future.cancelled() else future.exception()
        if future.cancelled():  # by somebody else: it has not begun
            errand.begun = first
            self._refused.add(worker)
        elif isinstance(error, BrokenExecutor):
            self._refused.add(worker)
        elif error is not None:
            events.append(_all_failed(errand, error))
        else:
            events.append(self._finished(errand, future.result()))
        self._advance(worker)
        return events

    def _finished(self, errand: _Errand, outcome: Outcome) -> Finished:
        """What came of it, as it was before it travelled."""
        values: list[Any] = []
        errors: dict[int, BaseException] = {}
        for place, sent in enumerate(outcome.values):
            value = None
            try:
                if place in errand.unsent:
                    errors[place] = errand.unsent[place]
                elif place in outcome.errors:
                    errors[place] = self._carrier.error_of(outcome.errors[place])
                else:
                    value = self._carrier.decode(sent)
            except Exception as error:  # it does not unpickle here
                errors[place] = error
            values.append(value)
        return Finished(errand.lease, errand.first, values, errors or None, outcome.ns)

    def peek(self) -> list[Event]:
        """Nothing is known of a batch before its end."""
        return []

    def running(self) -> list[Running]:
        """Items with a limit, as far as the executor's futures say that they run."""
        found = []
        for errands in self._crew.values():
            for errand in errands.values():
                if errand.is_timed and errand.future is not None and errand.future.running():
                    errand.seen_ns = errand.seen_ns or time.monotonic_ns()
                    found.append(Running(errand.lease, errand.first, errand.seen_ns))
        return found

    def close(self) -> None:
        """The executor is the user's, and stays open."""
        self._crew.clear()


def _all_failed(errand: _Errand, error: BaseException) -> Finished:
    """What was submitted last came to nothing, for one reason."""
    count = errand.begun - errand.first
    return Finished(errand.lease, errand.first, [None] * count, dict.fromkeys(range(count), error), 0)


def _shares_memory(executor: Executor) -> bool:
    """Do its workers see the very objects that they are given?"""
    kinds = type(executor).__mro__
    return ThreadPoolExecutor in kinds and all(kind.__name__ != "InterpreterPoolExecutor" for kind in kinds)
