"""What stands around the app on an address that browsers and others can reach.

Always true:

1. A request whose Host is not one of ours is refused: a name that an attacker points here gets nothing (DNS rebinding).
2. What another site's page makes a browser ask is refused; no CORS header is ever sent.
3. With a token, whatever holds data needs it; it is compared in constant time, and is in no message.
4. No request has a body, nor two Host headers.
5. Who asks without the token where one is needed learns nothing of the tree: ``manyhands.knows`` in the scope says
   who may.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from manyhands.search.service.problem import Problem
from manyhands.search.service.replying import Receive, Reply, Scope, Send
from manyhands.search.service.settings import Settings, is_loopback

App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: What a browser may do with what it gets: nothing but what the page's own files say.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
#: What every answer has, refusals of the protocol too.
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]

#: What may be had without the token: the page has no data, and health says nothing but a word then.
_OPEN = ("/", "/docs", "/openapi.json", "/healthz")
_OPEN_BELOW = "/static/"


class Guard:
    """Checks a request, and passes it on. `is_trusted`: it came by the socket, whose owner may do anything."""

    def __init__(self, app: App, settings: Settings, *, is_trusted: bool) -> None:
        self._app, self._is_trusted = app, is_trusted
        self._token = settings.token.encode()
        self._hosts = _hosts_of(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            return
        scope["manyhands.trusted"] = self._is_trusted

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                said = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in HEADERS if pair[0] not in said)]
            await send(message)

        try:
            self._check(_read(scope["headers"]), scope)
        except Problem as problem:
            await Reply(scope, receive, send_with_headers).problem(problem)
            return
        await self._app(scope, receive, send_with_headers)

    def _check(self, headers: dict[bytes, bytes], scope: Scope) -> None:
        if headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers:
            raise Problem(413, "requests have no body here", headers={"connection": "close"})
        scope["manyhands.knows"] = self._is_trusted or not self._token
        if self._is_trusted:
            return
        host = headers.get(b"host", b"").decode("latin-1")
        if self._hosts is not None and _name_of(host) not in self._hosts:
            raise Problem(403, "this service has another name: the Host header is not one of those it knows")
        self._check_site(headers, host, scope["path"])
        if self._token:
            said = headers.get(b"authorization", b"")
            scope["manyhands.knows"] = self._is_token(said)
            if not (scope["manyhands.knows"] or _is_open(scope["path"])):
                raise _no_token(said)

    def _check_site(self, headers: dict[bytes, bytes], host: str, path: str) -> None:
        site, mode = headers.get(b"sec-fetch-site", b""), headers.get(b"sec-fetch-mode", b"")
        is_visit = mode == b"navigate" and path in ("/", "/docs")
        if site in (b"cross-site", b"same-site") and not is_visit:
            raise Problem(403, "another site's page may not ask this service")
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("latin-1").partition("://")[2] != host:
            raise Problem(403, "another site's page may not ask this service")

    def _is_token(self, said: bytes) -> bool:
        kind, _, token = said.partition(b" ")
        return kind.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._token)


def _no_token(said: bytes) -> Problem:
    detail = "the token is wrong" if said else "this needs a token: Authorization: Bearer TOKEN"
    return Problem(401, detail, headers={"www-authenticate": 'Bearer realm="manyhands"'})


def _read(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """By name. Somebody before us may have looked at the other Host."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name == b"host" and name in found:
            raise Problem(400, "the Host header is said twice", headers={"connection": "close"})
        found[name] = value
    return found


def _is_open(path: str) -> bool:
    return path in _OPEN or path.startswith(_OPEN_BELOW)


def _hosts_of(settings: Settings) -> frozenset[str] | None:
    """The names that requests may have; None: any, because a token is needed all the same."""
    named = {host.lower() for host in settings.hosts}
    if is_loopback(settings.host):
        return frozenset({"localhost", "127.0.0.1", "[::1]", _bracketed(settings.host), *named})
    return frozenset(named) if named else None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host.lower()


def _name_of(host: str) -> str:
    """The name in a Host header.

    >>> _name_of("LocalHost:8642"), _name_of("[::1]:80"), _name_of("a.b")
    ('localhost', '[::1]', 'a.b')
    """
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() else host).lower()
