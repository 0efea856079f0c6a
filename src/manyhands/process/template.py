"""Start method ``template``, the owner's side: what is sent for one start, and what comes back.

Part of the process room; the server is reached through `connection`.

Always true: when the server dies in the middle of a start, that start is made again with a new one. A target never
runs twice.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select

from manyhands.errors import StartError
from manyhands.process import outfit, parcel, watch
from manyhands.process.connection import Server, ServerLostError, connection
from manyhands.process.launch import Launch

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    from manyhands.process.handle import Process

_ATTEMPTS = 3

#: How long a living server may take to report a death; it does so at once, unless somebody has stopped it.
_REPORT_S = 10.0


def start(process: Process) -> Launch:
    """Start `process` through the server. Raises `StartError`, `PicklingError`, or OSError."""
    for _ in range(_ATTEMPTS):
        server = connection()  # a new one boots while we pickle
        with outfit.Outfit(process, server.environ) as kit, contextlib.suppress(ServerLostError):
            return _start(server, kit)
    raise StartError(
        f"{process.name} could not be started: the template server ended {_ATTEMPTS} times before it "
        f"answered. Its own message is on stderr; if the machine is out of memory, free some; or use "
        f"the start method 'spawn'"
    )


def _start(server: Server, kit: outfit.Outfit) -> Launch:
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        try:
            answer = server.ask([writer, *kit.descriptors], kit.needs)
        finally:
            os.close(writer)
        pid, pidfd = _child(answer)
    except BaseException:
        os.close(reader)
        raise
    return Launch(pid, pidfd, kit.take_files(), lambda: _status(reader, server), [reader])


def _child(answer: parcel.Message) -> tuple[int, int]:
    """Pid and pidfd of the child. One whose pidfd found no place here finds its gate closed, and leaves."""
    if answer.kind == parcel.REFUSED:
        number, _, text = answer.text.partition(" ")
        raise OSError(int(number), text)
    if answer.truncated:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    return int(answer.text), answer.descriptors[0]


def _status(reader: int, server: Server) -> int | None:
    """The wait status that the server reports of a child that has ended, or None when the server is gone."""
    poller = select.poll()
    poller.register(reader, select.POLLIN)
    poller.register(server.sock, 0)
    poller.poll(watch.milliseconds(_REPORT_S))
    with contextlib.suppress(BlockingIOError):
        data = os.read(reader, parcel.STATUS.size)
        return int(parcel.STATUS.unpack(data)[0]) if data else None
    return None
