"""Run one measurement in a process of its own, with a watchdog, and leave nothing of it behind.

Always true: when `run` returns, no process of the measurement's session or descent is alive.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: How long the children of a measurement that ended may take to leave by themselves.
GRACE_S = 1.0


@dataclass(frozen=True)
class Ended:
    """How a process ended: exit code (None: killed by the watchdog), output, how many it left alive."""

    pid: int
    exitcode: int | None
    output: str
    errors: str
    left_behind: int


def environment() -> dict[str, str]:
    """Ours, but with compiled modules cached: compiling at each start is not what a user measures."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run(arguments: list[str], watchdog_s: float) -> Ended:
    """Run ``python`` with these arguments from the repository's root."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        # Files, not pipes: a process left behind would hold a pipe open, and we would wait for it.
        process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=ROOT,
            env=environment(),
            start_new_session=True,
        )
        exitcode = None
        try:
            exitcode = process.wait(watchdog_s)
        except subprocess.TimeoutExpired:
            pass
        finally:
            left_behind = _clear(process, hurry=exitcode is None)
        out.seek(0)
        err.seek(0)
        return Ended(
            process.pid, exitcode, out.read().decode(), err.read().decode(errors="replace"), left_behind
        )


def _clear(process: subprocess.Popen[bytes], hurry: bool) -> int:
    """Wait a moment for the measurement's family to leave, kill the rest, and say how many those were."""
    deadline = time.monotonic() + (0 if hurry else GRACE_S)
    while (family := _family(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.01)
    for pid in family:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if process.poll() is None:
        process.kill()
        process.wait()
    return len(family - {process.pid})


def _family(leader: int) -> set[int]:
    """The living processes of a session and everything that descends from its leader."""
    parents, family = {}, {leader}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            state, parent, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            if state == "Z":
                continue
            parents[int(entry.name)] = int(parent)
            if int(session) == leader:
                family.add(int(entry.name))
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return family & parents.keys()
