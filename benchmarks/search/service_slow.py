"""A stage: 128 clients ask for a long answer and hardly read it. What the service holds for them.

PSS of the process that answers and of its shards, before they come, and at its most while they are there. What the
kernel keeps in the buffers of sockets is memory of no process: it stands beside that.

Always true: the same answer was read once before, so what a first long answer leaves is no growth; when the clients
have gone no query runs any more.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import Measurement, Status
from benchmarks.search import service_wire as wire
from benchmarks.search.service import Service, common_word
from benchmarks.search.settings import Settings

CLIENTS = 128

#: How long they are there: far below the 30 s after which one that does not read is dropped.
_SECONDS = {False: 10.0, True: 2.0}

#: What each reads, and how often.
_READ_BYTES, _PAUSE_S = 256, 0.25

_LONG = {"limit": 100_000, "deadline_s": 60}

#: Another client's question is given up then.
_PATIENCE_S = 2.0


@dataclass(frozen=True)
class _Held:
    """Bytes of the process that answers, of its shards, and of the kernel for all TCP sockets."""

    service: int
    shards: int
    kernel: int

    @classmethod
    def now(cls, service: Service) -> _Held:
        return cls(*service.held_bytes(), _kernel_bytes())

    def most(self, other: _Held) -> _Held:
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return _Held(*map(max, pairs))


def measure(settings: Settings) -> Iterator[Measurement]:
    """Once."""
    word = common_word(settings)
    asked = wire.request(wire.target(word, **_LONG))
    with Service(settings.folder) as service:
        service.wait_indexed()
        with wire.Kept(service.address) as line:
            line.follow(asked)
        service.wait_idle()
        yield _crowded(service, asked, word, _SECONDS[settings.quick])


def _crowded(service: Service, asked: bytes, word: str, seconds: float) -> Measurement:
    """The clients come, stay for so long, and go."""
    before = _Held.now(service)
    with _slow_clients(service, asked) as clients:
        most = _most_held(service, clients, seconds)
        queries = service.status()["queries"]
        figures, note = _another(service, word)
    figures |= {
        "clients": CLIENTS,
        "running": queries["running"],
        "waiting": queries["waiting"],
        "answering": sum(client.read_bytes > 0 for client in clients),
        "idle_s": service.wait_idle(),
    }
    figures |= _growth(before, most, _Held.now(service))
    trouble = _trouble(clients)
    status: Status = "error" if trouble else "ok"
    return Measurement("search_service_slow", "manyhands", "", 1, status, figures, trouble or note)


class _SlowClient:
    """One connection. `read_bytes`: what it has taken so far; `is_dropped`: the service has ended it."""

    def __init__(self, link: socket.socket, asked: bytes) -> None:
        self._link = link
        self._link.sendall(asked)
        self._link.setblocking(False)
        self.read_bytes = 0
        self.is_dropped = False

    def read_little(self) -> None:
        """A part of what is there."""
        try:
            data = self._link.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.read_bytes += len(data)
        self.is_dropped = self.is_dropped or not data


@contextlib.contextmanager
def _slow_clients(service: Service, asked: bytes) -> Iterator[list[_SlowClient]]:
    with contextlib.ExitStack() as stack:
        links = [stack.enter_context(wire.connected(service.address)) for _ in range(CLIENTS)]
        yield [_SlowClient(link, asked) for link in links]


def _most_held(service: Service, clients: list[_SlowClient], seconds: float) -> _Held:
    """Let them read their little for so long; the most that was held of each kind."""
    most, began = _Held.now(service), time.monotonic()
    while time.monotonic() - began < seconds:
        for client in clients:
            client.read_little()
        time.sleep(_PAUSE_S)
        most = most.most(_Held.now(service))
    return most


def _another(service: Service, word: str) -> tuple[dict[str, float], str]:
    """How long a short question of another client takes meanwhile, and that in words."""
    asked = wire.request(wire.target(word, limit=1))
    began = time.perf_counter()
    with contextlib.suppress(TimeoutError), wire.Kept(service.address, _PATIENCE_S) as line:
        line.ask(asked)
        seconds = time.perf_counter() - began
        return {"another_s": seconds}, f"another client has its short answer within {seconds * 1000:.3g} ms"
    return {}, f"another client has no answer to a short question within {_PATIENCE_S:g} s"


def _growth(before: _Held, most: _Held, after: _Held) -> dict[str, float]:
    service, shards = most.service - before.service, most.shards - before.shards
    return {
        "before_bytes": before.service + before.shards,
        "service_growth_bytes": service,
        "shards_growth_bytes": shards,
        "growth_bytes": service + shards,
        "growth_per_client_bytes": (service + shards) / CLIENTS,
        "kernel_growth_bytes": most.kernel - before.kernel,
        "left_bytes": after.service + after.shards - before.service - before.shards,
    }


def _trouble(clients: list[_SlowClient]) -> str:
    """Were they the clients that were meant? If not: why."""
    if dropped := sum(client.is_dropped for client in clients):
        return f"the service has dropped {dropped} of {CLIENTS} clients, each of which was reading"
    return "" if any(client.read_bytes for client in clients) else "no client had begun to read"


def _kernel_bytes() -> int:
    """What all TCP sockets of this system hold in their buffers."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/net/sockstat").read_text().splitlines():
            if line.startswith("TCP:"):
                return int(line.split()[-1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
