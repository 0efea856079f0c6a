"""Call a function for each line of the input, on every core, and print the results in the order of the lines.

  manyhands map work.py:thumbnail files.txt
  seq 1000 | manyhands map package.module:function > results.txt
  manyhands map --json --star work.py:add < pairs.jsonl
  manyhands map --resume work.log work.py:download urls.txt

Inputs. Each line is one argument, a str without its line end; with --json it is the value that the line says. The
input is read as it is needed, so it may be endless. It is UTF-8; other bytes come out again as they went in.

Results. Each gives one line: str(result), or JSON with --json. None gives an empty line, or null. In text mode a
result that has several lines is printed as it is. What the function prints goes to stderr.

Failures. The first input that fails, in the order of the lines, ends the run; the results before it are printed.
With --keep-going the others go on, the failed ones are listed at the end, and the exit status is 1 all the same. In
the output a failed input leaves an empty line in text mode, and no line with --json.

The exit status is 0 when all went well, 1 when inputs failed, 2 when the command line or an input makes no sense,
130 after Ctrl-C and 141 when nobody reads the output any more.

The log. --resume LOG records each input that is done, with its line number and a hash of its text, and what it gave.
The same command prints the results that LOG has and runs the rest: new, changed and failed inputs, and those that
were under way when it was killed.

The function. FILE.py is imported as a module, in this process and in each worker: what stands under
`if __name__ == "__main__"` does not run. Its folder comes first on sys.path, as for `python FILE.py`.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
import warnings
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from manyhands.cli.say import Failed
from manyhands.errors import UsageError

if TYPE_CHECKING:
    import manyhands
    from manyhands.cli.journal import Journal
    from manyhands.cli.lines import Lines
    from manyhands.cli.output import Output
    from manyhands.cli.target import Target
    from manyhands.cli.work import Piece, Work
    from manyhands.observe.progress import Progress

SUMMARY = "call a function for each line of the input, on every core"

INTERRUPTED = 130

#: Inputs under way: at least so many a worker (or chunks), and else at most so many in all.
_LEAST_EACH, _MOST = 8, 8192


# ---- the command line ----


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of ``manyhands map``."""
    add, integer = parser.add_argument, _number(int)
    add("target", metavar="TARGET", help="FILE.py:function or package.module:function")
    add(
        "input",
        metavar="INPUT",
        nargs="?",
        default="-",
        help="a file with one input a line; stdin if - or absent",
    )
    add("--json", action="store_true", help="inputs and results are lines of JSON")
    add(
        "--star",
        action="store_true",
        help="a JSON array is the arguments, a JSON object the keyword arguments",
    )
    add("-k", "--keep-going", action="store_true", help="go on when inputs fail, and list them at the end")
    add("--resume", metavar="LOG", help="record in the file LOG what is done, and skip what it says is done")
    add(
        "-w",
        "--workers",
        type=integer,
        metavar="N",
        help="how many workers; -1 is one a core (default), -2 one less",
    )
    add("--engine", choices=("local", "threads", "inline"), default="local",
        help="processes (local, the default), threads, or this process, one input at a time and without time limits "
        "(inline, for debugging)")  # fmt: skip
    add("--task-timeout", type=_number(float, above=0), metavar="SECONDS",
        help="an input that takes longer fails, and its worker is replaced")  # fmt: skip
    add("--retries", type=_number(int, least=0), default=0, metavar="N",
        help="try an input so often again when its worker died (default: 0)")  # fmt: skip
    add("--chunksize", type=_number(int, least=1), default=1, metavar="N",
        help="give workers N inputs as one task, for functions that take microseconds; they share the time limit "
        "(N times as long) and the worker's death (default: 1)")  # fmt: skip
    add("--progress", action=argparse.BooleanOptionalAction,
        help="show progress on stderr (default: when that is a terminal)")  # fmt: skip


