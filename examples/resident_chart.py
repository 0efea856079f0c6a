"""Resident chart: the numbers stay in the processes, and a question about all of them takes milliseconds.

    python resident_chart.py                                   # 50 million temperatures, made up from a seed
    python resident_chart.py --compare                         # ... and what one process takes for the same
    python resident_chart.py --file trips.parquet --column fare --by city

An `ActorGroup` has one shard a core. A shard makes or reads its own rows, so that nothing large is ever sent, and
files them by group. The first question sorts them; from then on a histogram is a few binary searches. Each question
goes to all shards; what they answer (counts, sums, sketches: some kilobytes) is added up here, and drawn.

Held are 4 bytes a row, for float32, or 8, for numbers from CSV and all other kinds: 200 MB for 50 million rows, and
about twice that while they are loaded. Rows without a finite number are counted and left out. Bins are counted exactly
as numpy.histogram counts them, sums are float64, and quantiles come from a sketch, off by at most 0.2 % of themselves.

Needs numpy, and matplotlib for the chart: pip install 'manyhands[examples]'. Parquet needs pyarrow; CSV is read faster
with it. Exit status: 0 done, 1 a process died and could not be replaced, 2 bad arguments or a table that will not do,
130 interrupted.
"""

import argparse
import importlib.util
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from resident_table import answer, compare, picture
from resident_table.chunk import TableError
from resident_table.csv_part import csv_pieces
from resident_table.made_up import BY, COLUMN, made_up_pieces
from resident_table.parquet_part import parquet_pieces
from resident_table.shard import Held, Shard
from resident_table.sketch import ERROR

import manyhands as mh
from manyhands.errors import ManyhandsError

READERS = {".csv": csv_pieces, ".parquet": parquet_pieces}


def pieces_of(options: argparse.Namespace, count: int) -> list[Any]:
    """The table in at most so many pieces. Raises `TableError` when there is no such table."""
    path, column, by = options.file, options.column, options.by
    if path is None:
        if (column or COLUMN, by or BY) != (COLUMN, BY):
            raise TableError(
                f"the made-up table has the column {COLUMN} and the group column {BY}; or name a --file"
            )
        return list(made_up_pieces(options.rows, options.seed, count))
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise TableError(f"{path} must end in {' or '.join(READERS)}, to say what it is")
    try:
        return list(reader(path, column, by, count))
    except OSError as error:
        raise TableError(f"{path} cannot be read: {why(error)}") from None


def why(error: OSError) -> str:
    """The system's own words, which pyarrow hides among others."""
    return os.strerror(error.errno) if error.errno else str(error)


def questions(ask: answer.Ask, options: argparse.Namespace) -> tuple[Held, list[answer.Answer], list[float]]:
    """Ask about everything, then about narrower and narrower middles of it; how many seconds each took."""
    began = time.perf_counter()
    held = answer.held(ask)
    answers = [answer.summary(ask, answer.edges_between(held.low, held.high, options.bins))]
    seconds = [time.perf_counter() - began]
    kind, sketch = type(held.low), answers[0].whole.sketch
    for number in range(1, options.queries):
        cut = 0.05 * ((number - 1) % 9 + 1)
        low, high = sorted(kind(sketch.quantile(share)) for share in (cut, 1 - cut))
        edges = answer.edges_between(low, high, options.bins)
        began = time.perf_counter()
        answers.append(answer.summary(ask, edges))
        seconds.append(time.perf_counter() - began)
    return held, answers, seconds


def run(options: argparse.Namespace) -> None:
    """Load, ask, print and draw."""
    pieces = pieces_of(options, options.workers)
    began = time.perf_counter()
    with mh.ActorGroup(Shard, pieces) as shards:
        load_s = time.perf_counter() - began
        held, answers, seconds = questions(answer.of_group(shards), options)
    hands = many(len(pieces), "process", "processes")
    print(f"{many(held.rows, 'row', 'rows')} of {name_of(options)} in {hands}; {size(held)}")
    show_times(hands, compare.Times(load_s, seconds))
    if options.compare:
        whole = pieces_of(options, 1)[0]
        show_times("one process, same code", compare.one_shard(whole, answers))
        show_times("one process, plain numpy", compare.plain_numpy(whole, answers))
    show_table(answers[0])
    draw(answers[0], held, options, hands)


def size(held: Held) -> str:
    """How much memory the rows take, and how many have no number."""
    words = f"{held.size_bytes / 1e6:,.1f} MB held, {held.size_bytes // held.rows} bytes a row"
    return (
        f"{words}; {many(held.left_out, 'row', 'rows')} without a number left out" if held.left_out else words
    )


def name_of(options: argparse.Namespace) -> str:
    """What is counted, by what."""
    if options.file is None:
        return f"{COLUMN} by {BY}"
    return f"{options.column} by {options.by}" if options.by else str(options.column)


