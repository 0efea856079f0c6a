"""The descriptors that a child is sent off with, on the owner's side. Part of the process room.

Used by the start methods that send a parcel (template, spawn): payload, liveness pipe, the owner's stdout and
stderr of this moment, then the luggage.

Always true: at the end of the ``with`` block only the payload is still open, if `take_file` was called, else
nothing.
"""

from __future__ import annotations

import contextlib
import os

from manyhands.descriptors import Luggage
from manyhands.process import family, handle, launcher, liveness, payload

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    from manyhands.process.handle import Process


class Files(contextlib.ExitStack):
    """A memfd for payload and report, and the gate of the child; a context manager."""

    def __init__(self, file: int) -> None:
        """Take over the memfd `file`. Raises OSError without descriptors."""
        super().__init__()
        self.file = file
        self._ours = [file]
        self.callback(self._close_ours)
        try:
            self.gate, gate_for_owner = os.pipe2(os.O_CLOEXEC)
        except BaseException:
            self.close()
            raise
        self._ours.append(gate_for_owner)
        self.callback(os.close, self.gate)

    def take_files(self) -> tuple[int, int]:
        """The memfd and the owner's end of the gate, now the caller's."""
        file, gate = self._ours
        self._ours.clear()
        return file, gate

    def close_owners_end(self) -> None:
        """In a forked child: only the owner may open the gate."""
        os.close(self._ours[1])

    def _close_ours(self) -> None:
        for fd in self._ours:
            os.close(fd)


class Outfit(Files):
    """Makes the payload of `process` and holds what must be sent along; a context manager."""

    def __init__(self, process: Process, environ: dict[str, str]) -> None:
        """`environ` is what the child would have by itself. Raises PicklingError or OSError."""
        luggage = Luggage()
        head = payload.setting(
            launcher.chosen(), handle.authkey(), family.current_process().name, environ, luggage,
            process.ignores_sigint,
        )  # fmt: skip
        file, self.needs = payload.make(process, head, luggage)
        super().__init__(file)
        try:
            streams = [self._stream(1), self._stream(2)]
            self.descriptors = [self.file, liveness.read_end(), self.gate, *streams, *luggage.descriptors]
        except BaseException:
            self.close()
            raise

    def _stream(self, fd: int) -> int:
        """`fd`, or /dev/null when the owner has closed it."""
        try:
            os.fstat(fd)
        except OSError:
            fd = os.open(os.devnull, os.O_RDWR)
            self.callback(os.close, fd)
        return fd
