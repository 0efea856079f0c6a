"""Start method ``fork``: a plain copy of the owner. Part of the process room.

Nothing is pickled and nothing imported. What other threads were doing in the owner stays undone in the copy,
locks they held stay locked: Python 3.12 and later warn of that, and the warning is left to the user.
"""

from __future__ import annotations

import contextlib
import os
import sys

from manyhands.process import child, liveness, outfit, payload, signals, watch
from manyhands.process.family import current_process
from manyhands.process.launch import Launch

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    import signal

    from manyhands.process.handle import Process
else:  # without the enums of their wrappers, which cost a first start a millisecond each
    import _signal as signal


def start(process: Process) -> Launch:
    """Fork `process`. Raises OSError when the system refuses."""
    with contextlib.ExitStack() as always, outfit.Files(payload.new_file()) as files:
        live = os.dup(liveness.read_end())
        always.callback(os.close, live)
        owner = (current_process().name, os.getpid())
        _flush()
        with signals.held() as mask:
            pid = os.fork()
            if pid == 0:
                child.live_forked(process, owner, files, live, mask)
            always.close()  # makes room for the pidfd
            return Launch(pid, pidfd_of_child(pid), files.take_files(), lambda: watch.direct_status(pid))


def pidfd_of_child(pid: int) -> int:
    """A pidfd of our new child; when there is none to be had, no child either."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def _flush() -> None:
    """What is in the buffers now is ours to write, not the copy's too."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError, OSError):  # None, closed, or its reader has gone
            stream.flush()
