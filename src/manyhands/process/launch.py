"""A started child as its owner holds it: pid, pidfd, and how to learn its end. Part of the process room.

All start methods hand back a `Launch`. They differ in `collect`: a direct child is reaped by ``waitpid``; a
child of the template server is reaped by the server, which writes the wait status into a pipe.

A new child waits at its gate, a pipe, until the owner says `go`. So a start that is interrupted anywhere
(Ctrl-C, the death of the template server) runs nothing that nobody holds, and can be made again.

Threads: any. Processes: the owner only.

Always true:

1. The sentinel is a pidfd: readable from the death on, whoever reaps, and never about another process. 2.
`poll` waits for no running process. After a death it may wait for the template server to report it, not
longer
   than the server lives.
3. After the end was seen only the sentinel is still open; `close`, or dropping the object, closes it too.
4. A Launch that is dropped before `go` takes its child with it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Sequence

from manyhands.process import extras, parcel, report, watch

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    import signal
else:  # without the enums of their wrappers, which cost a first start a millisecond each
    import _signal as signal

#: The exit code of a child whose real one nobody can know any more, as in multiprocessing.
UNKNOWN_EXITCODE = 255

#: How long the kernel is given to have an orphan reaped by init.
_ORPHAN_S = 0.2


class Launch:
    """One started child."""

    def __init__(
        self,
        pid: int,
        pidfd: int,
        files: tuple[int, int],
        collect: Callable[[], int | None],
        owned: Sequence[int] = (),
    ) -> None:
        """Take over `pidfd`, `files` (report and gate) and what `collect` needs (`owned`)."""
        self.pid = pid
        self.sentinel = pidfd
        self.exitcode: int | None = None
        self.failure = b""  # for report.rebuild
        self._collect = collect
        self._report_fd, gate = files
        self._lock = threading.RLock()  # a signal handler may ask about what its thread is asking about
        self._open = [pidfd, self._report_fd, *owned]
        self._gate = [gate]  # empty after `go`
        self._finalizer = weakref.finalize(self, _drop, self._open, self._gate, collect, os.getpid())
        self._finalizer.atexit = False

    def go(self) -> None:
        """Let the child run."""
        with contextlib.suppress(BrokenPipeError):  # somebody killed it already
            os.write(self._gate[0], b"!")
        os.close(self._gate.pop())

    def abandon(self) -> None:
        """The start was interrupted: no child after all."""
        watch.send_signal(self.sentinel, signal.SIGKILL)
        self.wait(None)
        self.close()

    def poll(self) -> int | None:
        """The exit code, or None while the child runs."""
        if self.exitcode is not None:
            return self.exitcode
        with self._lock:
            if self.exitcode is not None or not watch.is_dead(self.sentinel):
                return self.exitcode
            self._reap()
        extras.reaped(self.pid)
        return self.exitcode

    def wait(self, timeout: float | None) -> int | None:
        """Wait for the end for at most `timeout` seconds; then as `poll`."""
        if self.exitcode is None:
            watch.wait([self.sentinel], timeout)
        return self.poll()

    def signal(self, signum: int) -> None:
        """Send a signal, unless the child has ended."""
        if self.exitcode is None:
            watch.send_signal(self.sentinel, signum)

    def close(self) -> None:
        """Close the sentinel."""
        self._finalizer()

    def _reap(self) -> None:
        status = self._collect()
        told = report.read(self._report_fd)
        self.failure = told[1] if told else b""
        if status is None and told is None:
            status = watch.kernel_status(self.sentinel, _ORPHAN_S)
        if status is not None:
            self.exitcode = os.waitstatus_to_exitcode(status)
        elif self.exitcode is None:
            self.exitcode = told[0] if told else UNKNOWN_EXITCODE
        rest, self._open[1:] = self._open[1:], []
        parcel.close(rest)


def _drop(open_fds: list[int], gate: list[int], collect: Callable[[], int | None], owner: int) -> None:
    """Close all. A child still at its gate is killed and reaped (but not from a fork of its owner)."""
    not_reaped = len(open_fds) > 1
    if gate and not_reaped and os.getpid() == owner:
        watch.send_signal(open_fds[0], signal.SIGKILL)
        watch.wait(open_fds[:1])
        collect()
    parcel.close([*gate, *open_fds])
    gate.clear()
    open_fds.clear()
