"""How long until a new process runs the first line of its target.

The first start pays for whatever the method sets up once (a server process, imports); each following one is
what a program that starts processes all the time pays. "Like for like" compares the same method of the two
libraries, template with forkserver. The interpreter's own start is shown as the floor of anything that
executes Python anew.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks import rivals
from benchmarks.shapes import Contestant, Metric
from benchmarks.stamp import stamp

#: Our methods and the method of multiprocessing that each is like.
METHODS = {"template": "forkserver", "fork": "fork", "spawn": "spawn"}
INTERPRETER = "bare interpreter"

#: The same line as `stamp`, for an interpreter that is handed a program.
_PROGRAM = "import time; now = time.monotonic_ns(); import sys; open(sys.argv[1], 'w').write(str(now))"


class Start:
    """Starts processes one after the other."""

    name = "start"
    title = "process start until the target's first line"
    group = "start"
    metrics = (
        Metric("first", "first_s", "s", higher_is_better=False),
        Metric("each following", "next_s", "s", higher_is_better=False),
    )

    def contestants(self) -> list[Contestant]:
        """Each start method of both libraries, and the interpreter alone."""
        unusable = rivals.load()["manyhands"].usable()
        ours = [
            Contestant("manyhands", method, ours=True, unusable=unusable, peer=f"multiprocessing ({peer})")
            for method, peer in METHODS.items()
        ]
        theirs = [Contestant("multiprocessing", method) for method in METHODS.values()]
        return [*ours, *theirs, Contestant(INTERPRETER, "", extra=True)]

    def run(self, contestant: Contestant, quick: bool) -> dict[str, float]:
        """Start one, then some more, and return the first time and the median of the others."""
        start = _starter(contestant)
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "stamp"
            times = [_measure(start, path) for _ in range(6 if quick else 16)]
        return {"first_s": times[0], "next_s": statistics.median(times[1:])}


def _measure(start: Callable[[str], Callable[[], object]], path: Path) -> float:
    began = time.monotonic_ns()
    wait = start(str(path))
    wait()
    ready = int(path.read_text())
    path.unlink()
    return (ready - began) / 1e9


def _starter(contestant: Contestant) -> Callable[[str], Callable[[], object]]:
    """A call that starts a process which stamps a path, and returns the call that waits for its end."""
    if contestant.rival == INTERPRETER:
        return lambda path: subprocess.Popen([sys.executable, "-c", _PROGRAM, path]).wait
    library: Any = import_module(contestant.rival)
    context = library.get_context(contestant.variant)

    def start(path: str) -> Callable[[], object]:
        process = context.Process(target=stamp, args=(os.fspath(path),))
        process.start()
        join: Callable[[], object] = process.join
        return join

    return start


SHAPES = (Start(),)
