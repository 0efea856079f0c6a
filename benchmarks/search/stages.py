"""The stages of a run, one after the other, each a fresh process under a watchdog that leaves nothing behind."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

from benchmarks import processes
from benchmarks.harness import Measurement, Status
from benchmarks.search.settings import Settings

#: Stage -> when it is killed, in seconds: full and quick.
WATCHDOGS_S = {
    "loading": (60.0, 30.0),
    "queries": (240.0, 60.0),
    "oneshot": (90.0, 40.0),
    "live": (90.0, 40.0),
    "service_load": (180.0, 60.0),
    "service_delay": (120.0, 60.0),
    "service_slow": (120.0, 60.0),
    "service_command": (120.0, 60.0),
}

#: A name for all stages that begin so.
SERVICE = "service"

#: Loading is measured so often.
_LOADS = {False: 2, True: 1}


def named(names: list[str] | None) -> list[str]:
    """Stages as a user names them: all, or these ones."""
    if not names:
        return list(WATCHDOGS_S)
    return [one for one in WATCHDOGS_S if one in names or (SERVICE in names and one.startswith(SERVICE))]


def run(settings: Settings, names: list[str]) -> Iterator[Measurement]:
    """What the stages measure, as each of them ends."""
    for name in names:
        for number in range(1, 1 + (_LOADS[settings.quick] if name == "loading" else 1)):
            for found in _run_one(name, settings):
                yield replace(found, round=number) if name == "loading" else found


def _run_one(name: str, settings: Settings) -> list[Measurement]:
    watchdog_s = WATCHDOGS_S[name][settings.quick]
    began = time.monotonic()
    ended = processes.run(["-m", "benchmarks.search.stage", name, settings.dump()], watchdog_s)
    seconds = time.monotonic() - began
    print(f"{name:<15} {seconds:6.1f} s", file=sys.stderr)
    found = [Measurement(**json.loads(line)) for line in ended.output.splitlines()]
    if ended.exitcode == 0 and not ended.left_behind:
        return found
    if ended.exitcode is None:
        note = f"killed after {watchdog_s:g} s"
    elif ended.exitcode:
        print(ended.errors, file=sys.stderr)
        note = (ended.errors.strip().splitlines() or [f"exit code {ended.exitcode}"])[-1]
    else:
        note = f"left {ended.left_behind} processes behind"
    status: Status = "hang" if ended.exitcode is None else "error"
    return [
        *found,
        Measurement(f"search_{name}", "manyhands", "", 0, status, {}, note, ended.left_behind, seconds),
    ]
