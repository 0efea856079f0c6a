"""A process's connection to its family's template server: made, asked, replaced. Part of the process room.

The server (`template_server`) is a clean single-threaded Python that forks children on request. The main
program starts it at its first need; a child has a connection of its own to the same server from birth.
Stands apart from `template`, which makes what is sent, so that the server can boot before that is loaded.

Threads: any. The lock of a connection is held for one question and its answer (a fork, a millisecond), never
while waiting for a child's work.

Always true:

1. A request that was interrupted (Ctrl-C) leaves the connection in step: answers carry the serial number of their
   question. Its child, should there be one, finds its gate closed and leaves.
2. When the server has died its children go on, and the next start begins with a new server.
3. A forked copy forgets the connection at once.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import select
import threading
import weakref
from collections.abc import Iterable

from manyhands.errors import UsageError
from manyhands.process import interpreter, liveness, parcel, signals, watch

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    import signal
    import socket
else:  # without the enums of their wrappers, which cost a first start a millisecond each
    import _signal as signal
    import _socket as socket

_LOST = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN)


class ServerLostError(Exception):
    """The server died before it answered."""


class Server:
    """A connection to a template server. `environ` is what its children have by themselves."""

    def __init__(self, sock: socket.socket, environ: dict[str, str], pid: int | None) -> None:
        self.environ = environ
        self.pid = pid  # None: a child of an owner above us
        self.sock = sock
        self._lock = threading.RLock()  # a signal handler may start a process in the middle of a start
        self._serials = itertools.count(1)
        self._answers: dict[int, parcel.Message] = {}
        self._abandoned: set[int] = set()
        weakref.finalize(self, sock.close).atexit = False

    def is_gone(self) -> bool:
        """Has the server died?"""
        poller = select.poll()
        poller.register(self.sock, 0)
        return bool(poller.poll(0))

    def tell(self, kind: bytes, text: str, descriptors: Iterable[int] = ()) -> None:
        """Send what needs no answer; a dead server will be noticed by the next question."""
        with self._lock, contextlib.suppress(BrokenPipeError, ConnectionError):
            parcel.send(self.sock, kind, 0, text, list(descriptors))

    def ask(self, descriptors: list[int], needs: str) -> parcel.Message:
        """Ask for a child, which needs that module; the answer. Raises `ServerLostError`."""
        with self._lock:
            serial = next(self._serials)
            try:
                parcel.send(self.sock, parcel.START, serial, needs, descriptors)
                return self._answer(serial)
            except OSError as error:
                if error.errno in _LOST:
                    raise ServerLostError from error
                raise
            except BaseException:  # Ctrl-C, or whatever a signal handler raised
                self._abandon(serial)
                raise

    def _answer(self, serial: int) -> parcel.Message:
        while serial not in self._answers:
            watch.wait([self.sock.fileno()])
            with signals.held():
                self._hear()
        return self._answers.pop(serial)

    def _hear(self) -> None:
        message = parcel.receive(self.sock)
        if message is None:
            raise ServerLostError
        if message.kind == parcel.WARNING:
            _warnings.append(message.text)
        elif message.serial in self._abandoned:
            self._abandoned.discard(message.serial)
            parcel.close(message.descriptors)
        else:
            self._answers[message.serial] = message

    def _abandon(self, serial: int) -> None:
        """Nobody wants this answer any more. The child, if there is one, finds its gate closed."""
        answer = self._answers.pop(serial, None)
        if answer is None:
            self._abandoned.add(serial)
        else:
            parcel.close(answer.descriptors)


class _Family:
    """This process's connection, and what to preload."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.server: Server | None = None
        self.preload: list[str] = []


_family = _Family()
_warnings: list[str] = []


def connection() -> Server:
    """The server of this family; a new one, that may still be booting, when there is none alive."""
    with _family.lock:
        server = _family.server
        if server is None or server.is_gone():
            _reap(server)
            server = _family.server = _new_server()
        return server


def adopt(sock: socket.socket) -> None:
    """In a child that the server forked: this is our own connection to it."""
    _family.server = Server(sock, dict(os.environ), None)


def preload(modules: Iterable[str]) -> None:
    """Have the server import `modules`, so that children find them imported. Replaces what was set before.

    One that fails to import is reported by a RuntimeWarning at the next start, and left out.
    """
    names = [modules] if isinstance(modules, str) else list(modules)
    if not all(isinstance(name, str) and name for name in names):
        raise UsageError(f"preload takes names of modules, not {names!r}")
    with _family.lock:
        _family.preload = names
        if _family.server is not None:
            _family.server.tell(parcel.PRELOAD, "\n".join(names))


def take_warnings() -> list[str]:
    """What the server wanted the user to know, each once."""
    taken = _warnings[:]
    del _warnings[: len(taken)]
    return taken


def stop() -> None:
    """End the server, if it is ours. Its children, if any, go on."""
    with _family.lock:
        server, _family.server = _family.server, None
        if server is not None:
            _reap(server)
            server.sock.close()


def _new_server() -> Server:
    ours, theirs = parcel.pair()
    with contextlib.closing(theirs):
        try:
            pid = interpreter.start("manyhands.process.template_server", "manyhands-template", theirs)
        except BaseException:
            ours.close()
            raise
    server = Server(ours, dict(os.environ), pid)
    server.tell(parcel.HELLO, "\n".join(_family.preload), [liveness.read_end()])
    return server


def _reap(server: Server | None) -> None:
    """Kill a server that we started and are done with, and reap it."""
    if server is None or server.pid is None:
        return
    with contextlib.suppress(ChildProcessError, ProcessLookupError):
        os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)  # raises if it is not our child
        os.kill(server.pid, signal.SIGKILL)
        os.waitpid(server.pid, 0)
    server.pid = None


def _forget_in_child() -> None:
    global _family
    server = _family.server
    preload = _family.preload
    _family = _Family()
    _family.preload = preload
    if server is not None:
        server.sock.close()


os.register_at_fork(after_in_child=_forget_in_child)
