"""What travels between a pool and its workers, as bytes. Both ends run the same manyhands.

A message is a head of 64 bytes and a body; the body's parts begin at multiples of 64, so an encoded object can be the
body as it is (`manyhands.memory.serialize`).

    to a worker      FUNCTION  a function that later batches name by its number
                     FORGET    a function that will not be named again
                     TASKS     a batch: which lease, which function, and its items
                     LEAVE     end
    from a worker    READY, REFUSED (the initializer's error)
                     RESULTS   packed results of several items
                     VALUE     one result that is no small plain value
                     ERROR     one item's exception

Always true: nothing is unpickled before it is known whose it is, so an error of unpickling hurts one item only.
"""

from __future__ import annotations

import _pickle as pickle
import os
import struct

from manyhands import _native, byvalue, descriptors
from manyhands.channel.ring import RingHandle
from manyhands.engines.task import Large
from manyhands.memory import arena, serialize

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    from typing import Any

    from manyhands.memory.serialize import Message

FUNCTION, FORGET, TASKS, LEAVE = 16, 17, 18, 19
READY, REFUSED, RESULTS, VALUE, ERROR = 20, 21, 22, 23, 24

#: A body that is packed values and not an encoded object.
PACKED = 255

HEAD_BYTES = 64

#: TASKS: slot, generation, function, count, first, form, kind of the body, flags
TASKS_HEAD = struct.Struct("<HHIIQBBB41x")
#: Flags: the items have a time limit; they are a map's, and have an index; nobody waits for the first results.
TIMED, MAP, PATIENT = 1, 2, 4

#: FUNCTION, FORGET: number, kind of the body
FUNCTION_HEAD = struct.Struct("<IB59x")
#: all from a worker: worker, slot, generation, first, count, kind of the body, ns
RESULT_HEAD = struct.Struct("<IHHIIBxxxQ36x")

#: What is pickled in less than this travels among others; what is more, on its own.
SMALL_MOST = 64 << 10

_PICKLE_TAG = 11
_TAG = struct.Struct("<BI")


class WireRing(RingHandle):
    """A ring whose messages arrive as (kind, buffer)."""

    __slots__ = ()

    @classmethod
    def codec(cls) -> tuple[Any, ...]:
        """Nothing is decoded on arrival."""
        return (
            pickle.loads,
            lambda *arrived: arrived,
            arena.resolve,
            serialize.put,
            cls.discard,
            serialize.INLINE_MOST,
        )

    @staticmethod
    def discard(kind: int, buffer: Any) -> None:
        """What becomes of a message that nobody will read."""
        discard(kind, buffer)


class SharedPage:
    """A worker's page that travels as an argument of its process."""

    def __init__(self, native: _native.Page) -> None:
        self.native = native

    @classmethod
    def attach(cls, token: descriptors.Token) -> SharedPage:
        """The page that `token` names."""
        return cls(_native.Page.attach(descriptors.unpack(token, os.O_RDWR)))

    def __reduce__(self) -> tuple[Any, ...]:
        return SharedPage.attach, (descriptors.pack(self.native.fd),)


class Bell:
    """An eventfd that travels likewise: a hint for the pool's supervisor."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    @classmethod
    def attach(cls, token: descriptors.Token) -> Bell:
        """The bell that `token` names."""
        return cls(descriptors.unpack(token, os.O_RDWR))

    def __reduce__(self) -> tuple[Any, ...]:
        return Bell.attach, (descriptors.pack(self.fd),)


def send(ring: _native.Ring, kind: int, head: bytes, body: Message | None = None) -> None:
    """Send one message, waiting for room if there must be any."""
    if body is None:
        ring.send(kind, (head,), 0, None)
        return
    message = serialize.Message(kind, (head, *body.parts), HEAD_BYTES + body.length, body.shared)
    with serialize.flight(message) as flight:
        flight.put(ring, None)


def body_of(buffer: Any) -> memoryview:
    """The encoded object behind a message's head."""
    return memoryview(buffer)[HEAD_BYTES:]


def discard(kind: int, buffer: Any) -> None:
    """A message that nobody will read: let go of the shared blocks that it names."""
    if kind == TASKS:
        inner = TASKS_HEAD.unpack_from(buffer)[6]
    elif kind == FUNCTION:
        inner = FUNCTION_HEAD.unpack_from(buffer)[1]
    elif kind == VALUE:
        inner = RESULT_HEAD.unpack_from(buffer)[5]
    else:
        return
    if inner != PACKED:
        serialize.discard(inner, body_of(buffer))


def tag_pickle(data: bytes) -> bytes:
    """A pickle as one packed value."""
    return _TAG.pack(_PICKLE_TAG, len(data)) + data


class _TooLarge(byvalue.Stop):
    """A buffer that is not to be pickled among small ones."""


def _refuse_large(buffer: pickle.PickleBuffer) -> bool:
    if buffer.raw().nbytes >= SMALL_MOST:
        raise _TooLarge
    return True  # in band


_FLAT = frozenset((bytes, bytearray, str))


def pickle_small(value: Any) -> bytes | None:
    """`value` as a pickle that may travel among others; None: it is large. Raises `PicklingError`."""
    kind = type(value)
    if (
        kind is memoryview
        or (kind in _FLAT and len(value) >= SMALL_MOST)
        or _native.has_large(value, SMALL_MOST)
    ):
        return None
    try:
        data = byvalue.dumps(value, keep=_refuse_large)
    except _TooLarge:
        return None
    return data if len(data) < SMALL_MOST else None


def encode(value: Any) -> bytes | Message:
    """One value: packed, or an encoded object when it is large. Raises `PicklingError`."""
    packed = _native.pack(value)
    if packed is not None:
        return packed
    data = pickle_small(value)
    return serialize.encode(value) if data is None else tag_pickle(data)


def encode_call(value: Any, pack: Any = _native.pack) -> bytes | Large:
    """The arguments of a single call. Raises `PicklingError`."""
    packed: bytes | None = pack(value)
    if packed is not None:
        return packed
    data = encode(value)
    return Opaque(data) if isinstance(data, bytes) else Large(data)


class Opaque(bytes):
    """An item that is a pickle: to look into it would run code of the user's."""


def is_opaque(item: bytes | Large) -> bool:
    """Is a single call's item anything but packed plain values?"""
    return type(item) is not bytes


def unpack(buffer: Any, count: int) -> tuple[list[Any], dict[int, BaseException] | None]:
    """The packed values of a message, and what those that could not be unpickled raised."""
    return _native.unpack(buffer, HEAD_BYTES, count, pickle.loads)
