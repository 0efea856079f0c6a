"""From what a user asks to a plan and its matcher, kept for the next time. Part of the search room."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Mapping
from typing import Any

from manyhands.errors import UsageError
from manyhands.search.errors import QueryError
from manyhands.search.query import checks
from manyhands.search.query.matcher import Matcher
from manyhands.search.query.plan import make_plan
from manyhands.search.query.request import make_request

_KEPT = 256


def matcher_of(pattern: Any, options: Mapping[str, Any]) -> Matcher:
    """The matcher of a query, which has its plan and request. Raises `manyhands.search.QueryError`.

    Making a plan costs 50 to 200 microseconds, as much as many an answer; the last few hundred are kept.
    """
    key = (type(pattern), pattern, *((name, type(value), value) for name, value in options.items()))
    try:
        hash(key)
    except TypeError:  # a list, say: nothing that can be kept
        return _make(pattern, options)
    return _kept(key)


def counting(pattern: Any, options: Mapping[str, Any]) -> Matcher:
    """The matcher of a query whose lines are counted."""
    _refuse(options, "where lines are counted", "limit", "before", "after", "context")
    return matcher_of(pattern, options)


def naming(pattern: Any, options: Mapping[str, Any]) -> Matcher:
    """The matcher of a query whose files are named."""
    _refuse(options, "where files are named", "limit", "limit_per_file", "before", "after", "context")
    return matcher_of(pattern, options)


def replacing(
    pattern: Any, replacement: Any, context: Any, options: Mapping[str, Any]
) -> tuple[Matcher, bytes, int]:
    """The matcher of a query whose matches are to be replaced, the template, and the lines of context, checked."""
    lines = checks.number("context", context, 0)
    _refuse(options, "where matches are replaced", "invert", "limit", "before", "after")
    if not isinstance(replacement, (str, bytes)):
        raise QueryError(f"replacement must be str or bytes, not {replacement!r}", parameter="replacement")
    matcher = matcher_of(pattern, options)
    template = replacement.encode("utf-8", "surrogateescape") if isinstance(replacement, str) else replacement
    matcher.replace(b"", template)  # raises now if it names a group that there is not
    return matcher, template, lines


def until_ns(deadline_s: Any) -> int:
    """When a query that has so many seconds from now ends, on the monotonic clock; 0: when it is done."""
    if deadline_s is None:
        return 0
    if isinstance(deadline_s, bool) or not isinstance(deadline_s, (int, float)) or not deadline_s > 0:
        raise UsageError(f"deadline_s must be a number of seconds above 0, or None, not {deadline_s!r}")
    return 0 if math.isinf(deadline_s) else time.monotonic_ns() + int(deadline_s * 1e9)


def _refuse(options: Mapping[str, Any], where: str, *names: str) -> None:
    """Raise `QueryError` for an option that would be without effect."""
    for name in names:
        if options.get(name):
            raise QueryError(f"{name} makes no sense {where}: leave it out", parameter=name)


@functools.lru_cache(_KEPT)
def _kept(key: tuple[Any, ...]) -> Matcher:
    return _make(key[1], {name: value for name, _, value in key[2:]})


_OPTIONS = tuple(make_request.__kwdefaults__ or ())


def _make(pattern: Any, options: Mapping[str, Any]) -> Matcher:
    for name in options:
        if name not in _OPTIONS:
            import difflib

            near = difflib.get_close_matches(name, _OPTIONS, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(_OPTIONS)}"
            raise QueryError(f"there is no option {name!r} of a query{hint}", parameter=name)
    return Matcher(make_plan(make_request(pattern, **options)))