def many(count: int, one: str, more: str) -> str:
    """One process, two processes."""
    return f"{count:,} {one if count == 1 else more}"


def show_times(who: str, times: compare.Times) -> None:
    """One line: load, first query, second query, and the median of the others."""
    first, *others = times.questions_s
    words = [f"load {times.load_s:.2f} s", f"first query {1e3 * first:.1f} ms"]
    if others:
        words.append(f"second query {1e3 * others[0]:.2f} ms")
    if len(others) > 1:
        words.append(f"median of {len(others)} later ones {1e3 * statistics.median(others):.2f} ms")
    print(f"{who:<25} {', '.join(words)}", flush=True)


def show_table(found: answer.Answer) -> None:
    """Each group's rows, mean and quantiles."""
    heads = "".join(f"{f'{100 * share:g} %':>11}" for share in answer.QUANTILES)
    print(f"{'':<16}{'rows':>14}{'mean':>11}{heads}   (quantiles: within {100 * ERROR:.1g} %)")
    rest = [("all", found.whole)] if len(found.groups) > 1 else []
    for label, part in [*found.groups.items(), *rest]:
        if part.count:
            numbers = [part.total / part.count, *map(part.sketch.quantile, answer.QUANTILES)]
            print(f"{label:<16}{part.count:>14,}{''.join(f'{number:>11.5g}' for number in numbers)}")
    for shard, error in sorted(found.missing.items()):
        say(f"partial: shard {shard} is not in this answer: {error}")


def draw(found: answer.Answer, held: Held, options: argparse.Namespace, hands: str) -> None:
    """The chart, if matplotlib is there."""
    unit = ", °C" if options.file is None else ""
    words = picture.Words(
        title=f"{many(held.rows, 'row', 'rows')} of {name_of(options)}",
        below_title=f"held by {hands}; quantiles within {100 * ERROR:.1g} %",
        axis=f"{options.column or COLUMN}{unit}",
        warning=f"partial: {many(len(found.missing), 'shard is', 'shards are')} missing"
        if found.partial
        else "",
    )
    try:
        paths = picture.draw(found, words, options.out)
    except ImportError:
        say("no chart was drawn: " + MATPLOTLIB_MISSING)
        return
    except OSError as error:
        raise TableError(f"--out {options.out} cannot be written: {why(error)}") from None
    print("drawn:", *paths, flush=True)


MATPLOTLIB_MISSING = "matplotlib is not installed; pip install 'manyhands[examples]'"


def say(text: str) -> None:
    """Tell the user something that is not a result."""
    print(f"resident_chart: {text}", file=sys.stderr, flush=True)


class Parser(argparse.ArgumentParser):
    """Complains in one line."""

    def error(self, message: str) -> NoReturn:
        """Exit status 2."""
        self.exit(2, f"resident_chart: {message}\n")


def whole_number(least: int, most: int = 10**12) -> Callable[[str], int]:
    """A number from `least` to `most`, for the command line."""

    def number(text: str) -> int:
        if not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text} is not between {least} and {most}")
        return int(text)

    number.__name__ = "whole number"  # what argparse calls it when it is none
    return number


def options_of(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    has_matplotlib = importlib.util.find_spec("matplotlib") is not None
    parser = Parser(
        description="Hold a column of numbers in one process a core, ask about it, and draw what comes of it.",
        epilog=None if has_matplotlib else f"No chart will be drawn: {MATPLOTLIB_MISSING}.",
    )
    add = parser.add_argument
    add(
        "--rows", type=whole_number(1), default=50_000_000, help="of the made-up table (default: %(default)s)"
    )
    add("--seed", type=whole_number(0), default=1, help="another made-up table (default: %(default)s)")
    add("--file", type=Path, help="a .csv or .parquet file, in place of the made-up table")
    add("--column", help="the file's column with the numbers")
    add("--by", help="the file's column with their groups (default: no groups)")
    add(
        "--bins",
        type=whole_number(1, 10_000),
        default=120,
        help="bars of the histogram (default: %(default)s)",
    )
    add(
        "--workers",
        type=whole_number(1),
        default=mh.cpu_count(),
        help="processes (default: one a core, %(default)s)",
    )
    add(
        "--queries",
        type=whole_number(1),
        default=2,
        help="questions to ask; the first is drawn (default: %(default)s)",
    )
    add(
        "--out",
        type=Path,
        default=Path(),
        metavar="FOLDER",
        help="for resident_chart.svg and .png (default: here)",
    )
    add("--compare", action="store_true", help="do the same in one process, too, and say how long it takes")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Read the arguments, do it, and turn whatever happens into an exit status."""
    options = options_of(arguments)
    try:
        run(options)
    except TableError as error:
        say(str(error))
        return 2
    except ManyhandsError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    except BrokenPipeError:  # whoever read our output has seen enough, as in `resident_chart.py | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return 0


if __name__ == "__main__":
    sys.exit(main())
