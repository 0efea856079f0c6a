"""Do both find the same lines? If not, that is loud: which lines, and who has them.

Lines are compared by path and number, so that nothing depends on how a line is shown.
"""

from __future__ import annotations

from typing import Any

from benchmarks.search.questions import Question
from benchmarks.search.ripgrep import Ripgrep

_SHOWN = 3
_LINE_MOST = 160


def differing_lines(tree: Any, rival: Ripgrep, question: Question, folder: str) -> str:
    """The first lines that only one of them has; empty if there are none."""
    found = {
        (row.path_bytes, row.line_number): row.line_bytes
        for row in tree.search(question.pattern, regex=question.regex, case="exact")
    }
    theirs = {
        (path, number): line for path, number, line in rival.lines(question.pattern, regex=question.regex)
    }
    return "".join(
        f"\n  only {who}: {_shown(place, lines[place], folder)}"
        for who, lines, others in (("manyhands", found, theirs), ("ripgrep", theirs, found))
        for place in sorted(lines.keys() - others.keys())[:_SHOWN]
    )


def _shown(place: tuple[bytes, int], line: bytes, folder: str) -> str:
    path = place[0].decode(errors="replace").removeprefix(folder).lstrip("/")
    return f"{path}:{place[1]}: {line[:_LINE_MOST]!r}"
