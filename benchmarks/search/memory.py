"""What a process and its descendants hold: PSS, so that shared pages count once."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def pss_bytes(pids: Iterable[int]) -> int:
    """Their sum; of a process that is gone: nothing."""
    return sum(map(_pss_bytes, pids))


def _pss_bytes(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) << 10
    return 0


def family(pid: int | None = None) -> set[int]:
    """A process (this one) and all that descend from it."""
    leader = os.getpid() if pid is None else pid
    found = {leader}
    with suppress(OSError):
        for task in Path(f"/proc/{leader}/task").iterdir():
            for child in (task / "children").read_text().split():
                found |= family(int(child))
    return found
