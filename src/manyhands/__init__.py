"""Every core of the machine from Python: multiprocessing's names, without its copies, hangs and riddles.

Public names load at their first use, so that importing the package costs next to nothing and starts nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from manyhands.channel.pipe import Connection as Connection
    from manyhands.channel.pipe import Pipe as Pipe
    from manyhands.channel.queue import JoinableQueue as JoinableQueue
    from manyhands.channel.queue import Queue as Queue
    from manyhands.channel.queue import SimpleQueue as SimpleQueue
    from manyhands.memory.share import empty as empty
    from manyhands.memory.share import share as share

__version__ = "0.1.0.dev0"

#: Public name -> module that has it.
_HOME = {
    "Connection": "manyhands.channel.pipe",
    "JoinableQueue": "manyhands.channel.queue",
    "Pipe": "manyhands.channel.pipe",
    "Queue": "manyhands.channel.queue",
    "SimpleQueue": "manyhands.channel.queue",
    "empty": "manyhands.memory.share",
    "share": "manyhands.memory.share",
}

__all__ = sorted(["__version__", *_HOME])


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'manyhands' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
