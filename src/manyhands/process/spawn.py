"""Start method ``spawn``: a fresh interpreter for each child. Part of the process room.

The new interpreter gets a socket as descriptor 0, on which its parcel already lies. What belongs to
``__main__`` comes by value, so the main module is not run again and needs no guard.

Owner: `start`. Child: `main`.
"""

from __future__ import annotations

import contextlib
import os
import sys

from manyhands.process import fork, interpreter, outfit, parcel, signals, watch
from manyhands.process.launch import Launch

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    import signal
    import socket

    from manyhands.process.handle import Process
else:  # without the enums of their wrappers, which cost a first start a millisecond each
    import _signal as signal
    import _socket as socket


def start(process: Process) -> Launch:
    """Start `process` in a fresh interpreter. Raises OSError when the system refuses."""
    ours, theirs = parcel.pair()
    with (
        contextlib.closing(ours),
        contextlib.closing(theirs),
        outfit.Outfit(process, dict(os.environ)) as kit,
    ):
        parcel.send(ours, parcel.START, descriptors=kit.descriptors)
        with signals.held():
            pid = interpreter.start(__name__, "manyhands-spawn", theirs)
            ours.close()  # makes room for the pidfd
            return Launch(pid, fork.pidfd_of_child(pid), kit.take_files(), lambda: watch.direct_status(pid))


def main() -> None:
    """In the new interpreter."""
    with contextlib.closing(socket.socket(fileno=os.dup(0))) as sock:
        message = parcel.receive(sock)
    if message is None or message.truncated:
        sys.exit("manyhands: no file descriptors for the start of this process; raise the limit (ulimit -n)")
    interpreter.fresh_main()
    from manyhands.process import child

    interpreter.settled()
    child.live_from_parcel(message.descriptors, signal.getsignal(signal.SIGINT) == signal.SIG_IGN)
