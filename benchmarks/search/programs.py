"""A whole process, from before its start to after its end, its output read from a pipe and thrown away."""

from __future__ import annotations

import contextlib
import fcntl
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import environment

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Ended:
    """How long it took, on the wall and in cores; how many lines it wrote; how it ended."""

    seconds: float
    cpu_seconds: float
    lines: int
    exitcode: int


def figures_of(runs: Sequence[Ended]) -> dict[str, float]:
    """What a measurement records of several runs of one command."""
    seconds = [run.seconds for run in runs]
    return {
        "p50_s": statistics.median(seconds),
        "min_s": min(seconds),
        "max_s": max(seconds),
        "cpu_s": statistics.median(run.cpu_seconds for run in runs),
        "calls": len(runs),
        "rows": runs[0].lines,
    }


def manyhands() -> list[str]:
    """How the command line of ours begins: the script that pip has made, where there is one."""
    script = Path(sys.executable).with_name("manyhands")
    return [str(script)] if script.exists() else [sys.executable, "-m", "manyhands"]


def run(command: Sequence[str], folder: str | None = None, more: Mapping[str, str] | None = None) -> Ended:
    """Run it to its end, in a folder, with `more` in its environment.

    A reader that lags would slow the writer: the pipe is large, and lines are only counted.
    """
    began = time.perf_counter()
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        env={**environment(), **(more or {})},
        cwd=folder,
    ) as process:
        assert process.stdout is not None
        lines = _count_lines(process.stdout.fileno())
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - began
    return Ended(seconds, usage.ru_utime + usage.ru_stime, lines, process.returncode)


def _count_lines(pipe: int) -> int:
    with contextlib.suppress(OSError):  # more than a user may have
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _CHUNK_BYTES)
    lines = 0
    while chunk := os.read(pipe, _CHUNK_BYTES):
        lines += chunk.count(b"\n")
    return lines
