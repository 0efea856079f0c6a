"""A stage: a file is saved, and the search finds it. The tree is the whole corpus and a folder of our own beside it.

The clock runs from before the file is written until an answer has the line. Half of the files are written in place,
half renamed over the old one, as editors do.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import manyhands.search
from benchmarks.harness import Measurement
from benchmarks.search.settings import WORKERS, Settings

_SAVES = {False: 200, True: 10}
_FILES = 10

#: What is not found by then is lost.
_PATIENCE_S = 5.0

#: Between two looks. Looking without a pause would keep the watcher from its work.
_PAUSE_S = 0.001


def measure(settings: Settings) -> Iterator[Measurement]:
    """All saves, one after another."""
    with tempfile.TemporaryDirectory() as scratch:
        roots = settings.folder, scratch
        with manyhands.search.open(*roots, hidden=True, shards=WORKERS, watch=True) as tree:
            tree.wait_indexed()
            seconds = [
                _save_and_find(tree, Path(scratch), number) for number in range(_SAVES[settings.quick])
            ]
            yield _measurement(seconds, tree.status().watching)


def _save_and_find(tree: manyhands.search.Tree, folder: Path, number: int) -> float:
    word = f"mh_saved_{number:06d}_x"
    path = folder / f"{number % _FILES}.txt"
    began = time.perf_counter()
    if number % 2:
        path.write_text(f"first\n{word}\n")
    else:
        fresh = folder / ".fresh"
        fresh.write_text(f"first\n{word}\n")
        os.replace(fresh, path)
    while not any(row.line == word for row in tree.search(word, limit=1)):
        if time.perf_counter() - began > _PATIENCE_S:
            raise TimeoutError(
                f"a saved line was not found within {_PATIENCE_S:g} s: watching is {tree.status().watching!r}"
            )
        time.sleep(_PAUSE_S)
    return time.perf_counter() - began


def _measurement(seconds: list[float], watching: str) -> Measurement:
    figures = {
        "p50_s": statistics.median(seconds),
        "p99_s": sorted(seconds)[int(0.99 * len(seconds))],
        "min_s": min(seconds),
        "max_s": max(seconds),
        "calls": len(seconds),
    }
    return Measurement("search_live", "manyhands", "", 1, "ok", figures, watching)
