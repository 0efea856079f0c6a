"""Waiting for deaths. Part of the process room; stands on ``select.poll`` alone.

Always true:

1. A wait sleeps in the kernel: it does not wake to look. Signals run their Python handlers, and it goes on.
2. A pidfd names one process for ever, so nothing here can speak of another process that got the same pid.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import select
import struct
import time
from collections.abc import Iterable

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    import signal
else:  # without the enums of their wrappers, which cost a first start a millisecond each
    import _signal as signal

#: ``_IOWR(0xFF, 11, struct pidfd_info)`` of Linux 6.15 and later, and its bit for the exit status.
_PIDFD_GET_INFO, _PIDFD_INFO_EXIT = 0xC040FF0B, 8
_PIDFD_INFO = struct.Struct("QQ11Ii")


def wait(sentinels: Iterable[int], timeout: float | None = None) -> list[int]:
    """Wait until one of `sentinels` is ready, and return all that are; ``[]`` after `timeout` seconds.

    Blocks for ever when `timeout` is None. Takes any descriptors that ``select.poll`` takes.

    >>> import os
    >>> reader, writer = os.pipe()
    >>> wait([reader], timeout=0)
    []
    >>> os.close(writer)
    >>> wait([reader]) == [reader]
    True
    """
    poller = select.poll()
    for fd in sentinels:
        poller.register(fd, select.POLLIN)
    return [fd for fd, _ in poller.poll(milliseconds(timeout))]


def milliseconds(timeout: float | None) -> int | None:
    """`timeout` seconds as poll wants them, rounded up so that nothing returns early and spins."""
    return None if timeout is None else max(0, math.ceil(timeout * 1000))


def is_dead(pidfd: int) -> bool:
    """Has the process ended? (It may still be waiting for its parent to reap it.)"""
    return bool(wait([pidfd], 0))


def send_signal(pidfd: int, signum: int) -> None:
    """Send a signal to exactly that process; nothing happens when it has ended."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signum)


def kernel_status(pidfd: int, timeout: float) -> int | None:
    """The wait status that the kernel itself remembers of a process which somebody else reaped.

    Waits up to `timeout` seconds for that reaping. None when this kernel does not keep it (before Linux
    6.15).
    """
    deadline = time.monotonic() + timeout
    poller = select.poll()
    poller.register(pidfd, 0)  # POLLHUP: reaped
    if not poller.poll(milliseconds(deadline - time.monotonic())):
        return None
    request = _PIDFD_INFO.pack(_PIDFD_INFO_EXIT, *[0] * 13)
    try:
        mask, *_, status = _PIDFD_INFO.unpack(fcntl.ioctl(pidfd, _PIDFD_GET_INFO, request))
    except OSError:
        return None
    return int(status) if mask & _PIDFD_INFO_EXIT else None


def direct_status(pid: int) -> int | None:
    """Reap our own child `pid`, which has ended; None when an ``os.wait()`` elsewhere did."""
    try:
        return os.waitpid(pid, 0)[1]
    except ChildProcessError:
        return None
