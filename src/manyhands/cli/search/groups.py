"""Groups: lines of one file, as they follow one another in an answer. What printers are given.

Always true: the lines of a group are of one file and in order; a file may come in several groups, one after the other.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from manyhands.search.columns import Page, Spans


class Group:
    """Numbers and lines; `kinds` says 1 for a match and 0 for context, and is empty when all are matches.

    `spans`: where the matches of a line are, by its place in the group. Lines are without their newline; a match over
    several lines is one line with newlines in it, and its span may reach to the newline behind it.
    """

    __slots__ = ("kinds", "lines", "numbers", "path", "spans")

    def __init__(
        self,
        path: bytes,
        numbers: Sequence[int],
        lines: Sequence[bytes],
        kinds: bytes,
        spans: Callable[[int], Spans],
    ) -> None:
        self.path, self.numbers, self.lines, self.kinds, self.spans = path, numbers, lines, kinds, spans

    def replace_spans(self, find: Callable[[bytes], Spans]) -> Group:
        """The same lines, whose matches are where `find` says."""
        lines = self.lines
        return Group(self.path, self.numbers, lines, self.kinds, lambda place: find(lines[place]))

    def is_match(self, place: int) -> bool:
        """Is it a match, and not context?"""
        return not self.kinds or self.kinds[place] == 1

    @property
    def matches(self) -> int:
        """How many are matches."""
        return sum(self.kinds) if self.kinds else len(self.numbers)


def groups_of_pages(pages: Iterable[Page]) -> Iterator[Group]:
    """The groups of an answer's pages."""
    from itertools import groupby

    for page in pages:
        start = 0
        for _, run in groupby(page.files.tolist()):
            stop = start + sum(1 for _ in run)
            yield _cut(page, start, stop)
            start = stop


def _cut(page: Page, start: int, stop: int) -> Group:
    return Group(
        page.path(start),
        page.numbers[start:stop].tolist(),
        page.lines(start, stop),
        bytes(page.kinds[start:stop]),
        lambda place: page.spans(start + place),
    )


def count_lines(groups: Iterable[Group]) -> Iterator[tuple[bytes, int]]:
    """How many lines match, by file."""
    return _summed((group.path, group.matches) for group in groups)


def count_matches(groups: Iterable[Group]) -> Iterator[tuple[bytes, int]]:
    """How many matches there are, by file."""
    return _summed(
        (group.path, sum(len(group.spans(place)) for place in range(len(group.numbers)))) for group in groups
    )


def _summed(counts: Iterable[tuple[bytes, int]]) -> Iterator[tuple[bytes, int]]:
    last, total = b"", 0
    for path, number in counts:
        if path != last:
            if total:
                yield last, total
            last, total = path, 0
        total += number
    if total:
        yield last, total
