"""Pipe and Connection with multiprocessing's interfaces: a ring a way, and a real pipe beside each.

The ring carries the messages, large ones without copies. The pipe carries one byte a message, written after the
message is in the ring: so the descriptor is readable exactly while there is something to receive or the other end is
gone, which is what ``select``, ``asyncio`` and `multiprocessing.connection.wait` need, and the kernel closes
it whatever killed the other end. A receiver looks at the ring first, and sleeps on the pipe.

Always true:

1. What was sent before the other end closed, or died, can still be received; then comes `EOFError`.
2. Sending to an end that is closed everywhere raises `BrokenPipeError`.
3. An end may be held by several processes; a message goes to one of them.
"""

from __future__ import annotations

import os
import pickle
import select
import time
from typing import Any

from manyhands import byvalue, descriptors
from manyhands.channel.ring import RingHandle
from manyhands.errors import BrokenResourceError, ClosedResourceError, UsageError
from manyhands.memory import serialize

#: How many bytes of blocks may be on their way before ``send`` blocks.
_HEAVY_BYTES = 256 << 20

#: How long a receiver looks at the ring before it sleeps on the pipe.
_LOOK_S = 50e-6


class _Way:
    """One direction: a ring, and one end of its pipe. ``fd`` is the read end or the write end."""

    __slots__ = ("fd", "handle", "writes")

    def __init__(self, handle: RingHandle, fd: int, writes: bool) -> None:
        self.handle, self.fd, self.writes = handle, fd, writes

    def __reduce__(self) -> tuple[Any, ...]:
        return _Way._arrive, (self.handle, descriptors.pack(self.fd), self.writes)

    @classmethod
    def _arrive(cls, handle: RingHandle, token: descriptors.Token, writes: bool) -> _Way:
        flags = os.O_WRONLY | os.O_NONBLOCK if writes else os.O_RDONLY
        return cls(handle, descriptors.unpack(token, flags), writes)

    def close(self) -> None:
        os.close(self.fd)
        self.handle.close()


