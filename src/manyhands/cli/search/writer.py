"""stdout, in large chunks of bytes.

Always true: what is written comes out in order, whole, and at the latest with `flush`.
"""

from __future__ import annotations

import sys

from manyhands.cli.say import Failed
from manyhands.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

#: A chunk: at first small, so that a first page comes soon; then larger, as each costs a wait for other threads.
_FIRST_BYTES, _MOST_BYTES = 64 << 10, 1 << 20

_WRONG = 2


class Writer:
    """Collects pieces. BrokenPipeError when nobody reads any more. Threads: one."""

    def __init__(self, file: BinaryIO | None = None) -> None:
        if file is None and sys.stdout is None:
            raise UsageError("there is no standard output")
        self._file = file if file is not None else sys.stdout.buffer
        self._pieces: list[bytes] = []
        self._waiting_bytes = 0
        self._chunk_bytes = _FIRST_BYTES
        #: A person looks on: what is found is shown at once.
        self.is_terminal = self._file.isatty()
        self.written_bytes = 0
        self._is_seen = False

    def write(self, piece: bytes) -> None:
        """Whole lines, if it can be had: who looks on sees each piece when it comes."""
        self._pieces.append(piece)
        self._waiting_bytes += len(piece)
        self.written_bytes += len(piece)
        if self._waiting_bytes >= self._chunk_bytes or self.is_terminal:
            self.flush()
            self._chunk_bytes = min(2 * self._chunk_bytes, _MOST_BYTES)

    def take_back(self) -> bool:
        """Forget all that was written; False when some of it has been seen."""
        if self._is_seen:
            return False
        self._pieces, self._waiting_bytes, self.written_bytes = [], 0, 0
        return True

    def flush(self) -> None:
        """Let everybody see what was written."""
        self._is_seen = self._is_seen or self._waiting_bytes > 0
        pieces, self._pieces, self._waiting_bytes = self._pieces, [], 0
        try:
            self._file.write(b"".join(pieces))
            self._file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise Failed(f"the results cannot be written: {error.strerror}", _WRONG) from None
