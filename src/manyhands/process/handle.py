"""`Process`, with the interface of ``multiprocessing.Process``. Part of the process room.

Owns the object that a user holds. Stands on `launcher` (start), `launch` (the running child) and `family`.

Threads: any; two threads must not start the same object. Processes: the one that made it, and the child
itself.

Always true:

1. initial → started → stopped, and from initial or stopped → closed. A misuse raises `ProcessStateError`,
   which says what state the process is in and what to do.
2. A start that raised leaves the object as it was: it can be started again.
3. Signals go through a pidfd: never to another process that got the same pid.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping

from manyhands.errors import UsageError
from manyhands.process import family, launcher, report
from manyhands.process.launch import Launch

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    import signal
    from typing import Any, ClassVar
else:  # without the enums of its wrapper, which cost a first start a millisecond
    import _signal as signal

_authkey = b""


class ProcessStateError(UsageError, AssertionError):
    """You asked of a `Process` what it cannot do in its present state (multiprocessing: AssertionError)."""


class Process:
    """A function (or `run` of a subclass) in a process of its own.

    The interface is that of ``multiprocessing.Process``, with these differences: functions of ``__main__``,
    lambdas and closures work under every start method and need no ``if __name__ == "__main__"`` guard;
    `exception` brings the child's exception back; daemons may have children; a child is killed when its owner
    dies, whatever killed it.

    >>> child = Process(target=print, args=("hello",))
    >>> child.start()
    >>> child.join()
    >>> child.exitcode
    0
    """

    #: The start method of this class; None is the default one (`launcher.set_start_method`).
    _start_method: ClassVar[str | None] = None

    #: Does the child ignore Ctrl-C, from its first instruction on? To be set before the start.
    ignores_sigint = False

    def __init__(
        self, group: None = None, target: Callable[..., object] | None = None, name: str | None = None,
        args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None, *, daemon: bool | None = None,
    ) -> None:  # fmt: skip
        """As in multiprocessing. `group` must be None; `daemon` is inherited from this process if None."""
        if group is not None:
            raise UsageError(
                f"group must be None (it exists for symmetry with threading only), not {group!r}"
            )
        self._identity = family.next_identity()
        self._owner_pid = os.getpid()
        self._launch: Launch | None = None
        self._closed = False
        if target is not None and not callable(target):
            raise UsageError(f"target must be a function or another callable, not {target!r}")
        self._target = target
        self._args = tuple(args)
        self._kwargs = dict(kwargs or {})
        self._name = name or f"{type(self).__name__}-{':'.join(map(str, self._identity))}"
        self._daemon = family.current_process().daemon if daemon is None else bool(daemon)

    def run(self) -> None:
        """What the child does: call the target. Override it in a subclass."""
        if self._target is not None:
            self._target(*self._args, **self._kwargs)

    def start(self) -> None:
        """Start the child. Blocks until it exists (about a millisecond), not until the target runs.

        Raises `manyhands.errors.PicklingError` when target or arguments cannot be sent, `StartError` when the
        system refuses, `ProcessStateError` when it was started already.
        """
        self._check_open()
        self._check_owner("start")
        if self._launch is not None:
            raise ProcessStateError(
                f"{self._name} was started already, and a process starts once: make a new one"
            )
        family.active_children()  # forget the dead, as multiprocessing does
        try:
            self._launch = launcher.start(self, self._start_method)
            family.born(self)
            self._launch.go()
        except BaseException:
            self._undo_start()
            raise
        self._target, self._args, self._kwargs = None, (), {}  # the child has them now
        launcher.warn()

    def join(self, timeout: float | None = None) -> None:
        """Block until the child has ended, or for at most `timeout` seconds; then look at `exitcode`."""
        self._check_open()
        self._check_owner("join")
        if self._launch is None:
            raise ProcessStateError(
                f"{self._name} was not started, so there is nothing to join: call start() first"
            )
        if self._launch.wait(timeout) is not None:
            family.dead(self)

    def is_alive(self) -> bool:
        """Does the child run? Does not block."""
        self._check_open()
        if family.is_current(self):
            return True
        self._check_owner("test")
        return self._launch is not None and self._poll() is None

    def terminate(self) -> None:
        """Send SIGTERM to the child; nothing happens when it has ended."""
        self._signal(signal.SIGTERM, "terminate")

    def kill(self) -> None:
        """Send SIGKILL to the child; nothing happens when it has ended."""
        self._signal(signal.SIGKILL, "kill")

    def close(self) -> None:
        """Give back all that this object holds. Raises `ProcessStateError` while the child runs."""
        if self._launch is not None:
            if self._poll() is None:
                raise ProcessStateError(
                    f"{self._name} (pid {self._launch.pid}) is still running and cannot be closed: "
                    f"join(), or terminate() and join(), first"
                )
            self._launch.close()
            self._launch = None
        family.dead(self)
        self._closed = True

    @property
    def exitcode(self) -> int | None:
        """None until the child has ended; then its code, or ``-signum`` when a signal ended it."""
        self._check_open()
        return None if self._launch is None else self._poll()

    @property
    def exception(self) -> BaseException | None:
        """The exception that ended the child, with the traceback there as ``__cause__``; None if none did.

        The child's own type where that can be rebuilt here, otherwise a `manyhands.process.RemoteError`. A
        new object at each access. SystemExit is not an exception but an exit code. Does not block.
        """
        if self.exitcode is None or self._launch is None:
            return None
        return report.rebuild(self._launch.failure)

    @property
    def pid(self) -> int | None:
        """The child's pid, or None before the start."""
        self._check_open()
        if family.is_current(self):
            return os.getpid()
        return None if self._launch is None else self._launch.pid

    ident = pid

    @property
    def name(self) -> str:
        """A name for people; it may be set, and names nothing."""
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        if not isinstance(name, str):
            raise UsageError(f"the name of a process must be a str, not {name!r}")
        self._name = name

    @property
    def daemon(self) -> bool:
        """Is the child terminated at the exit of its owner, instead of joined? To be set before the start."""
        return self._daemon

    @daemon.setter
    def daemon(self, daemon: bool) -> None:
        if self._launch is not None:
            raise ProcessStateError(f"{self._name} was started already: set daemon before start()")
        self._daemon = bool(daemon)

    @property
    def authkey(self) -> bytes:
        """The secret that this family of processes shares, for ``multiprocessing.connection``."""
        return authkey()

    @property
    def sentinel(self) -> int:
        """A descriptor that is readable when the child has ended, for `select` and `process.wait`."""
        self._check_open()
        if self._launch is None:
            raise ProcessStateError(f"{self._name} was not started and has no sentinel: call start() first")
        return self._launch.sentinel

    def __repr__(self) -> str:
        parts = [type(self).__name__, f"name={self._name!r}"]
        if not self._closed:
            parts += [f"pid={self.pid}"] * bool(self.pid) + [f"parent={self._owner_pid}"]
        parts.append(self._state())
        return f"<{' '.join(parts)}{' daemon' * self._daemon}>"

    def __getstate__(self) -> dict[str, Any]:
        """What travels to the child."""
        if self._launch is not None:
            raise TypeError(
                f"{self._name} was started and cannot be sent to another process; send its name or pid"
            )
        return self.__dict__.copy()

    def _state(self) -> str:
        if self._closed:
            return "closed"
        if family.is_current(self):
            return "started"
        if self._launch is None:
            return "initial"
        code = self._poll() if self._owner_pid == os.getpid() else None
        if code is None:
            return "started" if self._owner_pid == os.getpid() else "unknown"
        return f"stopped exitcode={_named(code)}"

    def _undo_start(self) -> None:
        launch, self._launch = self._launch, None
        family.dead(self)
        if launch is not None:
            launch.abandon()

    def _poll(self) -> int | None:
        if self._launch is None:
            return None
        code = self._launch.poll()
        if code is not None:
            family.dead(self)
        return code

    def _signal(self, signum: int, verb: str) -> None:
        self._check_open()
        if self._launch is None:
            raise ProcessStateError(f"{self._name} was not started, so there is nothing to {verb}")
        self._check_owner(verb)
        self._launch.signal(signum)

    def _check_open(self) -> None:
        if self._closed:
            raise ProcessStateError(f"{self._name} was closed, and a closed process tells nothing more")

    def _check_owner(self, verb: str) -> None:
        if self._owner_pid != os.getpid():
            raise ProcessStateError(
                f"{self._name} belongs to process {self._owner_pid}, which made it: only that one can "
                f"{verb} it, not this one ({os.getpid()})"
            )


class _MainProcess(Process):
    """The main program."""

    def __init__(self) -> None:
        self._identity = ()
        self._owner_pid = os.getppid()
        self._launch = None
        self._closed = False
        self._name = "MainProcess"
        self._daemon = False


def main_process() -> Process:
    """The Process object of a program that nobody of this family started."""
    return _MainProcess()


def authkey(given: bytes = b"") -> bytes:
    """The family's secret, made at first need; `given` sets it (in a child)."""
    global _authkey
    _authkey = given or _authkey or os.urandom(32)
    return _authkey


def _named(code: int) -> str:
    with contextlib.suppress(ValueError):
        from signal import Signals

        return f"-{Signals(-code).name}" if code < 0 else str(code)
    return str(code)


class TemplateProcess(Process):
    """A `Process` that the template server forks."""

    _start_method = "template"


class ForkProcess(Process):
    """A `Process` forked from this one."""

    _start_method = "fork"


class SpawnProcess(Process):
    """A `Process` in a fresh interpreter."""

    _start_method = "spawn"
