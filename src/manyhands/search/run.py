"""One query on one store: steps of a few milliseconds, each giving lines, counts or files. Part of the search room.

Follows a plan as `manyhands.search.query.plan` describes it. Runs in a shard, or in this process for one-shot searches.

Always true:

1. Between two yields little is scanned, so that deadlines, cancels and other queries get their turn: a step that found
   nothing yields PAUSE.
2. What is yielded is in the order of paths, and exact: whatever the plan left open was verified.
3. With context, the lines of a file are yielded at once, so that no line of context comes twice.
"""

from __future__ import annotations

import time
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby, takewhile
from typing import Any

import manyhands
from manyhands import _search
from manyhands.search.columns import Columns, Page, Part, Summary
from manyhands.search.needs import blocks_with, files_with
from manyhands.search.preview import changes_in, unified
from manyhands.search.query.matcher import Matcher
from manyhands.search.query.plan import Needle, Plan
from manyhands.search.query.request import Request
from manyhands.search.verify import Verifier, flags_of

#: Text scanned in a step: by the native store; by Hyperscan; by RE2, which is slower.
_NATIVE_BYTES, _AUTOMATON_BYTES, _RE2_BYTES = 8 << 20, 4 << 20, 256 << 10

#: Counting is the fastest: a millisecond or two for so much.
_COUNTED_BYTES = 32 << 20

#: Lines in a step: at first few, so that a first page comes soon; then more, so that messages are few.
_FIRST_LINES, _LINES_MOST = 512, 1 << 13

#: Text in a message, or little more: its reader has room for some messages of each shard, however long lines are.
_TEXT_BYTES = 1 << 19

#: How long the first line found may wait for others to be sent with it, in the first message and in later ones.
_FIRST_NS, _HELD_NS = 1_000_000, 10_000_000

_WITHOUT_LIMIT = 1 << 62

#: A literal that is in less than this part of all blocks is found first, and its lines verified.
_RARE = 1 / 3


