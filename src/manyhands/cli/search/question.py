"""What the options ask, as `manyhands.search` and a service want it said. No answer is asked for here.

Always true: nothing here changes the options, and the same options make the same question.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from manyhands.cli.search.options import Options, Pattern

#: What makes a regex more than text.
_SPECIAL = frozenset("\\.+*?()|[]{}^$\n")

#: What no line matches: where patterns were asked for, and their file is empty.
_NOTHING = r"[^\x{0}-\x{10FFFF}]"

#: Lines around a change, as diff has them.
_CONTEXT = 3


def patterns_of(options: Options) -> list[Pattern]:
    """Any of which may match."""
    return options.patterns or [_NOTHING]


def query_of(options: Options) -> dict[str, Any]:
    """The options of the query."""
    before, after = options.around_lines
    return {
        "regex": not _is_literal(options),
        "case": options.case,
        "word": options.around == "word",
        "whole_line": options.around == "line",
        "all_of": options.all_of,
        "none_of": options.none_of,
        "scope": options.scope,
        "invert": options.invert,
        "multiline": options.multiline,
        "limit": 1 if options.quiet else options.limit,
        "limit_per_file": options.max_count,
        "before": before,
        "after": after,
    }


def left(query: dict[str, Any], *names: str) -> dict[str, Any]:
    """What is left of a query without these."""
    return {name: value for name, value in query.items() if name not in names}


def diff_context(options: Options) -> int:
    """Lines around each change."""
    return _CONTEXT if options.context is None else options.context


def filters_of(options: Options) -> dict[str, Any]:
    """Which files the options let through."""
    return {
        "hidden": options.hidden,
        "ignore": options.ignore,
        "globs": options.globs,
        "types": options.types,
        "not_types": options.not_types,
        "binary": options.binary,
        "max_file_bytes": options.max_file_bytes,
        "follow": options.follow,
    }


def _is_literal(options: Options) -> bool:
    """Is everything that is looked for plain text, whether or not that was said? That is faster in every way."""
    if options.literal or not options.patterns:
        return options.literal and bool(options.patterns)
    return all(map(is_plain, (*options.patterns, *options.all_of, *options.none_of)))


def is_plain(pattern: Pattern) -> bool:
    """Does a regex mean no more than its own text?

    >>> is_plain("needle"), is_plain(b"n.edle")
    (True, False)
    """
    text = pattern if isinstance(pattern, str) else pattern.decode("latin-1")
    return _SPECIAL.isdisjoint(text)
