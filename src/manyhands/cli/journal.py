"""The log of ``--resume``: which inputs are done, and what they gave.

A file of JSON lines. The first says whose log it is; each run adds one that says who runs; each input that succeeds
adds one with its line number, a hash of the line, and the output. A later record of the same line replaces an earlier.

Always true:

1. A run has the log for itself (`flock`, which ends with the process, however it dies).
2. A record is written by one call, when its result is there, which may be before its turn to be printed comes.
3. A log that was cut off in its last line, by whatever killed its writer, is a log; so is one with lines that cannot
   be read: their inputs are run again. A file that is no log of this function and form is refused, and not touched.

Memory: 8 bytes an input. Threads: any; `find` one at a time.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
import stat
import threading
from array import array
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from manyhands.cli.say import Failed
from manyhands.errors import UsageError

_BEGINNING = b'{"log": "manyhands map", "version": 1, '


class Journal:
    """The log at `path`, of the work that `header` describes. Raises `UsageError` when it is another's."""

    def __init__(self, path: str, header: dict[str, Any]) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._error: OSError | None = None
        self._places = array("q")  # by line number: where its record is; 0 is the header's, so: nowhere
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            # Opened anew, because each write moves the position that a mere copy of the descriptor would share.
            self._reader = open(f"/proc/self/fd/{self._fd}", "rb")  # noqa: SIM115 - closed by `close`
        except OSError as error:
            raise UsageError(f"the log {path!r} cannot be opened: {error.strerror}") from None
        try:
            self._take()
            self._begin(header)
        except BaseException:
            self.close()
            raise

    # ---- opening ----

    def _take(self) -> None:
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            raise UsageError(f"the log {self.path!r} is no regular file")
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"the log {self.path!r} is in use by {self._holder()}") from None
        except OSError as error:
            raise UsageError(f"the log {self.path!r} cannot be locked: {error.strerror}") from None

    def _holder(self) -> str:
        """Who runs with this log: the last one to say so."""
        last: dict[str, Any] = {}
        for record in self._records():
            if "run" in record:
                last = record
        if not last:
            return "another process, which has just begun"
        return f"process {last['run']} on {last.get('host')}, which began {last.get('began')}"

    def _begin(self, header: dict[str, Any]) -> None:
        """Check the first line, or write it; read the records; say who runs."""
        mine = _BEGINNING + json.dumps(header).encode()[1:]
        first = self._reader.readline()
        if not first.endswith(b"\n") and mine.startswith(first):  # new, or cut off at once
            os.ftruncate(self._fd, 0)
            self._append(mine + b"\n")
        elif first != mine + b"\n":
            raise UsageError(f"{self.path!r} is {_whose(first)}; take another file, or remove this one")
        else:
            self._cut_off_last()
            self._read_places()
        began = datetime.now().astimezone().isoformat(" ", "seconds")
        self._write({"run": os.getpid(), "host": socket.gethostname(), "began": began})

    def _cut_off_last(self) -> None:
        """Remove a last line without an end."""
        at = size = os.fstat(self._fd).st_size
        while at:
            start = max(0, at - 4096)
            end = os.pread(self._fd, at - start, start).rfind(b"\n")
            if end >= 0:
                if start + end + 1 < size:
                    os.ftruncate(self._fd, start + end + 1)
                return
            at = start

    def _read_places(self) -> None:
        for record in self._records():
            number = record.get("line")
            if isinstance(number, int) and number > 0:
                self._places.frombytes(bytes(8 * max(0, number + 1 - len(self._places))))
                self._places[number] = record["at"]

    def _records(self) -> Iterator[dict[str, Any]]:
        """All that can be read, each with the place where it is."""
        self._reader.seek(0)
        at = 0
        for line in self._reader:
            record = _parsed(line)
            if record is not None:
                yield {**record, "at": at}
            at += len(line)

    # ---- use ----

    def find(self, number: int, line: str) -> bytes | None:
        """What this line gave in an earlier run; None if it is to be run."""
        at = self._places[number] if number < len(self._places) else 0
        if not at:
            return None
        self._reader.seek(at)
        record = _parsed(self._reader.readline()) or {}
        output = record.get("output")
        if (record.get("line"), record.get("input")) != (number, _hash(line)) or not isinstance(output, str):
            return None
        return output.encode("utf-8", "surrogateescape")

    def record(self, number: int, line: str, output: bytes) -> None:
        """This line is done. An error is kept for `check`."""
        self._write(
            {"line": number, "input": _hash(line), "output": output.decode("utf-8", "surrogateescape")}
        )

    def _write(self, record: dict[str, Any]) -> None:
        data = json.dumps(record).encode() + b"\n"
        with self._lock:
            if self._error is None and self._fd >= 0:
                try:
                    self._append(data)
                except OSError as error:
                    self._error = error

    def _append(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._fd, data) :]

    def check(self) -> None:
        """Raise when something could not be written."""
        if self._error is not None:
            raise Failed(f"the log {self.path!r} cannot be written: {self._error.strerror}")

    def close(self) -> None:
        """Let go of the log; what comes later is not recorded."""
        with self._lock:
            fd, self._fd = self._fd, -1
        if fd >= 0:
            self._reader.close()
            os.close(fd)


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _whose(first: bytes) -> str:
    """What a file is whose first line is not ours."""
    header = _parsed(first)
    if not first.startswith(_BEGINNING) or header is None:
        return "not a log of manyhands map"
    form = [f"--{name}" for name in ("json", "star") if header.get(name)]
    return f"the log of {header.get('function')} {'with ' + ' '.join(form) if form else 'in text mode'}"


def _hash(line: str) -> str:
    return hashlib.blake2b(line.encode("utf-8", "surrogateescape"), digest_size=12).hexdigest()