class Run:
    """See the module. Threads: one."""

    def __init__(self, store: _search.Store, plan: Plan, mask: bytes | None, deadline_ns: int) -> None:
        self._store, self._plan, self._mask, self._deadline_ns = store, plan, mask, deadline_ns
        self._matcher = Matcher(plan)
        self._verifier = Verifier(plan, self._matcher, store)
        self._limit = plan.request.limit or _WITHOUT_LIMIT
        self._lines = _FIRST_LINES
        self._late = False
        self._limited_files = False
        blocks = blocks_with(store, plan)
        # Without an index nobody knows; but then it is one question, and automata cost 20 ms to come by.
        self._is_rare = not store.indexed or (blocks is not None and _bits(blocks) < store.blocks * _RARE)
        self._visit = store.visit(blocks, files_with(store, plan, mask))
        self._asked = manyhands.current_request()
        self._asked.work_ahead()  # rows are read shard after shard: one goes on while another's are

    # ---- answers ----

    def rows(self) -> Iterator[Any]:
        """Parts with lines, at most one more than the limit: so whoever counts them knows that there are more."""
        found, letter = 0, _Letter(self._plan.request)
        for hits in self._paged():
            wanted = hits.limit(self._limit + 1 - found) if found + len(hits) > self._limit else hits
            found += len(wanted)
            letter.put(wanted)
            if found > self._limit:
                yield Part(letter.take(), None, self._summary("limit"))
                return
            yield Part(letter.take(), None, None) if letter.is_due(self._asked.room) else manyhands.PAUSE
        yield Part(letter.take(), None, self._summary())

    def counts(self) -> Iterator[Any]:
        """One part with how many lines of each file match; a file that is long may come in it more than once."""
        steps = []
        for step in self._counted():
            steps.append(step)
            yield manyhands.PAUSE
        files, lines = (b"".join(column) for column in zip(*steps, strict=True)) if steps else (b"", b"")
        yield Part(None, (files, lines), self._summary())

    def previews(self, template: bytes, names: Sequence[bytes], context: int) -> Iterator[Any]:
        """Parts with the diff of each file that `template`, in place of what matches, would change."""
        diffs: list[tuple[int, bytes, int]] = []
        size = 0
        for hits in self._by_whole_files():
            for diff in self._diffs(hits, template, names, context) if len(hits) else ():
                if diff is None:
                    yield manyhands.PAUSE
                else:
                    diffs.append(diff)
                    size += len(diff[1])
            if (diffs and self._asked.room) or size >= _TEXT_BYTES:
                yield Part(None, None, None, diffs)
                diffs, size = [], 0
            else:
                yield manyhands.PAUSE
        yield Part(None, None, self._summary(), diffs)

    def _diffs(
        self, hits: Any, template: bytes, names: Sequence[bytes], context: int
    ) -> Iterator[tuple[int, bytes, int] | None]:
        """File, diff and changed lines; None where it has taken long enough. What is not done in time is left out."""
        columns = Columns(*hits.columns(0, 0))
        page = Page(columns, names, self._matcher.spans)
        for file, rows in groupby(range(len(page)), page.files.__getitem__):
            text = self._store.text(file) or b""
            found = takewhile(self._is_early, ((page.numbers[row], page.line(row)) for row in rows))
            changes, until_ns = [], time.monotonic_ns() + _HELD_NS
            for change in changes_in(text, found, lambda line: self._matcher.replace(line, template)):
                changes.append(change)
                if time.monotonic_ns() > until_ns:
                    yield None
                    until_ns = time.monotonic_ns() + _HELD_NS
            if changes and not self._late:
                lines = sum(len(change.old) for change in changes)
                yield file, unified(names[file], text, changes, context), lines

    def files(self) -> Iterator[Any]:
        """One part that names the files with a match."""
        self._lines = _LINES_MOST
        found: dict[int, int] = {}
        for hits in self._hits(first_only=True):
            found |= dict.fromkeys(memoryview(hits.files()).cast("I"), 1)
            yield manyhands.PAUSE
        yield Part(None, _counts_of(found), self._summary())

    def files_without(self) -> Iterator[Any]:
        """A part that names the files that have text but no match."""
        found: set[int] = set()
        for hits in self._hits(first_only=True):
            found.update(memoryview(hits.files()).cast("I"))
            yield manyhands.PAUSE
        mask = self._mask
        rest = {
            file: 0
            for file in memoryview(self._store.numbers()).cast("I")
            if file not in found and (mask is None or file >= len(mask) or mask[file])
        }
        if not self._late:
            yield Part(None, _counts_of(rest), None)
        yield Part(None, None, self._summary())

    def _summary(self, limited: str = "") -> Summary:
        limited = limited or ("limit_per_file" if self._limited_files else "")
        scanned = self._visit.scanned_bytes
        self._visit.close()
        return Summary(self._store.files, self._store.text_bytes, scanned, limited, self._late)

    # ---- steps ----

    def _counted(self) -> Iterator[tuple[bytes, bytes]]:
        plan, visit = self._plan, self._visit
        needle = plan.needle
        if needle is not None and self._is_counted_natively:
            flags = flags_of(needle) | (_search.PLAIN_ONLY if needle.folds else 0)
            while not visit.done and self._is_in_time():
                yield visit.count(needle.text, flags, _COUNTED_BYTES)
                if visit.at_folds:
                    yield _counts_of(Counter(memoryview(self._folding_lines().files()).cast("I")))
            return
        self._lines = _LINES_MOST
        for hits in self._hits():
            yield _counts_of(Counter(memoryview(hits.files()).cast("I")))

    @property
    def _is_counted_natively(self) -> bool:
        plan = self._plan
        plain = plan.decides == "always" and not plan.filters and not plan.request.invert
        return plain and plan.request.scope == "line" and not plan.request.limit_per_file

    def _paged(self) -> Iterator[Any]:
        """As `_hits`, with the lines of one file together when there is context."""
        request = self._plan.request
        return self._by_whole_files() if request.before or request.after else self._hits()

    def _by_whole_files(self) -> Iterator[Any]:
        """As `_hits`, with all lines of a file in one step."""
        held: list[Any] = []
        for hits in self._hits():
            if not len(hits):
                yield hits
                continue
            files = memoryview(hits.files()).cast("I")
            last = bytes(file == files[-1] for file in files)
            if held and memoryview(held[-1].files()).cast("I")[-1] != files[0]:
                yield held[0].joined(held[1:])
                held = []
            if any(file != files[-1] for file in files):
                yield (
                    held[0].joined([*held[1:], hits.keep(_inverted(last))])
                    if held
                    else hits.keep(_inverted(last))
                )
                held = []
            held.append(hits.keep(last))
        if held:
            yield held[0].joined(held[1:])

    def _hits(self, first_only: bool = False) -> Iterator[Any]:
        """Lines of the answer, step by step; empty ones too."""
        limiter = _PerFile(self._plan.request.limit_per_file)
        for hits in self._verified(first_only):
            if _text_bytes(hits) < _TEXT_BYTES // 2:
                self._lines = min(_LINES_MOST, 2 * self._lines)
            limited = limiter.limited(hits)
            self._limited_files = self._limited_files or limiter.has_left_out
            yield limited

    def _verified(self, first_only: bool) -> Iterator[Any]:
        plan = self._plan
        if plan.mode == "file":
            return self._by_file()
        if plan.mode == "needle" and not plan.request.invert:
            return self._by_needle(plan.needle, first_only)
        if plan.mode == "every" and not plan.request.invert:
            return self._every_line()
        may_filter = plan.prefilter is not None and not plan.request.invert
        if may_filter and (self._is_rare or not self._matcher.has_automaton):
            return self._by_needle(plan.prefilter, False)
        return self._by_region()

    def _is_early(self, _line: object) -> bool:
        return self._is_in_time()

    def _is_in_time(self) -> bool:
        if self._deadline_ns and time.monotonic_ns() > self._deadline_ns:
            self._late = True
        return not self._late

    def _every_line(self) -> Iterator[Any]:
        while not self._visit.done and self._is_in_time():
            yield self._verifier.verified(self._visit.all_lines(_NATIVE_BYTES, self._lines))

    def _by_needle(self, needle: Needle | None, first_only: bool) -> Iterator[Any]:
        assert needle is not None
        visit, plan, verifier = self._visit, self._plan, self._verifier
        exact = (
            plan.decides == "always"
            and not plan.filters
            and plan.needle is needle
            and plan.request.scope == "line"
        )
        flags = flags_of(needle) | (_search.FIRST_ONLY if first_only and exact else 0)
        if needle.folds:
            flags |= _search.PLAIN_ONLY
        while not visit.done and self._is_in_time():
            hits = visit.find(needle.text, flags, _NATIVE_BYTES, self._lines)
            yield hits if exact else verifier.verified(hits, by_prefilter=plan.needle is not needle)
            if visit.at_folds:
                yield self._folding_lines()

    def _folding_lines(self) -> Any:
        """The lines in the text that the store has stopped at, because it has U+017F or U+212A."""
        found = self._visit.region(_RE2_BYTES)
        assert found is not None
        return self._region_lines(*found)

    def _by_region(self) -> Iterator[Any]:
        size = _AUTOMATON_BYTES if self._matcher.has_automaton else _RE2_BYTES
        while self._is_in_time():
            found = self._visit.region(size, self._plan.bytewise)
            if found is None:
                return
            yield self._region_lines(*found)

    def _region_lines(self, text: memoryview, kind: int) -> Any:
        plan, visit = self._plan, self._visit
        if plan.mode == "every":
            hits = visit.lines_at(b"")
            hits = visit.others(hits)
        else:
            is_fit = kind < _search.FOLDS if plan.bytewise else kind == _search.ASCII
            ends = self._matcher.ends(text) if is_fit else None
            hits = visit.lines_at(self._matcher.re2_ends(text) if ends is None else ends)
        hits = self._verifier.verified(hits, by_region=True)
        return self._verifier.inverted(visit, hits) if plan.request.invert else hits

    def _by_file(self) -> Iterator[Any]:
        while self._is_in_time():
            found = self._visit.file()
            if found is None:
                return
            yield self._verifier.spans_of_file(self._visit, found[1])


