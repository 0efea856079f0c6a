"""The texts of what an actor raises: who, what was lost, and what to do. Part of the actor room."""

from __future__ import annotations

import os

from manyhands import failures  # now: while the interpreter exits its bases can be imported no more
from manyhands.actor.protocol import Request
from manyhands.engines.protocol import Death


def error_of(
    name: str, request: Request, why: str, death: Death | None, cause: BaseException | None, rebuilds: bool
) -> BaseException:
    """The error of a request that will never be answered. `name`: of the shard, for people."""
    if why == "stopped":
        return closed(name)
    if why == "failed":
        return _cannot_be_built(name, request, death, cause, rebuilds)
    if why == "down":
        return _lost(
            f"{name} is being rebuilt and was not to be waited for. Ask again later", request, why, death
        )
    words = [f"{name} {_end_of(death)} while it had the request {request.method}()."]
    if death is not None and death.oom:
        words.append(f"It was very likely out of memory: {death.memory}.")
    elif death is not None and death.memory:
        words.append(f"Somebody sent that signal, or memory ran out ({death.memory}).")
    words.append(_advice(request) if rebuilds else "It is not rebuilt (rebuild=False): make a new one.")
    return _lost(" ".join(words), request, why, death)


def _advice(request: Request) -> str:
    if request.attempts > 1:
        return f"It was asked {request.attempts} times, and it died each time: look at what is asked. It is rebuilt."
    if request.items:
        return f"{request.items} items of the answer had come, so it was not asked again. It is rebuilt: ask again."
    return "It is rebuilt: ask again."


def _cannot_be_built(
    name: str, request: Request, death: Death | None, cause: BaseException | None, rebuilds: bool
) -> BaseException:
    if cause is not None:
        text = f"{name} cannot be built: {type(cause).__name__}: {cause}"
    elif not rebuilds:
        text = f"{name} {_end_of(death)} and is not rebuilt (rebuild=False)"
    else:
        text = f"{name} cannot be built: it {_end_of(death)} before it was ready, again and again"
    error = _lost(text + ". Mend that, and make a new one", request, "failed", death)
    error.__cause__ = cause
    return error


def _end_of(death: Death | None) -> str:
    return "ended" if death is None else f"(pid {death.pid}) {failures.describe_exit(death.exitcode)}"


def _lost(text: str, request: Request, why: str, death: Death | None) -> failures.ActorLostError:
    code = None if death is None else death.exitcode
    return failures.ActorLostError(
        text, shard=request.shard, worker=request.shard, reason=why, task=f"{request.method}()",
        attempts=request.attempts, pid=None if death is None else death.pid, exitcode=code,
        signal=-code if code is not None and code < 0 else None, oom=death is not None and death.oom,
    )  # fmt: skip


def too_late(name: str, request: Request, deadline_s: float) -> BaseException:
    """The deadline has passed."""
    return failures.DeadlineError(
        f"{name} had not answered {request.method}() after deadline_s={deadline_s:g} seconds"
    )


def closed(name: str) -> BaseException:
    """What a request to a closed actor raises."""
    return _pool_closed(f"{name} was closed or terminated; make a new one")


def wrong_process(name: str, pid: int) -> BaseException:
    """A forked child uses its parent's actor."""
    return _pool_closed(
        f"{name} belongs to process {pid}, and this is a forked copy ({os.getpid()}); make one of your own"
    )


def interrupted(name: str, error: BaseException) -> BaseException:
    """A turn was broken off half way."""
    broken = failures.PoolBrokenError(
        f"{name} was interrupted ({type(error).__name__}) in the middle of its bookkeeping and cannot go on; "
        f"make a new one"
    )
    broken.__cause__ = error
    return broken


def _pool_closed(text: str) -> BaseException:
    return failures.PoolClosedError(text)


def while_built(name: str, error: BaseException) -> BaseException:
    """What making an actor raises: the constructor's own error, with a note of whose it was."""
    note = f"[raised while {name} was built]"
    if note not in getattr(error, "__notes__", ()):
        error.add_note(note)
    return error
