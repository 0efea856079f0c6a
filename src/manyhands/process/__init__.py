"""Processes: how they start, how they end, who they are.

The interface of ``multiprocessing.Process`` and what belongs to it. Names load at first use, so that
importing this package costs nothing.

========================  ==============================================================================
`Process`                 a function in a process of its own
`current_process` …       who is who: also `parent_process`, `active_children`
`cpu_count`               how many cores this program may use: affinity, cgroup quota, environment
`set_start_method` …      template (the default), fork, spawn
`ensure_running`          boot what the first process will be started by
`set_forkserver_preload`  modules that children should find imported
`wait`                    wait for the first of several sentinels
`register` …              hooks for the rooms above: also `at_child_start`, `set_codec`, `on_reap`
========================  ==============================================================================
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # as in typing, whose import would cost more than all the rest

if TYPE_CHECKING:
    from typing import Any

    from manyhands.process.connection import preload
    from manyhands.process.connection import preload as set_forkserver_preload
    from manyhands.process.cpu import cpu_count
    from manyhands.process.extras import at_child_start, at_fork_start, on_reap, register, set_codec
    from manyhands.process.family import active_children, current_process, parent_process
    from manyhands.process.handle import (
        ForkProcess,
        Process,
        ProcessStateError,
        SpawnProcess,
        TemplateProcess,
    )
    from manyhands.process.interpreter import set_executable
    from manyhands.process.launcher import (
        ensure_running,
        get_all_start_methods,
        get_start_method,
        set_start_method,
    )
    from manyhands.process.report import RemoteError
    from manyhands.process.watch import wait

_HOMES = {
    "cpu_count": "cpu",
    "at_child_start": "extras",
    "at_fork_start": "extras",
    "on_reap": "extras",
    "register": "extras",
    "set_codec": "extras",
    "active_children": "family",
    "current_process": "family",
    "parent_process": "family",
    "ForkProcess": "handle",
    "Process": "handle",
    "SpawnProcess": "handle",
    "TemplateProcess": "handle",
    "ProcessStateError": "handle",
    "set_executable": "interpreter",
    "ensure_running": "launcher",
    "get_all_start_methods": "launcher",
    "get_start_method": "launcher",
    "set_start_method": "launcher",
    "RemoteError": "report",
    "preload": "connection",
    "set_forkserver_preload": "connection",
    "wait": "watch",
}

__all__ = [
    "ForkProcess",
    "Process",
    "ProcessStateError",
    "RemoteError",
    "SpawnProcess",
    "TemplateProcess",
    "active_children",
    "at_child_start",
    "at_fork_start",
    "cpu_count",
    "current_process",
    "ensure_running",
    "get_all_start_methods",
    "get_start_method",
    "on_reap",
    "parent_process",
    "preload",
    "register",
    "set_codec",
    "set_executable",
    "set_forkserver_preload",
    "set_start_method",
    "wait",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    attribute = "preload" if name == "set_forkserver_preload" else name
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{home}"), attribute)
    return value


def __dir__() -> list[str]:
    return __all__
