"""The command line: ``python -m benchmarks [queue|start|import|pool] [--quick] …``; ``--help`` says all.

``python -m benchmarks search`` has a command line of its own, see ``search/command.py``; so has
``python -m benchmarks picture``, which draws what was measured: see ``picture.py``.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks import harness, picture, plan, report, rivals, shapes
from benchmarks.harness import Entry
from benchmarks.record import Record
from benchmarks.rivals import pools
from benchmarks.search import command as search
from benchmarks.shapes import Shape

GROUPS = ("all", *plan.FULL)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks",
        description="manyhands beside its rivals, in one run",
        epilog="python -m benchmarks search measures the search engine; "
        "python -m benchmarks picture [FILE ...] draws the figures of an earlier run",
    )
    parser.add_argument("group", nargs="?", default="all", choices=GROUPS, help="which shapes (default: all)")
    parser.add_argument("--quick", action="store_true", help="fewer items and rounds: under five minutes")
    parser.add_argument(
        "--shape", action="append", default=[], help="only shapes whose name starts so; may be repeated"
    )
    parser.add_argument(
        "--rival", action="append", default=[], help="only rivals whose name holds this; may be repeated"
    )
    parser.add_argument(
        "--rounds", type=int, help="how often each is measured (default: 5, pools 3; with --quick 3 and 1)"
    )
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
    for title, known in (("queues", rivals.load()), ("pools", pools.load())):
        print(f"{title}:")
        for rival in known.values():
            print(f"  {rival.name:<20} {rival.usable() or 'usable'}")
    print("shapes:")
    for shape in chosen:
        print(f"  {shape.name:<22} {shape.group:<8} {shape.title}")
        print(
            "".join(f"      {one.label}{' (extra)' if one.extra else ''}\n" for one in shape.contestants()),
            end="",
        )


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for; 0 when every usable contestant came to figures."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["picture"]:
        return picture.main(arguments[1:])
    if arguments[:1] == ["search"]:
        return search.main(arguments[1:])
    options = _parse(arguments)
    chosen = _chosen(options)
    if options.list:
        _list(chosen)
        return 0
    entries = harness.enter(chosen, options.rival)
    if not entries:
        print("benchmarks: no shape and rival of these names; see --list", file=sys.stderr)
        return 2
    groups = {entry.shape.group for entry in entries}
    limits = plan.limits(groups, options.quick, options.rounds, options.budget)
    shape_set = "-".join([*(options.shape or [options.group]), *(["quick"] if options.quick else [])])
    record = Record(shape_set, {"rounds": limits.rounds, "quick": limits.quick}, save=not options.no_save)
    made = harness.measure(entries, limits, record)
    print(report.show(entries, record, made, limits))
    return int(any(_is_a_fault(entry) for entry in entries))


def _is_a_fault(entry: Entry) -> bool:
    """Anything that failed; a hang only of ours, because that of a rival is a finding."""
    bad = ("hang", "error") if entry.contestant.ours else ("error",)
    return any(one.status in bad for one in entry.measurements)


if __name__ == "__main__":
    sys.exit(main())
