"""What was found and how long it took, for ``--stats`` and JSON.

Always true: a `Tally` counts what passed it, once.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from manyhands.cli.search.groups import Group


class Tally:
    """Lines, matches in them, and files that have any."""

    def __init__(self) -> None:
        self.lines = self.matches = self.files = 0
        self._path: bytes | None = None
        self._began = time.perf_counter()

    def counted(self, groups: Iterable[Group]) -> Iterator[Group]:
        """The groups, counted as they pass."""
        for group in groups:
            self.add(group)
            yield group

    def add(self, group: Group) -> None:
        """Count a group."""
        for place, line in enumerate(group.lines):
            if group.is_match(place):
                self.add_line(line, len(group.spans(place)))
        if group.path != self._path:
            self._path = group.path
            self.files += 1

    def add_line(self, line: bytes, matches: int) -> None:
        """Count a line that matches, or several that one match goes over."""
        self.lines += 1 + line.count(b"\n")
        self.matches += matches

    @property
    def elapsed_s(self) -> float:
        """Since it was made."""
        return time.perf_counter() - self._began


def report(tally: Tally, searched: int, printed_bytes: int, searched_bytes: int, searching_s: float) -> bytes:
    """The block at the end of the output, in ripgrep's words."""
    return (
        f"\n{tally.matches} matches\n{tally.lines} matched lines\n{tally.files} files contained matches\n"
        f"{searched} files searched\n{printed_bytes} bytes printed\n{searched_bytes} bytes searched\n"
        f"{searching_s:.6f} seconds spent searching\n{tally.elapsed_s:.6f} seconds\n"
    ).encode()
