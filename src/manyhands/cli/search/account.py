"""What answers tell of their files: how many were searched, and which were not, and why."""

from __future__ import annotations

from manyhands.search.corpus.skipped import Skipped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from manyhands.search.answer import Replies


def skipped_in(answers: Iterable[Replies]) -> Skipped:
    """The files that were not searched, in order."""
    merged = Skipped()
    for answer in answers:
        merged.merge(answer.list_skipped())
    merged.sort()
    return merged


def count_searched(answers: Iterable[Replies]) -> int:
    """How many files were searched; a text that is no file counts as one."""
    return sum(answer.searched[0] for answer in answers)
