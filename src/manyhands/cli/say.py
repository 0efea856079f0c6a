"""What the command says that is no result: on stderr, and never in the way of the work."""

from __future__ import annotations

import sys

_MOST = 100


class Failed(Exception):
    """The command ends here, with this message and exit status."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


def say(text: str) -> None:
    """Write it on stderr; a stderr that is closed or broken stays silent."""
    if sys.stderr is not None:
        try:  # contextlib takes longer to import than a search that a service answers
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            return


def short(text: str, most: int = _MOST) -> str:
    """A text in quotes, cut when it is long.

    >>> short("a\\tb"), short("x" * 500, most=4)
    ("'a\\\\tb'", "'xxxx'… (500 characters)")
    """
    if len(text) <= most:
        return repr(text)
    return f"{text[:most]!r}… ({len(text)} characters)"


def one_line(text: str, most: int = 2 * _MOST) -> str:
    """The first line of a text, cut when it is long.

    >>> one_line("first\\nsecond")
    'first …'
    """
    first, _, more = text.partition("\n")
    return f"{first[:most]} …" if more or len(first) > most else first
