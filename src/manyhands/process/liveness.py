"""A process dies with its owner, whatever killed the owner. Part of the process room.

Owns one pipe in each process that starts others. Only the owner holds its write end, so the kernel closes
that end when the owner ends in any way. A child opens the read end anew and asks the kernel for SIGKILL as
the signal of its next event (``F_SETSIG``, ``O_ASYNC``). The only event that ever comes is the owner's death:
nobody writes. It needs no thread, works while the child computes in C, and costs the child one descriptor.

Driven by the launchers (`read_end`, in the owner) and by `manyhands.process.child` (`arm`, in the child).

Always true:

1. The write end is close-on-exec and is closed in every forked copy, so it lives exactly as long as the
   owner.
2. Each child has an open file description of its own: ``F_SETOWN`` belongs to the description, and one that
   came by inheritance or ``SCM_RIGHTS`` is shared with all siblings.
3. An owner that died before `arm` is noticed by `arm` itself.
"""

from __future__ import annotations

import fcntl
import os
import select
import threading

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    import signal
else:  # without the enums of their wrappers, which cost a first start a millisecond each
    import _signal as signal

_lock = threading.Lock()
_ends: tuple[int, int] | None = None


def read_end() -> int:
    """The read end of this process's pipe, made at the first call. It stays ours: do not close it."""
    global _ends
    with _lock:
        if _ends is None:
            _ends = os.pipe2(os.O_CLOEXEC)
        return _ends[0]


def arm(fd: int) -> int:
    """Let the kernel kill this process when the owner of the pipe `fd` dies; return what to keep open."""
    mine = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.fcntl(mine, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(mine, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(mine, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)
    if owner_is_gone(mine):  # it died before the kernel was told
        os.kill(os.getpid(), signal.SIGKILL)
    return mine


def owner_is_gone(fd: int) -> bool:
    """Has the write end of the pipe been closed?"""
    poller = select.poll()
    poller.register(fd, 0)
    return bool(poller.poll(0))


def _forget_in_child() -> None:
    global _ends
    ends, _ends = _ends, None
    for fd in ends or ():
        os.close(fd)
    _lock.release()


# The lock is held over the fork, so that no copy is made while the pipe exists but is not yet noted.
os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_forget_in_child)
