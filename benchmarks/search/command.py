"""``python -m benchmarks search``: the command line, the stages, the record, the table."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.record import RESULTS, Record
from benchmarks.search import corpus, ripgrep, service_wrk, stages, table
from benchmarks.search.settings import WORKERS, Settings

_ROUNDS = {False: 5, True: 2}

#: Libraries that take part.
_LIBRARIES = (
    "manyhands",
    "hyperscan",
    "google-re2",
    "pathspec",
    "starlette",
    "uvicorn",
    "httptools",
    "orjson",
)


def main(arguments: list[str]) -> int:
    """Measure and report; 0 when everything came to figures and both sides found the same lines."""
    options = _parse(arguments)
    try:
        versions = _versions()
        with corpus.library() as library:
            settings = _settings(options, str(library))
            return _measure(settings, versions, options)
    except (corpus.NoCorpus, ripgrep.NoRipgrep) as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2


def _measure(settings: Settings, versions: dict[str, str], options: argparse.Namespace) -> int:
    facts = {
        "quick": settings.quick,
        "rounds": settings.rounds,
        "workers": WORKERS,
        "corpus": corpus.PACKAGE if settings.corpus == "kernel" else "the standard library",
        "search_versions": versions,
    }
    record = Record("search-quick" if settings.quick else "search", facts, save=not options.no_save)
    measurements = []
    for found in stages.run(settings, stages.named(options.stage)):
        measurements.append(found)
        record.measurement(asdict(found))
    saved = f"{RESULTS.parent.name}/{RESULTS.name}/{record.path.name}" if record.path else ""
    print(table.show(record.head, measurements, judged=not settings.quick, saved=saved))
    return int(bool(table.faults(measurements)))


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks search", description="the search engine beside ripgrep"
    )
    parser.add_argument(
        "--corpus",
        type=Path,
        metavar="FOLDER",
        help=f"sources of a kernel (default: {corpus.FOLDER}, fetched once)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="the standard library instead: some seconds, no verdicts"
    )
    parser.add_argument(
        "--rounds", type=int, help="how often each question is measured (default: 5, with --quick 2)"
    )
    parser.add_argument(
        "--stage",
        action="append",
        choices=[*stages.WATCHDOGS_S, stages.SERVICE],
        help=f"only this one; may be repeated; {stages.SERVICE}: all those of the service",
    )
    parser.add_argument("--no-save", action="store_true", help="write no file of results")
    options = parser.parse_args(arguments)
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds must be 1 or more")
    if options.quick and options.corpus:
        parser.error("--quick searches the standard library: leave --corpus out, or --quick")
    return options


def _settings(options: argparse.Namespace, library: str) -> Settings:
    rounds = options.rounds or _ROUNDS[options.quick]
    if options.quick:
        return Settings("library", library, library, True, rounds)
    return Settings("kernel", str(corpus.kernel(options.corpus)), library, False, rounds)


def _versions() -> dict[str, str]:
    found = {"ripgrep": ripgrep.version(), "wrk": service_wrk.version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
