"""The start methods: which there are, which is the default, and the door to each. Part of the process room.

Driven by `manyhands.process.handle`. A start method is a module with ``start(process) -> Launch``.

Always true:

1. Nothing is imported for a start method before it is used.
2. A start that fails leaves no descriptor and no process behind, and raises `StartError` or `PicklingError`.
"""

from __future__ import annotations

import contextlib
import importlib
import os

from manyhands.errors import StartError, UsageError

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    from manyhands.process.handle import Process
    from manyhands.process.launch import Launch

_MODULES = {
    "template": "manyhands.process.template",
    "fork": "manyhands.process.fork",
    "spawn": "manyhands.process.spawn",
}
_ALIASES = {"forkserver": "template"}

_VARIABLE = "MANYHANDS_START_METHOD"

_chosen: str | None = None


def get_all_start_methods() -> list[str]:
    """The start methods there are, the default first.

    >>> get_all_start_methods()
    ['template', 'fork', 'spawn']
    """
    return list(_MODULES)


def get_start_method(allow_none: bool = False) -> str | None:
    """The default start method; None if `allow_none` and it was never chosen.

    Raises `UsageError` when MANYHANDS_START_METHOD names none that exists.
    """
    if _chosen is not None:
        return _chosen
    wanted = os.environ.get(_VARIABLE)
    if wanted:
        return checked(wanted, f"the environment variable {_VARIABLE}")
    return None if allow_none else "template"


def set_start_method(method: str | None, force: bool = False) -> None:
    """Choose the default start method of this process and of the children it starts from now on.

    Raises `UsageError` for an unknown method, and RuntimeError when one was chosen already and `force` is
    false. ``set_start_method(None, force=True)`` goes back to the default.
    """
    global _chosen
    if _chosen is not None and not force:
        raise RuntimeError(
            f"the start method is already set to {_chosen!r}; set it once, at the top of the program, "
            f"or pass force=True"
        )
    _chosen = None if method is None else checked(method, "the start method")


def chosen() -> str | None:
    """What `set_start_method` chose, for the children to inherit."""
    return _chosen


def checked(method: str, what: str = "start method") -> str:
    """`method` under its proper name; raises `UsageError` when there is none such."""
    proper = _ALIASES.get(method, method)
    if proper not in _MODULES:
        names = ", ".join(repr(name) for name in _MODULES)
        raise UsageError(
            f"{what} is {method!r}, but there are only {names} ('forkserver' is an alias of 'template')"
        )
    return proper


def ensure_running(method: str | None = None) -> None:
    """Let what `method` (None: the default) starts processes with begin to boot, so that it is ready when the first is
    started. Does not wait; a system that refuses says so at that start.

    Only the template server boots: some twenty milliseconds, in which the caller may do other things.
    """
    if _proper(method) == "template":
        from manyhands.process import connection

        with contextlib.suppress(OSError, StartError):
            connection.connection()


def _proper(method: str | None) -> str:
    return checked(method or get_start_method() or "template")


def start(process: Process, method: str | None) -> Launch:
    """Start `process` by `method` (None: the default). Blocks until the child exists, not until it runs.

    Raises `StartError` when the system refuses, `manyhands.errors.PicklingError` when the process cannot be
    sent.
    """
    module = importlib.import_module(_MODULES[_proper(method)])
    try:
        launch: Launch = module.start(process)
    except OSError as error:
        raise StartError(_explain(process.name, error)) from error
    return launch


def _explain(name: str, error: OSError) -> str:
    import errno

    if error.errno in (errno.EMFILE, errno.ENFILE):
        why = "no file descriptors are left"
        remedy = "Join and close() processes that have ended, close files, or raise the limit (ulimit -n)"
    elif error.errno in (errno.EAGAIN, errno.ENOMEM):
        why = "the system refuses another process"
        remedy = (
            "Start fewer, or raise the limit on processes (ulimit -u, the container's pids.max) or memory"
        )
    else:
        return f"{name} could not be started: {error}"
    return f"{name} could not be started: {why} ({error.strerror}). {remedy}"


def warn() -> None:
    """Tell the user, once, what the template server could not preload."""
    import sys
    import warnings

    connection = sys.modules.get("manyhands.process.connection")
    for text in connection.take_warnings() if connection else ():
        warnings.warn(text, RuntimeWarning, stacklevel=3)
