"""What goes over a start socket: one small message with descriptors. Part of the process room.

Between an owner and its template server, or its spawned child, stands a Unix socket that keeps messages apart
(``SOCK_SEQPACKET``). A message is a kind, a serial number and some text; descriptors travel beside it.

Always true:

1. A message arrives whole, with all its descriptors, or `Message.truncated` is set and those that came are
   closed.
2. Descriptors arrive close-on-exec, and never more than `MAX_DESCRIPTORS` (the kernel's SCM_MAX_FD).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence

from manyhands.errors import StartError
from manyhands.process.record import Record

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    import socket
else:  # without the enums of their wrappers, which cost a first start a millisecond each
    import _socket as socket

MAX_DESCRIPTORS = 253
_MAX_BYTES = 1 << 16
_INT = struct.calcsize("i")
_HEADER = struct.Struct("=cII")
_FLAGS = socket.MSG_CMSG_CLOEXEC

HELLO = b"H"  # to the server, first of all: the liveness pipe, and what to preload
PRELOAD = b"L"  # to the server: more to preload
START = b"S"  # to the server or a spawned child: descriptors of one start
PID = b"P"  # from the server: it runs; its pidfd is attached
REFUSED = b"E"  # from the server: could not be started, and why
WARNING = b"W"  # from the server: something to tell the user; an answer follows

#: A wait status on its way through a status pipe.
STATUS = struct.Struct("=i")


class Message(Record):
    """One message as it arrived."""

    FIELDS = "kind serial text descriptors truncated"

    kind: bytes
    serial: int
    text: str
    descriptors: list[int]
    truncated: bool


def pair() -> tuple[socket.socket, socket.socket]:
    """Both ends of a new start socket, close-on-exec."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(
    sock: socket.socket,
    kind: bytes,
    serial: int = 0,
    text: str = "",
    descriptors: Sequence[int] = (),
    *,
    flags: int = 0,
) -> None:
    """Send one message. Raises `StartError` for too many descriptors, OSError when the other side is gone."""
    if len(descriptors) > MAX_DESCRIPTORS:
        raise StartError(
            f"a process can be given {MAX_DESCRIPTORS} descriptors at its start, this one would "
            f"get {len(descriptors)}; pass fewer queues, locks and shared objects as arguments, or send them "
            f"later through a queue"
        )
    data = (
        _HEADER.pack(kind, serial, len(descriptors))
        + text.encode("utf-8", "surrogateescape")[: _MAX_BYTES // 2]
    )
    packed = struct.pack(f"{len(descriptors)}i", *descriptors)
    beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, packed)] if descriptors else []
    sock.sendmsg([data], beside, flags | socket.MSG_NOSIGNAL)


def receive(sock: socket.socket) -> Message | None:
    """Wait for one message; None when the other side has closed. Raises OSError as `socket.recvmsg` does."""
    data, beside, _, _ = sock.recvmsg(_MAX_BYTES, socket.CMSG_SPACE(MAX_DESCRIPTORS * _INT), _FLAGS)
    arrived: list[int] = []
    for level, kind, payload in beside:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            arrived += struct.unpack_from(f"{len(payload) // _INT}i", payload)
    if not data:
        return None
    tag, serial, expected = _HEADER.unpack_from(data)
    truncated = len(arrived) != expected
    if truncated:  # our descriptor table was full
        close(arrived)
        arrived = []
    text = data[_HEADER.size :].decode("utf-8", "surrogateescape")
    return Message(tag, serial, text, arrived, truncated)


def close(descriptors: Sequence[int]) -> None:
    """Close them all."""
    for fd in descriptors:
        os.close(fd)
