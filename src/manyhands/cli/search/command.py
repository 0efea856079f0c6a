"""``manyhands search`` itself: what is asked, printed and said, in this order.

Exit status: 0 when something was found, 1 when nothing was, 2 when something was wrong (unless ``-q`` has found
something), 130 after Ctrl-C, 141 when nobody reads the output any more.

Always true: Ctrl-C ends the process at once; whatever is foreseen ends without a traceback.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # signal's functions, without the import of enum
import os

import manyhands
from manyhands.cli.say import Failed, say
from manyhands.cli.search.arguments import read
from manyhands.cli.search.writer import Writer
from manyhands.errors import ManyhandsError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from manyhands.cli.search.options import Options

FOUND, NOT_FOUND, WRONG, INTERRUPTED = 0, 1, 2, 130

#: What the library's messages call by the names of its arguments → how one says it here.
_SAID_HERE = {
    "regex=False": "-F",
    "multiline=True": "--multiline",
    'case="exact"': "-s",
    "replacement:": "--replace:",
    "LANGUAGES lists": "--type-list lists",
}


def run(arguments: Sequence[str]) -> int:
    """Search as these arguments say; the exit status."""
    before = _interrupts_end_at_once()
    try:
        options = read(arguments)
        return _told(options) if options.ask else _searched(options)
    except UsageError as error:
        raise Failed(_in_words_of_the_command(str(error)), WRONG) from None
    except ManyhandsError as error:  # 1 would mean that nothing was found
        raise Failed(str(error), WRONG) from None
    finally:
        if before is not None:
            _signal.signal(_signal.SIGINT, before)


def _interrupts_end_at_once() -> Any:
    """Threads that scan are of no use to anybody after Ctrl-C, and nothing is left behind: there is nothing to undo."""
    try:
        return _signal.signal(_signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    except ValueError:  # not the main thread: it has the signals
        return None


def _in_words_of_the_command(message: str) -> str:
    for name, option in _SAID_HERE.items():
        message = message.replace(name, option)
    return message


def _told(options: Options) -> int:
    """Help, version and file types: no search."""
    writer = Writer()
    writer.write(_text_of(options.ask).encode())
    writer.flush()
    return FOUND


def _text_of(ask: str) -> str:
    if ask == "version":
        return f"manyhands {manyhands.__version__}\n"
    if ask == "types":
        from manyhands.search.corpus.languages import LANGUAGES

        return "".join(f"{name}: {', '.join(globs)}\n" for name, globs in sorted(LANGUAGES.items()))
    from manyhands.cli.search.manual import MANUAL

    return MANUAL


def _searched(options: Options) -> int:
    from manyhands.cli.search.job import Job
    from manyhands.cli.search.places import read_places
    from manyhands.cli.search.shortfalls import Shortfalls

    places, writer = read_places(options), Writer()
    shortfalls = Shortfalls(options, say)
    shortfalls.missing(places.missing)
    is_found = False
    if places.paths or places.reads_stdin:
        is_found = Job(options, places, writer).run(shortfalls)
    if is_found:
        return WRONG if shortfalls.is_wrong and not options.quiet else FOUND
    return WRONG if shortfalls.is_wrong else NOT_FOUND
