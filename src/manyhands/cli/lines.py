"""Lines of a file, a pipe or a terminal, as soon as they are there.

Lines end in a newline, or in a carriage return and a newline. They are UTF-8; other bytes travel as lone surrogates
and come out again as they were. Memory: one block, or the longest line.

Threads: one iterates, any may `stop`.
"""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Iterator

from manyhands.cli.say import Failed

_BLOCK = 64 << 10

#: Larger files are not counted beforehand: it would take seconds.
_COUNT_MOST = 1 << 30


class Lines:
    """The lines of the descriptor `fd`, which stays the caller's."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._stopped, self._stop = os.pipe()

    def batches(self) -> Iterator[list[str]]:
        """The lines that are there, again and again; waits while there is none. Ends at the end, or when stopped."""
        rest: list[bytes] = []  # of a line whose end has not been read
        while block := self._block():
            lines, newline, begun = block.rpartition(b"\n")
            if newline:
                yield split(b"".join([*rest, lines]))
                rest = []
            rest.append(begun)
        if (last := b"".join(rest)) and not self._is_stopped:
            yield split(last)

    _is_stopped = False

    def _block(self) -> bytes:
        """What can be read, waiting for it; nothing at the end."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        poll.register(self._stopped, select.POLLIN)
        while True:
            if any(fd == self._stopped for fd, _ in poll.poll()):
                self._is_stopped = True
                return b""
            try:
                return os.read(self._fd, _BLOCK)
            except BlockingIOError:  # somebody else who shares it was faster
                continue
            except OSError as error:
                raise Failed(f"the input cannot be read: {error.strerror}") from None

    def stop(self) -> None:
        """Let whoever iterates come to an end."""
        os.write(self._stop, b".")

    def close(self) -> None:
        """Give the own descriptors back; nobody iterates any more."""
        os.close(self._stopped)
        os.close(self._stop)


def split(block: bytes) -> list[str]:
    """A block without its last line end, as texts.

    >>> split(b"one\\r\\n\\ntwo")
    ['one', '', 'two']
    """
    lines = block.decode("utf-8", "surrogateescape").split("\n")
    return [line.removesuffix("\r") for line in lines] if b"\r" in block else lines


def count(fd: int) -> int | None:
    """How many lines are left to read, when that can be known in a moment."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_size > _COUNT_MOST:
        return None
    at = os.lseek(fd, 0, os.SEEK_CUR)
    lines, last = 0, b"\n"
    while block := os.pread(fd, _BLOCK, at):
        lines, at, last = lines + block.count(b"\n"), at + len(block), block
    return lines + (not last.endswith(b"\n"))
