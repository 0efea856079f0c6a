"""The texts of what a pool raises: who, what was lost, and what to do. Deciding what to raise is the core's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from manyhands.engines.protocol import Death
from manyhands.scheduler.brief import brief_call
from manyhands.scheduler.commands import Lost

if TYPE_CHECKING:
    from manyhands.failures import PoolBrokenError, PoolClosedError
    from manyhands.scheduler.work import Source


def error_of(command: Lost, death: Death | None, failure: BaseException | None) -> BaseException:
    """The error of a task that will never be done."""
    if command.why == "timeout":
        return _timed_out(command)
    if command.why == "start" or death is None:
        return failure or _broken("no worker of this pool could be started")
    return _worker_lost(command, death)


def _worker_lost(command: Lost, death: Death) -> BaseException:
    from manyhands.failures import QuarantinedError, WorkerLostError, describe_exit

    batch, options = command.batch, command.batch.source.options
    attempts = batch.deaths + 1
    task, index = describe_task(batch.source, batch.items[command.place], batch.first + command.place)
    killed = -death.exitcode if death.exitcode is not None and death.exitcode < 0 else None
    words = [
        f"worker {command.worker} (pid {death.pid}) {describe_exit(death.exitcode)} while it ran {task}."
    ]
    if death.oom:
        words.append(f"It was very likely out of memory: {death.memory}.")
    elif death.memory:
        words.append(f"Somebody sent that signal, or memory ran out ({death.memory}).")
    kind = QuarantinedError if command.why == "quarantined" else WorkerLostError
    words.append(_advice(command.why, attempts, options.retries))
    return kind(
        " ".join(words), worker=command.worker, pid=death.pid, exitcode=death.exitcode, signal=killed, task=task,
        index=index, attempts=attempts, oom=death.oom,
    )  # fmt: skip


def _advice(why: str, attempts: int, retries: int) -> str:
    if why == "quarantined":
        return f"It has killed {attempts} workers and is not tried again. All other tasks go on."
    if retries:
        return f"It was tried {attempts} times (retries={retries}). All other tasks go on."
    return "The task may have run in part; retries=1 would have tried it again. All other tasks go on."


def _timed_out(command: Lost) -> BaseException:
    from manyhands.failures import TaskTimeoutError

    batch = command.batch
    task, _ = describe_task(batch.source, batch.items[command.place], batch.first + command.place)
    seconds = (batch.source.options.task_timeout_ns or 0) / 1e9
    return TaskTimeoutError(
        f"{task} ran longer than task_timeout={seconds:g} seconds; its worker {command.worker} was killed and replaced"
    )


def describe_task(source: Source, item: Any, index: int) -> tuple[str, int | None]:
    """A task in a few words, and its index in its map."""
    function = getattr(source.function, "call", source.function)
    if source.owner is not None:
        return f"item {index}: {brief_call(function, source.form, item)}", index
    return item.describe(function, source.form), None


def _broken(text: str, cause: BaseException | None = None) -> PoolBrokenError:
    from manyhands.failures import PoolBrokenError

    error = PoolBrokenError(text)
    error.__cause__ = cause
    return error


def initializer_raised(error: BaseException) -> BaseException:
    """The pool's failure when an initializer raised."""
    return _broken(
        f"the pool's initializer raised {type(error).__name__}: {error}. No task was run after that; "
        f"mend the initializer and make a new pool",
        error,
    )


def no_worker_starts(death: Death) -> BaseException:
    """The pool's failure when workers die before they are ready, again and again."""
    from manyhands.failures import describe_exit

    return _broken(
        f"the pool's workers die before they are ready: the last one (pid {death.pid}) "
        f"{describe_exit(death.exitcode)}. Look at its output above, at the initializer, and at memory limits"
    )


def interrupted(error: BaseException) -> BaseException:
    """The pool's failure when a turn was broken off."""
    return _broken(
        f"the pool was interrupted ({type(error).__name__}) in the middle of its bookkeeping and cannot go on; "
        f"make a new pool",
        error,
    )


def closed(failure: BaseException | None) -> BaseException:
    """What a submission to a closed or broken pool raises."""
    if failure is not None:
        return failure
    return _pool_closed(
        "Pool not running: cannot schedule new futures after shutdown. It was closed or terminated; make a new one"
    )


def wrong_process(pid: int) -> PoolClosedError:
    """A forked child uses its parent's pool."""
    return _pool_closed(
        f"Pool not running here: it belongs to process {pid}, and this is a forked copy ({os.getpid()}); "
        f"make a pool of your own"
    )


def _pool_closed(text: str) -> PoolClosedError:
    from manyhands.failures import PoolClosedError

    return PoolClosedError(text)
