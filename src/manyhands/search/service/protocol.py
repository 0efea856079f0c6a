"""uvicorn's HTTP protocol with the bounds that it lacks: of a head's bytes and time, of requests sent ahead, and of
patience with a client that does not read.

Always true:

1. A connection that sends no whole head in `head_s`, or takes nothing of what is sent to it for `stall_s`, ends; what
   it asked stops.
2. A request's line and headers have at most `head_bytes`, and at most `_AHEAD_MOST` requests wait for one that is
   being answered; whoever sends more is refused.
3. A refusal is a problem, with the headers that every answer has. It is never written into another answer: that one
   breaks off.
"""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from manyhands.search.service.guard import HEADERS
from manyhands.search.service.problem import CONTENT_TYPE, Problem
from manyhands.search.service.settings import Limits

#: Requests that a client may send before it has its answers; each costs some kilobytes.
_AHEAD_MOST = 64


def bounded(limits: Limits) -> type[HttpToolsProtocol]:
    """The protocol with these limits, for uvicorn's ``http``."""
    return type("Bounded", (_Bounded,), {"limits": limits})


class _Bounded(HttpToolsProtocol):
    limits: Limits

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_in_head, self._head_bytes = True, 0
        self._refusal: Problem | None = None  # once there is one, nothing more is read
        self._head_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._has_read = False  # the client, since the timer began

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    # ---- a head in time, and of some bytes ----

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def _expect_head(self) -> None:
        self._is_in_head, self._head_bytes = True, 0
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.limits.head_s, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._is_answering:  # the next request's: nobody waits for it yet
            self._head_timer = self.loop.call_later(self.limits.head_s, self._head_is_late)
        else:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:
            return
        super().data_received(data)
        if not (self._is_in_head or self._is_answering):
            self._expect_head()  # blank lines: the time to idle is over, but no request has begun
        if self._is_in_head and not self.transport.is_closing():  # the parser itself keeps what has no end
            self._head_bytes += len(data)
            if self._head_bytes > self.limits.head_bytes:
                self._refuse(_too_large())

    def on_message_begin(self) -> None:
        self._expect_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._head_timer = _stopped(self._head_timer)
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > self.limits.head_bytes:
            self._refusal = _too_large()
        elif len(self.pipeline) >= _AHEAD_MOST:
            self._refusal = Problem(400, f"at most {_AHEAD_MOST} requests may be sent ahead of their answers")
        if self._refusal is not None:
            raise self._refusal  # uvicorn takes it for a request that cannot be parsed
        super().on_headers_complete()

    # ---- refusals ----

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - ours says more
        self._refuse(self._refusal or Problem(400, "this is no HTTP request that can be read"))

    def _refuse(self, problem: Problem) -> None:
        self._refusal = problem
        if not self._is_answering:
            self.transport.write(_response(problem))
        self.transport.close()
        self._expect_reading()

    # ---- a client that does not read ----

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        self._has_read = True
        super().resume_writing()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._expect_reading()

    def _expect_reading(self) -> None:
        """What is left to be sent must get less, whether its answer goes on or was the last."""
        size = self.transport.get_write_buffer_size()
        if size and self._stall_timer is None:
            self._has_read = False
            self._stall_timer = self.loop.call_later(self.limits.stall_s, self._look_for_reading, size)

    def _look_for_reading(self, size_before: int) -> None:
        self._stall_timer = None
        if self._has_read or self.transport.get_write_buffer_size() < size_before:
            self._expect_reading()
        else:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_timer = _stopped(self._head_timer)
        self._stall_timer = _stopped(self._stall_timer)
        super().connection_lost(exc)


def _too_large() -> Problem:
    return Problem(431, "the request's line and headers are too long")


def _response(problem: Problem) -> bytes:
    """All of it, for a connection that ends."""
    body = orjson.dumps(problem.body())
    headers = [
        (b"content-type", CONTENT_TYPE.encode()), (b"content-length", b"%d" % len(body)), (b"connection", b"close"),
        *HEADERS,
    ]  # fmt: skip
    lines = [f"HTTP/1.1 {problem.status} {problem.body()['title']}".encode()]
    return b"\r\n".join([*lines, *(b"%b: %b" % pair for pair in headers), b"", body])


def _stopped(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    """No timer, once this one is cancelled."""
    if timer is not None:
        timer.cancel()
    return None
