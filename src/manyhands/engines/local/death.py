"""Why a worker died: its exit code, and whether memory was the likely cause.

The kernel's out-of-memory killer uses SIGKILL and tells nobody, but it counts: ``oom_kill`` in the cgroup's
``memory.events`` (v2) or ``memory.oom_control`` (v1). A count that has grown since the pool began, and a SIGKILL that
was not ours, make the case.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

from manyhands.engines.protocol import Death


class OomWatch:
    """The kernel's counts of killings for want of memory, as they were when the pool began."""

    def __init__(self) -> None:
        self._before = _killings()

    def judge(self, pid: int | None, exitcode: int | None, ours: bool) -> Death:
        """The death of a process, with its likely cause. `ours`: the pool killed it itself."""
        if ours or exitcode != -signal.SIGKILL:
            return Death(pid, exitcode)
        before, self._before = self._before, _killings()
        # One killing is counted in its group and in those above: the largest growth, not the sum.
        grown = max((count - before.get(place, count) for place, count in self._before.items()), default=0)
        return Death(pid, exitcode, grown > 0, _figures(grown))


def _figures(grown: int) -> str:
    words = (
        [f"the kernel counts {grown} new out-of-memory killing{'s' * (grown > 1)} here"] if grown > 0 else []
    )
    limit = _limit()
    if limit is not None:
        words.append(f"the container's limit is {limit >> 20} MB")
    words.append(f"{_available() >> 20} MB are free now")
    return ", ".join(words)


def _killings() -> dict[str, int]:
    """The count at each place that has one: our groups, and the whole machine."""
    places = [f"{folder}/{name}" for folder in _groups() for name in ("memory.events", "memory.oom_control")]
    found = {}
    for place in [*places, "/proc/vmstat"]:
        for line in _read(place).splitlines():
            word, _, number = line.partition(" ")
            if word == "oom_kill" and number.strip().isdigit():
                found[place] = int(number)
    return found


def _limit() -> int | None:
    for folder in _groups():
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = _read(f"{folder}/{name}").strip()
            if text.isdigit() and int(text) < 1 << 60:
                return int(text)
    return None


def _groups() -> Iterator[str]:
    for line in _read("/proc/self/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers in ("", "memory"):
            root = "/sys/fs/cgroup" + ("/memory" if controllers else "")
            yield root + group.rstrip("/")
            if group != "/":
                yield root


def _available() -> int:
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""
