"""What a tree tells of itself and of its files. Part of the search room."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class TreeStatus(NamedTuple):
    """A tree in numbers: files searched and skipped, bytes of text, bytes of memory for text and index, how much of the
    index is built (0 to 1), the shards (`manyhands.ActorGroup.status`), what the watcher says ("off": none), and why
    the shards that did not tell theirs did not (by number)."""

    files: int
    skipped: int
    text_bytes: int
    memory_bytes: int
    indexed: float
    shards: list[Any]
    watching: str
    missing: Mapping[int, BaseException] = {}


class FileLines(NamedTuple):
    """A part of a file's text: its path as the tree names it, the number of the first line (from 1 on), the lines
    without their newlines, and how many lines and bytes the whole text has."""

    path: bytes
    first: int
    lines: list[bytes]
    total_lines: int
    size_bytes: int
