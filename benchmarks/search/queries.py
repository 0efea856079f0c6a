"""A stage: all questions on one open tree, in turn with ripgrep, round by round.

Always true: both were asked once before the first round, unmeasured, and had found the same lines; each measured
call found as many again.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from typing import Any

import manyhands.search
from benchmarks.harness import Measurement
from benchmarks.search import crowd, memory
from benchmarks.search.agreement import differing_lines
from benchmarks.search.questions import Question, Way, questions
from benchmarks.search.ripgrep import Ripgrep
from benchmarks.search.samples import Samples
from benchmarks.search.settings import SEED, WORKERS, Settings

#: A way is repeated for so long in a round, and so often at most. Slow ones are asked once.
_BURST_S, _BURST_CALLS = 0.1, 100

#: No round begins later than this.
_BUDGET_S = {False: 100.0, True: 10.0}

_RARE_ROWS = 7
_SAMPLES = {False: 3000, True: 200}


def measure(settings: Settings) -> Iterator[Measurement]:
    """All of it."""
    rival, before_bytes = Ripgrep(settings.folder), memory.pss_bytes([os.getpid()])
    with manyhands.search.open(settings.folder, hidden=True, shards=WORKERS) as tree:
        tree.wait_indexed()
        samples = Samples(tree, _SAMPLES[settings.quick], SEED)
        rounds = Rounds(tree, rival, settings)
        asked = questions(settings.corpus, samples.word_of(_RARE_ROWS))
        agreed = []
        for question in asked:
            found = rounds.compare(question)
            if found is None:
                agreed.append(question)
            else:
                yield found
        yield from rounds.run(agreed)
        yield from crowd.measure(tree, rival, samples, settings.rounds)
        held_bytes = memory.pss_bytes(memory.family()) - before_bytes
        text_bytes = tree.status().text_bytes
        figures = {
            "held_bytes": held_bytes,
            "text_bytes": text_bytes,
            "held_per_byte": held_bytes / text_bytes,
        }
        yield Measurement("search_used", "manyhands", "", 1, "ok", figures)


class Rounds:
    """Asks both. `_expected`: pattern -> how many lines ripgrep has found."""

    def __init__(self, tree: Any, rival: Ripgrep, settings: Settings) -> None:
        self._tree, self._rival, self._settings = tree, rival, settings
        self._expected: dict[str, int] = {}

    def compare(self, question: Question) -> Measurement | None:
        """Ask both for the first time. A difference, as what goes into the record; None: they agree."""
        theirs = self._rival.count(question.pattern, regex=question.regex)
        self._expected[question.pattern] = theirs
        for way in question.ways:
            found = self._read(question, way)
            if found != self._wanted(question, way):
                lines = differing_lines(self._tree, self._rival, question, self._settings.folder)
                note = f"{question.pattern!r}: {found} lines, ripgrep {theirs}{lines}"
                return Measurement(question.shape, "manyhands", way.name, 0, "error", note=note)
        return None

    def _wanted(self, question: Question, way: Way) -> int:
        theirs = self._expected[question.pattern]
        return theirs if way.limit is None else min(theirs, way.limit)

    def _read(self, question: Question, way: Way) -> int:
        options: dict[str, Any] = {"regex": question.regex, "case": "exact"}
        if way.limit is not None:
            options["limit"] = way.limit
        return way.read(self._tree, question.pattern, options)

    def run(self, asked: list[Question]) -> Iterator[Measurement]:
        """Round by round, until the budget is spent."""
        deadline = time.monotonic() + _BUDGET_S[self._settings.quick]
        for number in range(1, self._settings.rounds + 1):
            for question in asked:
                for way in question.ways:
                    yield self._ours(question, way, number)
                yield self._theirs(question, number)
            if time.monotonic() > deadline:
                return

    def _ours(self, question: Question, way: Way, number: int) -> Measurement:
        seconds: list[float] = []
        found = wanted = self._wanted(question, way)
        while found == wanted and len(seconds) < _BURST_CALLS and sum(seconds) < _BURST_S:
            began = time.perf_counter()
            found = self._read(question, way)
            seconds.append(time.perf_counter() - began)
        figures = _figures(seconds, found)
        if found == wanted:
            return Measurement(question.shape, "manyhands", way.name, number, "ok", figures)
        note = f"{question.pattern!r}: {found} lines, and a moment ago {wanted}"
        return Measurement(question.shape, "manyhands", way.name, number, "error", figures, note)

    def _theirs(self, question: Question, number: int) -> Measurement:
        ended = self._rival.timed(question.pattern, regex=question.regex, counts=question.counts)
        rows = self._expected[question.pattern]
        figures = _figures([ended.seconds], rows) | {"cpu_s": ended.cpu_seconds}
        if question.counts or ended.lines == rows:
            return Measurement(question.shape, "ripgrep", "", number, "ok", figures)
        note = f"{question.pattern!r}: {ended.lines} lines, and a moment ago {rows}"
        return Measurement(question.shape, "ripgrep", "", number, "error", figures, note)


def _figures(seconds: list[float], rows: int) -> dict[str, float]:
    return {
        "p50_s": statistics.median(seconds),
        "min_s": min(seconds),
        "max_s": max(seconds),
        "calls": len(seconds),
        "rows": rows,
    }
