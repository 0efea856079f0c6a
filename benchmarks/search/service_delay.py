"""A stage: one question after another: how much longer over HTTP than through the Python API; and how a long answer
begins.

The API is asked in this process, on a tree of its own that is opened as the service's is. All ways take turns, some
questions each, so that drift of the machine hits all alike and each is asked as warm as one who asks again.

Always true: each answer has the lines that the tree has.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import manyhands.search
from benchmarks.harness import Measurement
from benchmarks.search import service_wire as wire
from benchmarks.search.questions import touched_rows
from benchmarks.search.samples import Samples
from benchmarks.search.service import Service, common_word
from benchmarks.search.settings import SEED, WORKERS, Settings

API, HTTP, SOCKET = "Python API", "HTTP", "Unix socket"

_RARE_ROWS = 7
_SAMPLES = 50

#: So many questions in a turn, and turns in a round.
_TURN, _TURNS = 20, {False: 15, True: 4}

_LONG_ROWS = 100_000

Ask = Callable[[], int]


def measure(settings: Settings) -> Iterator[Measurement]:
    """The short question round by round; then the long one."""
    with ExitStack() as stack:
        tree = stack.enter_context(
            manyhands.search.open(settings.folder, hidden=True, shards=WORKERS, watch=True)
        )
        tree.wait_indexed()
        service = stack.enter_context(Service(settings.folder))
        service.wait_indexed()
        ways, rows = _ways(tree, service, stack)
        for number in range(1, settings.rounds + 1):
            yield from _short(ways, rows, number, _TURNS[settings.quick])
        line = stack.enter_context(wire.Kept(service.address))
        for number in range(1, settings.rounds + 1):
            yield _long(tree, line, common_word(settings), number)


# ---- a short answer ----


def _ways(tree: Any, service: Service, stack: ExitStack) -> tuple[dict[str, Ask], int]:
    """How the rare word is asked for, and in how many lines it is."""
    samples = Samples(tree, _SAMPLES, SEED)
    word = samples.word_of(_RARE_ROWS)
    asked = wire.request(wire.target(word))

    def over(address: wire.Address) -> Ask:
        line = stack.enter_context(wire.Kept(address))
        return lambda: _checked(line.ask(asked), samples.rows[word])

    ways: dict[str, Ask] = {
        API: lambda: touched_rows(tree, word, {"case": "exact"}),
        HTTP: over(service.address),
        SOCKET: over(service.socket_path),
    }
    return ways, samples.rows[word]


def _checked(reply: bytearray, rows: int) -> int:
    if trouble := wire.trouble_with(reply, rows):
        raise wire.BadReplyError(trouble)
    return rows


def _short(ways: dict[str, Ask], rows: int, number: int, turns: int) -> Iterator[Measurement]:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(turns):
        for name, ask in ways.items():
            seconds[name] += _turn(ask, rows)
    usual = statistics.median(seconds[API])
    for name, taken in seconds.items():
        figures = _figures(taken) | {"rows": rows}
        if name != API:
            figures["more_s"] = figures["p50_s"] - usual
        yield Measurement("search_service_delay", "manyhands", name, number, "ok", figures)


def _turn(ask: Ask, rows: int) -> list[float]:
    seconds = []
    for _ in range(_TURN):
        began = time.perf_counter()
        found = ask()
        seconds.append(time.perf_counter() - began)
        if found != rows:
            raise AssertionError(f"{found} lines instead of {rows}")
    return seconds


def _figures(seconds: list[float]) -> dict[str, float]:
    return {
        "p50_s": statistics.median(seconds),
        "p99_s": sorted(seconds)[int(0.99 * len(seconds))],
        "min_s": min(seconds),
        "max_s": max(seconds),
        "calls": len(seconds),
    }


# ---- a long answer ----


def _long(tree: Any, line: wire.Kept, word: str, number: int) -> Measurement:
    asked = wire.request(wire.target(word, limit=_LONG_ROWS))
    api_first_s, rows = _long_from_api(tree, word)
    found = line.follow(asked)
    figures = {
        "first_byte_s": found.first_byte_s, "first_lines_s": found.first_lines_s, "whole_s": found.whole_s,
        "size_bytes": found.size_bytes, "rows": found.end["lines"], "api_first_s": api_first_s,
    }  # fmt: skip
    note = "" if found.end["lines"] == rows else f"{found.end['lines']} lines, by the Python API {rows}"
    return Measurement(
        "search_service_long", "manyhands", HTTP, number, "error" if note else "ok", figures, note
    )


def _long_from_api(tree: Any, word: str) -> tuple[float, int]:
    """When the first row was there, and how many came."""
    began = time.perf_counter()
    answer = tree.search(word, case="exact", limit=_LONG_ROWS)
    next(answer)
    first_s = time.perf_counter() - began
    return first_s, 1 + sum(1 for _ in answer)
