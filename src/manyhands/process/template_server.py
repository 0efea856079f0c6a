"""The template server: a clean single-threaded Python that forks children. Part of the process room.

Runs in a process of its own, started by `template`. Owns: the connections (one of the main program, one of
each living child), and of each child a pidfd and the write end of its status pipe. It imports what children
will need, one module at a time while nobody asks for anything.

Always true:

1. No thread runs here, so a fork copies nothing half done.
2. It dies with the main program: by end of file on the root connection, or by the liveness pipe when it is
   busy.
3. Each child's wait status is written into its status pipe, or the pipe is closed because this server died.
4. A child closes all that belongs to the server before anything else.
5. It ignores SIGINT; its children take it, once they know how they want it.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import os
import select
import sys
import warnings

from manyhands.process import child, connection, interpreter, liveness, parcel, signals

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    import signal
    import socket
    from typing import NoReturn
else:  # without the enums of their wrappers, which cost a first start a millisecond each
    import _signal as signal
    import _socket as socket

#: What children, or what they import, need sooner or later: imported bit by bit, each when nobody has asked for
#: anything for so long. First starts come one after the other, and none is to wait for more than a bit.
_IDLE_IMPORTS = (
    "enum", "re", "typing", "tokenize", "linecache", "textwrap", "traceback", "manyhands.process.template",
)  # fmt: skip
_IDLE_S = 0.0005


class _Child:
    """What the server holds of one child."""

    def __init__(self, pid: int, pidfd: int, status: int) -> None:
        self.pid, self.pidfd, self.status = pid, pidfd, status


class Server:
    """The loop of the server."""

    def __init__(self, root: socket.socket, sigint_ignored: bool) -> None:
        self._root = root
        self._sigint_ignored = sigint_ignored
        self._epoll = select.epoll()
        self._connections: dict[int, socket.socket] = {}
        self._children: dict[int, _Child] = {}  # by pidfd
        self._soft_limit = _raise_limit()
        self._to_import = list(_IDLE_IMPORTS)
        self._troubles: list[str] = []
        self._connect(root)

    def serve(self) -> None:
        """Serve until the root connection closes."""
        while True:
            ready = self._epoll.poll(_IDLE_S if self._to_import else -1)
            for fd, _ in ready:
                if fd in self._children:
                    self._reap(self._children[fd])
                elif fd in self._connections and not self._hear(self._connections[fd]):
                    return
            if not ready and self._to_import:
                self._import_one()

    def _connect(self, sock: socket.socket) -> None:
        self._connections[sock.fileno()] = sock
        self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _hear(self, sock: socket.socket) -> bool:
        """Serve one message. False when the root has gone."""
        try:
            message = parcel.receive(sock)
        except ConnectionError:
            message = None
        if message is None:
            self._drop(sock)
            return sock is not self._root
        if message.kind == parcel.START:
            self._start(sock, message)
        elif message.kind in (parcel.HELLO, parcel.PRELOAD):
            self._preload(message)
        return True

    def _preload(self, message: parcel.Message) -> None:
        """Arm the liveness pipe that came with HELLO, and import what the user wants before any fork."""
        for fd in message.descriptors:
            liveness.arm(fd)
            os.close(fd)
        names = list(filter(None, message.text.split("\n")))
        for name in names:
            try:
                importlib.import_module(name)
            except Exception as error:
                self._troubles.append(
                    f"the template server could not preload {name!r}: {type(error).__name__}: {error}; "
                    f"children will import it themselves, or fail to"
                )
        if names:
            self._settle()

    def _import_one(self) -> None:
        with contextlib.suppress(Exception):
            importlib.import_module(self._to_import.pop(0))
        if not self._to_import:
            self._settle()

    def _settle(self) -> None:
        """Make what was imported cheap to share: out of the collector's sight, nothing left in buffers."""
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        gc.freeze()

    def _start(self, sock: socket.socket, message: parcel.Message) -> None:
        for name in filter(None, message.text.split("\n")):
            if name not in sys.modules:  # once here is less than once in each child
                self._to_import.insert(0, name)
                self._import_one()
        try:
            if message.truncated:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE) + " (in the template server)")
            try:
                born = self._fork(message.descriptors)
            finally:
                parcel.close(message.descriptors[1:])
        except OSError as error:
            if not message.truncated:
                os.close(message.descriptors[0])
            self._answer(sock, parcel.REFUSED, message.serial, f"{error.errno} {error.strerror}")
            return
        self._answer(sock, parcel.PID, message.serial, str(born.pid), [born.pidfd])

    def _fork(self, descriptors: list[int]) -> _Child:
        status, *rest = descriptors
        mine, theirs = parcel.pair()
        with warnings.catch_warnings():  # a preloaded library may have threads, which then must stand a fork
            warnings.simplefilter("ignore", DeprecationWarning)
            with signals.held():  # the child takes them when it knows how it wants them
                pid = os.fork()
                if pid == 0:
                    self._be_child(status, rest, mine, theirs)
        theirs.close()
        try:
            born = _Child(pid, os.pidfd_open(pid), status)
        except OSError:
            mine.close()
            os.kill(pid, signal.SIGKILL)  # ours and not yet reaped
            os.waitpid(pid, 0)
            raise
        self._connect(mine)
        self._children[born.pidfd] = born
        self._epoll.register(born.pidfd, select.EPOLLIN)
        return born

    def _be_child(self, status: int, rest: list[int], mine: socket.socket, theirs: socket.socket) -> NoReturn:
        try:
            os.close(status)
            mine.close()
            self._epoll.close()
            for sock in self._connections.values():
                sock.close()
            for sibling in self._children.values():
                parcel.close([sibling.pidfd, sibling.status])
            _restore_limit(self._soft_limit)
            connection.adopt(theirs)
            child.live_from_parcel(rest, self._sigint_ignored)
        finally:
            os._exit(1)

    def _answer(
        self, sock: socket.socket, kind: bytes, serial: int, text: str, fds: list[int] | None = None
    ) -> None:
        with contextlib.suppress(OSError):  # it died, and its end of file comes next
            for trouble in self._troubles:
                parcel.send(sock, parcel.WARNING, 0, trouble, flags=socket.MSG_DONTWAIT)
            self._troubles.clear()
            parcel.send(sock, kind, serial, text, fds or (), flags=socket.MSG_DONTWAIT)

    def _reap(self, gone: _Child) -> None:
        _, status = os.waitpid(gone.pid, 0)
        with contextlib.suppress(OSError):  # its owner died too
            os.write(gone.status, parcel.STATUS.pack(status))
        self._epoll.unregister(gone.pidfd)  # by hand: the owner holds the same description open
        del self._children[gone.pidfd]
        parcel.close([gone.pidfd, gone.status])

    def _drop(self, sock: socket.socket) -> None:
        self._epoll.unregister(sock.fileno())
        del self._connections[sock.fileno()]
        sock.close()


def _raise_limit() -> int:
    """This server needs three descriptors a living child. The children get the old limit back."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft


def _restore_limit(soft: int) -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def main() -> None:
    """In the new interpreter: take the socket at descriptor 0 and serve."""
    sigint_ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interpreter.unblock_signals()
    root = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):  # hold nothing open that belongs to the owner
        os.dup2(null, fd)
    os.close(null)
    interpreter.fresh_main()
    interpreter.settled()
    Server(root, sigint_ignored).serve()
    os._exit(0)
