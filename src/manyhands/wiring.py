"""Where memory and processes meet. Floor 2.

Each process that is started gets the family's arena, and when one is found dead what it held is reclaimed.
Everything that starts a process takes its Process class from here, so the wiring is done before the first start.
"""

from __future__ import annotations

from manyhands import process
from manyhands.errors import OutOfMemoryError
from manyhands.memory import arena, received, serialize
from manyhands.process import ForkProcess, Process, SpawnProcess, TemplateProcess

__all__ = ["ForkProcess", "Process", "SpawnProcess", "TemplateProcess", "process_class"]


def _give_arena() -> int | None:
    """The arena for a child. Where address space is refused the child goes without, and says so when it needs one."""
    try:
        return arena.give()
    except OutOfMemoryError:
        return None


process.register("arena", _give_arena, received.take)
process.on_reap(arena.reclaim)
process.set_codec(serialize.dump, serialize.load)

_CLASSES = {
    None: Process,
    "template": TemplateProcess,
    "fork": ForkProcess,
    "spawn": SpawnProcess,
}


def process_class(method: str | None) -> type[Process]:
    """The class whose processes start by `method`; None: by the default one."""
    return _CLASSES[method]
