"""Every core of the machine from Python: multiprocessing's names, without its copies, hangs and riddles.

Public names load at their first use, so that importing the package costs next to nothing and starts nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in typing, whose import would cost more than all the rest

if TYPE_CHECKING:
    from typing import Any

    from manyhands.actor.actor import Actor as Actor
    from manyhands.actor.actor import ActorGroup as ActorGroup
    from manyhands.actor.current import PAUSE as PAUSE
    from manyhands.actor.current import current_request as current_request
    from manyhands.channel.pipe import Connection as Connection
    from manyhands.channel.pipe import Pipe as Pipe
    from manyhands.channel.queue import JoinableQueue as JoinableQueue
    from manyhands.channel.queue import Queue as Queue
    from manyhands.channel.queue import SimpleQueue as SimpleQueue
    from manyhands.context import Context as Context
    from manyhands.context import Process as Process
    from manyhands.context import get_context as get_context
    from manyhands.engines.worker_state import worker_state as worker_state
    from manyhands.memory.share import empty as empty
    from manyhands.memory.share import share as share
    from manyhands.pool.executor import Executor as Executor
    from manyhands.pool.pool import Pool as Pool
    from manyhands.pool.result import Result as Result
    from manyhands.pool.reusable import get_reusable_pool as get_reusable_pool
    from manyhands.process import active_children as active_children
    from manyhands.process import cpu_count as cpu_count
    from manyhands.process import current_process as current_process
    from manyhands.process import get_all_start_methods as get_all_start_methods
    from manyhands.process import get_start_method as get_start_method
    from manyhands.process import parent_process as parent_process
    from manyhands.process import set_executable as set_executable
    from manyhands.process import set_forkserver_preload as set_forkserver_preload
    from manyhands.process import set_start_method as set_start_method
    from manyhands.scheduler.lost_writes import LostWriteError as LostWriteError
    from manyhands.scheduler.lost_writes import LostWriteWarning as LostWriteWarning

__version__ = "0.1.0.dev0"

#: Public name -> module that has it.
_HOME = {
    "Actor": "manyhands.actor.actor",
    "ActorGroup": "manyhands.actor.actor",
    "Connection": "manyhands.channel.pipe",
    "Context": "manyhands.context",
    "Executor": "manyhands.pool.executor",
    "JoinableQueue": "manyhands.channel.queue",
    "LostWriteError": "manyhands.scheduler.lost_writes",
    "LostWriteWarning": "manyhands.scheduler.lost_writes",
    "PAUSE": "manyhands.actor.current",
    "Pipe": "manyhands.channel.pipe",
    "Pool": "manyhands.pool.pool",
    "Process": "manyhands.context",
    "Queue": "manyhands.channel.queue",
    "Result": "manyhands.pool.result",
    "SimpleQueue": "manyhands.channel.queue",
    "active_children": "manyhands.process",
    "cpu_count": "manyhands.process",
    "current_request": "manyhands.actor.current",
    "current_process": "manyhands.process",
    "empty": "manyhands.memory.share",
    "get_all_start_methods": "manyhands.process",
    "get_context": "manyhands.context",
    "get_reusable_pool": "manyhands.pool.reusable",
    "get_start_method": "manyhands.process",
    "parent_process": "manyhands.process",
    "set_executable": "manyhands.process",
    "set_forkserver_preload": "manyhands.process",
    "set_start_method": "manyhands.process",
    "share": "manyhands.memory.share",
    "worker_state": "manyhands.engines.worker_state",
}

__all__ = ["__version__", *_HOME]  # noqa: PLE0604 - all of them are strings


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'manyhands' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
