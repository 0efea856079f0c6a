"""`Executor`: the whole interface of ``concurrent.futures.Executor`` over a pool's core."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from manyhands.engines.task import STAR
from manyhands.pool import lost, options
from manyhands.pool.pool import Pool
from manyhands.pool.result import Result
from manyhands.pool.stream import Stream

T = TypeVar("T")


class _Workers(Pool):
    """The pool behind an executor: at the interpreter's exit its work is waited for."""

    _waits_at_exit = True

    def _settle_streams(self) -> None:
        """As in the standard library, what was not submitted before the end is not submitted any more."""
        for stream in list(self._core.streams):
            stream.cut_off(lost.closed(None))


class Executor(concurrent.futures.Executor):
    """A `concurrent.futures.Executor` whose workers are manyhands': see `manyhands.Pool` for what that gives.

    It works wherever an executor does: ``as_completed``, ``wait``, ``asyncio``'s ``run_in_executor`` (cancelling the
    asyncio future stops the work). `mp_context` is a start method or a context.

    >>> import manyhands
    >>> with manyhands.Executor(2) as executor:
    ...     future = executor.submit(pow, 2, 10)
    ...     list(executor.map(abs, [-1, 2, -3])), future.result()
    ([1, 2, 3], 1024)
    """

    def __init__(
        self, max_workers: int | None = None, mp_context: Any = None,
        initializer: Callable[..., object] | None = None, initargs: Iterable[Any] = (), *,
        max_tasks_per_child: int | None = None, finalizer: Callable[[], object] | None = None,
        task_timeout: float | None = None, retries: int = 0, engine: Any = "local", strict: bool = False,
    ) -> None:  # fmt: skip
        self._pool = _Workers(
            max_workers=max_workers, context=mp_context, initializer=initializer, initargs=initargs,
            maxtasksperchild=max_tasks_per_child, finalizer=finalizer, task_timeout=task_timeout, retries=retries,
            engine=engine, strict=strict,
        )  # fmt: skip

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Result[T]:
        """``fn(*args, **kwargs)`` in a worker: a future of its value. Arguments that cannot be pickled raise here."""
        pool = self._pool
        return pool._call(fn, args, kwargs, pool._options)

    def map(
        self, fn: Callable[..., T], *iterables: Iterable[Any], timeout: float | None = None,
        chunksize: int | None = None, buffersize: int | None = None,
    ) -> Iterator[T]:  # fmt: skip
        """``map(fn, *iterables)``, the calls shared among the workers, the results in order.

        With `buffersize` the inputs are pulled as results are taken, so many ahead; without, they are read at once,
        as the standard executors do. `timeout` counts from this call. What is not done when the iterator is given
        up is not begun.
        """
        if not iterables:
            return iter(())
        deadline = options.deadline_of(timeout)
        rows: Iterable[Any] = zip(*iterables, strict=False)
        pool = self._pool
        how = pool._chosen(None, None, chunksize)
        if buffersize is not None:
            return pool._stream(STAR, fn, rows, how, True, buffersize, False, deadline)
        inputs = list(rows)
        stream: Stream[T] = pool._stream(STAR, fn, inputs, how, True, len(inputs) or 1, False, deadline)
        stream.take_in()
        return stream

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work; with `cancel_futures` what has not begun is cancelled. With `wait`, wait for the rest."""
        if cancel_futures:
            self._pool.terminate(grace=None)
        else:
            self._pool.close()
        if wait:
            self._pool.join()

    def __reduce__(self) -> tuple[Any, ...]:
        raise NotImplementedError(
            "executors cannot be passed between processes or pickled; make one where it is used"
        )

    def __repr__(self) -> str:
        return repr(self._pool).replace("_Workers", "Executor")
