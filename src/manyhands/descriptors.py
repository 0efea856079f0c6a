"""How an open file descriptor travels to another process. Floor 0: stands on the standard library alone.

A pickle cannot hold a descriptor, so whoever pickles an object that owns one (a ring, an arena) asks
``pack(fd)`` for a token, puts the token into its pickle, and calls ``unpack(token)`` on the other side.
There are two ways, and the pickling code need not know which is in force:

* **Luggage.** While a process is being started, a `Luggage` is open in the starting thread. ``pack`` adds the
  descriptor to it, the launcher carries the descriptors over (inheritance or ``SCM_RIGHTS``), and the child
  opens the same luggage around its ``loads``. Works for every kind of descriptor.
* **Path.** Otherwise (an object inside a queue item) the token names a duplicate of the descriptor as
  ``/proc/<pid>/fd/<n>`` of the packing process, which must be alive when the token is unpacked. The last 64
  duplicates are kept, so the object itself may be closed meanwhile. Works for memfds
  and pipes.
  The inode is checked, so a recycled pid or number is noticed.

A pickle may come to nothing: the standard pickler gives up and another takes over, or there is no room in the
queue. Whoever sends one opens a `shipment` around it, and whoever packs says there, by `on_abandon`, how to undo it.

Always true:

1. The sender keeps its own descriptor: ``pack`` never takes it over.
2. Each ``unpack`` gives a new descriptor, close-on-exec, owned by the caller.
3. A token that cannot be honoured raises `DescriptorLostError`; it never yields somebody else's file.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
import weakref
from collections import OrderedDict

from manyhands.errors import DescriptorLostError

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: ``(index in the luggage,)`` or ``(pid, descriptor, device, inode)``; only ints, so it pickles small.
Token = tuple[int, ...]


class Luggage:
    """The descriptors that travel with one start of a process. Threads: the one that opened it."""

    def __init__(self, descriptors: Sequence[int] = ()) -> None:
        self.descriptors: list[int] = list(descriptors)

    def add(self, fd: int) -> int:
        """Note `fd` for the journey and return its place."""
        self.descriptors.append(fd)
        return len(self.descriptors) - 1


class _Open(threading.local):
    """What is open in this thread. Weak, because Ctrl-C may come between any two steps: what an interrupted ``with``
    has left here is gone with its frame, and cannot be taken for the next one's."""

    packing: weakref.ref[Luggage] | None = None
    unpacking: weakref.ref[Luggage] | None = None
    shipment: weakref.ref[shipment] | None = None

    def luggage(self, name: str) -> Luggage | None:
        """The one that is open for ``packing`` or ``unpacking``."""
        found = getattr(self, name)
        luggage: Luggage | None = None if found is None else found()
        return luggage


_open = _Open()


@contextlib.contextmanager
def packing(luggage: Luggage) -> Iterator[Luggage]:
    """While this is open in the current thread, ``pack`` puts descriptors into `luggage`."""
    before, _open.packing = _open.packing, weakref.ref(luggage)
    try:
        yield luggage
    finally:
        _open.packing = before


@contextlib.contextmanager
def unpacking(luggage: Luggage) -> Iterator[Luggage]:
    """While this is open in the current thread, ``unpack`` takes descriptors out of `luggage`."""
    before, _open.unpacking = _open.unpacking, weakref.ref(luggage)
    try:
        yield luggage
    finally:
        _open.unpacking = before


class shipment:  # noqa: N801 - used as a statement's word: with shipment():
    """What is packed inside arrives once, or this ends by an error and undoes it. Shipments nest."""

    def __enter__(self) -> None:
        self.undo: list[Callable[[], object]] = []
        luggage = _open.luggage("packing")
        self.room = 0 if luggage is None else len(luggage.descriptors)
        self.before, _open.shipment = _open.shipment, weakref.ref(self)

    def __exit__(self, kind: object, *rest: object) -> None:
        _open.shipment = self.before
        if kind is None:
            outer = self.before() if self.before is not None else None
            if outer is not None:
                outer.undo += self.undo
            return
        for undo in self.undo:
            undo()
        luggage = _open.luggage("packing")
        if luggage is not None:
            del luggage.descriptors[self.room :]


def on_abandon(undo: Callable[[], object]) -> bool:
    """Call `undo` if the shipment that is open in this thread comes to nothing. False: there is none, and what is
    being pickled may be unpickled any number of times, or never."""
    current = _open.shipment() if _open.shipment is not None else None
    if current is None:
        return False
    current.undo.append(undo)
    return True


def pack(fd: int) -> Token:
    """A token for `fd` that another process can `unpack`."""
    luggage = _open.luggage("packing")
    if luggage is not None:
        return (luggage.add(fd),)
    status = os.fstat(fd)
    return (os.getpid(), _kept.duplicate(fd, status), status.st_dev, status.st_ino)


class _Kept:
    """Duplicates of what tokens name by path, the oldest first. Threads: any."""

    MOST = 64

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.duplicates: OrderedDict[tuple[int, ...], int] = OrderedDict()

    def duplicate(self, fd: int, status: os.stat_result) -> int:
        way = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE
        key = (os.getpid(), status.st_dev, status.st_ino, way)
        with self.lock:
            if key not in self.duplicates:
                self.duplicates[key] = self._dup(fd)
            self.duplicates.move_to_end(key)
            while len(self.duplicates) > self.MOST:
                os.close(self.duplicates.popitem(last=False)[1])
            return self.duplicates[key]

    def _dup(self, fd: int) -> int:
        """A duplicate; the older ones go when descriptors are short."""
        while True:
            try:
                return os.dup(fd)
            except OSError:
                if not self.duplicates:
                    raise
                os.close(self.duplicates.popitem(last=False)[1])

    def forget(self) -> None:
        """Close all: in a forked child, which has sent nothing yet; or when nothing that was sent is on its way."""
        self.lock = threading.Lock()
        while self.duplicates:
            os.close(self.duplicates.popitem()[1])


_kept = _Kept()
os.register_at_fork(after_in_child=_kept.forget)


def unpack(token: Token, flags: int) -> int:
    """A new descriptor for what `token` names, opened with `flags` (``os.O_RDWR``; for an end of a pipe, its way).

    Raises `DescriptorLostError` when the process that packed it is gone or has closed it.
    """
    if len(token) == 1:
        return _from_luggage(token[0])
    pid, fd, device, inode = token
    return _from_path(pid, fd, device, inode, flags)


def _from_luggage(index: int) -> int:
    luggage = _open.luggage("unpacking")
    if luggage is None or index >= len(luggage.descriptors):
        raise DescriptorLostError(
            "this object was pickled to travel as an argument of a starting Process, and can only be unpickled "
            "there; pickle it anew to put it into a queue"
        )
    return os.dup(luggage.descriptors[index])


def _from_path(pid: int, fd: int, device: int, inode: int, flags: int) -> int:
    path = f"/proc/{pid}/fd/{fd}"
    try:
        new = os.open(path, flags | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise  # our trouble, not the sender's
        raise DescriptorLostError(
            f"process {pid}, which sent this object, has ended or closed it before it was received "
            f"({path}: {error.strerror}); keep the sender alive until then, or pass the object as an argument "
            f"of Process"
        ) from error
    status = os.fstat(new)
    if (status.st_dev, status.st_ino) != (device, inode):
        os.close(new)
        raise DescriptorLostError(
            f"process {pid} closed this object before it was received ({path} is now something else)"
        )
    return new
