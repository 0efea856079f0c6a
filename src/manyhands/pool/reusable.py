"""`get_reusable_pool`: one pool that is kept between uses, so that its workers are started once.

A *keeper* owns at most one pool that is handed out. Other settings, or a pool that is no good any more, make it start
another; the one before *retires*: it takes no more as soon as nobody is inside a ``with`` statement of it, and its
workers leave when what it was given is done.

Always true:

1. A pool that is handed out was good at that moment, and has the settings that were asked for.
2. Whoever is inside its ``with`` statement may give it work until the end of that, whatever others ask for.
3. A keeper holds the pools that retired until they are over: what they run is never lost to the garbage collector.
4. A forked child knows no pool of its parent's.

Threads: any.
"""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from manyhands import byvalue
from manyhands.errors import UsageError
from manyhands.pool import options
from manyhands.pool.pool import Pool

#: How long the workers of an idle pool that retires may take to leave before nobody waits for them any more.
_LEAVE_S = 5.0


class ReusablePool(Pool):
    """A pool that its ``with`` statement leaves running: what `get_reusable_pool` returns. `terminate` ends it."""

    def __init__(self, count: int, settings: Mapping[str, Any]) -> None:
        self.settings = (count, settings)
        self._users, self._is_retired = 0, False
        self._users_lock = threading.Lock()
        super().__init__(count, **_with_environment(**settings))

    @property
    def is_good(self) -> bool:
        """May it be handed out?"""
        return self._core.open and self._core.is_usable

    def __enter__(self) -> ReusablePool:
        super().__enter__()
        with self._users_lock:
            self._users += 1
        return self

    def __exit__(self, *_exception: object) -> None:
        with self._users_lock:
            self._users -= 1
            is_last = self._is_retired and not self._users
        if is_last:
            self._leave()

    def retire(self) -> None:
        """Another has taken its place: take no more once nobody is inside a ``with`` statement of it."""
        with self._users_lock:
            self._is_retired = True
            is_last = not self._users
        if is_last:
            self._leave()

    def _leave(self) -> None:
        """What it was given is done. When that is nothing, its workers are gone on return."""
        if self._core.failure is not None:
            self.terminate()
        elif self._core.open:
            self.close()
            if self._core.scheduler.is_idle:
                self.join(_LEAVE_S)

    @property
    def is_over(self) -> bool:
        """Is it ended, and has given everything back?"""
        return not self._core.open and self.join(0)


class Keeper:
    """Keeps one pool between uses."""

    def __init__(self) -> None:
        self.forget()
        os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        """Begin without any pool. In a forked child: the lock may be held by a thread that is not there."""
        self._lock = (
            threading.RLock()
        )  # starting a pool pickles what the user gave, which may come here again
        self._pool: ReusablePool | None = None
        self._retired: list[ReusablePool] = []

    def get(self, count: int, **settings: Any) -> ReusablePool:
        """The kept pool, if it is good and has these settings; else another, which is kept from now on."""
        pool = self.borrow(count, **settings)
        pool.__exit__()
        return pool

    def borrow(self, count: int, **settings: Any) -> ReusablePool:
        """The same, inside its ``with`` statement: ``__exit__`` gives it back."""
        with self._lock:
            old, pool = self._pool, self._pool
            if pool is None or not pool.is_good or not _same(pool.settings, (count, settings)):
                pool = self._pool = ReusablePool(count, settings)
            pool.__enter__()
            if old is not None and old is not pool:
                self._retired.append(old)
        if old is not None and old is not pool:
            old.retire()
            self._sweep()
        return pool

    def _sweep(self) -> None:
        """Let go of those that are over."""
        over = {pool for pool in list(self._retired) if pool.is_over}
        with self._lock:
            self._retired = [pool for pool in self._retired if pool not in over]

    def end(self) -> None:
        """Terminate the pool, and those that retired."""
        with self._lock:
            pools = [*self._retired, *([self._pool] if self._pool is not None else [])]
            self._retired, self._pool = [], None
        for pool in pools:
            if not pool.is_over:
                pool.terminate()


_keeper = Keeper()


def get_reusable_pool(
    processes: int | None = None, *, max_workers: int | None = None, n_jobs: int | None = None,
    initializer: Callable[..., object] | None = None, initargs: Iterable[Any] = (),
    finalizer: Callable[[], object] | None = None, maxtasksperchild: int | None = None,
    task_timeout: float | None = None, retries: int = 0, context: Any = None, engine: Any = "local",
    strict: bool = False, env: Mapping[str, str] | None = None,
) -> ReusablePool:  # fmt: skip
    """The program's pool, started at the first call and kept: the same settings give the same running pool.

    The arguments are `manyhands.Pool`'s, and `env`: environment variables that each worker sets before it does anything
    else. With other settings, or when the pool was closed, terminated or is broken, or in a forked child, it is a new
    one; the one before finishes what it was given, and is of no further use to those who still hold it, but for those
    who are inside its ``with`` statement. Functions are the same settings when they are the same objects.

    The ``with`` statement does not end the pool: ``terminate()`` does, or the program's end.

    >>> import manyhands
    >>> with manyhands.get_reusable_pool(2) as pool:
    ...     pool.map(abs, [-1, 2, -3])
    [1, 2, 3]
    >>> manyhands.get_reusable_pool(2) is pool
    True
    >>> pool.terminate()
    """
    return _keeper.get(
        options.worker_count(processes, max_workers, n_jobs),
        initializer=initializer, initargs=tuple(initargs), finalizer=finalizer, maxtasksperchild=maxtasksperchild,
        task_timeout=task_timeout, retries=retries, context=context, engine=engine, strict=strict,
        env=None if env is None else dict(env),
    )  # fmt: skip


def _same(old: object, new: object) -> bool:
    """Are the settings the same? What cannot be compared (two arrays) is not."""
    try:
        return bool(old == new)
    except Exception:
        return False


def _with_environment(env: Mapping[str, str] | None = None, **settings: Any) -> dict[str, Any]:
    """The settings as `Pool` knows them."""
    if not env:
        return settings
    if settings.get("engine", "local") != "local":
        raise UsageError(f"env is for workers that are processes; the engine is {settings['engine']!r}")
    given = byvalue.dumps((settings.get("initializer"), settings.get("initargs", ())))
    return {**settings, "initializer": _begin, "initargs": (env, given)}


def _begin(env: Mapping[str, str], given: bytes) -> None:
    """In a worker: the environment first, for what is unpickled may load what reads it."""
    os.environ.update(env)
    initializer, initargs = pickle.loads(given)
    if initializer is not None:
        initializer(*initargs)


__all__ = ["Keeper", "ReusablePool", "get_reusable_pool"]
