"""The command line: ``python -m benchmarks [queue|start|import] [--quick] …``; ``--help`` says all."""

from __future__ import annotations

import argparse
import sys

from benchmarks import harness, report, rivals, shapes
from benchmarks.harness import Limits
from benchmarks.record import Record
from benchmarks.shapes import Shape

GROUPS = ("all", "queue", "start", "import")


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks", description="manyhands beside its rivals, in one run"
    )
    parser.add_argument("group", nargs="?", default="all", choices=GROUPS, help="which shapes (default: all)")
    parser.add_argument("--quick", action="store_true", help="fewer items and rounds: under two minutes")
    parser.add_argument(
        "--shape", action="append", default=[], help="only shapes whose name starts so; may be repeated"
    )
    parser.add_argument(
        "--rival", action="append", default=[], help="only rivals whose name holds this; may be repeated"
    )
    parser.add_argument("--rounds", type=int, help="how often each is measured (default: 5, with --quick 3)")
    parser.add_argument("--budget", type=float, help="begin no measurement after so many seconds")
    parser.add_argument("--no-save", action="store_true", help="write no file of results")
    parser.add_argument("--list", action="store_true", help="say what there is, and measure nothing")
    return parser.parse_args(arguments)


def _chosen(options: argparse.Namespace) -> list[Shape]:
    return [
        shape
        for shape in shapes.load().values()
        if options.group in ("all", shape.group)
        and (not options.shape or any(shape.name.startswith(start) for start in options.shape))
    ]


def _list(chosen: list[Shape]) -> None:
    print("rivals:")
    for rival in rivals.load().values():
        print(f"  {rival.name:<16} {rival.usable() or 'usable'}")
    print("shapes:")
    for shape in chosen:
        print(f"  {shape.name:<14} {shape.group:<8} {shape.title}")
        print(
            "".join(f"      {one.label}{' (extra)' if one.extra else ''}\n" for one in shape.contestants()),
            end="",
        )


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for; 0 when every usable contestant came to figures."""
    options = _parse(arguments)
    chosen = _chosen(options)
    if options.list:
        _list(chosen)
        return 0
    entries = harness.enter(chosen, options.rival)
    if not entries:
        print("benchmarks: no shape and rival of these names; see --list", file=sys.stderr)
        return 2
    limits = Limits(
        rounds=options.rounds or (3 if options.quick else 5),
        quick=options.quick,
        watchdog_s=10 if options.quick else 20,
        budget_s=options.budget or (105 if options.quick else 560),
    )
    shape_set = "-".join([*(options.shape or [options.group]), *(["quick"] if options.quick else [])])
    record = Record(shape_set, {"rounds": limits.rounds, "quick": limits.quick}, save=not options.no_save)
    made = harness.measure(entries, limits, record)
    print(report.show(entries, record, made, limits.rounds))
    return int(any(one.status in ("hang", "error") for entry in entries for one in entry.measurements))


if __name__ == "__main__":
    sys.exit(main())
