"""The joblib backend: joblib's `Parallel`, and all that is built on it, as scikit-learn, on manyhands' workers.

::

    import joblib
    import manyhands.joblib                                   # registers the backend

    with joblib.parallel_config(backend="manyhands", n_jobs=-1):
        joblib.Parallel()(joblib.delayed(f)(x) for x in xs)
        GridSearchCV(model, grid).fit(X, y)

    joblib.parallel_config(backend="manyhands", retries=2)    # a batch whose worker died is run again

The workers are kept between calls (`shutdown` ends them). A worker's death fails its batch alone, with a
`manyhands.errors.WorkerLostError`; an abort (an exception, Ctrl-C, ``timeout=``) kills what runs, and no more.

What joblib does with files is done with shared memory: large arrays, wherever they are in the arguments, are read-only
in the workers, as with joblib's own ``mmap_mode="r"``, and those that several batches get are copied once. Arrays that
are memory maps of a file already are mapped again by the workers, so that what they write there is seen. ``max_nbytes``
and ``mmap_mode`` mean what they mean to loky, but that any mode other than ``"r"`` gives each task a copy of its own.

Each worker imports joblib and what the tasks need, some 100 ms. ``manyhands.set_forkserver_preload(["manyhands.joblib",
"sklearn"])``, before anything is started, does so once for all of them. Needs joblib 1.3 or newer, as
``pip install "manyhands[joblib]"`` gives.

Always true:

1. `submit` never raises: what cannot be sent fails as a batch does, for joblib calls it from a thread of the pool too.
2. The pool's threads wait for nothing here.

Threads: as joblib's; `submit` and `_finished` any.
"""

from __future__ import annotations

import contextlib
import functools
import mmap
import pickle
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

from manyhands import byvalue
from manyhands.engines.task import CALL
from manyhands.memory import arena
from manyhands.memory.share import share
from manyhands.pool import options
from manyhands.pool.reusable import Keeper, ReusablePool
from manyhands.scheduler.brief import brief_call

try:
    from joblib.parallel import (
        FallbackToBackend,
        ParallelBackendBase,
        SequentialBackend,
        register_parallel_backend,
    )
except ImportError as error:
    raise ImportError(
        "manyhands.joblib needs joblib 1.3 or newer: pip install 'manyhands[joblib]'"
    ) from error

#: What a batch should run, and how much larger than the one before it may be. joblib's own work for a batch costs some
#: 100 µs in this process, which has to feed all workers.
_BATCH_S, _GROWTH = 0.01, 4

#: For so long the end of a call is waited for here, at once when it comes; then joblib looks every 10 ms.
_SHORT_S = 0.1

_MAX_BYTES = 1 << 20

_keeper = Keeper()


