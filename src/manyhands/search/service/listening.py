"""Where a service listens: its sockets, and a uvicorn server on each.

Always true: the socket in the runtime folder is the user's alone from the moment it is there; nothing else is
listened on.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import uvicorn

from manyhands.errors import UsageError
from manyhands.search.service.guard import Guard
from manyhands.search.service.protocol import bounded
from manyhands.search.service.settings import Settings

_BACKLOG = 1024

#: Answers that are still under way when they have been cancelled have so long to say so.
_LAST_WORDS_S = 2

_FOREVER_S = 1e8


def bind_socket(path: str) -> socket.socket:
    """The socket of the owner: mode 0600 before anybody can know it."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        made.bind(path)
    except BaseException:
        made.close()
        raise
    finally:
        os.umask(before)
    return made


def bind_address(settings: Settings) -> socket.socket | None:
    """The address for HTTP; None: there is none. Raises UsageError."""
    if settings.port is None:
        return None
    try:
        found = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise UsageError(f"there is no address {settings.host!r}: {error.strerror}") from None
    family, kind, protocol, _, address = found[0]
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
    except OSError as error:
        made.close()
        raise UsageError(_trouble(settings, error)) from None
    return made


def _trouble(settings: Settings, error: OSError) -> str:
    where = f"port {settings.port} of {settings.host}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use by another program; --port 0 takes any that is free"
    if error.errno == errno.EACCES:
        return f"{where} is not allowed for you; ports from 1024 on are"
    return f"cannot listen on {where}: {error.strerror}"


def check_certificate(settings: Settings) -> None:
    """Raises UsageError for a certificate or key that cannot be used: before a large tree is loaded."""
    if settings.certificate is None:
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(settings.certificate, settings.key, password=lambda: b"")
    except ssl.SSLError as error:
        what = f"{settings.certificate} and {settings.key}" if settings.key else settings.certificate
        raise UsageError(
            f"{what}: no certificate with its key, in PEM, without a password ({error.reason})"
        ) from None
    except OSError as error:
        names = " or ".join(filter(None, (settings.certificate, settings.key)))
        raise UsageError(f"{names} cannot be read: {error.strerror}") from None


def url_of(settings: Settings, bound: socket.socket) -> str:
    """Where a browser finds it."""
    scheme = "https" if settings.certificate else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{scheme}://{host}:{bound.getsockname()[1]}/"


class Server(uvicorn.Server):
    """One listening socket. Signals are its owner's."""

    def __init__(self, app: Any, settings: Settings, bound: socket.socket, *, is_trusted: bool) -> None:
        # Whoever pages through an answer of the command reads when he likes.
        limits = replace(settings.limits, stall_s=_FOREVER_S) if is_trusted else settings.limits
        is_secure = bool(settings.certificate) and not is_trusted
        super().__init__(
            uvicorn.Config(
                Guard(app, settings, is_trusted=is_trusted), http=bounded(limits), ws="none", lifespan="off",
                interface="asgi3", log_config=None, log_level="critical", access_log=False, proxy_headers=False,
                server_header=False, backlog=_BACKLOG, timeout_keep_alive=int(limits.idle_s),
                timeout_graceful_shutdown=int(limits.drain_s) + _LAST_WORDS_S,
                ssl_certfile=settings.certificate if is_secure else None,
                ssl_keyfile=settings.key if is_secure else None,
            )
        )  # fmt: skip
        self._bound = bound

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves them alone."""
        yield

    async def run_until_told(self) -> None:
        """Serve until `should_exit` is set."""
        await self.serve(sockets=[self._bound])
