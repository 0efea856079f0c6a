"""What travels between a group's owner and its shards' processes, as bytes. Both ends run the same manyhands.

A message is a head of 64 bytes and a body: an encoded object (`manyhands.memory.serialize`), or one packed value
(`manyhands._native.pack`) where it is small and plain, which costs a tenth.

    to a shard      REQUEST (method, arguments) · CREDIT (a stream may send more) · CANCEL · LEAVE
    from a shard    READY · REFUSED (the constructor's error) · VALUE · ITEM · END · ERROR

A cancelled request is also written on the group's board, so that a method that runs can look without reading messages.
"""

from __future__ import annotations

import mmap
import os
import struct

from manyhands import _native, descriptors
from manyhands.engines.local.wire import HEAD_BYTES, PACKED, WireRing
from manyhands.engines.local.wire import send as send_encoded
from manyhands.memory import serialize

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    from typing import Any

    from manyhands._native import Ring
    from manyhands.memory.serialize import Message

REQUEST, CREDIT, CANCEL, LEAVE = 32, 33, 34, 35
READY, REFUSED, VALUE, ITEM, END, ERROR = 40, 41, 42, 43, 44, 45

#: REQUEST: id, deadline, window, kind of the body, is it a stream? CREDIT, CANCEL: id, 0, items
ASK_HEAD = struct.Struct("<QQIBB42x")
#: all from a shard: id, shard, kind of the body
REPLY_HEAD = struct.Struct("<QIB51x")


class ActorRing(WireRing):
    """A ring whose messages arrive as (kind, buffer)."""

    __slots__ = ()

    @staticmethod
    def discard(kind: int, buffer: Any) -> None:
        """What becomes of a message that nobody will read."""
        discard(kind, buffer)


def discard(kind: int, buffer: Any) -> None:
    """A message that nobody will read: let go of the shared blocks that it names."""
    if kind == REQUEST:
        body = ASK_HEAD.unpack_from(buffer)[3]
    elif kind in (VALUE, ITEM):
        body = REPLY_HEAD.unpack_from(buffer)[2]
    else:
        return
    if body != PACKED:
        serialize.discard(body, memoryview(buffer)[HEAD_BYTES:])


def encode(value: Any) -> Message:
    """A value as a body. Raises `manyhands.errors.PicklingError`."""
    packed = _native.pack(value)
    return serialize.encode(value) if packed is None else serialize.Message(PACKED, (packed,), len(packed))


def body_of(kind: int, buffer: Any) -> Any:
    """The object behind a message's head."""
    if kind == PACKED:
        return _native.unpack(buffer, HEAD_BYTES, 1, None)[0][0]
    return serialize.decode(kind, memoryview(buffer)[HEAD_BYTES:])


def send(ring: Ring, kind: int, head: bytes, body: Message | None = None) -> None:
    """One message into `ring`, waiting for room if there must be any."""
    if body is not None and body.kind == PACKED:
        ring.send(kind, (head, body.parts[0]), 0, None)
    else:
        send_encoded(ring, kind, head, body)


class Board:
    """Ids of cancelled requests, where every process of the group sees them. A hint: a later one may overwrite."""

    _PLACES = 1024

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._map = mmap.mmap(fd, 8 * self._PLACES)
        self._ids = memoryview(self._map).cast("Q")

    @classmethod
    def create(cls) -> Board:
        """A new one, with nothing on it."""
        fd = os.memfd_create("manyhands-board", os.MFD_CLOEXEC)
        os.ftruncate(fd, 8 * cls._PLACES)
        return cls(fd)

    @classmethod
    def attach(cls, token: descriptors.Token) -> Board:
        """The board that `token` names."""
        return cls(descriptors.unpack(token, os.O_RDWR))

    def __reduce__(self) -> tuple[Any, ...]:
        return Board.attach, (descriptors.pack(self.fd),)

    def write(self, request: int) -> None:
        """It is cancelled."""
        self._ids[request % self._PLACES] = request

    def has(self, request: int) -> bool:
        """Is it cancelled, for sure?"""
        return self._ids[request % self._PLACES] == request

    def close(self) -> None:
        """Give the memory back."""
        self._ids.release()
        self._map.close()
        os.close(self.fd)
