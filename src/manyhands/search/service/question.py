"""From parameters to a question for the tree: pure. The bounds of what may be asked are kept here.

Always true of a `Question`: it is within the limits of whoever asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from manyhands.search.errors import QueryError
from manyhands.search.query.parse import joined
from manyhands.search.service.problem import Problem, problem_of
from manyhands.search.service.settings import Limits

_PATTERNS = ("pattern", "all_of", "none_of")
_OWN = ("q", "pattern", "deadline_s", "patient", "id", "max_columns", "without", "replacement", "spans")


class Question(NamedTuple):
    """`options` are those of `manyhands.search.Tree.search`. `q`: what was typed, if it was."""

    pattern: Any
    options: dict[str, Any]
    deadline_s: float | None
    patient: bool
    q: str | None

    def problem_of(self, error: QueryError) -> Problem:
        """The problem, told of what was typed."""
        return _told_of_q(self.q, error) if self.q is not None else problem_of(error)


def question_of(
    said: Mapping[str, Any], limits: Limits, *, is_trusted: bool, default_limit: int | None
) -> Question:
    """The question. Raises `Problem`."""
    for name in ("q", *_PATTERNS):
        _check_length(name, said.get(name, ()), limits)
    options = {name: value for name, value in said.items() if name not in _OWN}
    q: str | None = said.get("q")
    pattern = _put_q(q, said, options) if q is not None else _pattern(said)
    if not is_trusted:
        _bound(options, limits)
    if default_limit is not None and not is_trusted:
        options.setdefault("limit", default_limit)
    return Question(pattern, options, _deadline(said, limits, is_trusted), said.get("patient", False), q)


def _pattern(said: Mapping[str, Any]) -> Any:
    patterns = said.get("pattern")
    if not patterns:
        raise Problem(400, "nothing is asked: say q, or pattern", parameter="q")
    return patterns[0] if len(patterns) == 1 else tuple(patterns)


def _put_q(q: str, said: Mapping[str, Any], options: dict[str, Any]) -> Any:
    """The pattern that `q` says; what else it says goes to the options."""
    if "pattern" in said:
        raise Problem(400, "q and pattern are two ways to ask: use one of them", parameter="pattern")
    try:
        options |= joined(q, options)
    except QueryError as error:
        raise (_told_of_q(q, error) if error.parameter == "query" else problem_of(error)) from None
    return options.pop("pattern")


def _told_of_q(q: str, error: QueryError) -> Problem:
    """A regex in it is told by its place in it."""
    problem = problem_of(error)
    if error.parameter in (*_PATTERNS, "query"):
        at = 0 if error.parameter == "query" else q.find(error.pattern) if error.pattern else -1
        problem.position = None if error.position is None or at < 0 else at + error.position
        problem.parameter = "q"
    if error.reason:
        problem.detail = f"this is no regex: {error.reason}; in quotes, it is text"
    return problem


def _check_length(name: str, value: Any, limits: Limits) -> None:
    texts = (value,) if isinstance(value, str) else value
    if len(texts) > limits.patterns:
        raise Problem(
            400, f"{name} is said {len(texts)} times; the most is {limits.patterns}", parameter=name
        )
    for text in texts:
        size = len(text.encode("utf-8", "surrogateescape"))
        if size > limits.pattern_bytes:
            raise Problem(
                400, f"{name} has {size:,} bytes; the most is {limits.pattern_bytes:,}", parameter=name
            )


def _bound(options: dict[str, Any], limits: Limits) -> None:
    for name, most in (
        ("limit", limits.rows_most), ("limit_per_file", limits.rows_most), ("before", limits.context),
        ("after", limits.context), ("context", limits.context),
    ):  # fmt: skip
        if options.get(name, 0) > most:
            raise Problem(400, f"{name} is {options[name]:,}; the most is {most:,}", parameter=name)


def _deadline(said: Mapping[str, Any], limits: Limits, is_trusted: bool) -> float | None:
    wanted: float | None = said.get("deadline_s")
    if is_trusted:
        return wanted
    if wanted is not None and wanted > limits.deadline_most_s:
        most = f"{limits.deadline_most_s:g}"
        raise Problem(400, f"deadline_s is {wanted:g}; the most is {most}", parameter="deadline_s")
    return limits.deadline_s if wanted is None else wanted
