"""Many rare words at once, from threads and from tasks of one loop: how many answers a second.

Ripgrep's figure is its whole runs for such words, one after the other: it uses both cores for one.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.harness import Measurement
from benchmarks.search.ripgrep import Ripgrep
from benchmarks.search.samples import Samples

THREADS, TASKS = 16, 64

_RIVAL_RUNS = 3


def measure(tree: Any, rival: Ripgrep, samples: Samples, rounds: int) -> Iterator[Measurement]:
    """Every word once, in each round in each way; before that, that ripgrep finds the same lines."""
    words = list(samples.rows)
    with tempfile.TemporaryDirectory() as folder:
        theirs = rival.places(words, Path(folder) / "words")
    if theirs != len(samples.places):
        note = f"lines with any of {len(words)} words: {len(samples.places)}, ripgrep {theirs}"
        yield Measurement("search_crowd", "manyhands", f"{THREADS} threads", 0, "error", note=note)
        return
    ways: dict[str, Callable[[Any, list[str]], int]] = {
        f"{THREADS} threads": by_threads,
        f"{TASKS} asyncio tasks": by_tasks,
    }
    for number in range(1, rounds + 1):
        for name, ask in ways.items():
            yield _one(tree, samples, number, name, ask)
        yield _theirs(rival, words, number)


def _one(
    tree: Any, samples: Samples, number: int, name: str, ask: Callable[[Any, list[str]], int]
) -> Measurement:
    words, wanted = list(samples.rows), sum(samples.rows.values())
    began = time.perf_counter()
    rows = ask(tree, words)
    seconds = time.perf_counter() - began
    figures = {"per_s": len(words) / seconds, "queries": len(words), "rows": rows}
    if rows == wanted:
        return Measurement("search_crowd", "manyhands", name, number, "ok", figures, wall_s=seconds)
    return Measurement(
        "search_crowd", "manyhands", name, number, "error", figures, f"{rows} rows instead of {wanted}"
    )


def _theirs(rival: Ripgrep, words: list[str], number: int) -> Measurement:
    began = time.perf_counter()
    for word in words[:_RIVAL_RUNS]:
        rival.timed(word, regex=False)
    figures = {"per_s": _RIVAL_RUNS / (time.perf_counter() - began), "queries": _RIVAL_RUNS}
    return Measurement("search_crowd", "ripgrep", "", number, "ok", figures)


def by_threads(tree: Any, words: list[str]) -> int:
    """Each thread takes the next word when it has its answer. How many rows that were."""
    rest, totals = iter(words), [0] * THREADS

    def work(place: int) -> None:
        for word in rest:  # a list's iterator hands out each item once
            totals[place] += len(tree.search(word, case="exact").all())

    threads = [threading.Thread(target=work, args=(place,)) for place in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(totals)


def by_tasks(tree: Any, words: list[str]) -> int:
    """The same with tasks."""
    rest = iter(words)

    async def work() -> int:
        rows = 0
        for word in rest:
            async for _ in tree.search(word, case="exact"):
                rows += 1
        return rows

    async def work_together() -> int:
        return sum(await asyncio.gather(*(work() for _ in range(TASKS))))

    return asyncio.run(work_together())
