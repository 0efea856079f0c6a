"""Holding signals back for a few instructions. Part of the process room."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    import signal
else:  # without the enums of their wrappers, which cost a first start a millisecond each
    import _signal as signal

_ALL = signal.valid_signals()


@contextlib.contextmanager
def held() -> Iterator[set[signal.Signals]]:
    """No signal handler runs in this thread inside the block; those that are due run at its end.

    Yields the mask that was in force, for a forked copy to return to. (In a threaded program another thread
    may take the signal, and the main thread then still runs the handler: nothing but luck prevents that.)
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        # Inside the try: it may block, and then raise for a signal that came just before.
        signal.pthread_sigmask(signal.SIG_BLOCK, _ALL)
        yield before  # type: ignore[misc]
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
