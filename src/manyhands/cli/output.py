"""The results, on stdout, in whole lines.

Always true: as long as there is an `Output`, what is printed goes to stderr (by functions that run in this process, by
modules while they are imported), so that it does not mix with results.
"""

from __future__ import annotations

import sys

from manyhands.cli.say import Failed
from manyhands.errors import UsageError

_BUFFER = 64 << 10

#: Back to the start of the line, and clear it: a progress bar may be there.
_CLEAR = "\r\x1b[K"


class Output:
    """Writes lines. BrokenPipeError when nobody reads any more. Threads: one."""

    def __init__(self) -> None:
        if sys.stdout is None:
            raise UsageError("there is no standard output")
        sys.stdout.flush()
        self._file = open(1, "wb", buffering=_BUFFER, closefd=False)  # noqa: SIM115 - closed by `close`
        self._printed, sys.stdout = sys.stdout, sys.stderr
        self._is_new = False  # is there something to flush?
        self.clears: bool = False  # a progress bar is on the same terminal

    def write(self, line: bytes) -> None:
        """A line, without its end."""
        try:
            self._file.write(line + b"\n")
        except OSError as error:
            raise _said(error) from None
        self._is_new = True

    def flush(self) -> None:
        """Let everybody see what was written."""
        if not self._is_new:
            return
        if self.clears and sys.stderr is not None:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()
        try:
            self._file.flush()
        except OSError as error:
            raise _said(error) from None
        self._is_new = False

    @property
    def is_terminal(self) -> bool:
        """Does somebody look at it?"""
        return self._file.isatty()

    def close(self) -> None:
        """Write what is left, and let ``sys.stdout`` be what it was."""
        sys.stdout = self._printed
        self.flush()
        self._file.close()


def _said(error: OSError) -> Exception:
    if isinstance(error, BrokenPipeError):
        return error
    return Failed(f"the results cannot be written: {error.strerror}")