class Backend(ParallelBackendBase):  # type: ignore[misc] # joblib is not typed
    """See the module. `initializer`, `initargs`, `retries` and `context` are `manyhands.Pool`'s."""

    supports_retrieve_callback = True
    supports_inner_max_num_threads = True

    def __init__(
        self, nesting_level: int | None = None, inner_max_num_threads: int | None = None, *,
        initializer: Callable[..., object] | None = None, initargs: tuple[Any, ...] = (), retries: int = 0,
        context: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads)
        self._settings = {"initializer": initializer, "initargs": tuple(initargs), "context": context}
        self._given_retries = self._retries = retries
        self._pool: ReusablePool | None = None
        self._borrowed = False
        self._n_jobs = 1
        self._jobs: dict[Any, None] = {}  # what runs or waits, in order
        self._all_done = threading.Event()
        self._is_alone = True
        self._pace = _Pace()
        self._lender = _Lender(_MAX_BYTES)

    # ---- a call begins and ends ----

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many workers: negative ones count from the cores that this process may use, -1 being all."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        return n_jobs if n_jobs > 0 else max(1, options.default_workers() + 1 + n_jobs)

    def configure(
        self, n_jobs: int = 1, parallel: Any = None, *,
        max_nbytes: int | None = _MAX_BYTES, mmap_mode: str | None = "r", retries: int | None = None,
        **_for_loky: Any,
    ) -> int:  # fmt: skip
        """A call begins: get the workers. joblib calls it."""
        self._n_jobs = self.effective_n_jobs(n_jobs)
        if self._n_jobs == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        self.parallel = parallel
        self._retries = self._given_retries if retries is None else retries
        self._is_alone = not self._jobs
        self._pace = _Pace()
        self._lender = _Lender(max_nbytes if mmap_mode == "r" else None)
        self._borrow()
        return self._n_jobs

    def _borrow(self) -> None:
        inner = self.inner_max_num_threads
        env = None if inner is None else self._prepare_worker_env(n_jobs=self._n_jobs)
        before = self._pool if self._borrowed else None
        self._pool = _keeper.borrow(self._n_jobs, env=env, **self._settings)
        self._borrowed = True
        if before is not None:
            before.__exit__()

    def terminate(self) -> None:
        """A call, or a ``with Parallel()``, has ended. The workers are kept."""
        self._lender = _Lender(None)
        if self._borrowed and self._pool is not None:
            self._borrowed = False
            self._pool.__exit__()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Nobody wants what runs or waits any more: workers that run something of it are killed and replaced."""
        for job in reversed(list(self._jobs)):
            job.cancel()
        if ensure_ready and (self._pool is None or not self._pool.is_good):
            self._borrow()

    # ---- batches ----

    def submit(self, func: Any, callback: Callable[[Any], object] | None = None) -> Any:
        """Hand a batch to the workers; `callback` gets its future when it is done."""
        job: Any
        try:
            assert self._pool is not None
            job = self._pool.apply_async(run_batch, (self._lender.pack(func),), retries=self._retries)
        except Exception as error:
            job = Future()
            job.set_exception(error)
        self._jobs[job] = None
        job.add_done_callback(functools.partial(self._finished, callback))
        return job

    apply_async = submit  # its name before joblib 1.5

    def _finished(self, callback: Callable[[Any], object] | None, job: Any) -> None:
        try:
            if callback is not None:
                callback(job)  # submits the next
        finally:
            self._jobs.pop(job, None)
            if not self._jobs:
                self._all_done.set()

    def retrieve_result_callback(self, out: Any) -> Any:
        """The values of a batch that is done."""
        self._pace.seconds, values = out.result()
        return values

    def compute_batch_size(self) -> int:
        """How many tasks the next batch has."""
        return self._pace.size

    def batch_completed(self, batch_size: int, _duration: float) -> None:
        """A batch is done. The duration counts the time in queues too: what the worker has measured is used."""
        self._pace.measured(batch_size)

    @contextlib.contextmanager
    def retrieval_context(self) -> Iterator[None]:
        """joblib asks every 10 ms whether all is done; this waits, so that short calls end when they end."""
        if self._is_alone and not getattr(self.parallel, "return_generator", True):
            self._all_done.clear()
            if self._jobs:
                self._all_done.wait(_SHORT_S)
        yield


class _Pace:
    """How large batches should be. joblib's own rule allows for a hundred times the overhead."""

    def __init__(self) -> None:
        self.size = 1
        self.seconds = 0.0  # that the last batch has run
        self._each: float | None = None

    def measured(self, count: int) -> None:
        """The last batch had `count` tasks."""
        new, old = max(self.seconds, 1e-9) / count, self._each
        self._each = new if old is None or new < old / 4 else old + (new - old) / 4
        most = self.size * _GROWTH if count >= self.size else self.size
        self.size = max(1, min(int(_BATCH_S / self._each), most))


# ---- what travels ----


class _Parcel:
    """A batch, pickled, and its buffers. `repr` says what is in it: errors show that."""

    __slots__ = ("buffers", "data")

    def __init__(self, data: Any, *buffers: Any) -> None:
        self.data, self.buffers = data, buffers

    def open(self) -> Any:
        """The batch."""
        return pickle.loads(self.data, buffers=self.buffers)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Parcel, (self.data, *self.buffers)

    def __repr__(self) -> str:
        calls = self.open().items
        first = brief_call(calls[0][0], CALL, calls[0][1:])
        return f"<{first} and {len(calls) - 1} more>" if len(calls) > 1 else f"<{first}>"


def run_batch(parcel: _Parcel) -> tuple[float, list[Any]]:
    """In a worker: the values of a batch, and how long it ran, without what had to be imported for it."""
    batch = parcel.open()
    began = time.perf_counter()
    values = batch()
    return time.perf_counter() - began, values