class _Letter:
    """Lines of several steps that are sent together: a message costs its reader as much as a hundred lines."""

    def __init__(self, request: Request) -> None:
        self._around = request.before, request.after
        self._hits: list[Any] = []
        self._count = self._bytes = self._since_ns = 0
        self._full, self._old_ns = _FIRST_LINES, _FIRST_NS

    def put(self, hits: Any) -> None:
        """These, too."""
        if len(hits):
            self._since_ns = self._since_ns or time.monotonic_ns()
            self._hits.append(hits)
            self._count += len(hits)
            self._bytes += _text_bytes(hits)

    def is_due(self, room: int) -> bool:
        """Is it full, or has the first line in it waited long enough, and the reader room for it?"""
        if self._count >= self._full or self._bytes >= _TEXT_BYTES:
            return True
        return room > 0 and self._count > 0 and time.monotonic_ns() - self._since_ns > self._old_ns

    def take(self) -> Columns | None:
        """What is in it. Later ones may be larger."""
        hits, self._hits = self._hits, []
        self._count = self._bytes = self._since_ns = 0
        self._full, self._old_ns = _LINES_MOST, _HELD_NS
        if not hits:
            return None
        return Columns(*(hits[0].joined(hits[1:]) if len(hits) > 1 else hits[0]).columns(*self._around))


class _PerFile:
    """Keeps the first lines of each file."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._file, self._count = -1, 0
        self.has_left_out = False

    def limited(self, hits: Any) -> Any:
        """Those of `hits` that are among the first of their file."""
        if self._most is None or not len(hits):
            return hits
        mask = bytearray(len(hits))
        for place, file in enumerate(memoryview(hits.files()).cast("I")):
            self._count = self._count + 1 if file == self._file else 1
            self._file = file
            mask[place] = self._count <= self._most
        self.has_left_out = self.has_left_out or 0 in mask
        return hits.keep(mask)


def _text_bytes(hits: Any) -> int:
    """How much text these lines have, or more: as if all were as long as the longest of three."""
    count = len(hits)
    return count * max(len(hits.line(at)) for at in (0, count // 2, count - 1)) if count else 0


def _bits(bitmap: bytes) -> int:
    return int.from_bytes(bitmap, "little").bit_count()


def _inverted(mask: bytes) -> bytes:
    return bytes(not each for each in mask)


def _counts_of(counts: dict[int, int]) -> tuple[bytes, bytes]:
    return array("I", counts.keys()).tobytes(), array("I", counts.values()).tobytes()
