"""Rings as Python objects that travel: making them, sending them to other processes, letting go of them.

Stands on the native ring and on `manyhands.memory.serialize`; driven by the queues and pipes of this room.

Always true:

1. A ring counts its holders: each handle and each pickle of one that is on its way. Whoever lets go of the last
   frees the blocks of the items that nobody will read. A killed process leaves the count too high, never too low.
2. A child lets go of its rings when it ends by itself, whatever started it.
"""

from __future__ import annotations

import _pickle as pickle  # the same objects, without the import of re
import atexit
import contextlib
import io
import itertools
import os
import weakref

from manyhands import _native, config, descriptors, process
from manyhands.memory import arena, serialize

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    from typing import Any

#: Level 0 of a ring: slots, and bytes of data. Measured: 1 MB stays in the cache of one core.
_SLOTS, _DATA = 4096, 1 << 20
_ALL_LEVELS = 8

#: How many bytes of blocks may wait in a ring that does not grow before its writers block.
_HEAVY_BYTES = 256 << 20

_live: weakref.WeakSet[RingHandle] = weakref.WeakSet()


def _before_fork() -> None:
    """The child will hold what this process holds."""
    if _live:
        arena.prepare_fork()
    for handle in list(_live):
        if not handle.native.closed:
            handle.native.add_holder(1)


def _close_all() -> None:
    """At exit: the native ring lets go when it is garbage, but what is alive at the end never is."""
    for handle in list(_live):
        handle.close()


os.register_at_fork(before=_before_fork)
atexit.register(_close_all)


_native.set_spin_ns(config.spin_ns())
process.at_fork_start(lambda: atexit.register(_close_all))


class RingHandle:
    """One process's hold of a ring. Threads: any. Processes: any, each with a handle of its own."""

    __slots__ = ("__weakref__", "native")

    def __init__(self, native: _native.Ring) -> None:
        self.native = native
        _live.add(self)

    @classmethod
    def codec(cls) -> tuple[Any, ...]:
        """How messages become objects; a subclass may have another way."""
        return _codec()

    @classmethod
    def create(cls, max_items: int = 0, *, grows: bool = True) -> RingHandle:
        """A new ring. `max_items` 0: no limit; one that does not grow blocks its writers at about 1 MB."""
        levels, heavy_bytes = (_ALL_LEVELS, 0) if grows else (1, _HEAVY_BYTES)
        options = (max_items, levels, _SLOTS, _DATA, heavy_bytes)
        return cls(_native.Ring.create(options, cls.codec()))

    @classmethod
    def attach(cls, token: descriptors.Token, counted: bool) -> RingHandle:
        """The ring that `token` names. `counted`: the token was a holder, and becomes this one."""
        fd = descriptors.unpack(token, os.O_RDWR)
        try:
            native = _native.Ring.attach(fd, cls.codec())
        except BaseException:
            os.close(fd)
            raise
        if not counted:
            native.add_holder(1)
        return cls(native)

    def again(self) -> RingHandle:
        """Another hold of the same ring in this process, with a life of its own."""
        self.native.add_holder(1)
        fd = os.dup(self.native.fd)
        try:
            return type(self)(_native.Ring.attach(fd, self.codec()))
        except BaseException:
            os.close(fd)
            raise

    def __reduce__(self) -> tuple[Any, ...]:
        if self.native.closed:
            raise pickle.PicklingError("a closed queue or connection cannot be sent to another process")
        token = descriptors.pack(self.native.fd)
        # On its way the token is a holder. One that is shipped arrives once, and becomes the receiver's hold. A
        # pickle of the user's own may be opened often or never: it stays a holder for good.
        self.native.add_holder(1)
        shipped = descriptors.on_abandon(self._abandoned)
        return type(self).attach, (token, shipped)

    def _abandoned(self) -> None:
        if not self.native.closed:
            self.native.add_holder(-1)

    def close(self) -> None:
        """Let go; threads that wait inside get `ClosedResourceError`. Doing it twice is harmless."""
        self.native.close()


class _Nothing:
    """Takes the place of everything in a pickle that is only searched for rings."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Whatever it would have been made of."""

    def __setstate__(self, state: Any) -> None:
        """Whatever it would have become."""

    append = extend = add = __setitem__ = __init__


class _RingFinder(pickle.Unpickler):
    """Rebuilds rings only; no other class or function that the pickle names is imported or called."""

    def find_class(self, module: str, name: str) -> Any:
        """`RingHandle.attach` and what it stands on, or nothing."""
        if (module, name) == (__name__, "RingHandle"):
            return RingHandle
        if (module, name) == (__name__, "RingHandle.attach"):
            return RingHandle.attach
        return _attribute if name == "getattr" else _Nothing


def _attribute(holder: Any, name: str) -> Any:
    return RingHandle.attach if holder is RingHandle and name == "attach" else _Nothing


def _discard(kind: int, buffer: Any) -> None:
    """Let go of a message that nobody will read, and of the queues that travel in it."""
    data = serialize.discard(kind, buffer)
    if data is None or __name__.encode() not in bytes(data):
        return
    with contextlib.suppress(Exception):  # what is no ring may not fit together any more
        _RingFinder(io.BytesIO(data), buffers=itertools.repeat(b"")).load()


def _codec() -> tuple[Any, ...]:
    return (
        pickle.loads,
        serialize.decode,
        arena.resolve,
        serialize.put,
        _discard,
        serialize.INLINE_MOST,
    )
