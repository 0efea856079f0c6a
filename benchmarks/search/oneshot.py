"""A stage: the command ``manyhands search`` on the standard library, whole processes, in turn with ripgrep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.harness import Measurement
from benchmarks.search import programs
from benchmarks.search.ripgrep import Ripgrep
from benchmarks.search.settings import Settings

_REPEATS = {False: 15, True: 3}


@dataclass(frozen=True)
class Command:
    """What is looked for, and under which name it stands in the tables."""

    name: str
    pattern: str
    regex: bool


COMMANDS = (
    Command("absent literal", "mh_is_nowhere", False),
    Command("frequent literal", "import", False),
    Command("regex", r"[A-Z]\w+Error\(", True),
)


def measure(settings: Settings) -> Iterator[Measurement]:
    """Each command in turn with its rival."""
    rival = Ripgrep(settings.library)
    for command in COMMANDS:
        ours = _command_line(command, settings.library)
        theirs = rival.command(command.pattern, regex=command.regex)
        runs = [(programs.run(ours), programs.run(theirs)) for _ in range(1 + _REPEATS[settings.quick])]
        mine, its = zip(*runs[1:], strict=True)  # the first ones filled the caches
        if {run.lines for run in mine} == {run.lines for run in its}:
            yield _measurement("manyhands", command, mine)
            yield _measurement("ripgrep", command, its)
        else:
            note = f"{command.pattern!r}: {mine[0].lines} lines, ripgrep {its[0].lines}"
            yield Measurement("search_command", "manyhands", command.name, 0, "error", note=note)


def _command_line(command: Command, library: str) -> list[str]:
    literal = [] if command.regex else ["-F"]
    return [*programs.manyhands(), "search", "--hidden", "-n", *literal, command.pattern, library]


def _measurement(who: str, command: Command, runs: tuple[programs.Ended, ...]) -> Measurement:
    return Measurement("search_command", who, command.name, 1, "ok", programs.figures_of(runs))
