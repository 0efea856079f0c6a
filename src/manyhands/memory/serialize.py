"""Objects to messages and back. The kinds are those of native/message.h; what is not plain is encoded here.

A message of kind BUFFERS has these parts, each at the next multiple of 64 bytes:

    header  number of buffers, length of the pickle, and a row for each buffer:
            its length, and either NO_BLOCK (it follows as a part) or the shared block that it lies in, and where
    pickle  protocol 5, without its buffers
    buffer  ... one part for each that does not lie in a shared block

Large messages lie in a block of the arena, small ones in the ring. The receiver's arrays are views of the block, or
of the bytes that came out of the ring; the block is free when the last view is garbage.

Always true:

1. A large buffer is copied once by the sender, and not at all by the receiver; one that lies in a shared block
   (`manyhands.share`, `manyhands.empty`) is not copied by anybody.
2. What is sent is what the object was when ``put`` was called.
"""

from __future__ import annotations

import _pickle as pickle  # the same objects, without the import of re
import struct

from manyhands import _native, byvalue, descriptors
from manyhands.errors import OutOfMemoryError, PicklingError, UnpicklingError
from manyhands.memory import arena

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypeVar

    from manyhands._native import Block, Ring

    T = TypeVar("T")

BYTES, STR, PICKLE, BUFFERS, BYTEARRAY, RAW = 0, 1, 5, 6, 7, 8

#: Messages up to this many bytes travel in the ring, longer ones in a block.
INLINE_MOST = 128 << 10

#: A buffer or a bytes or str inside a container is worth its own part from this size on.
_PART_LEAST = 64 << 10

_NO_BLOCK = 0xFFFFFFFF
_HEAD = struct.Struct("<QQ")
_ROW = struct.Struct("<QQII")
_ALIGN = 64
_CONTAINER_MOST = 1000
_RAW = frozenset((bytes, bytearray, memoryview, str))


class Message:
    """One object, ready to be written. `shared` are the numbers of the shared blocks that it names."""

    __slots__ = ("kind", "length", "parts", "shared")

    def __init__(self, kind: int, parts: tuple[Any, ...], length: int, shared: tuple[int, ...] = ()) -> None:
        self.kind, self.parts, self.length, self.shared = kind, parts, length, shared


def _end(at: int) -> int:
    return (at + _ALIGN - 1) // _ALIGN * _ALIGN


def _length(parts: Iterable[Any]) -> int:
    at = 0
    for part in parts:
        at = _end(at) + (part.nbytes if isinstance(part, memoryview) else len(part))
    return at


# ---- encoding ----


def encode(obj: Any) -> Message:
    """The message that says `obj`. Raises `manyhands.errors.PicklingError` when it cannot be pickled."""
    kind = type(obj)
    if kind not in _RAW:
        return _encode_pickle(_without_large(obj) if _native.has_large(obj, _PART_LEAST) else obj)
    if kind is bytes:
        return Message(BYTES, (obj,), len(obj))
    if kind is bytearray:
        return Message(BYTEARRAY, (obj,), len(obj))
    if kind is memoryview:
        return _encode_pickle(View(obj))
    if kind is str and len(obj) > INLINE_MOST and (text := _utf8(obj)) is not None:
        return Message(STR, (text,), len(text))
    return _encode_pickle(obj)


def _utf8(text: str) -> bytes | None:
    try:
        return text.encode()
    except UnicodeEncodeError:  # lone surrogates: the pickler knows how
        return None


def _encode_pickle(obj: Any) -> Message:
    buffers: list[pickle.PickleBuffer] = []
    data = byvalue.dumps(obj, buffers)
    if not buffers:
        return Message(PICKLE, (data,), len(data))
    return _with_buffers(data, [buffer.raw() for buffer in buffers])


def _with_buffers(data: bytes, views: list[memoryview]) -> Message:
    rows, own, shared = [_HEAD.pack(len(views), len(data))], [], []
    for view in views:
        place = arena.family().locate(view) if view.nbytes else None
        if place is None:
            rows.append(_ROW.pack(view.nbytes, 0, _NO_BLOCK, 0))
            own.append(view)
        else:
            rows.append(_ROW.pack(view.nbytes, place[1], place[0], 0))
            shared.append(place[0])
    parts = (b"".join(rows), data, *own)
    return Message(BUFFERS, parts, _length(parts), tuple(shared))


