"""Clients of the service: many connections, each asking the next question as soon as its answer is there.

A process of its own (``python -m benchmarks.search.service_client``, its task as JSON in stdin, its figures as JSON in
stdout), so that neither the service nor a tree waits for its GIL. One thread with epoll: a client that takes its
time would be measured along.

Always true: every answer is checked; the clock runs from the moment when each connection has had one answer; what
is under way when the time is over is awaited, checked and not counted.
"""

from __future__ import annotations

import itertools
import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.processes import ROOT, environment
from benchmarks.search import service_wire as wire

_BLOCK_BYTES = 1 << 16

#: So many errors are told; whoever has more has the same ones.
_TOLD = 3


def measure(
    address: wire.Address, connections: int, seconds: float, words: Mapping[str, int]
) -> dict[str, Any]:
    """Run them in a process of their own: `per_s`, `p50_s`, `p99_s`, `min_s`, `max_s`, `queries`, `errors`, `told`."""
    task = {"address": address, "connections": connections, "seconds": seconds, "words": dict(words)}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.search.service_client"], input=json.dumps(task), text=True,
        stdout=subprocess.PIPE, check=True, cwd=ROOT, env=environment(), timeout=seconds + 4 * wire.PATIENCE_S,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


class _Client:
    """One connection and its question under way."""

    def __init__(self, address: wire.Address) -> None:
        self._address = address
        self.socket = _ready(address)
        self._reply = bytearray()
        self.began = 0.0
        self._rows = 0

    def ask(self, asked: bytes, rows: int) -> None:
        self._rows = rows
        self._reply.clear()
        self.began = time.perf_counter()
        self.socket.send(asked)  # far less than a socket's buffer, which is empty

    def hear(self) -> str | None:
        """What has come: None when there is more to come, "" for a good answer, or what is wrong with it."""
        try:
            data = self.socket.recv(_BLOCK_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            return str(error)
        self._reply += data
        if data and not wire.is_whole(self._reply):
            return None
        return wire.trouble_with(self._reply, self._rows)

    def connect_again(self) -> None:
        self.socket.close()
        self.socket = _ready(self._address)


def _ready(address: wire.Address) -> socket.socket:
    made = wire.connected(address)
    made.setblocking(False)
    return made


class _Crowd:
    """All clients, and what they measure."""

    def __init__(self, address: wire.Address, connections: int, words: Mapping[str, int]) -> None:
        self._address = address
        asked = [(wire.request(wire.target(word)), rows) for word, rows in words.items()]
        self._questions: Iterator[tuple[bytes, int]] = itertools.cycle(asked)
        self._poll = select.epoll()
        self._clients: dict[int, _Client] = {}
        for _ in range(connections):
            self._add(_Client(address))
        self.seconds: list[float] = []
        self.told: list[str] = []
        self.errors = 0

    def _add(self, client: _Client) -> None:
        self._clients[client.socket.fileno()] = client
        self._poll.register(client.socket, select.EPOLLIN)

    def warm(self) -> None:
        """One answer for each."""
        for client in self._clients.values():
            client.ask(*next(self._questions))
        self._until_all_are_idle(set(self._clients.values()))
        self.seconds.clear()

    def run(self, seconds: float) -> float:
        """Ask until the time is over; how long it was."""
        began = time.perf_counter()
        for client in self._clients.values():
            client.ask(*next(self._questions))
        while time.perf_counter() - began < seconds:
            for client in self._answered():
                client.ask(*next(self._questions))
        passed, in_time = time.perf_counter() - began, len(self.seconds)
        self._until_all_are_idle(set(self._clients.values()))
        del self.seconds[in_time:]
        return passed

    def _until_all_are_idle(self, busy: set[_Client]) -> None:
        while busy:
            busy -= set(self._answered())

    def _answered(self) -> list[_Client]:
        """The clients that have their answer, good or bad. Raises TimeoutError when no client gets anything."""
        ready = self._poll.poll(wire.PATIENCE_S)
        if not ready:
            raise TimeoutError(f"no answer within {wire.PATIENCE_S:g} s")
        done = []
        for fd, _ in ready:
            client = self._clients[fd]
            trouble = client.hear()
            if trouble is None:
                continue
            if trouble:
                self._note(client, trouble)
            else:
                self.seconds.append(time.perf_counter() - client.began)
            done.append(client)
        return done

    def _note(self, client: _Client, trouble: str) -> None:
        self.errors += 1
        if len(self.told) < _TOLD:
            self.told.append(trouble)
        del self._clients[client.socket.fileno()]
        client.connect_again()
        self._add(client)


def main() -> None:
    """The other end of `measure`."""
    task = json.load(sys.stdin)
    address = task["address"] if isinstance(task["address"], str) else tuple(task["address"])
    crowd = _Crowd(address, task["connections"], task["words"])
    crowd.warm()
    passed = crowd.run(task["seconds"])
    json.dump(figures_of(crowd.seconds, passed) | {"errors": crowd.errors, "told": crowd.told}, sys.stdout)


def figures_of(seconds: list[float], passed: float) -> dict[str, float]:
    """Of the answers that came in so much time."""
    if not seconds:
        return {"queries": 0, "per_s": 0.0}
    ordered = sorted(seconds)
    return {
        "queries": len(ordered),
        "per_s": len(ordered) / passed,
        "p50_s": ordered[len(ordered) // 2],
        "p99_s": ordered[int(0.99 * len(ordered))],
        "min_s": ordered[0],
        "max_s": ordered[-1],
    }


if __name__ == "__main__":
    main()