class _Lender:
    """Packs batches: large buffers are lent to the workers, read-only, each in one shared copy from its second use on.

    The first use is sent as it is, for most are used once, and would be kept here for nothing.
    """

    def __init__(self, most: int | None) -> None:
        self._most = sys.maxsize if most is None else most
        self._seen: dict[
            tuple[int, int], tuple[weakref.ref[Any], Any]
        ] = {}  # (address, length) -> owner, copy

    def pack(self, batch: Any) -> _Parcel:
        """The batch, as it is now. Raises `PicklingError`."""
        if "numpy" in sys.modules:
            batch.items = [_with_maps_by_name(call) for call in batch.items]
        buffers: list[pickle.PickleBuffer] = []
        data = byvalue.dumps(batch, buffers)
        return _Parcel(data, *map(self._lend, buffers))

    def _lend(self, buffer: pickle.PickleBuffer) -> pickle.PickleBuffer:
        view = buffer.raw()
        array: Any = memoryview(buffer).obj
        if view.nbytes < self._most or not _is_array(array) or arena.family().locate(view) is not None:
            return buffer  # small, or shared by the user, or somebody else's
        key = (array.__array_interface__["data"][0], view.nbytes)
        owner, copy = self._seen.get(key, (None, None))
        if owner is None:
            forget = functools.partial(_forget, weakref.ref(self), key)
            self._seen[key] = weakref.ref(_owner_of(array), forget), None
        elif copy is None:
            copy = share(view)
            self._seen[key] = owner, copy
        return pickle.PickleBuffer((view if copy is None else copy).toreadonly())


def _forget(lender: Callable[[], _Lender | None], key: tuple[int, int], _owner: object) -> None:
    """The array is gone; another may come to lie at its place."""
    found = lender()
    if found is not None:
        found._seen.pop(key, None)


def _is_array(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def _owner_of(array: Any) -> Any:
    """The array whose memory this is a view of."""
    while _is_array(array.base):
        array = array.base
    return array


# ---- memory maps of files ----


class _Mapped:
    """Stands for an array that lies in a memory-mapped file: the other side maps the file again."""

    def __init__(self, array: Any, mapped: Any) -> None:
        self.array, self.mapped = array, mapped

    def __reduce__(self) -> tuple[Any, ...]:
        array, mapped = self.array, self.mapped
        reaches = [(length - 1) * stride for length, stride in zip(array.shape, array.strides, strict=True)]
        below = -sum(reach for reach in reaches if reach < 0)
        above = sum(reach for reach in reaches if reach > 0)
        first = array.__array_interface__["data"][0] - mapped.__array_interface__["data"][0]
        mode = "r+" if mapped.mode == "w+" else mapped.mode  # w+ would empty it
        place = (str(mapped.filename), mode, mapped.offset + first - below, below + above + array.itemsize)
        return _map_again, (*place, array.shape, array.dtype, below, array.strides)


def _map_again(
    filename: str, mode: Any, start: int, length: int, shape: tuple[int, ...], dtype: Any, first: int,
    strides: tuple[int, ...],
) -> Any:  # fmt: skip
    import numpy as np

    flat = np.memmap(filename, dtype=np.uint8, mode=mode, offset=start, shape=(length,))
    return np.ndarray(shape, dtype, flat, first, strides)


def _with_maps_by_name(call: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
    """A task whose arguments that lie in mapped files travel as what they are."""
    function, args, kwargs = call
    if any(map(_is_array, args)):
        args = tuple(map(_by_name, args))
    if any(map(_is_array, kwargs.values())):
        kwargs = {name: _by_name(value) for name, value in kwargs.items()}
    return function, args, kwargs


def _by_name(value: Any) -> Any:
    part = value
    while _is_array(part):
        if isinstance(part.base, mmap.mmap):
            has_file = getattr(part, "filename", None) is not None and value.size
            return _Mapped(value, part) if has_file else value
        part = part.base
    return value


def shutdown() -> None:
    """End the workers that are kept between calls; the next call starts others. The program's end does it too."""
    _keeper.end()


register_parallel_backend("manyhands", Backend)

__all__ = ["Backend", "shutdown"]
