"""What a service is told: what to serve, where, to whom, and how much at most. Checked when it is made.

Always true of `Settings`: an address that others can reach has a token.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from manyhands.errors import UsageError

PORT = 8642

#: A shorter token could be guessed.
_TOKEN_LEAST = 16


@dataclass(frozen=True)
class Limits:
    """How much at most. On the socket, whose users are the owner alone, rows and time are not limited."""

    #: Bytes of each pattern, and patterns of each kind.
    pattern_bytes: int = 16_384
    patterns: int = 100
    #: Steps of the programs that a question's regexes are compiled to; see `effort`.
    regex_steps: int = 10_000
    #: Matching lines of an answer when nobody says how many, and at most.
    rows: int = 1_000
    rows_most: int = 100_000
    #: Lines of context on each side.
    context: int = 100
    #: Seconds that a query has when nobody says how many, and at most.
    deadline_s: float = 10.0
    deadline_most_s: float = 60.0
    #: Queries that run at once, a quarter of them with answers longer than `rows`; and queries that wait for that.
    running: int = 32
    waiting: int = 1_024
    #: Queries that stand aside at once because their clients read slowly.
    aside: int = 128
    #: Characters of a line that are shown when nobody says how many, and at most.
    columns: int = 1_000
    columns_most: int = 100_000
    #: Lines of a file at once.
    file_lines: int = 10_000
    #: Bytes of a request's line and headers.
    head_bytes: int = 65_536
    #: Seconds that a connection may take for a request's head, may idle between requests, and may not read.
    head_s: float = 15.0
    idle_s: float = 60.0
    stall_s: float = 30.0
    #: Seconds that a client has for the rest of its answer when the deadline of its query has passed.
    delivery_s: float = 20.0
    #: Seconds that answers under way have when the service ends.
    drain_s: float = 5.0


@dataclass(frozen=True)
class Settings:
    """See the module. `filters` are those of `manyhands.search.open`; `port` None: no HTTP but on the socket."""

    paths: Sequence[str]
    host: str = "127.0.0.1"
    port: int | None = PORT
    token: str = ""
    hosts: Sequence[str] = ()
    certificate: str | None = None
    key: str | None = None
    shards: int | None = None
    filters: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        if not self.paths:
            raise UsageError("there is nothing to serve: name a folder or a file")
        if self.port is not None and not 0 <= self.port < 1 << 16:
            raise UsageError(f"port must be between 0 and 65535, not {self.port}")
        if self.key and not self.certificate:
            raise UsageError("a TLS key needs its certificate")
        self._check_token()

    def _check_token(self) -> None:
        if self.token and (len(self.token) < _TOKEN_LEAST or not _is_plain(self.token)):
            raise UsageError(
                f"the token must have at least {_TOKEN_LEAST} characters, all of them printable ASCII without blanks"
            )
        if self.port is not None and not is_loopback(self.host) and not self.token:
            raise UsageError(
                f"{self.host} can be reached by others, who could then read everything that is served: give a token, "
                "or listen on 127.0.0.1"
            )

    @property
    def real_paths(self) -> list[str]:
        """The paths as the tree is opened with them: absolute, without symlinks."""
        return [os.path.realpath(path) for path in self.paths]


def is_loopback(host: str) -> bool:
    """Can only programs on this machine reach that address?

    >>> is_loopback("localhost"), is_loopback("::1"), is_loopback("0.0.0.0"), is_loopback("example.org")
    (True, True, False, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_plain(token: str) -> bool:
    return token.isascii() and token.isprintable() and " " not in token
