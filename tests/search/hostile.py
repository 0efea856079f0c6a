"""What the service meets on a bad day: small limits, clients that keep to no rules, and a look at what is left behind."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import sys
import tempfile
import termios
import threading
import time

from tests.search.serving import Serving

#: How long a client waits for what must come; the watchdog of the tests is later.
PATIENCE_S = 40

#: A service whose limits are those of the first argument, the others being paths.
_LIMITED = """
import json, sys
from manyhands.search.service.run import serve
from manyhands.search.service.settings import Limits, Settings
facts = json.loads(sys.argv[1])
limits = Limits(**facts.pop("limits"))
serve(
    Settings(paths=sys.argv[2:], port=0, limits=limits, **facts),
    say=lambda text: print("manyhands serve:", text, file=sys.stderr, flush=True),
)
"""


def limited(*paths, runtime, shards=2, before="", settings=None, ready=True, **limits):
    """A service with those limits. `before` runs first in its process."""
    facts = {"limits": limits, "shards": shards, **(settings or {})}
    return Serving(
        *paths, runtime=runtime, options=(json.dumps(facts),), program=("-c", before + _LIMITED), ready=ready
    )


@contextlib.contextmanager
def short_folder():
    """A folder with a path that is short enough for a socket's."""
    path = tempfile.mkdtemp(prefix="mh")
    try:
        yield path
    finally:
        shutil.rmtree(path)


class Wire:
    """A connection on which bytes are sent as they are. `address`: host and port, or a socket's path; `window`: bytes
    that may be under way to it unread."""

    def __init__(self, address, window=None):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if window:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(address)

    def ask(self, target, *headers, method="GET"):
        """A request's head."""
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost", *headers, "", ""]
        return self.send("\r\n".join(lines).encode("latin-1"))

    def send(self, data):
        """All of it, if the other side takes it."""
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(data)
        return self

    def until(self, ending):
        """What comes, up to and with `ending`."""
        found = b""
        while ending not in found:
            data = self.socket.recv(65536)
            assert data, f"the connection ended without {ending!r}: {found[-200:]!r}"
            found += data
        return found

    def rest(self, pause_s=0.0):
        """What comes until the other side closes, however it does; read with pauses."""
        pieces = []
        with contextlib.suppress(ConnectionError):
            while data := self.socket.recv(65536):
                pieces.append(data)
                threading.Event().wait(pause_s)
        return b"".join(pieces)

    @property
    def is_still(self):
        """Has nothing more come for a moment? Reads nothing."""
        before = self._waiting_bytes()
        threading.Event().wait(0.1)
        return self._waiting_bytes() == before > 0

    def _waiting_bytes(self):
        found = bytearray(4)
        fcntl.ioctl(self.socket, termios.FIONREAD, found)
        return int.from_bytes(found, sys.byteorder)

    def reset(self):
        """End it as a client does that is killed."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def status_of(answer):
    """The status of a raw answer."""
    return int(answer.split(b" ", 2)[1])


def json_in(answer):
    """The JSON in a raw answer."""
    return json.loads(answer.partition(b"\r\n\r\n")[2])


# ---- processes ----


def descendants(pid):
    """All processes below that one."""
    found, todo = set(), [pid]
    while todo:
        for task in _names(f"/proc/{todo[0]}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{todo[0]}/task/{task}/children") as file:
                todo += map(int, file.read().split())
        found.add(todo.pop(0))
    return found - {pid}


def _names(folder):
    with contextlib.suppress(OSError):
        return os.listdir(folder)
    return []


def is_running(pid):
    """Is it there, and not merely waiting to be reaped by somebody?"""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def sleeps(pid):
    """Does it wait for something, and so hold no lock of a ring that others want?"""
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "S"


def memory_bytes(pid):
    """What a process has in memory, shared or not."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# ---- waiting ----


def wait_until(condition, what):
    """Look again and again until it holds; `what` it is, for whoever reads of its failure."""
    until = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < until, f"waited {PATIENCE_S} s in vain: {what}"
        threading.Event().wait(0.01)
    return value


# ---- stopping ----


def stop(pid):
    """As by SIGSTOP, at a moment when it holds nothing that others want."""
    wait_until(lambda: sleeps(pid), "it waits for something")
    os.kill(pid, signal.SIGSTOP)


@contextlib.contextmanager
def stopped(*pids):
    """All of them stand still meanwhile. Those that were killed stay dead."""
    try:
        for pid in pids:
            stop(pid)
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
