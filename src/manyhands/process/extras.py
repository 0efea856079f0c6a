"""What rooms above add to each start and hear of each end. Part of the process room.

Five hooks, so that this room need not know the rooms above it:

* `register`: a descriptor that every child gets (the shared-memory arena).
* `at_child_start`: a function that every child calls before its target runs; `at_fork_start`: that forked ones call,
  which begin with the modules of their owner but without its exit functions.
* `set_codec`: how a Process and its arguments become bytes and come back (large buffers, shared memory).
* `on_reap`: a function that the owner calls when a child was found dead (to reclaim what it held).

A hook that runs in the child travels as the name of a function, ``(module, qualname)``; the child imports the
module, and leaves the hook out when there is no such module there.

Always true:

1. A forked child has all that its owner has: it is given no extra descriptor. The ``at_child_start`` hooks
   run there too.
2. An owner's hook is called outside of every lock of this room.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence

from manyhands import byvalue
from manyhands.descriptors import Luggage
from manyhands.errors import UsageError

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    from typing import Any

Name = tuple[str, str]


#: By name: what to call in the owner, and what in the child.
_extras: dict[str, tuple[Callable[[], int | None], Name]] = {}


class _Codec:
    """The codec in force; at first that of `byvalue`."""

    def __init__(self) -> None:
        self.dump: Callable[[Any], Sequence[Any]] = lambda obj: (byvalue.dumps(obj),)
        self.load: Name = ("_pickle", "loads")


_codec = _Codec()
_child_hooks: dict[Name, Callable[[], None]] = {}
_fork_hooks: list[Callable[[], object]] = []
_reap_hooks: list[Callable[[int], None]] = []


def register(name: str, give: Callable[[], int | None], take: Callable[[int], None]) -> None:
    """Give every child a descriptor: ``give()`` names it in the owner, ``take(fd)`` owns its copy in the
    child.

    `take` must be a function of a module; ``give`` may return None for "nothing this time". A second
    registration under the same name replaces the first.
    """
    _extras[name] = (give, _name_of(take))


def at_child_start(callback: Callable[[], None]) -> None:
    """Call `callback`, a function of a module, in every child before its target runs."""
    _child_hooks[_name_of(callback)] = callback


def at_fork_start(callback: Callable[[], object]) -> None:
    """Call `callback` in every child that is forked from this process, before its target runs."""
    _fork_hooks.append(callback)


def on_reap(callback: Callable[[int], None]) -> None:
    """Call ``callback(pid)`` in this process when one of its children was found dead."""
    _reap_hooks.append(callback)


def pack(luggage: Luggage) -> list[tuple[Name, int]]:
    """In the owner: put the extra descriptors into `luggage`; who takes which."""
    given = [(take, give()) for give, take in list(_extras.values())]
    return [(take, luggage.add(fd)) for take, fd in given if fd is not None]


def set_codec(dump: Callable[[Any], Sequence[Any]], load: Callable[[bytearray], Any]) -> None:
    """Make processes into bytes by `dump`, which returns buffers to be written one after the other, and back by
    `load`, a function of a module, which gets all of them as one."""
    _codec.dump, _codec.load = dump, _name_of(load)


def dump(obj: Any) -> Sequence[Any]:
    """The buffers that say `obj`. Raises `manyhands.errors.PicklingError`."""
    return _codec.dump(obj)


def loader(body: Sequence[Any]) -> Name:
    """The name of the function that rebuilds what `dump` has made: one buffer alone is a plain pickle."""
    return _codec.load if len(body) > 1 else ("_pickle", "loads")


def load(name: Name, data: bytearray) -> Any:
    """In the child: the object that `data` says."""
    return getattr(importlib.import_module(name[0]), name[1])(data)


def child_hooks() -> list[Name]:
    """The names of the functions to call in a child."""
    return list(_child_hooks)


def unpack(taken: list[tuple[Name, int]], hooks: list[Name], luggage: Luggage) -> None:
    """In the child: hand the extra descriptors out and call the hooks."""
    for name, index in taken:
        take = _find(name)
        if take is not None:
            take(os.dup(luggage.descriptors[index]))
    for name in hooks:
        hook = _find(name)
        if hook is not None:
            hook()


def run_child_hooks() -> None:
    """In a forked child: call the hooks."""
    for hook in [*_fork_hooks, *_child_hooks.values()]:
        hook()


def reaped(pid: int) -> None:
    """In the owner: tell everybody that child `pid` is dead."""
    for hook in tuple(_reap_hooks):
        hook(pid)


def _name_of(function: Callable[..., Any]) -> Name:
    name = (function.__module__, function.__qualname__)
    if "<" in name[1] or "." in name[1]:
        raise UsageError(
            f"{name[1]} must be a function at the top of a module, so that a child can import it"
        )
    return name


def _find(name: Name) -> Callable[..., None] | None:
    try:
        module = importlib.import_module(name[0])
    except ModuleNotFoundError:
        return None
    found: Callable[..., None] | None = getattr(module, name[1], None)
    return found
