"""The rival: ripgrep with its best settings for a folder in page cache.

Always true: it searches the files that ours searches (hidden ones too, no binary ones), with as many threads as ours
has workers, and it is told when a pattern is a literal.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.search import programs
from benchmarks.search.settings import WORKERS

_NO_MATCH = 1
_FAILED = 2


class NoRipgrep(Exception):
    """It is not there; the message says what to install."""


class Ripgrep:
    """See the module."""

    def __init__(self, folder: str) -> None:
        self._begin = [find(), "--no-config", "--color=never", f"-j{WORKERS}", "--hidden"]
        self._folder = folder

    def command(self, pattern: str, *, regex: bool, counts: bool = False) -> list[str]:
        """All lines with their numbers, or with `counts` a number a file."""
        shape = ["-c"] if counts else ["-n", "--no-heading"]
        return [*self._begin, *shape, *([] if regex else ["-F"]), "-e", pattern, self._folder]

    def timed(self, pattern: str, *, regex: bool, counts: bool = False) -> programs.Ended:
        """One whole run, its output read."""
        ended = programs.run(self.command(pattern, regex=regex, counts=counts))
        if ended.exitcode >= _FAILED:
            raise RuntimeError(f"ripgrep failed with exit code {ended.exitcode} on {pattern!r}")
        return ended

    def count(self, pattern: str, *, regex: bool) -> int:
        """How many lines have it, by ``-c``."""
        found = self._output(self.command(pattern, regex=regex, counts=True))
        return sum(int(line.rpartition(b":")[2]) for line in found.splitlines())

    def lines(self, pattern: str, *, regex: bool) -> list[tuple[bytes, int, bytes]]:
        """Path, number and text of every line, in no order."""
        output = self._output([*self.command(pattern, regex=regex), "--null"])
        found = []
        for row in output.split(b"\n")[:-1]:
            path, _, rest = row.partition(b"\0")
            number, _, line = rest.partition(b":")
            found.append((path, int(number), line))
        return found

    def places(self, words: Sequence[str], scratch: Path) -> int:
        """How many lines have any of the words."""
        scratch.write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
        command = [*self._begin, "-c", "-F", "-f", str(scratch), self._folder]
        return sum(int(line.rpartition(b":")[2]) for line in self._output(command).splitlines())

    def files(self) -> list[bytes]:
        """The files it would look into, sorted."""
        return sorted(self._output([*self._begin, "--files", "--null", self._folder]).split(b"\0")[:-1])

    @staticmethod
    def _output(command: Sequence[str]) -> bytes:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode > _NO_MATCH:
            raise RuntimeError(f"ripgrep failed: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout


def find() -> str:
    """Where it is. Raises `NoRipgrep`."""
    found = shutil.which("rg")
    if found is None:
        raise NoRipgrep("ripgrep is not here, and there is no other rival: apt install ripgrep")
    return found


def version() -> str:
    """As it says itself."""
    done = subprocess.run([find(), "--version"], capture_output=True, text=True, check=True)
    return done.stdout.split()[1]