def _number(kind: type, least: float = -math.inf, above: float = -math.inf) -> Any:
    """An argument type that says what is wrong with a number."""

    def number(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if value >= least and value > above:
            return value
        bound = (
            f" above {above:g}" if above > -math.inf else f" from {least:g} up" if least > -math.inf else ""
        )
        raise argparse.ArgumentTypeError(f"{text!r} is not a {'whole ' if kind is int else ''}number{bound}")

    return number


def _check(options: argparse.Namespace) -> None:
    if options.star and not options.json:
        raise UsageError("--star needs --json: a line of text is one argument")
    if options.workers == 0:
        raise UsageError("--workers 0 would do nothing; give 1 or more, or -1 for one a core")


# ---- the run ----


def run(options: argparse.Namespace) -> int:
    """Do what the options say; the exit status."""
    _check(options)
    try:
        return _run(options)
    except KeyboardInterrupt:
        if options.resume is None:
            raise
        raise Failed(f"interrupted; the same command goes on from {options.resume!r}", INTERRUPTED) from None


def _run(options: argparse.Namespace) -> int:
    from manyhands.cli.lines import Lines
    from manyhands.cli.output import Output
    from manyhands.cli.report import Report
    from manyhands.cli.target import find
    from manyhands.cli.work import Work

    with contextlib.ExitStack() as stack:
        output = stack.enter_context(contextlib.closing(Output()))
        target = find(options.target)
        file = stack.enter_context(_input(options.input))
        journal = stack.enter_context(_journal(options, target))
        lines = stack.enter_context(contextlib.closing(Lines(file.fileno())))
        bar = stack.enter_context(contextlib.closing(_progress(options, file.fileno(), output)))
        stack.callback(output.flush)  # before the bar's last state
        report = Report(output, bar, options.keep_going, options.json)
        with _pool(options, target) as pool:
            work = Work(pool, options.chunksize, journal)
            with _under_way(options, work, lines, output) as pieces:
                for piece in pieces:
                    report.add(piece.first, piece.lines, work.outcomes(piece, output.flush))
    return report.tell("manyhands map")


@contextlib.contextmanager
def _input(name: str) -> Iterator[IO[Any]]:
    if name == "-":
        if sys.stdin is None:
            raise UsageError("there is no standard input; name a file")
        yield sys.stdin
        return
    try:
        file = open(name, "rb", buffering=0)  # noqa: SIM115 - closed below
    except OSError as error:
        raise UsageError(f"the input {name!r} cannot be read: {error.strerror}") from None
    with file:
        yield file


@contextlib.contextmanager
def _journal(options: argparse.Namespace, target: Target) -> Iterator[Journal | None]:
    if options.resume is None:
        yield None
        return
    from manyhands.cli.journal import Journal

    header = {"function": str(target), "json": options.json, "star": options.star}
    with contextlib.closing(Journal(options.resume, header)) as journal:
        yield journal
        journal.check()


def _progress(options: argparse.Namespace, fd: int, output: Output) -> Progress:
    from manyhands.cli.lines import count
    from manyhands.observe.progress import open_progress

    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    wanted = on_terminal if options.progress is None else options.progress
    output.clears = wanted and on_terminal and output.is_terminal
    with warnings.catch_warnings():  # without tqdm there are lines: not worth a warning here
        warnings.simplefilter("ignore", RuntimeWarning)
        return open_progress(wanted, count(fd) if wanted else None, "input")


@contextlib.contextmanager
def _pool(options: argparse.Namespace, target: Target) -> Iterator[manyhands.Pool]:
    """A pool whose workers leave by themselves when all is done, and are killed when it is not."""
    import manyhands
    from manyhands.cli.remote import Form, begin

    limit = options.task_timeout
    pool = manyhands.Pool(
        n_jobs=options.workers,
        initializer=begin,
        initargs=(target, Form(options.json, options.star), options.engine == "local"),
        task_timeout=limit and limit * options.chunksize,
        retries=options.retries,
        engine=options.engine,
    )
    try:
        yield pool
        pool.close()
        pool.join()
    except BaseException:
        pool.terminate()
        raise


@contextlib.contextmanager
def _under_way(
    options: argparse.Namespace, work: Work, lines: Lines, output: Output
) -> Iterator[Iterator[Piece]]:
    """The pieces, submitted before they are asked for. In this process alone nothing is to be done ahead."""
    import manyhands
    from manyhands.cli.ahead import Ahead, Window

    pieces = work.pieces(lines.batches())
    if options.engine == "inline":
        yield pieces
        return
    workers = max(options.workers or 0, 0) or manyhands.cpu_count()
    window = Window(_LEAST_EACH * workers * options.chunksize, _MOST)
    ahead = Ahead(pieces, window, len, output.flush)
    try:
        ahead.start()
        yield ahead
    finally:
        lines.stop()
        ahead.stop()
