"""How the two ends of a measurement agree on "warm", "go" and "done": a socket that is nobody's queue.

The measuring process listens; the address is a name in the abstract namespace of Unix sockets, so it can be
an argument of a process under every start method, leaves no file, and costs the rivals nothing.
"""

from __future__ import annotations

import os
from itertools import count
from multiprocessing.connection import Client, Connection, Listener
from types import TracebackType

_names = count()


class Control:
    """The measuring process's end: knows every partner that has called in."""

    def __init__(self) -> None:
        self.address = f"\0mhbench-{os.getpid()}-{next(_names)}"
        self._listener = Listener(self.address, "AF_UNIX", backlog=16)
        self.partners: list[Connection] = []

    def accept(self, partners: int) -> None:
        """Wait until that many have called in."""
        self.partners = [self._listener.accept() for _ in range(partners)]

    def gather(self) -> list[object]:
        """Wait for one word from each."""
        return [partner.recv() for partner in self.partners]

    def go(self) -> None:
        """Let all of them run."""
        for partner in self.partners:
            partner.send("go")

    def __enter__(self) -> Control:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for partner in self.partners:
            partner.close()
        self._listener.close()


def call(address: str) -> Connection:
    """The other process's end."""
    return Client(address, "AF_UNIX")
