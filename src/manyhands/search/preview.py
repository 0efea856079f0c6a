"""What a replacement would change, as a unified diff; nothing is written. Pure. Part of the search room.

The form is that of ``diff -u`` (POSIX: "unified context format"), which ``patch -p0`` and ``git apply -p0`` take.

Always true: the old side of a diff is the text, byte for byte; a line that has no newline at its end is said so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

_NO_NEWLINE = b"\n\\ No newline at end of file\n"


class Change(NamedTuple):
    """Lines from number `first` (from 1) on, and what would stand in their place; with their newlines."""

    first: int
    old: list[bytes]
    new: list[bytes]


class FileDiff(NamedTuple):
    """What would change in one file: `path`, the `diff` (its headers too), and how many lines would be other ones."""

    path: str
    diff: str
    lines: int


def changes_in(
    text: bytes, found: Iterable[tuple[int, bytes]], replaced: Callable[[bytes], bytes]
) -> Iterator[Change]:
    """The changes of a text in which these lines (number, line without its newline) match; those that stay the same
    are left out."""
    lines = split_lines(text)
    for number, line in found:
        first = number - 1
        old = lines[first : first + line.count(b"\n") + 1]
        ending = b"\n" if old[-1].endswith(b"\n") else b""
        new = split_lines(replaced(line) + ending)
        if new != old:
            yield Change(number, old, new)


def split_lines(text: bytes) -> list[bytes]:
    """Lines with their newlines; a carriage return ends none.

    >>> split_lines(b"one\\r\\ntwo")
    [b'one\\r\\n', b'two']
    """
    lines = [line + b"\n" for line in text.split(b"\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines


def unified(name: bytes, text: bytes, changes: Sequence[Change], context: int) -> bytes:
    """The diff of a text, with so many lines of context around each change; empty when there is none."""
    if not changes:
        return b""
    lines = split_lines(text)
    parts, shift = [b"--- %s\n+++ %s\n" % (name, name)], 0
    for group in _hunks(changes, context):
        parts += _hunk(lines, group, context, shift)
        shift += sum(len(change.new) - len(change.old) for change in group)
    return b"".join(parts)


def _hunks(changes: Sequence[Change], context: int) -> Iterator[list[Change]]:
    """Changes whose contexts meet, together."""
    group: list[Change] = []
    for change in changes:
        if group and change.first - (group[-1].first + len(group[-1].old)) > 2 * context:
            yield group
            group = []
        group.append(change)
    yield group


def _hunk(lines: Sequence[bytes], group: Sequence[Change], context: int, shift: int) -> Iterator[bytes]:
    start = max(0, group[0].first - 1 - context)
    last = group[-1].first - 1 + len(group[-1].old)
    stop = min(len(lines), last + context)
    grown = sum(len(change.new) - len(change.old) for change in group)
    yield b"@@ -%s +%s @@\n" % (_range(start, stop - start), _range(start + shift, stop - start + grown))
    at = start
    for change in group:
        yield from _marked(b" ", lines[at : change.first - 1])
        yield from _marked(b"-", change.old)
        yield from _marked(b"+", change.new)
        at = change.first - 1 + len(change.old)
    yield from _marked(b" ", lines[at:stop])


def _range(start: int, count: int) -> bytes:
    """Lines are numbered from 1; none at all are behind the line that is named."""
    if count == 1:
        return b"%d" % (start + 1)
    return b"%d,%d" % (start + 1 if count else start, count)


def _marked(mark: bytes, lines: Iterable[bytes]) -> Iterator[bytes]:
    for line in lines:
        yield mark + (line if line.endswith(b"\n") else line + _NO_NEWLINE)
