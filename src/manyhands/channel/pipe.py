"""Pipe and Connection with multiprocessing's interfaces: a ring a way, and a real pipe beside each.

The ring carries the messages, large ones without copies. The pipe carries a byte a message, the bell: so the
descriptor is readable while there is something to receive or the other end is gone, which is what ``select``,
``asyncio`` and `multiprocessing.connection.wait` need, and the kernel closes it whatever killed the other end.

A sender puts its message, then rings. A receiver looks into the ring first, takes, then takes a bell; it sleeps on the
pipe. A sender killed in between leaves a message without a bell, a receiver killed in between a bell without a
message. So a bell is a hint: one without a message is taken away, and a sleeper looks into the ring every second.

Always true:

1. What was sent before the other end closed, or died, can still be received; then comes `EOFError`.
2. Sending to an end that is closed everywhere raises `BrokenPipeError`.
3. An end may be held by several processes; a message goes to one of them.
"""

from __future__ import annotations

import math
import os
import pickle
import select
import time
import weakref
from queue import Empty
from typing import Any

from manyhands import byvalue, descriptors
from manyhands.channel.ring import RingHandle
from manyhands.errors import BrokenResourceError, ClosedResourceError, UsageError
from manyhands.memory import serialize

#: How long a receiver looks at the ring before it sleeps on the pipe, and how long it sleeps at most.
_LOOK_S = 50e-6
_SLEEP_S = 1.0


class _Way:
    """One direction: a ring, and one end of its pipe. ``fd`` is the read end or the write end; it is owned."""

    __slots__ = ("__weakref__", "_closer", "fd", "handle", "writes")

    def __init__(self, handle: RingHandle, fd: int, writes: bool) -> None:
        self.handle, self.fd, self.writes = handle, fd, writes
        self._closer = weakref.finalize(self, os.close, fd)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Way._arrive, (self.handle, descriptors.pack(self.fd), self.writes)

    @classmethod
    def _arrive(cls, handle: RingHandle, token: descriptors.Token, writes: bool) -> _Way:
        fd = descriptors.unpack(token, os.O_WRONLY if writes else os.O_RDONLY)
        os.set_blocking(fd, False)
        return cls(handle, fd, writes)

    def close(self) -> None:
        self._closer()
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
        way = self._way(self._sending, "send")
        self._refuse_broken(way)
        serialize.put_raw(way.handle.native, view[offset:end], lambda: self._refuse_broken(way))
        self._ring_bell(way)

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
        message = self._next()
        return pickle.loads(message) if type(message) is serialize.RawBytes else message

    def recv_bytes(self, maxlength: int | None = None) -> bytes:
        """The next message as bytes; of one that was sent as an object, its pickle.

        Raises `OSError` when it is longer than `maxlength`, and `EOFError` as ``recv``.
        """
        if maxlength is not None and maxlength < 0:
            raise UsageError(f"maxlength is {maxlength}; it must be 0 or more, or None for any length")
        message = self._next()
        data = bytes(message) if type(message) is serialize.RawBytes else byvalue.dumps(message)
        if maxlength is not None and len(data) > maxlength:
            raise OSError(f"a message of {len(data)} bytes is longer than maxlength, {maxlength}")
        return data

    def _next(self) -> Any:
        way = self._way(self._receiving, "receive")
        while True:
            if (
                not way.handle.native.wait(_LOOK_S)
                and self._sleep(way, _SLEEP_S)
                and not self._bell_or_end(way)
            ):
                raise EOFError(
                    "the other end of this connection is closed, or the process that had it has ended"
                )
            try:
                message = way.handle.native.get(0)
            except Empty:
                continue
            except BaseException:
                self._take_bell(way)
                raise
            self._take_bell(way)
            return message

    def _sleep(self, way: _Way, timeout_s: float) -> bool:
        """Wait for the pipe; is there a bell, or the end?"""
        poll = select.poll()
        poll.register(way.fd, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))

    def _bell_or_end(self, way: _Way) -> bool:
        """The pipe is readable. False: it has ended and nothing is left. A bell without a message is taken away."""
        return bool(way.handle.native.unread or self._take_bell(way) or way.handle.native.unread)

    def _take_bell(self, way: _Way) -> bool:
        """Take one; False when there is none, because the other end is gone or its sender did not come to ring."""
        try:
            return bool(os.read(way.fd, 1))
        except BlockingIOError:
            return False

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
        if timeout is not None and (not isinstance(timeout, (int, float)) or math.isnan(timeout)):
            raise UsageError(
                f"timeout must be a number of seconds, or None to wait for ever, not {timeout!r}"
            )
        deadline = math.inf if timeout is None else time.monotonic() + max(0.0, timeout)
        while not way.handle.native.unread:
            left = deadline - time.monotonic()
            if self._sleep(way, min(max(0.0, left), _SLEEP_S)) and not self._bell_or_end(way):
                return True  # the end, which recv will tell of
            if left <= 0:
                return way.handle.native.unread > 0
        return True

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

    def __repr__(self) -> str:
        ways = [name for name, can in (("receives", self.readable), ("sends", self.writable)) if can]
        return f"<manyhands.Connection {' and '.join(ways) or 'closed'}>"


def _one_way() -> tuple[_Way, _Way]:
    """The receiving and the sending end of one direction."""
    handle = RingHandle.create(grows=False)
    other = handle.again()
    read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
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
