"""One request to a service, over its Unix socket: HTTP by hand, since the library's takes longer to import than to ask.

`_socket` is what `socket` is made of, without the import of enum and selectors.

Always true: whatever is not as it should be raises `NotServed`; nothing waits longer than its time.
"""

from __future__ import annotations

import _socket
import os

from manyhands.cli.search.route import NotServed
from manyhands.search.service.percent import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

COLUMNS = b"application/vnd.manyhands.columns"

_REQUEST = b"GET %b HTTP/1.1\r\nHost: localhost\r\nAccept: %b\r\nConnection: close\r\n\r\n"

#: A service that does not begin to answer for so long is left alone: one searches as fast without it.
_PATIENCE_S = 10.0

#: A service that is late by so much is not going to keep the deadline.
_GRACE_S = 5.0

_BLOCK, _HEAD_BYTES_MOST = 256 << 10, 64 << 10
_SIZE_LINE_BYTES_MOST, _CHUNK_BYTES_MOST = 64, 1 << 32


class Exchange:
    """A request, which is sent at once, and the reply to it. `deadline_s`: how long the service may take for it."""

    def __init__(self, socket_path: bytes, target: str, deadline_s: float | None = None) -> None:
        self._deadline_s = deadline_s
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            self._socket.settimeout(_PATIENCE_S)
            self._socket.connect(socket_path)
            self._socket.sendall(_REQUEST % (target.encode("ascii"), COLUMNS))
        except OSError as error:  # a TimeoutError too
            self.close()
            raise NotServed(str(error)) from None
        except BaseException:
            self.close()
            raise

    def content(self) -> Iterator[bytes]:
        """The content of the reply, in pieces as they come."""
        try:
            head, rest = self._read_head()
            blocks = self._blocks(rest)
            self._socket.settimeout(None if self._deadline_s is None else self._deadline_s + _GRACE_S)
            yield from _without_sizes(blocks) if _is_chunked(head) else blocks
        except OSError as error:
            raise NotServed(error.strerror or str(error)) from None

    def _read_head(self) -> tuple[bytes, bytes]:
        """The lines before the content, and what came with them of it."""
        have = b""
        while (end := have.find(b"\r\n\r\n")) < 0:
            block = self._socket.recv(_BLOCK)
            have += block
            if not block or len(have) > _HEAD_BYTES_MOST + _BLOCK:
                raise NotServed("the reply has no head")
        return have[:end], have[end + 4 :]

    def _blocks(self, first: bytes) -> Iterator[bytes]:
        block = first or self._socket.recv(_BLOCK)
        while block:
            yield block
            block = self._socket.recv(_BLOCK)

    def close(self) -> None:
        """Want no more: the service stops. Doing it twice is harmless."""
        self._socket.close()


def _is_chunked(head: bytes) -> bool:
    """How the content comes. Raises NotServed when it is not what was asked for."""
    status, *headers = head.lower().split(b"\r\n")
    if status.split(b" ")[1:2] != [b"200"]:
        raise NotServed(os.fsdecode(status))
    values = {name: value.strip() for name, _, value in (line.partition(b":") for line in headers)}
    if values.get(b"content-type", b"").partition(b";")[0] != COLUMNS:
        raise NotServed("the reply is in another form")
    return values.get(b"transfer-encoding", b"") == b"chunked"


def _without_sizes(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Content that comes in chunks (RFC 9112, 7.1): each a line with its size, its bytes, and the end of a line."""
    have = bytearray()
    for block in blocks:
        have += block
        while (end := have.find(b"\r\n", 0, _SIZE_LINE_BYTES_MOST)) >= 0:
            size = _size_of(bytes(have[:end]))
            if not size:
                return
            stop = end + 2 + size
            if len(have) < stop + 2:
                break
            yield bytes(memoryview(have)[end + 2 : stop])
            del have[: stop + 2]
        if end < 0 and len(have) >= _SIZE_LINE_BYTES_MOST:
            raise NotServed("a chunk does not tell its size")


def _size_of(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    try:
        size = int(digits, 16) if digits.isalnum() else -1
    except ValueError:
        size = -1
    if not 0 <= size <= _CHUNK_BYTES_MOST:
        raise NotServed(f"a chunk has the size {digits!r}")
    return size


def request_of(path: str, query: dict[str, Any]) -> str:
    """A request's target. None, False and 0 say nothing; of a list each has a parameter."""
    pairs = [pair for name, value in query.items() for pair in _pairs(name, value)]
    return f"{path}?{'&'.join(pairs)}"


def _pairs(name: str, value: Any) -> list[str]:
    if value is None or value is False or value == 0:
        return []
    if isinstance(value, (list, tuple)):
        return [f"{name}={quoted(_raw(one))}" for one in value]
    return [f"{name}={quoted(_raw('true' if value is True else value))}"]


def _raw(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")
