"""What makes a figure worth keeping: the machine, the commit, the versions. And the file that keeps it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import rivals
from benchmarks.processes import ROOT

RESULTS = ROOT / "benchmarks" / "results"


def machine() -> dict[str, Any]:
    """The machine as far as it explains figures; not its name."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load_before": os.getloadavg()[0],
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.machine()


def commit() -> dict[str, Any]:
    """The short hash of what is measured, and whether the checkout differs from it, results aside."""
    name = _git("rev-parse", "--short", "HEAD")
    return {
        "commit": name or "unknown",
        "dirty": bool(_git("status", "--porcelain", "--", ".", ":!benchmarks/results")) if name else None,
    }


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


class Record:
    """The rows of one run, appended to ``results/<UTC date>-<commit>-<shape set>.jsonl`` as they are made.

    Each run begins with a row ``{"row": "run", ...}``; its measurements carry the same ``run``, the time it
    began.
    """

    def __init__(self, shape_set: str, facts: Mapping[str, Any], save: bool) -> None:
        now = datetime.now(UTC)
        self.run = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        self.head = {**machine(), **commit(), "versions": rivals.versions(), **facts}
        self.path = RESULTS / f"{now:%Y-%m-%d}-{self.head['commit']}-{shape_set}.jsonl" if save else None
        self._write({"row": "run", "run": self.run, **self.head})

    def measurement(self, row: Mapping[str, Any]) -> None:
        """Keep one measurement, failed ones included."""
        self._write({"row": "measurement", "run": self.run, **row})

    def _write(self, row: Mapping[str, Any]) -> None:
        if self.path is not None:
            self.path.parent.mkdir(exist_ok=True)
            with self.path.open("a") as file:
                file.write(json.dumps(row) + "\n")
