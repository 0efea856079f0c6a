"""A stage: the command ``manyhands search``, answered by a service: whole processes, in the corpus' folder.

In turn with the bare interpreter of the same environment (``python -c pass``), which is what no command in Python can
be faster than; a few times each also without the service, and ripgrep.

Always true: all of them print as many lines; the service has answered each command that it should have.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from benchmarks.harness import Measurement
from benchmarks.search import programs
from benchmarks.search.ripgrep import Ripgrep
from benchmarks.search.service import Service, rare_words
from benchmarks.search.settings import Settings

SERVED, ALONE, BARE, RIPGREP = "served", "without a service", "python -c pass", "ripgrep"

#: Whose they are in the record, where it is not ours.
_WHO = {BARE: ("python", ""), RIPGREP: ("ripgrep", "")}

_RARE_ROWS = 7
_SAMPLES = 50

#: In each round: so often what is quick, and once what searches by itself.
_REPEATS = {False: 8, True: 3}

Runs = dict[str, list[programs.Ended]]


def measure(settings: Settings) -> Iterator[Measurement]:
    """A literal in few lines."""
    words = rare_words(settings, _SAMPLES)
    word = min(words, key=lambda one: abs(words[one] - _RARE_ROWS))
    with Service(settings.folder) as service:
        service.wait_indexed()
        runs = _runs(settings, service, word)
        asked, answered = len(runs[SERVED]), service.answered("/search")
    note = _trouble(runs, words[word])
    if answered != asked + 1:  # and the one that filled the caches
        note = f"the service has answered {answered} commands of {asked + 1}"
    for name in runs:
        yield _measurement(name, runs, note)


def _commands(settings: Settings, word: str) -> dict[str, list[str]]:
    ours = [*programs.manyhands(), "search", "--hidden"]
    return {
        BARE: [sys.executable, "-c", "pass"],
        SERVED: [*ours, word],
        ALONE: [*ours, "--no-service", word],
        RIPGREP: Ripgrep(settings.folder).command(word, regex=False),
    }


def _runs(settings: Settings, service: Service, word: str) -> Runs:
    commands = _commands(settings, word)

    def one(name: str) -> programs.Ended:
        return programs.run(commands[name], settings.folder, service.environment)

    for name in commands:
        one(name)  # fills the caches
    runs: Runs = {name: [] for name in commands}
    for _ in range(settings.rounds):
        for name in (BARE, SERVED) * _REPEATS[settings.quick] + (ALONE, RIPGREP):
            runs[name].append(one(name))
    return runs


def _trouble(runs: Runs, rows: int) -> str:
    """What is wrong with what was printed; empty when nothing is."""
    for name in (SERVED, ALONE, RIPGREP):
        for run in runs[name]:
            if run.lines != rows or run.exitcode:
                return f"{name}: {run.lines} lines instead of {rows}, exit status {run.exitcode}"
    return ""


def _measurement(name: str, runs: Runs, note: str) -> Measurement:
    figures = programs.figures_of(runs[name])
    if name in (SERVED, ALONE):
        figures["starts"] = figures["p50_s"] / programs.figures_of(runs[BARE])["p50_s"]
    who, variant = _WHO.get(name, ("manyhands", name))
    return Measurement("search_service_command", who, variant, 1, "error" if note else "ok", figures, note)
