"""Descriptors 0 and 1, over which the client speaks: taken away from everybody else in the process.

Always true, from the moment a `Wire` is made:

1. Descriptor 1 is what 2 is: whatever is printed, here or in a child, is read on stderr. Descriptor 0 is empty.
2. The client's two are known to the `Wire` alone; no child has them, however it is started. So the client sees the end
   of them when this process ends.

Threads: one. Processes: the one that made it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys

from manyhands.errors import UsageError

_FIRST_OTHER = 3  # behind stdin, stdout and stderr


class Wire:
    """See the module. `inward` and `outward` are descriptors; a context manager that closes them."""

    def __init__(self) -> None:
        if sys.stdout is not None:
            sys.stdout.flush()
        self.inward, self.outward = _copied(0, "stdin"), _copied(1, "stdout")
        self._is_open = True
        os.register_at_fork(after_in_child=self.close)  # an exec closes them by itself
        null = os.open(os.devnull, os.O_RDWR)
        if not _is_open(2):
            os.dup2(null, 2)
        os.dup2(null, 0)
        os.dup2(2, 1)
        if null > 2:
            os.close(null)

    def close(self) -> None:
        """The client sees the end. Doing it twice is harmless."""
        if self._is_open:
            self._is_open = False
            for descriptor in (self.inward, self.outward):
                with contextlib.suppress(OSError):
                    os.close(descriptor)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def tell(text: str) -> None:
    """Write on stderr; one that is closed or broken stays silent."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)
            sys.stderr.flush()


def _copied(descriptor: int, name: str) -> int:
    try:
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FIRST_OTHER)
    except OSError:
        raise UsageError(f"{name} is closed, but it is where the client speaks: leave it open") from None


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
