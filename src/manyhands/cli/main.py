"""The command itself: its sub-commands, and what becomes of what they raise.

A sub-command is a module with ``SUMMARY``, ``add_arguments(parser)`` and ``run(options)``, which returns the exit
status. ``search`` reads its arguments itself: it takes not much longer than the start of this process, so nothing that
it does not need is imported before it runs.

Always true: whatever is foreseen ends in one or a few lines on stderr and an exit status, never in a traceback of ours.

=====  =====================================================
0      all went well
1      an input failed, or the work could not be done
2      the command line, or the input, makes no sense
130    interrupted by Ctrl-C
141    whoever read the output has seen enough (``| head``)
=====  =====================================================
"""

from __future__ import annotations

import gc
import os
import sys

import manyhands
from manyhands.cli.say import Failed, say
from manyhands.errors import ManyhandsError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from types import ModuleType

#: By name: the module of each sub-command whose arguments argparse reads.
COMMANDS: dict[str, str] = {"map": "manyhands.cli.map", "serve": "manyhands.cli.serve"}

FAILED, USAGE, INTERRUPTED, PIPE_CLOSED = 1, 2, 130, 141

#: So many objects more, and a short-lived process looks for garbage: modules that load have none.
_NEWS = 50_000


def program() -> int:
    """`main` as all that a process does. A short-lived one looks for garbage less often, and none does at its end:
    those looks take as long as many a search."""
    if sys.argv[1:2] == ["search"]:
        gc.set_threshold(_NEWS)
    try:
        return main()
    finally:
        gc.freeze()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, or the program's own; its exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == ["search"]:
        return _guarded("manyhands search", lambda: _search(given[1:]))
    parser = make_parser()
    options = parser.parse_args(given)
    if options.command is None:
        parser.print_help()
        return 0
    return _guarded(f"manyhands {options.command}", lambda: _module(options.command).run(options))


def _search(arguments: Sequence[str]) -> int:
    from manyhands.cli.search.command import run

    return run(arguments)


def _module(command: str) -> ModuleType:
    from importlib import import_module

    return import_module(COMMANDS[command])


def make_parser() -> argparse.ArgumentParser:
    """The parser of everything but what `search` reads itself."""
    import argparse

    from manyhands.cli.search import SUMMARY

    parser = argparse.ArgumentParser(prog="manyhands", description="Every core of the machine at work.")
    parser.add_argument("-V", "--version", action="version", version=f"manyhands {manyhands.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name in COMMANDS:
        module = _module(name)
        module.add_arguments(
            commands.add_parser(
                name,
                help=module.SUMMARY,
                description=module.__doc__,
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
        )
    commands.add_parser("search", help=SUMMARY, add_help=False)
    return parser


def _guarded(name: str, work: Callable[[], int]) -> int:
    try:
        return work()
    except UsageError as error:
        say(f"{name}: {error}")
        return USAGE
    except Failed as error:
        say(f"{name}: {error}")
        return error.status
    except BrokenPipeError:  # only stdout raises it: everything else is caught where it is used
        _forget_stdout()
        return PIPE_CLOSED
    except ManyhandsError as error:
        say(f"{name}: {type(error).__name__}: {error}")
        return FAILED
    except KeyboardInterrupt:
        say(f"{name}: interrupted")
        return INTERRUPTED


def _forget_stdout() -> None:
    """What is still in a buffer goes nowhere, without a word."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
