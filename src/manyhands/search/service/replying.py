"""Requests and replies as ASGI has them: one place that sends, and knows whether a reply has begun.

Always true: a reply begins once, and a client that is gone ends the task that answers it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import orjson

from manyhands.search.service.problem import CONTENT_TYPE, Problem

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

JSON = "application/json"

_UNWATCHED_S = 0.02

#: How long a head waits for the first piece of what it is the head of.
_HOLD_S = 0.005


class Reply:
    """The reply to one request."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self.receive, self._send = scope, receive, send
        self.status = 0  # until it has begun
        self.is_gone = False  # the client
        self._held: tuple[str, Mapping[str, str], bytes, asyncio.TimerHandle] | None = None
        self._beginning: asyncio.Task[None] | None = None
        self._sends_since = 0.0  # when the last piece was given to it, if it has not been taken yet

    @property
    def is_trusted(self) -> bool:
        """Did the request come by the socket?"""
        return bool(self.scope.get("manyhands.trusted"))

    def header(self, name: bytes) -> str:
        """A header of the request; the first if it is said several times."""
        return next((value.decode("latin-1") for key, value in self.scope["headers"] if key == name), "")

    def begin_soon(self, content_type: str, headers: Mapping[str, str], first: bytes) -> None:
        """The head and a first piece: with the next one, or in a moment if none comes. Most clients wake once then."""
        timer = asyncio.get_running_loop().call_later(_HOLD_S, self._begin_now)
        self._held = content_type, headers, first, timer

    def _begin_now(self) -> None:
        self._beginning = asyncio.create_task(self.body(b"", more=True))

    def _take_held(self) -> tuple[str, Mapping[str, str], bytes] | None:
        if self._held is None:
            return None
        content_type, headers, first, timer = self._held
        self._held = None
        timer.cancel()
        return content_type, headers, first

    async def begin(
        self, content_type: str, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        """The head."""
        self._take_held()
        self.status = status
        pairs = [(b"content-type", content_type.encode())]
        pairs += [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        await self._send({"type": "http.response.start", "status": status, "headers": pairs})

    async def body(self, data: bytes, *, more: bool = False) -> None:
        """A piece of the body; waits while the client is behind."""
        held = self._take_held()
        if held is not None:
            await self.begin(held[0], headers=held[1])
            data = held[2] + data
        elif self._beginning is not None and self._beginning is not asyncio.current_task():
            await self._beginning
        if self.scope["method"] == "HEAD":
            data = b""
        self._sends_since = time.monotonic()
        await self._send({"type": "http.response.body", "body": data, "more_body": more})
        self._sends_since = 0.0

    def is_behind(self, seconds: float) -> bool:
        """Has the client not taken a piece for so long?"""
        return bool(self._sends_since) and time.monotonic() - self._sends_since > seconds

    async def whole(
        self, data: bytes, content_type: str, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        """All of it."""
        await self.begin(content_type, status, {"content-length": str(len(data)), **(headers or {})})
        await self.body(data)

    async def unchanging(self, data: bytes, content_type: str, tag: str) -> None:
        """What stays the same until its tag is another: a client that has it gets a word."""
        headers = {"etag": tag, "cache-control": "no-cache"}
        if self.header(b"if-none-match") == tag:
            await self.begin(content_type, 304, headers)
            await self.body(b"")
        else:
            await self.whole(data, content_type, headers=headers)

    async def json(self, value: Any) -> None:
        """A value."""
        await self.whole(orjson.dumps(value), JSON)

    async def problem(self, problem: Problem) -> None:
        """What is wrong."""
        await self.whole(orjson.dumps(problem.body()), CONTENT_TYPE, problem.status, problem.headers)


class Watch:
    """While it is entered, the task that answers gets a CancelledError when its client goes: `Reply.is_gone` tells.

    Most answers are there in a moment; a task that looks for their clients meanwhile would cost more than they do.
    """

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._task = asyncio.current_task()
        self._watcher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_UNWATCHED_S, self._begin)

    def _begin(self) -> None:
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._reply.receive())["type"] != "http.disconnect":
            pass
        self._reply.is_gone = True
        if self._task is not None:
            self._task.cancel()

    async def __aexit__(self, *_: object) -> None:
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
