"""What a pool raises of its own. Floor 0, but apart from `errors`, whose tree this is a branch of: the standard classes
that these extend cost more to import than all the rest, and most programs never see one.

Always true: each is built from facts kept as attributes, says what to do about it, and survives a pickle.
"""

from __future__ import annotations

import signal as _signal
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import TimeoutError as _MultiprocessingTimeoutError
from multiprocessing.pool import MaybeEncodingError  # type: ignore[attr-defined]
from typing import Any

from manyhands.errors import ManyhandsError, PicklingError


class WorkerLostError(ManyhandsError, BrokenProcessPool):
    """A task's worker died while it ran the task. All other tasks, and the pool, go on.

    `worker` is the worker's number, `pid` and `exitcode` are its process's, `signal` is what killed it (or None),
    `task` says which call it was, shortly, `index` its place in the map (or None), `attempts` how often it was
    tried, and `oom` whether memory was the likely cause.
    """

    worker: int = 0
    pid: int | None = None
    exitcode: int | None = None
    signal: int | None = None
    task: str = ""
    index: int | None = None
    attempts: int = 1
    oom: bool = False

    def __init__(self, message: str = "", **facts: Any) -> None:
        super().__init__(message)
        self.__dict__.update(facts)


class QuarantinedError(WorkerLostError):
    """A task that killed three workers. It is not tried again, whatever its retries say."""


class ActorLostError(WorkerLostError):
    """An actor's process died with this request, or cannot be had again. Other shards, and other requests, go on.

    Besides the facts of `WorkerLostError`: `shard` is its number in its group (0 for a single actor), and `reason` one
    of "died", "down" (it is being rebuilt, and the request was not to wait), "failed" (it cannot be rebuilt).
    """

    shard: int = 0
    reason: str = "died"


class DeadlineError(ManyhandsError, TimeoutError, _MultiprocessingTimeoutError):
    """The answer was not there at the deadline that the request was given. The actor was told to stop."""


class PoolBrokenError(ManyhandsError, BrokenProcessPool):
    """The pool cannot have workers: the initializer raised (see ``__cause__``), or none could be started."""


class TaskTimeoutError(ManyhandsError, TimeoutError, _MultiprocessingTimeoutError):
    """A task ran longer than its `task_timeout`. Its worker was killed and replaced."""


class WaitTimeoutError(ManyhandsError, TimeoutError, _MultiprocessingTimeoutError):
    """The result was not there in time. The task goes on; ask again, or cancel it."""


class ResultPicklingError(PicklingError, MaybeEncodingError):  # type: ignore[misc]
    """A task's result cannot be sent back: the task ran, its result is lost."""

    def __init__(self, message: str, value: str = "", exc: str = "") -> None:
        PicklingError.__init__(self, message)
        self.args = (message, value, exc)
        self.value, self.exc = value, exc

    def __str__(self) -> str:
        return str(self.args[0])


class PoolClosedError(ManyhandsError, ValueError, RuntimeError):
    """You gave work to a pool that takes no more."""


def describe_exit(exitcode: int | None) -> str:
    """How a process ended, in words."""
    if exitcode is None:
        return "ended in an unknown way"
    if exitcode >= 0:
        return f"exited with code {exitcode}"
    try:
        return f"was killed by {_signal.Signals(-exitcode).name}"
    except ValueError:
        return f"was killed by signal {-exitcode}"
