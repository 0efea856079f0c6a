"""One stage in a fresh process: ``python -m benchmarks.search.stage NAME SETTINGS``.

Prints each measurement as a line of JSON when it is made, so that what came before a hang is not lost.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from importlib import import_module

from benchmarks.search.settings import Settings


def main(name: str, dumped: str) -> None:
    """Run it."""
    measure = import_module(f"benchmarks.search.{name}").measure
    for measurement in measure(Settings.read(dumped)):
        print(json.dumps(asdict(measurement)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
