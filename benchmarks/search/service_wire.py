"""HTTP to the service by hand, over a plain socket: so little work that what is measured is the service.

Always true: an answer counts only when its ``end`` event is there, says that it is complete, and names as many lines
as were expected.

How the end of a stream is seen: JSON has no bare carriage return in it, so the only ``CR LF 0 CR LF CR LF`` is that of
the last chunk.
"""

from __future__ import annotations

import json
import re
import socket
import time
from typing import Any
from urllib.parse import quote, urlencode

Address = tuple[str, int] | str

_OK = b"HTTP/1.1 200 "
_LAST_CHUNK = b"\r\n0\r\n\r\n"
_END, _LINES = b'{"type":"end"', b'{"type":"lines"'
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)

_BLOCK_BYTES = 1 << 18

#: An answer that does not go on for so long is none.
PATIENCE_S = 20.0


class BadReplyError(Exception):
    """A reply that is not the answer that was expected; the message says in what."""


def target(word: str, **parameters: object) -> str:
    """Where all lines with the word are had."""
    return "/search?" + urlencode({"pattern": word, "case": "exact", **parameters}, quote_via=quote)


def request(where: str) -> bytes:
    """The bytes that ask for it, and keep the connection."""
    return f"GET {where} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode("ascii")


def connected(address: Address, patience_s: float = PATIENCE_S) -> socket.socket:
    """A connection: to a host and port, or to a socket's path."""
    if isinstance(address, str):
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.settimeout(patience_s)
        made.connect(address)
        return made
    made = socket.create_connection(address, timeout=patience_s)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def is_whole(reply: bytes | bytearray) -> bool:
    """Has all of it come? A stream ends with its last chunk; whatever tells of an error has a length."""
    if reply.startswith(_OK) or len(reply) < len(_OK):
        return reply.endswith(_LAST_CHUNK)
    head, gap, content = reply.partition(b"\r\n\r\n")
    length = _LENGTH.search(head + b"\r\n")
    return bool(gap) and (length is None or len(content) >= int(length[1]))


def end_of(reply: bytes | bytearray) -> dict[str, Any]:
    """What an answer says at its end. Raises `BadReplyError`."""
    start = reply.rfind(_END)
    if start < 0:
        raise BadReplyError(f"there is no end in {bytes(reply[-100:])!r}")
    found: dict[str, Any] = json.loads(reply[start : reply.index(b"\n", start)])
    return found


def trouble_with(reply: bytes | bytearray, rows: int) -> str:
    """What is wrong with an answer that should have so many lines; empty: nothing."""
    if not reply.startswith(_OK):
        return bytes(reply.partition(b"\r\n")[0]).decode("latin-1") or "the connection was closed"
    try:
        end = end_of(reply)
    except BadReplyError as error:
        return str(error)
    if not end["complete"]:
        return f"it is not complete: {end}"
    return "" if end["lines"] == rows else f"{end['lines']} lines instead of {rows}"


class Kept:
    """A connection that is kept from question to question. A context manager."""

    def __init__(self, address: Address, patience_s: float = PATIENCE_S) -> None:
        self._socket = connected(address, patience_s)

    def ask(self, asked: bytes) -> bytearray:
        """The whole reply. Raises OSError, `BadReplyError`."""
        self._socket.sendall(asked)
        reply = bytearray()
        while not is_whole(reply):
            reply += self._received()
        return reply

    def follow(self, asked: bytes) -> Followed:
        """A long reply: when its parts came. It is not kept whole."""
        began = time.perf_counter()
        self._socket.sendall(asked)
        seen = Followed()
        while not seen.is_whole:
            seen.hear(self._received(), time.perf_counter() - began)
        return seen

    def _received(self) -> bytes:
        data = self._socket.recv(_BLOCK_BYTES)
        if not data:
            raise BadReplyError("the service has closed the connection")
        return data

    def __enter__(self) -> Kept:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


class Followed:
    """Seconds until the first byte, the first lines, and the end of a reply; its bytes, and what its end says."""

    def __init__(self) -> None:
        self.first_byte_s = self.first_lines_s = self.whole_s = 0.0
        self.size_bytes = 0
        self.is_whole = False
        self.end: dict[str, Any] = {}
        self._tail = b""  # a mark may come in two pieces

    def hear(self, data: bytes, seconds: float) -> None:
        """The next bytes, which came so late."""
        if not self.size_bytes:
            self.first_byte_s = seconds
            if not data.startswith(_OK[: len(data)]):
                raise BadReplyError(data.partition(b"\r\n")[0].decode("latin-1"))
        self.size_bytes += len(data)
        joined = self._tail + data
        if not self.first_lines_s and _LINES in joined:
            self.first_lines_s = seconds
        self._tail = joined[-_BLOCK_BYTES:]
        if self._tail.endswith(_LAST_CHUNK):
            self.is_whole, self.whole_s, self.end = True, seconds, end_of(self._tail)
