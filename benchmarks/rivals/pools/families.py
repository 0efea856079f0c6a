"""The two families that pools belong to: the methods of multiprocessing.Pool, and futures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from typing import Any

from benchmarks.rivals.pools import OpenPool, Task


class PoolLike(OpenPool):
    """Anything with the methods of multiprocessing.Pool. No chunk size is given unless the variant has one."""

    def __init__(self, pool: Any, chunksize: int | None = None) -> None:
        self.pool = pool
        self.chunks = {"chunksize": chunksize} if chunksize else {}

    def caller(self) -> Callable[[Task, tuple[Any, ...]], Any]:
        """``apply``."""
        apply: Callable[[Task, tuple[Any, ...]], Any] = self.pool.apply
        return apply

    def gather(self, task: Task, items: Iterable[Any]) -> list[Any]:
        """``apply_async`` for each, then ``get`` for each."""
        apply_async = self.pool.apply_async
        results = [apply_async(task, (item,)) for item in items]
        return [result.get() for result in results]

    def stream(self, task: Task, items: Iterable[Any]) -> Iterator[Any]:
        """``imap_unordered``."""
        return iter(self.pool.imap_unordered(task, items, **self.chunks))

    def map(self, task: Task, items: Sequence[Any]) -> Sequence[Any]:
        """``map``."""
        results: Sequence[Any] = self.pool.map(task, items, **self.chunks)
        return results

    def submit(self, task: Task, item: Any) -> Callable[[float], Any]:
        """``apply_async``; wait with ``get``."""
        get: Callable[[float], Any] = self.pool.apply_async(task, (item,)).get
        return get

    def terminate(self) -> None:
        """``terminate`` and ``join``."""
        self.pool.terminate()
        self.pool.join()


class FutureLike(OpenPool):
    """Anything that makes futures. `schedule` is ``submit`` with the arguments as a tuple."""

    def __init__(
        self, schedule: Callable[[Task, tuple[Any, ...]], Future[Any]], chunksize: int | None
    ) -> None:
        self.schedule = schedule
        self.chunksize = chunksize

    def caller(self) -> Callable[[Task, tuple[Any, ...]], Any]:
        """``submit().result()``."""
        schedule = self.schedule
        return lambda task, args: schedule(task, args).result()

    def gather(self, task: Task, items: Iterable[Any]) -> list[Any]:
        """``submit`` for each, then ``result`` for each."""
        return [future.result() for future in self._futures(task, items)]

    def stream(self, task: Task, items: Iterable[Any]) -> Iterator[Any]:
        """``as_completed`` over ``submit`` for each; that has no chunks, so with a chunk size its ``map``."""
        if self.chunksize:
            return self.results(task, items, chunksize=self.chunksize)
        return (future.result() for future in as_completed(self._futures(task, items)))

    def map(self, task: Task, items: Sequence[Any]) -> Sequence[Any]:
        """The list of what its own ``map`` yields."""
        return list(self.results(task, items, **({"chunksize": self.chunksize} if self.chunksize else {})))

    def submit(self, task: Task, item: Any) -> Callable[[float], Any]:
        """``submit``; wait with ``result``."""
        return self.schedule(task, (item,)).result

    def results(self, task: Task, items: Iterable[Any], **chunks: int) -> Iterator[Any]:
        """Its own ``map``: an iterator of results, in order."""
        raise NotImplementedError

    def _futures(self, task: Task, items: Iterable[Any]) -> list[Future[Any]]:
        schedule = self.schedule
        return [schedule(task, (item,)) for item in items]


class ExecutorLike(FutureLike):
    """Anything with the methods of concurrent.futures.Executor."""

    def __init__(self, executor: Any, chunksize: int | None = None) -> None:
        self.executor = executor
        submit = executor.submit
        super().__init__(lambda task, args: submit(task, *args), chunksize)

    def results(self, task: Task, items: Iterable[Any], **chunks: int) -> Iterator[Any]:
        """``map``."""
        results: Iterator[Any] = self.executor.map(task, items, **chunks)
        return results

    def terminate(self) -> None:
        """``shutdown``, and start nothing more."""
        self.executor.shutdown(wait=True, cancel_futures=True)
