"""`Pool`: every method of ``multiprocessing.Pool`` with its meaning, and what it never had.

Stands on `core` (who drives), `job` and `stream` (what becomes of maps) and `functions`. Threads: any.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable, Mapping, Sized
from typing import Any, TypeVar

from manyhands.engines.task import CALL, ONE, STAR, Large
from manyhands.observe.progress import open_progress
from manyhands.pool import endings, hands, options
from manyhands.pool.core import Core
from manyhands.pool.functions import Functions
from manyhands.pool.job import MapJob, StreamJob
from manyhands.pool.result import Result
from manyhands.pool.share_once import share_repeated
from manyhands.pool.stream import Stream
from manyhands.scheduler.pace import PATIENT_NS
from manyhands.scheduler.work import Calls, Options, Source, make_options

T = TypeVar("T")
Callback = Callable[[Any], object] | None


class Pool:
    """Workers that run a function over many inputs, on every core.

    The methods are those of ``multiprocessing.Pool``. The differences: a worker's death fails one task, with an error
    that says which and why, and everything else goes on; functions of ``__main__``, lambdas and closures work; large
    arrays travel through shared memory; `chunksize` need not be given, batches adapt by measured time; `imap` pulls
    its input as it is needed.

    - `processes` (or `max_workers`, or `n_jobs` with joblib's negatives): how many workers; one a usable core if None.
    - `initializer(*initargs)` runs in each worker at its start; if it raises, the pool is broken, with that error.
      `finalizer()` runs in each worker that leaves (not in one that is killed). See also `manyhands.worker_state`.
    - `maxtasksperchild`: a worker is replaced after so many tasks.
    - `task_timeout` (seconds) and `retries` (after a worker's death) are defaults for all tasks.
    - `engine`: ``"local"`` (processes), ``"threads"``, ``"inline"`` (in this thread, for debugging), or any
      ``concurrent.futures.Executor``.
    - `context`: a start method or a context; `strict`: a function whose assignments to globals would be lost is an
      error, not a warning.

    >>> import manyhands
    >>> with manyhands.Pool(2) as pool:
    ...     pool.map(lambda x: x * x, range(5))
    [0, 1, 4, 9, 16]
    """

    def __init__(
        self, processes: int | None = None, initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (), maxtasksperchild: int | None = None, context: Any = None, *,
        max_workers: int | None = None, n_jobs: int | None = None, finalizer: Callable[[], object] | None = None,
        task_timeout: float | None = None, retries: int = 0, engine: Any = "local", strict: bool = False,
    ) -> None:  # fmt: skip
        count = options.worker_count(processes, max_workers, n_jobs)
        most = options.at_least_one("maxtasksperchild", maxtasksperchild)
        self._options = options.options(task_timeout, retries)
        self._defaults = (task_timeout, retries)
        made = hands.make_engine(
            engine, count, hands.method_of(context), initializer, tuple(initargs), finalizer
        )
        self._core = core = Core(made, count, most)
        self._functions = Functions(made, strict)
        self._finalizer = weakref.finalize(self, endings.abandon, core, os.getpid(), type(self).__name__)
        self._finalizer.atexit = False
        endings.remember(core, waits=self._waits_at_exit)
        try:
            core.begin()
        except BaseException:
            self._finalizer.detach()
            core.stop(kill=True)
            core.join()
            raise

    #: At the interpreter's exit a pool that is still open is terminated; an executor's work is waited for.
    _waits_at_exit = False

    # ---- one call ----

    def apply(
        self, func: Callable[..., T], args: Iterable[Any] = (), kwds: Mapping[str, Any] | None = None
    ) -> T:
        """``func(*args, **kwds)`` in a worker: its value, waiting for it."""
        source, result = self._prepare(func, args, kwds, self._options)
        self._core.submit_and_drive(source, result)
        return result.get()

    def apply_async(
        self, func: Callable[..., T], args: Iterable[Any] = (), kwds: Mapping[str, Any] | None = None,
        callback: Callback = None, error_callback: Callback = None, *,
        task_timeout: float | None = None, retries: int | None = None,
    ) -> Result[T]:  # fmt: skip
        """The same without waiting. Arguments that cannot be pickled raise here.

        `callback(value)` or `error_callback(exception)` is called when it is done, in some thread of this process.
        """
        how = self._options
        if task_timeout is not None or retries is not None:
            how = self._chosen(task_timeout, retries)
        return self._call(func, args, kwds, how, callback, error_callback)

    def _call(
        self, func: Callable[..., T], args: Iterable[Any], kwds: Mapping[str, Any] | None, how: Options,
        callback: Callback = None, error_callback: Callback = None,
    ) -> Result[T]:  # fmt: skip
        then = None
        if callback is not None or error_callback is not None:
            then = options.callbacks(callback, error_callback)
        source, result = self._prepare(func, args, kwds, how)
        if then is not None:
            result._then = then
        self._core.submit_call(source, result)
        return result

    def _prepare(
        self, func: Callable[..., T], args: Iterable[Any], kwds: Mapping[str, Any] | None, how: Options
    ) -> tuple[Calls, Result[T]]:
        core = self._core
        if not core.open:
            core.check_open()
        known = self._functions.know(func)
        if type(args) is not tuple:
            args = tuple(options.iterable(args, "args"))
        form, value = (STAR, args) if not kwds else (CALL, (args, options.keywords(kwds)))
        item = core.engine.encode(value)
        result: Result[T] = Result(core, item)
        if type(item) is not bytes:
            if core.engine.is_opaque(item):
                result.given = value
            if type(item) is Large:  # travels alone
                how = make_options(how.retries, how.task_timeout_ns, 1)
        return known.calls_of(form, how), result

    # ---- maps ----

    def map(
        self, func: Callable[[Any], T], iterable: Iterable[Any], chunksize: int | None = None, *,
        progress: Any = False, task_timeout: float | None = None, retries: int | None = None,
    ) -> list[T]:  # fmt: skip
        """``[func(x) for x in iterable]``, the calls shared among the workers. The whole input is read at once.

        All items are run; if some raise, the error of the first one (in input order) is raised at the end.
        """
        return self._gather(ONE, func, iterable, chunksize, progress, task_timeout, retries)

    def starmap(
        self, func: Callable[..., T], iterable: Iterable[Iterable[Any]], chunksize: int | None = None, *,
        progress: Any = False, task_timeout: float | None = None, retries: int | None = None,
    ) -> list[T]:  # fmt: skip
        """``[func(*x) for x in iterable]``, likewise."""
        return self._gather(STAR, func, iterable, chunksize, progress, task_timeout, retries)

    def map_async(
        self, func: Callable[[Any], T], iterable: Iterable[Any], chunksize: int | None = None,
        callback: Callback = None, error_callback: Callback = None, *,
        task_timeout: float | None = None, retries: int | None = None,
    ) -> Result[list[T]]:  # fmt: skip
        """`map` without waiting."""
        how = self._chosen(task_timeout, retries, chunksize)
        return self._map(ONE, func, iterable, how, None, callback, error_callback)

    def starmap_async(
        self, func: Callable[..., T], iterable: Iterable[Iterable[Any]], chunksize: int | None = None,
        callback: Callback = None, error_callback: Callback = None, *,
        task_timeout: float | None = None, retries: int | None = None,
    ) -> Result[list[T]]:  # fmt: skip
        """`starmap` without waiting."""
        how = self._chosen(task_timeout, retries, chunksize)
        return self._map(STAR, func, iterable, how, None, callback, error_callback)

    def imap(
        self, func: Callable[[Any], T], iterable: Iterable[Any], chunksize: int | None = None, *,
        buffersize: int | None = None, progress: Any = False,
        task_timeout: float | None = None, retries: int | None = None,
    ) -> Stream[T]:  # fmt: skip
        """An iterator over the results in input order. The input may be endless: it is pulled as results are taken,
        by the thread that takes them, at most `buffersize` items ahead (if None: some batches a worker)."""
        how = self._chosen(task_timeout, retries, chunksize)
        return self._stream(ONE, func, iterable, how, True, buffersize, progress)

    def imap_unordered(
        self, func: Callable[[Any], T], iterable: Iterable[Any], chunksize: int | None = None, *,
        buffersize: int | None = None, progress: Any = False,
        task_timeout: float | None = None, retries: int | None = None,
    ) -> Stream[T]:  # fmt: skip
        """`imap` with the results as they come."""
        how = self._chosen(task_timeout, retries, chunksize)
        return self._stream(ONE, func, iterable, how, False, buffersize, progress)

    def _chosen(self, task_timeout: float | None, retries: int | None, chunksize: Any = None) -> Options:
        if task_timeout is None and retries is None and chunksize is None:
            return self._options
        limit, again = self._defaults
        return options.options(
            limit if task_timeout is None else task_timeout, again if retries is None else retries, chunksize
        )

    def _gather(
        self, form: int, func: Callable[..., T], items: Iterable[Any], chunksize: Any, progress: Any,
        task_timeout: float | None, retries: int | None,
    ) -> list[T]:  # fmt: skip
        how = self._chosen(task_timeout, retries, chunksize)
        bar = None
        items = _as_list(items)
        if progress:
            bar = open_progress(progress, len(items))
        try:
            result = self._map(form, func, items, how, bar)
            try:
                return result.get()
            except KeyboardInterrupt:
                assert result.job is not None
                self._core.drop(result.job.source)
                raise
        finally:
            if bar is not None:
                bar.close()

    def _map(
        self, form: int, func: Callable[..., T], items: Iterable[Any], how: Options, progress: Any = None,
        callback: Callback = None, error_callback: Callback = None,
    ) -> Result[list[T]]:  # fmt: skip
        self._core.check_open()
        known = self._functions.know(func)
        inputs = _as_list(items)
        if not self._core.engine.shares_memory:
            inputs = share_repeated(inputs)
        job = MapJob(self._core, len(inputs), progress)
        job.result._then = options.callbacks(callback, error_callback)
        job.source = Source(known.handle, form, known.pace, how, job)
        job.source.target_ns = PATIENT_NS
        job.source.add(inputs)
        if inputs:
            self._core.submit(job.source, job)
        else:
            for told in job.finish():
                told.announce()
        return job.result

    def _stream(
        self, form: int, func: Callable[..., T], items: Iterable[Any], how: Options, ordered: bool,
        buffersize: Any, progress: Any, deadline: float | None = None,
    ) -> Stream[T]:  # fmt: skip
        self._core.check_open()
        window = options.at_least_one("buffersize", buffersize)
        items = options.iterable(items)
        known = self._functions.know(func)
        bar = open_progress(progress, len(items) if isinstance(items, Sized) else None) if progress else None
        job = StreamJob(self._core, ordered, bar)
        job.source = Source(known.handle, form, known.pace, how, job)
        return Stream(self._core, job.source, items, job, window, bar, deadline)

    # ---- the end ----

    def close(self) -> None:
        """Take no more work; the workers leave when what was given is done. Does not wait: see `join`."""
        self._core.close()

    def terminate(self, grace: object = 0) -> None:
        """Stop now: the workers are killed, and what was not done is cancelled.

        With ``grace=None`` nothing that is still queued is begun, but tasks that run may complete: `join` waits for
        them. A number of seconds lets them run so long.
        """
        wait_s = None if grace is None else options.grace_seconds(grace)
        self._core.stop(kill=wait_s == 0)
        if wait_s is not None and (wait_s == 0 or not self._core.join(wait_s)):
            self._core.stop(kill=True)
            self._core.join()
        if wait_s is not None:
            self._finalizer.detach()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until the workers are gone, at most `timeout` seconds: are they? `close` or `terminate` come before."""
        if self._core.open:
            raise ValueError("Pool is still running: close() or terminate() it first")
        self._settle_streams()
        done = self._core.join(timeout)
        if done:
            self._finalizer.detach()
        return done

    def _settle_streams(self) -> None:
        """Whoever waits in `join` takes no results: the input of what `imap` has begun is read to its end, here."""
        if self._core.is_usable:
            for stream in list(self._core.streams):
                stream.take_in()

    def __enter__(self) -> Pool:
        if self._core.failure is None:  # a broken pool says why when it is used
            self._core.check_open()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.terminate()

    def __reduce__(self) -> tuple[Any, ...]:
        raise NotImplementedError(
            "pool objects cannot be passed between processes or pickled; make a pool where it is used"
        )

    def __repr__(self) -> str:
        state = "running" if self._core.open else "broken" if self._core.failure is not None else "closed"
        return f"<manyhands.{type(self).__name__} {state}, {self._core.hands} workers, engine {self._core.engine.name}>"


def _as_list(items: Iterable[Any]) -> list[Any]:
    return list(options.iterable(items))
