"""An answer as frames of columns, for the command on the same machine. `frames` has the bytes.

Always true: it is the same answer as that of `events`, exact to the byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from manyhands.search.columns import Page
from manyhands.search.preview import FileDiff
from manyhands.search.service import frames
from manyhands.search.service.problem import Problem

COLUMNS = "application/vnd.manyhands.columns"


class Frames:
    """The form of a stream that the command reads."""

    content_type = COLUMNS
    #: Rows of a frame.
    chunk = 8192
    #: Seconds that it took: none to speak of.
    spent_s = 0.0

    def __init__(self, *, with_spans: bool) -> None:
        self._with_spans = with_spans

    def begin(self) -> bytes:
        """Nothing: the head has said it."""
        return b""

    def rows(self, page: Page, start: int, stop: int, _find: object) -> tuple[bytes, int]:
        """Some rows of a page, and where to go on."""
        return frames.encode_page(page, start, stop, self._with_spans), stop

    def diff(self, diff: FileDiff) -> bytes:
        """The diff of one file."""
        return frames.encode_diff(diff.diff.encode("utf-8", "surrogateescape"))

    @staticmethod
    def counts(names: Sequence[bytes], lines: Sequence[int]) -> bytes:
        """Files, and a number for each."""
        return frames.encode_counts(names, lines)

    def end(self, facts: Mapping[str, Any]) -> bytes:
        """All has been said."""
        shards, searched = facts["shards"], facts["searched"]
        return frames.encode_end({
            "complete": int(facts["complete"]), "truncated_by": facts["truncated_by"] or "",
            "timed_out": int(facts["timed_out"]), "missing": [each["why"] for each in facts["missing"]],
            "shards": shards["answered"], "shards_total": shards["total"],
            "files": searched["files"], "text_bytes": searched["bytes"], "scanned_bytes": facts["scanned_bytes"],
            "skipped": facts["skipped"], "trouble": facts["trouble"], "elapsed_us": int(facts["elapsed_ms"] * 1000),
        })  # fmt: skip

    def problem(self, problem: Problem) -> bytes:
        """Something went wrong on the way: there is no end then."""
        return frames.encode_end({"error": problem.detail})
