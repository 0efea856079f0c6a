"""Reading files into a store, and what becomes of those that have no text to search. Part of the search room.

Always true: every file that was listed has its text in the store, or is in `skipped` with its reason.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from manyhands import _search
from manyhands.search.corpus import skipped as why
from manyhands.search.corpus.decode import decode, is_binary

#: Files that are read in one call of the store.
_BATCH = 256

_MOST_BYTES = (1 << 32) - (1 << 20)  # offsets of lines in one file must fit u32


class Loader:
    """Reads files into a store. Threads: one."""

    def __init__(self, store: _search.Store, binary: bool, most_bytes: int | None) -> None:
        self._store, self._binary = store, binary
        self._most_bytes = min(most_bytes or _MOST_BYTES, _MOST_BYTES)
        self.skipped: dict[int, tuple[str, str]] = {}  # file number -> reason, detail
        self._read: dict[
            int, tuple[int, int]
        ] = {}  # file number -> size, time of change in ns, when it was read

    def batches(self, paths: Sequence[bytes]) -> Iterator[tuple[int, int]]:
        """Read files 0, 1, ... from absolute paths; those that are empty are gone. After each batch: how many files
        that were, and how many bytes."""
        for first in range(0, len(paths), _BATCH):
            names = list(paths[first : first + _BATCH])
            outcomes, sizes, times = self._store.read_many(b"/", first, names, self._most_bytes)
            each, changed = memoryview(sizes).cast("Q"), memoryview(times).cast("q")
            self._read.update(
                zip(range(first, first + len(names)), zip(each, changed, strict=True), strict=True)
            )
            for place, outcome in enumerate(outcomes):
                if outcome != _search.OK and names[place]:
                    self._settle(first + place, names[place], outcome, each[place])
            yield (
                len(names),
                sum(size for size, outcome in zip(each, outcomes, strict=True) if outcome == _search.OK),
            )

    def read(self, file: int, path: bytes) -> None:
        """One file, anew. One that has no text any more is skipped from now on."""
        self._store.remove(file)
        self.skipped.pop(file, None)
        outcome, size, changed_ns = self._store.read(file, path, self._most_bytes)
        self._read[file] = size, changed_ns
        if outcome != _search.OK:
            self._settle(file, path, outcome, size)

    def forget(self, file: int) -> None:
        """It is gone, and nobody misses it."""
        self._store.remove(file)
        self.skipped.pop(file, None)

    def is_stale(self, file: int, path: bytes) -> bool:
        """Has the file changed since it was read?"""
        try:
            status = os.stat(path)
        except OSError:
            return True
        return (status.st_size, status.st_mtime_ns) != self._read.get(file)

    def _settle(self, file: int, path: bytes, outcome: int, size: int) -> None:
        if outcome == _search.FAILED:
            self.skipped[file] = why.reason_of(size)
        elif outcome == _search.NOT_REGULAR:
            self.skipped[file] = why.NOT_REGULAR, ""
        elif outcome == _search.TOO_LARGE:
            self.skipped[file] = why.TOO_LARGE, f"{size:,} bytes"
        elif outcome == _search.ENCODED or self._binary:
            self._put_decoded(file, path)
        else:
            self.skipped[file] = why.BINARY, ""

    def _put_decoded(self, file: int, path: bytes) -> None:
        """A file with a byte order mark, or a binary one that is wanted all the same."""
        try:
            with open(path, "rb") as opened:
                text = decode(opened.read(self._most_bytes))
        except OSError as error:
            self.skipped[file] = why.reason_of(error.errno or 0)
        except ValueError:
            self.skipped[file] = why.UNDECODABLE, ""
        else:
            if is_binary(text) and not self._binary:
                self.skipped[file] = why.BINARY, ""
            else:
                self._store.put(file, text)