class View:
    """Stands for a memoryview: pickled out of band, rebuilt with its format and shape; its strides become C's."""

    def __init__(self, view: memoryview) -> None:
        if view.ndim > 1 and not view.nbytes:
            raise PicklingError(
                f"cannot pickle a memoryview of shape {view.shape}: it is empty and has more than one side"
            )
        try:
            form: Any = view.format
            memoryview(bytes(view.itemsize)).cast(form)
        except ValueError as error:
            raise PicklingError(f"cannot pickle a memoryview of format {view.format!r}: {error}") from error
        self.view = view

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        view = self.view
        flat: Any = view if view.c_contiguous else bytes(view) if view.readonly else bytearray(view)
        return _view_again, (pickle.PickleBuffer(flat), view.format, view.shape, view.readonly)


def _view_again(flat: Any, form: Any, shape: tuple[int, ...], readonly: bool) -> memoryview:
    view: Any = memoryview(flat).cast("B")
    view = view.cast(form) if len(shape) == 1 or not view.nbytes else view.cast(form, shape)
    again: memoryview = view.toreadonly() if readonly else view
    return again


class RawBytes(bytes):
    """What was sent as bytes by ``Connection.send_bytes``, not as an object."""


class _Large:
    """Stands for bytes or a str inside a container: pickled out of band, so that they are copied once."""

    def __init__(self, value: bytes, *encoding: str) -> None:
        self.value, self.encoding = value, encoding

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return (str if self.encoding else bytes), (pickle.PickleBuffer(self.value), *self.encoding)


def _stand_in(value: Any) -> Any:
    if type(value) is bytes and len(value) >= _PART_LEAST:
        return _Large(value)
    if type(value) is str and len(value) >= _PART_LEAST and (text := _utf8(value)) is not None:
        return _Large(text, "utf-8")
    return value


#: A container of these alone may be pickled by way of a copy: nothing in it can refer back to it.
_FLAT = frozenset((bytes, bytearray, str, int, float, complex, bool, type(None)))


def _without_large(obj: Any) -> Any:
    """The container with its large bytes and str replaced; itself when it is long, or holds more than plain values."""
    values = list(obj.values() if type(obj) is dict else obj)
    if len(obj) > _CONTAINER_MOST or not all(type(value) in _FLAT for value in values):
        return obj
    instead = {
        id(value): _stand_in(value) for value in values
    }  # one for each object: twice the same stays the same
    if type(obj) is dict:
        return {key: instead[id(value)] for key, value in obj.items()}
    return type(obj)(instead[id(value)] for value in values)


# ---- decoding ----


def decode(kind: int, buffer: Any) -> Any:
    """The object that a message of this kind says. `buffer` is a block, or a bytearray of its own."""
    if kind == BUFFERS:
        return _decode_buffers(memoryview(buffer))
    if kind == PICKLE:
        return pickle.loads(buffer)
    if kind == BYTEARRAY:
        return buffer if type(buffer) is bytearray else bytearray(buffer)
    if kind == RAW:
        return RawBytes(buffer)
    if kind == BYTES:  # this and the next come here only as part of another message
        return bytes(buffer)
    if kind == STR:
        return str(buffer, "utf-8")
    raise UnpicklingError(f"an item of unknown kind {kind} arrived; both sides must run the same manyhands")


def _rows(message: memoryview) -> tuple[int, list[tuple[int, int, int, int]]]:
    """Length of the pickle, and a row a buffer."""
    count, pickle_length = _HEAD.unpack_from(message)
    end = _HEAD.size + count * _ROW.size
    return pickle_length, list(_ROW.iter_unpack(message[_HEAD.size : end]))


def _decode_buffers(message: memoryview) -> Any:
    pickle_length, rows = _rows(message)
    start = _end(_HEAD.size + len(rows) * _ROW.size)
    at = start + pickle_length
    buffers = []
    try:
        for length, where, block, _ in rows:
            if block != _NO_BLOCK:
                buffers.append(memoryview(arena.hold(block))[where : where + length])
                continue
            at = _end(at)
            buffers.append(message[at : at + length])
            at += length
    finally:
        _land(rows)
    return pickle.loads(message[start : start + pickle_length], buffers=buffers)


