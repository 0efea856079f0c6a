"""One shard of a tree: the text of its files, their index, and the queries that it answers. Runs in an actor's process.

Always true:

1. Queries are answered from the first moment by scanning; the index is built while nobody asks, and only saves work.
2. A file is known by its number, given by the tree; a number is never used for another path.
"""

from __future__ import annotations

import functools
from array import array
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import manyhands
from manyhands import _search
from manyhands.search.corpus import skipped as why
from manyhands.search.load import Loader
from manyhands.search.names import Filters, filters_of, mask_of
from manyhands.search.query.plan import Plan
from manyhands.search.run import Run

#: Blocks of 64 KB that are indexed at a time while nobody asks, and bytes that are tidied up.
_INDEX_STEP, _TIDY_BYTES = 16, 1 << 20


class Load:
    """What a shard is built from. The lists are the tree's own and live: a rebuilt shard gets what is there by then."""

    def __init__(
        self, number: int, paths: list[bytes], names: list[bytes], roots: list[bytes], binary: bool,
        max_file_bytes: int | None, progress: Any,
    ) -> None:  # fmt: skip
        self.number = number
        self.paths = paths  # absolute; empty where a file is gone
        self.names = names  # as shown
        self.roots = roots  # how names in each root begin
        self.binary = binary
        self.max_file_bytes = max_file_bytes
        self.progress = progress  # a queue for (shard, files, bytes); None: nobody looks


class Status(NamedTuple):
    """A shard in numbers."""

    files: int
    text_bytes: int
    memory_bytes: int
    blocks: int
    indexed: int
    skipped: int
    trouble: int


class Shard:
    """See the module."""

    def __init__(self, load: Load) -> None:
        self._store = _search.Store()
        self._loader = Loader(self._store, load.binary, load.max_file_bytes)
        self._paths, self._names, self._roots = list(load.paths), list(load.names), load.roots
        for files, size in self._loader.batches(self._paths):
            if load.progress is not None:
                load.progress.put((load.number, files, size))
        self._sort_if_needed(self._names != sorted(self._names))

    def _sort_if_needed(self, needed: bool) -> None:
        if needed:
            order = sorted(range(len(self._names)), key=self._names.__getitem__)
            ranks = array("I", bytes(4 * len(order)))
            for rank, file in enumerate(order):
                ranks[file] = rank
            self._store.set_ranks(ranks.tobytes())

    # ---- queries: streams, whose pauses let others have their turn ----

    def search(self, plan: Plan, deadline_ns: int) -> Iterator[Any]:
        """Parts with the lines that match."""
        return self._run(plan, deadline_ns).rows()

    def count(self, plan: Plan, deadline_ns: int) -> Iterator[Any]:
        """Parts with how many lines match, by file."""
        return self._run(plan, deadline_ns).counts()

    def matching(self, plan: Plan, deadline_ns: int) -> Iterator[Any]:
        """A part that names the files with a match."""
        return self._run(plan, deadline_ns).files()

    def lacking(self, plan: Plan, deadline_ns: int) -> Iterator[Any]:
        """A part that names the files without one."""
        return self._run(plan, deadline_ns).files_without()

    def preview(self, plan: Plan, deadline_ns: int, template: bytes, context: int) -> Iterator[Any]:
        """Parts with diffs."""
        return self._run(plan, deadline_ns).previews(template, self._names, context)

    def _run(self, plan: Plan, deadline_ns: int) -> Run:
        return Run(self._store, plan, self._mask_of(filters_of(plan.request)), deadline_ns)

    @functools.lru_cache(16)  # noqa: B019 - one shard a process, for its whole life
    def _mask_of(self, filters: Filters) -> bytes | None:
        """A byte a file: do the query's own filters let it through?"""
        return mask_of(filters, self._names, self._roots)

    # ---- the index ----

    def on_idle(self) -> bool:
        """Index a little; is there more to do?"""
        return self._store.index(_INDEX_STEP) > 0 or self._store.tidy(_TIDY_BYTES) > 0

    def finish_index(self) -> Iterator[Any]:
        """Index all that is not, and yield that it is."""
        while self._store.index(4 * _INDEX_STEP):
            yield manyhands.PAUSE
        yield True

    # ---- what changes ----

    def update(self, changes: Sequence[tuple[int, bytes, bytes]]) -> None:
        """Read these files again, or for the first time: number, absolute path (empty: it is gone), name."""
        for file, path, name in changes:
            fresh = file - len(self._paths) + 1
            if fresh > 0:
                self._paths += [b""] * fresh
                self._names += [name] * fresh
            self._paths[file], self._names[file] = path, name
            if path:
                self._loader.read(file, path)
            else:
                self._loader.forget(file)
        if max((file for file, _, _ in changes), default=-1) >= 0:
            self._mask_of.cache_clear()
            self._sort_if_needed(True)
        self._store.index(_INDEX_STEP)

    def stale(self) -> list[int]:
        """The files that have another size or time than when they were read, or are gone."""
        return [file for file, path in enumerate(self._paths) if path and self._loader.is_stale(file, path)]

    # ---- what there is ----

    def lines(self, file: int, first: int, last: int | None) -> tuple[list[bytes], int, int] | None:
        """Lines of a file, from the first to the last (None: all), how many it has, and its bytes; None: no text."""
        text = self._store.text(file)
        if text is None:
            return None
        total = text.count(b"\n") + (text[-1:] not in (b"\n", b""))
        last = total if last is None else min(last, total)
        return text.split(b"\n", last)[first - 1 : last] if first <= last else [], total, len(text)

    def skipped(self) -> dict[int, tuple[str, str]]:
        """The files that have no text here: number -> reason, detail."""
        return self._loader.skipped

    def status(self) -> Status:
        """This shard in numbers."""
        store = self._store
        return Status(
            store.files,
            store.text_bytes,
            store.memory_bytes,
            store.blocks,
            store.indexed,
            len(self._loader.skipped),
            sum(reason in why.TROUBLE for reason, _ in self._loader.skipped.values()),
        )