class Connection:
    """`multiprocessing.connection.Connection`: one end of a `Pipe`. Threads: one at a time for each direction.

    It is passed as an argument of a Process, or put into a queue.
    """

    def __init__(self, receiving: _Way | None, sending: _Way | None) -> None:
        self._receiving = receiving
        self._sending = sending

    def __reduce__(self) -> tuple[Any, ...]:
        if self.closed:
            raise pickle.PicklingError("a closed connection cannot be sent to another process")
        return type(self), (self._receiving, self._sending)

    # ---- sending ----

    def send(self, obj: Any) -> None:
        """Send `obj`, waiting for room when about 1 MB waits at the other end.

        Raises `BrokenPipeError` when that end is gone, `manyhands.errors.PicklingError` when `obj` cannot be
        pickled.
        """
        way = self._way(self._sending, "send")
        self._refuse_broken(way)
        serialize.put_patiently(way.handle.native, obj, lambda: self._refuse_broken(way))
        self._ring_bell(way)

    def send_bytes(self, buf: Any, offset: int = 0, size: int | None = None) -> None:
        """Send the bytes of `buf`, from `offset`, `size` of them."""
        view = memoryview(buf).cast("B")
        if offset < 0 or offset > len(view):
            raise UsageError(f"offset is {offset}; the buffer has {len(view)} bytes")
        end = len(view) if size is None else offset + size
        if end < offset or end > len(view):
            raise UsageError(f"size is {size}; the buffer has {len(view) - offset} bytes from the offset on")
        self.send(bytes(view[offset:end]))

    def _refuse_broken(self, way: _Way) -> None:
        poll = select.poll()
        poll.register(way.fd, 0)  # POLLERR comes unasked when no read end is left
        if poll.poll(0):
            raise BrokenPipeError(
                "the other end of this connection is closed, or the process that had it has ended"
            )

    def _ring_bell(self, way: _Way) -> None:
        while True:
            try:
                os.write(way.fd, b"!")
            except BlockingIOError:  # 65,536 messages wait
                poll = select.poll()
                poll.register(way.fd, select.POLLOUT)
                poll.poll()
            else:
                return

    # ---- receiving ----

    def recv(self) -> Any:
        """The next message, waiting for one. Raises `EOFError` when there is none and the other end is gone."""
        way = self._way(self._receiving, "receive")
        way.handle.native.wait(_LOOK_S)
        if not os.read(way.fd, 1) and not way.handle.native.unread:
            raise EOFError("the other end of this connection is closed, or the process that had it has ended")
        return way.handle.native.get(None)

    def recv_bytes(self, maxlength: int | None = None) -> bytes:
        """The next message as bytes. Raises `OSError` when longer than `maxlength`, and `EOFError` as ``recv``."""
        if maxlength is not None and maxlength < 0:
            raise UsageError(f"maxlength is {maxlength}; it must be 0 or more, or None for any length")
        message = self.recv()
        data = message if isinstance(message, bytes) else byvalue.dumps(message)
        if maxlength is not None and len(data) > maxlength:
            raise OSError(f"a message of {len(data)} bytes is longer than maxlength, {maxlength}")
        return data

    def recv_bytes_into(self, buf: Any, offset: int = 0) -> int:
        """Receive bytes into the writable `buf` from `offset`; returns how many.

        Raises `multiprocessing.BufferTooShort` with the message in its ``args`` when they do not fit.
        """
        view = memoryview(buf).cast("B")
        if offset < 0 or offset > len(view):
            raise UsageError(f"offset is {offset}; the buffer has {len(view)} bytes")
        data = self.recv_bytes()
        if len(data) > len(view) - offset:
            from multiprocessing import BufferTooShort

            raise BufferTooShort(data)
        view[offset : offset + len(data)] = data
        return len(data)

    def poll(self, timeout: float | None = 0.0) -> bool:
        """Is there a message, or the end of them? Waits up to `timeout` seconds for it; None waits for ever."""
        way = self._way(self._receiving, "receive")
        deadline = None if timeout is None else time.monotonic() + max(0.0, timeout)
        poll = select.poll()
        poll.register(way.fd, select.POLLIN)
        left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        return bool(poll.poll(left))

    # ---- the rest ----

    def _way(self, way: _Way | None, verb: str) -> _Way:
        if self.closed:
            raise ClosedResourceError("this connection is closed in this process; use it before close()")
        if way is None:
            raise BrokenResourceError(
                f"this end of the pipe cannot {verb}; it was made with Pipe(duplex=False)"
            )
        return way

    @property
    def closed(self) -> bool:
        """Was it closed in this process?"""
        return self._receiving is None and self._sending is None

    @property
    def readable(self) -> bool:
        """Can it receive?"""
        return self._receiving is not None

    @property
    def writable(self) -> bool:
        """Can it send?"""
        return self._sending is not None

    def fileno(self) -> int:
        """A descriptor that is readable while there is a message or the other end is gone; for waiting only."""
        if self._receiving is None:
            return self._way(self._sending, "send").fd
        return self._receiving.fd

    def close(self) -> None:
        """Let go of this end in this process. Doing it twice is harmless."""
        ways, self._receiving, self._sending = (self._receiving, self._sending), None, None
        for way in ways:
            if way is not None:
                way.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __del__(self) -> None:
        """Descriptors are not garbage-collected by themselves."""
        if hasattr(self, "_sending"):
            self.close()

    def __repr__(self) -> str:
        ways = [name for name, can in (("receives", self.readable), ("sends", self.writable)) if can]
        return f"<manyhands.Connection {' and '.join(ways) or 'closed'}>"


def _one_way() -> tuple[_Way, _Way]:
    """The receiving and the sending end of one direction."""
    handle = RingHandle.create(grows=False, max_heavy_bytes=_HEAVY_BYTES)
    other = handle.again()
    read, write = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(write, False)
    return _Way(handle, read, False), _Way(other, write, True)


def Pipe(duplex: bool = True) -> tuple[Connection, Connection]:  # noqa: N802 - multiprocessing's name
    """Two connections, each the other's end; with ``duplex=False`` the first only receives and the second only sends.

    >>> import manyhands
    >>> here, there = manyhands.Pipe()
    >>> there.send("hello")
    >>> here.recv()
    'hello'
    """
    receiving, sending = _one_way()
    if not duplex:
        return Connection(receiving, None), Connection(None, sending)
    back_receiving, back_sending = _one_way()
    return Connection(receiving, back_sending), Connection(back_receiving, sending)
