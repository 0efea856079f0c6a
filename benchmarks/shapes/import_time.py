"""What an import costs over a bare interpreter: many alternating runs of both, medians, the difference.

Both sides run the same interpreter with the same flags: isolated (-I) when the library can be found so.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from benchmarks import rivals
from benchmarks.shapes import Contestant, Metric

#: What each contestant imports. The rivals are what a program that wants processes imports without manyhands.
STATEMENTS = {
    "manyhands": "import manyhands",
    "multiprocessing": "import multiprocessing",
    "multiprocessing, pool and queues": "import multiprocessing.pool, multiprocessing.queues",
    "concurrent.futures": "import concurrent.futures.process",
}


class ImportTime:
    """Alternates ``pass`` and the import."""

    name = "import"
    title = "import over a bare interpreter"
    group = "import"
    metrics = (Metric("extra time", "extra_s", "s", higher_is_better=False),)

    def contestants(self) -> list[Contestant]:
        """manyhands and what the standard library offers."""
        unusable = rivals.load()["manyhands"].usable()
        ours = Contestant("manyhands", "", ours=True, unusable=unusable)
        return [ours, *(Contestant(name, "") for name in STATEMENTS if name != "manyhands")]

    def run(self, contestant: Contestant, quick: bool) -> dict[str, float]:
        """Return the median of both sides and their difference."""
        statement = STATEMENTS[contestant.rival]
        flags = ["-I"] if _works(["-I"], statement) else []
        bare, full = [], []
        for _ in range(8 if quick else 20):
            bare.append(_seconds(flags, "pass"))
            full.append(_seconds(flags, statement))
        bare_s, full_s = statistics.median(bare), statistics.median(full)
        return {"extra_s": full_s - bare_s, "bare_s": bare_s, "full_s": full_s}


def _works(flags: list[str], statement: str) -> bool:
    command = [sys.executable, *flags, "-c", statement]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _seconds(flags: list[str], statement: str) -> float:
    began = time.perf_counter_ns()
    subprocess.run([sys.executable, *flags, "-c", statement], check=True)
    return (time.perf_counter_ns() - began) / 1e9


SHAPES = (ImportTime(),)
