"""How much work a question's regexes may be.

Always true: what is let through is compiled in milliseconds, and no step of it holds a shard for minutes. RE2 takes
time in proportion to the text, but also to the steps of its program, and ``x{1}y|x{4}y|x{7}y|...`` has a hundred
thousand: one such question would keep all others waiting long after its deadline.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from manyhands.search.query import engines
from manyhands.search.service.problem import Problem


def check_effort(pattern: Any, options: Mapping[str, Any], steps_most: int) -> None:
    """Raise `Problem` for regexes that are too large together. Those that are none are for others to tell of."""
    left = steps_most
    for name, text in _regexes(pattern, options):
        try:
            steps = engines.program_steps(text.encode("utf-8", "surrogateescape"), left)
        except engines.Refused:
            continue
        if steps is None:
            raise Problem(
                400,
                f"{name} is too large a regex: the service takes {steps_most:,} steps; count less in {{}}, or search "
                f"without it (manyhands search --no-service)",
                parameter=name,
            )
        left -= steps


def _regexes(pattern: Any, options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if not options.get("regex"):
        return
    for name, said in (
        ("pattern", pattern),
        *((name, options.get(name, ())) for name in ("all_of", "none_of")),
    ):
        for text in (said,) if isinstance(said, str) else said:
            yield name, text
