"""Messages on the wire, one a line, from and to the library ``mcp``: the two streams that its server speaks over.

The library's own stdio transport waits for a line in a thread that nothing can wake, so a signal would have to wait
for the client. Here waiting is the loop's, and is cancelled like everything else.

Always true:

1. What is no message is left out, and told on stderr in a line that does not repeat it; with an id, it is answered.
2. A line is at most `MESSAGE_BYTES_MOST` long in memory, whatever the client sends.
3. When stdin ends, what was asked before is answered before the session ends; unless nobody reads the answers.

Threads: the loop's.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
from anyio.abc import ObjectReceiveStream, ObjectSendStream
from mcp.shared.message import SessionMessage
from mcp_types import (
    INVALID_REQUEST,
    ErrorData,
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)

from manyhands.search.service.mcp.wire import Wire, tell

#: A longer line is left out; a question has at most a few hundred kilobytes.
MESSAGE_BYTES_MOST = 4 << 20

_READ_BYTES = 1 << 16

#: A pipe that is ready takes so much without blocking.
_WRITE_BYTES = 4096

#: How long answers are waited for when stdin has ended. Their deadlines are shorter.
_DRAIN_S = 180.0

Inward = SessionMessage | Exception
Serve = Callable[[ObjectReceiveStream[Inward], ObjectSendStream[SessionMessage]], Awaitable[None]]


class Transport:
    """See the module."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._asked: set[Any] = set()  # ids of requests that have no answer yet
        self._answered = anyio.Event()

    async def converse(self, serve: Serve) -> None:
        """Run the library's server until stdin has ended and all is answered, or nobody reads any more."""
        arrived, inward = anyio.create_memory_object_stream[Inward](0)
        outward, leaving = anyio.create_memory_object_stream[SessionMessage](0)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._read, arrived, outward)
                tasks.start_soon(self._watch)
                async with anyio.create_task_group() as writing:
                    writing.start_soon(self._write, leaving)
                    await serve(inward, outward)  # closes both
                tasks.cancel_scope.cancel()
        except* (BrokenPipeError, ConnectionResetError):
            pass  # nobody is there to be told

    # ---- in ----

    async def _read(
        self, arrived: ObjectSendStream[Inward], outward: ObjectSendStream[SessionMessage]
    ) -> None:
        async with arrived:
            async for line in self._lines():
                message = _parsed(line)
                if message is not None:
                    self._note(message.message)
                    await arrived.send(message)
                elif (refusal := _refusal(line)) is not None:
                    await outward.send(refusal)
            await self._drain()

    async def _lines(self) -> AsyncIterator[bytes | None]:
        """Each line; None for one that is too long."""
        parts: list[bytes] = []
        size = 0
        while chunk := await self._chunk():
            head, *others = chunk.split(b"\n")
            for following in (*others, None):
                size += len(head)
                parts = [*parts, head] if size <= MESSAGE_BYTES_MOST else []
                if following is None:
                    break
                yield b"".join(parts) if size <= MESSAGE_BYTES_MOST else None
                head, parts, size = following, [], 0
        if size:
            yield b"".join(parts) if size <= MESSAGE_BYTES_MOST else None

    async def _chunk(self) -> bytes:
        while True:
            await _until_ready(anyio.wait_readable, self._wire.inward)
            try:
                return os.read(self._wire.inward, _READ_BYTES)
            except BlockingIOError:
                continue  # the other end has made it non-blocking, and it was not ready after all

    def _note(self, message: Any) -> None:
        if isinstance(message, JSONRPCRequest):
            self._asked.add(message.id)
        elif isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
            self._settle((message.params or {}).get("requestId"))  # has no answer

    async def _drain(self) -> None:
        with anyio.move_on_after(_DRAIN_S):
            while self._asked:
                self._answered = anyio.Event()
                await self._answered.wait()

    # ---- out ----

    async def _write(self, leaving: ObjectReceiveStream[SessionMessage]) -> None:
        async with leaving:
            async for one in leaving:
                message = one.message
                await self._put(message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
                if isinstance(message, (JSONRPCResponse, JSONRPCError)):
                    self._settle(message.id)

    async def _put(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            await _until_ready(anyio.wait_writable, self._wire.outward)
            try:
                rest = rest[os.write(self._wire.outward, rest[:_WRITE_BYTES]) :]
            except BlockingIOError:
                continue

    def _settle(self, request: Any) -> None:
        if isinstance(request, (str, int)):
            self._asked.discard(request)
            self._answered.set()

    async def _watch(self) -> None:
        """Raise BrokenPipeError when nobody reads a pipe any more: a poll says so before a write does."""
        if stat.S_ISFIFO(os.fstat(self._wire.outward).st_mode):
            await anyio.wait_readable(self._wire.outward)
            raise BrokenPipeError


async def _until_ready(wait: Callable[[int], Awaitable[None]], descriptor: int) -> None:
    try:
        await wait(descriptor)
    except PermissionError:
        await anyio.lowlevel.checkpoint()  # a file: it is always ready, and the loop cannot wait for it


def _parsed(line: bytes | None) -> SessionMessage | None:
    """The message in a line, if it is one."""
    if line is None or not line.strip():
        return None
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError:
        return None


def _refusal(line: bytes | None) -> SessionMessage | None:
    """The answer to what is no message but has an id; anything else is told on stderr."""
    if line is not None and not line.strip():
        return None
    try:
        request = json.loads(line or b"")["id"]
    except (ValueError, TypeError, LookupError, RecursionError):
        request = None
    if isinstance(request, (str, int)) and not isinstance(request, bool):
        error = ErrorData(code=INVALID_REQUEST, message="this is no request of JSON-RPC 2.0")
        return SessionMessage(JSONRPCError(jsonrpc="2.0", id=request, error=error))
    what = f"of more than {MESSAGE_BYTES_MOST} bytes" if line is None else f"of {len(line)} bytes"
    tell(f"manyhands: a line {what} on stdin is no message of the protocol: left out\n")
    return None
