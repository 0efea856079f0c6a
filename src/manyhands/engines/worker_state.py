"""What a worker keeps from task to task. Threads: each worker sees its own."""

from __future__ import annotations

import threading
from typing import Any


class _Here(threading.local):
    state: dict[str, Any] | None = None


_here = _Here()
_process: dict[str, Any] = {}


def worker_state() -> dict[str, Any]:
    """A dict of this worker's own, empty at its start: for what an initializer opens and tasks use.

    In a worker process all threads see the same one. Outside of a worker it is a dict of the program's.

    >>> import manyhands
    >>> def connect():
    ...     manyhands.worker_state()["connection"] = "an open connection"
    >>> def ask(question):
    ...     return manyhands.worker_state()["connection"], question
    >>> with manyhands.Pool(1, initializer=connect) as pool:
    ...     pool.apply(ask, ("who?",))
    ('an open connection', 'who?')
    """
    return _process if _here.state is None else _here.state


def begin_thread() -> None:
    """This thread is a worker from now on."""
    _here.state = {}