def _land(rows: Iterable[tuple[int, int, int, int]]) -> None:
    """The entry that named these shared blocks is taken."""
    for _, _, block, _ in rows:
        if block != _NO_BLOCK:
            arena.family().land(block)


def discard(kind: int, buffer: Any) -> memoryview | None:
    """A message that nobody will ever read: let go of the blocks that it names, run none of its code.

    Returns its pickle, if it has one: the room above may find more in it to let go of.
    """
    message = memoryview(buffer)
    if kind == PICKLE:
        return message
    if kind != BUFFERS:
        return None
    pickle_length, rows = _rows(message)
    _land(rows)
    start = _end(_HEAD.size + len(rows) * _ROW.size)
    return message[start : start + pickle_length]


# ---- through a file: the arguments of a starting process ----


def dump(obj: Any) -> tuple[Any, ...]:
    """The buffers that say `obj`, to be written one after the other; `load` undoes it, once, in another process."""
    message = _encode_pickle(obj)
    if message.kind == PICKLE:
        return message.parts
    for shared in message.shared:
        arena.family().take_off(shared)
    padded: list[Any] = [bytes((message.kind,)).ljust(_ALIGN, b"\0")]
    for part in message.parts:
        padded += [part, bytes(-memoryview(part).nbytes % _ALIGN)]
    return tuple(padded)


def load(data: bytearray) -> Any:
    """The object that `dump` wrote; its arrays keep `data`."""
    return decode(data[0], memoryview(data)[_ALIGN:])


# ---- through a ring ----


def put(ring: Ring, obj: Any, timeout: float | None) -> None:
    """Encode `obj` and put it into `ring`: inline, or in a block when it is large."""
    with descriptors.shipment(), _Flight(encode(obj)) as flight:
        flight.put(ring, timeout)


#: A sender that waits for a receiver looks this often whether there is still one.
_LOOK_S = 0.1


def put_patiently(ring: Ring, obj: Any, look: Callable[[], None]) -> None:
    """Put `obj`, waiting for room for as long as `look`, called every tenth of a second, does not raise."""
    if _retry(lambda: ring.put(obj, _LOOK_S), look):
        return
    with descriptors.shipment(), _Flight(encode(obj)) as flight:
        _retry(lambda: flight.put(ring, _LOOK_S), look)


def put_raw(ring: Ring, data: memoryview, look: Callable[[], None]) -> None:
    """The same for bytes that are to arrive as `RawBytes`."""
    with _Flight(Message(RAW, (data,), data.nbytes)) as flight:
        _retry(lambda: flight.put(ring, _LOOK_S), look)


def _retry(attempt: Callable[[], T], look: Callable[[], None]) -> T:
    from queue import Full

    while True:
        try:
            return attempt()
        except Full:
            look()


def flight(message: Message) -> _Flight:
    """Take off with a message; within the context it may be put."""
    return _Flight(message)


class _Flight:
    """One message on its way into a ring; when it does not get there, what it took off lands again."""

    __slots__ = ("block", "message")

    def __init__(self, message: Message) -> None:
        self.message = message
        self.block = _block_for(message) if message.length > INLINE_MOST else None

    def __enter__(self) -> _Flight:
        for shared in self.message.shared:
            arena.family().take_off(shared)
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        if kind is not None:
            for shared in self.message.shared:
                arena.family().land(shared)

    def put(self, ring: Ring, timeout: float | None) -> None:
        """Into `ring`. After `queue.Full` it may be tried again."""
        if self.block is None:
            ring.send(self.message.kind, self.message.parts, 0, timeout)
        else:
            ring.send_block(self.message.kind, self.block, timeout)


def _block_for(message: Message) -> Block | None:
    """A block filled with the message; None when the system refuses one and the ring must carry it."""
    try:
        block = arena.alloc(message.length)
    except OutOfMemoryError:
        return None
    block.fill(message.parts)
    return block
