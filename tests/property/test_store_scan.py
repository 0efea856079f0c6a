"""The native store against a few lines of plain Python: any texts, any needles, any history of putting and removing."""

from __future__ import annotations

import itertools
import re
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from manyhands import _search
from manyhands._search import CASELESS, FIRST_ONLY, FOLDS, INVALID, PLAIN_ONLY, UTF8, WORD, Hits, Store, Visit

PLENTY = 1 << 40

Row = tuple[int, int, bytes]


# ---- what is put in ----

WORDS = [
    b"a", b"A", b"ab", b"aB", b"abc", b"needle", b"Needle", b"NEEDLE", b"_", b" ", b"\t", b"  ", b"0", b"9", b".", b"\r",
    b"[", b"{", b"@", b"`", b"s", b"k", b"S", b"K", b"\0", b"\x7f", b"\x80", b"\xff", b"\xc3", "é".encode(),
    "É".encode(), "\u017f".encode(), "\u212a".encode(), "日".encode(), "\U0001f600".encode(), b"x" * 31, b"y" * 40,
]  # fmt: skip

line = st.lists(st.sampled_from(WORDS), max_size=12).map(b"".join)
separator = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\n\n"])


@st.composite
def text(draw: st.DrawFn) -> bytes:
    """Lines, sometimes so many, or so long, that they make several blocks."""
    lines = draw(st.lists(line, max_size=8))
    kind = draw(st.integers(0, 15))
    if kind == 0:
        lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from(WORDS[:30])) * 70_000)
    elif kind == 1:
        lines += [draw(line) for _ in range(3)] * draw(st.integers(1_000, 9_000))
    return draw(separator).join(lines) + draw(st.sampled_from([b"", b"\n"]))


needle = st.one_of(st.sampled_from(WORDS), line).filter(lambda part: part != b"")
flags = st.sampled_from([0, CASELESS, WORD, CASELESS | WORD])


@pytest.fixture(autouse=True, params=["plain", "sse2", "avx2"])
def _path(request: pytest.FixtureRequest):
    """Everything is true of each way of searching."""
    try:
        _search._force_path({"plain": 1, "sse2": 2, "avx2": 3}[request.param])
    except ValueError:
        pytest.skip(f"no {request.param} here")
    yield
    _search._force_path(0)


# ---- the model ----


def lines_of(text: bytes) -> list[bytes]:
    return text.removesuffix(b"\n").split(b"\n") if text else []


def is_found(needle: bytes, flags: int, line: bytes) -> bool:
    pattern = re.escape(needle)
    if flags & WORD:
        pattern = rb"(?<![A-Za-z0-9_])(?:" + pattern + rb")(?![A-Za-z0-9_])"
    return re.search(pattern, line, re.IGNORECASE if flags & CASELESS else 0) is not None


def all_rows(texts: dict[int, bytes], order: list[int]) -> list[Row]:
    return [
        (file, number, line) for file in order for number, line in enumerate(lines_of(texts[file]), start=1)
    ]


def found_in(rows: list[Row], needle: bytes, flags: int) -> list[Row]:
    kept = [row for row in rows if is_found(needle, flags, row[2])]
    if flags & FIRST_ONLY:
        kept = [next(group) for _, group in itertools.groupby(kept, key=lambda row: row[0])]
    return kept


def kind_of(text: bytes) -> int:
    folds = FOLDS if "\u017f".encode() in text or "\u212a".encode() in text else 0
    try:
        return (UTF8 if not text.isascii() and text.decode() else 0) | folds
    except UnicodeDecodeError:
        return INVALID | folds


def with_context(
    texts: dict[int, bytes], hits: list[Row], before: int, after: int
) -> list[tuple[int, int, int, bytes]]:
    rows = []
    for file in dict.fromkeys(row[0] for row in hits):
        numbers = {number for each, number, _ in hits if each == file}
        for number, line in enumerate(lines_of(texts[file]), start=1):
            if any(number + offset in numbers for offset in range(-after, before + 1)):
                rows.append((file, number, int(number in numbers), line))
    return rows


# ---- what the store says ----


def numbers(packed: bytes) -> list[int]:
    return list(memoryview(packed).cast("I"))


def cut(offsets: bytes, text: bytes) -> list[bytes]:
    bounds = numbers(offsets)
    assert bounds[0] == 0
    assert bounds[-1] == len(text)
    return [text[start:end] for start, end in itertools.pairwise(bounds)]


def rows_of(hits: Hits) -> list[Row]:
    files, lines, offsets, _, text = hits.columns(0, 0)
    return list(zip(numbers(files), numbers(lines), cut(offsets, text), strict=True))


def filled(texts: list[bytes]) -> tuple[Store, list[Row], dict[int, bytes]]:
    store = Store()
    for file, each in enumerate(texts):
        store.put(file, each)
    store.check()
    by_file = dict(enumerate(texts))
    return store, all_rows(by_file, list(by_file)), by_file


def stepped(visit: Visit, needle: bytes, flags: int, most_bytes: int, most_lines: int) -> list[Row]:
    found = []
    while not visit.done:
        step = rows_of(visit.find(needle, flags, most_bytes, most_lines))
        assert len(step) <= most_lines
        found += step
    return found


# ---- searching ----

few = settings(max_examples=60, deadline=None)
texts = st.lists(text(), min_size=1, max_size=5)


@few
@given(texts, needle, flags, st.booleans(), st.integers(1, 100_000), st.integers(1, 50))
def test_find_and_count_say_what_a_naive_search_says(
    texts, needle, flags, first_only, most_bytes, most_lines
) -> None:
    store, rows, _ = filled(texts)
    flags |= FIRST_ONLY if first_only else 0
    expected = found_in(rows, needle, flags)
    most_lines += len(expected) // 20
    assert stepped(store.visit(None, None), needle, flags, most_bytes, most_lines) == expected
    counted: dict[int, int] = {}
    visit = store.visit(None, None)
    while not visit.done:
        for file, count in zip(*map(numbers, visit.count(needle, flags, most_bytes)), strict=True):
            counted[file] = counted.get(file, 0) + count
    assert counted == {
        file: len(list(group)) for file, group in itertools.groupby(expected, key=lambda row: row[0])
    }


@few
@given(texts, st.integers(1, 200_000))
def test_every_line_comes_once(texts, most_bytes) -> None:
    store, rows, _ = filled(texts)
    visit, found = store.visit(None, None), []
    while not visit.done:
        found += rows_of(visit.all_lines(most_bytes, 20_000))
    assert found == rows
    assert visit.scanned_bytes == sum(len(row[2]) + 1 for row in rows)


@few
@given(texts, needle, needle, flags, st.booleans())
def test_containing_keeps_what_a_naive_search_keeps(texts, first, second, flags, wanted) -> None:
    store, rows, _ = filled(texts)
    hits = store.visit(None, None).find(first, 0, PLENTY, PLENTY)
    expected = [row for row in found_in(rows, first, 0) if is_found(second, flags, row[2]) == wanted]
    assert rows_of(hits.containing(second, flags, wanted)) == expected
    assert hits.not_ascii() == bytes(not row[2].isascii() for row in found_in(rows, first, 0))


@few
@given(texts, needle, st.integers(0, 4), st.integers(0, 4))
def test_context_is_what_stands_around(texts, needle, before, after) -> None:
    store, rows, by_file = filled(texts)
    hits = store.visit(None, None).find(needle, 0, PLENTY, 200)
    files, lines, offsets, kinds, text = hits.columns(before, after)
    columns = (
        zip(numbers(files), numbers(lines), kinds, cut(offsets, text), strict=True) if before or after else []
    )
    expected = (
        with_context(by_file, found_in(rows, needle, 0)[:200], before, after) if before or after else []
    )
    assert list(columns) == expected


@few
@given(texts, st.data())
def test_regions_give_the_lines_in_which_matches_end_and_the_others(texts, data) -> None:
    store, rows, _ = filled(texts)
    visit, seen = store.visit(None, None), []
    while (region := visit.region(data.draw(st.integers(1, 300_000)))) is not None:
        text = bytes(region[0])
        assert region[1] == kind_of(text)
        ends = data.draw(st.lists(st.integers(0, len(text)), max_size=30))
        hits = visit.lines_at(array("I", ends).tobytes())
        starts = {text.rfind(b"\n", 0, max(0, end - 1)) + 1 for end in ends}
        assert hits.lines() == [text[start : text.index(b"\n", start)] for start in sorted(starts)]
        seen += [(row, True) for row in rows_of(hits)] + [(row, False) for row in rows_of(visit.others(hits))]
    assert sorted(row for row, _ in seen) == rows


@few
@given(texts, needle)
def test_what_folds_is_left_to_regions_and_nothing_else_is(texts, needle) -> None:
    store, rows, _ = filled(texts)
    visit, found = store.visit(None, None), []
    while not visit.done:
        found += rows_of(visit.find(needle, PLAIN_ONLY, PLENTY, PLENTY))
        if visit.at_folds:
            region = visit.region(1)
            assert region is not None
            assert region[1] & FOLDS
            every = visit.others(visit.lines_at(b""))
            found += rows_of(every.containing(needle, 0, True))
    assert found == found_in(rows, needle, 0)


@few
@given(texts, st.data())
def test_spans_give_the_lines_that_they_touch(texts, data) -> None:
    store, _, by_file = filled(texts)
    visit = store.visit(None, None)
    while (found := visit.file()) is not None:
        file, text = found[0], bytes(found[1])
        assert text == by_file[file]
        offset = st.integers(0, len(text))
        spans = sorted(
            tuple(sorted(pair)) for pair in data.draw(st.lists(st.tuples(offset, offset), max_size=6))
        )
        hits = visit.spans(array("I", [each for span in spans for each in span]).tobytes())
        assert [(number, line) for _, number, line in rows_of(hits)] == lines_of_spans(text, spans)


def lines_of_spans(text: bytes, spans: list[tuple[int, int]]) -> list[tuple[int, bytes]]:
    starts = list(itertools.accumulate((len(line) + 1 for line in lines_of(text)), initial=0))[:-1]

    def line_at(offset: int) -> int:
        return max(place for place, start in enumerate(starts) if start <= offset)

    merged: list[list[int]] = []
    for start, end in spans:
        first, last = line_at(start), line_at(max(start, end - 1))
        if merged and first <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], last)
        else:
            merged.append([first, last])
    lines = lines_of(text)
    return [(first + 1, b"\n".join(lines[first : last + 1])) for first, last in merged]


@few
@given(texts, needle, st.booleans(), st.integers(0, 40))
def test_the_index_never_says_too_little(texts, needle, folds, most_blocks) -> None:
    store, rows, _ = filled(texts)
    store.index(most_blocks)
    visit = store.visit(store.candidates(needle, folds), None)
    expected = found_in(rows, needle, CASELESS)
    assert stepped(visit, needle, CASELESS, PLENTY, PLENTY) == expected
    if folds:
        files = set(numbers(store.visit(store.candidates(needle, True), None).files()))
        assert files >= {row[0] for row in rows if needle_folded(needle) in needle_folded(row[2])}


def needle_folded(part: bytes) -> bytes:
    """As the index folds: U+017F is s and U+212A is k."""
    return part.replace("\u017f".encode(), b"s").replace("\u212a".encode(), b"k").lower()


# ---- histories ----


class Histories(RuleBasedStateMachine):
    """A store that lives: files come, change and go, visits are open meanwhile, it is indexed and tidied."""

    @initialize()
    def begin(self) -> None:
        self.store = Store()
        self.texts: dict[int, bytes] = {}
        self.ranks: list[int] = []
        self.visits: list[tuple[Visit, list[Row]]] = []

    def order(self) -> list[int]:
        ranked = len(self.ranks)
        return sorted(
            self.texts, key=lambda file: (0, self.ranks[file], file) if file < ranked else (1, 0, file)
        )

    @rule(file=st.integers(0, 9), text=text())
    def put(self, file: int, text: bytes) -> None:
        self.store.put(file, text)
        self.texts[file] = text

    @rule(file=st.integers(0, 9), times=st.integers(1, 40), size=st.integers(1, 9_000))
    def put_again_and_again(self, file: int, times: int, size: int) -> None:
        for turn in range(times):
            text = b"turn %d\n" % turn * size
            self.store.put(file, text)
        self.texts[file] = text

    @rule(file=st.integers(0, 9))
    def remove(self, file: int) -> None:
        assert self.store.remove(file) == (self.texts.pop(file, None) is not None)

    @rule(ranks=st.lists(st.integers(0, 5), max_size=12))
    def rank(self, ranks: list[int]) -> None:
        self.store.set_ranks(array("I", ranks))
        self.ranks = ranks

    @rule(most_blocks=st.integers(0, 20))
    def index(self, most_blocks: int) -> None:
        left = self.store.index(most_blocks)
        assert left == self.store.blocks - self.store.indexed

    @rule(most_bytes=st.integers(0, 500_000))
    def tidy(self, most_bytes: int) -> None:
        assert self.store.tidy(most_bytes) <= most_bytes
        if self.visits:
            assert self.store.tidy(most_bytes) == 0

    @rule()
    def open(self) -> None:
        self.visits.append((self.store.visit(None, None), all_rows(self.texts, self.order())))

    @rule()
    def go_over(self) -> None:
        if self.visits:
            visit, rows = self.visits.pop(0)
            assert rows_of(visit.all_lines(PLENTY, PLENTY)) == rows

    @rule(needle=needle)
    def search(self, needle: bytes) -> None:
        rows = all_rows(self.texts, self.order())
        visit = self.store.visit(self.store.candidates(needle, False), None)
        assert stepped(visit, needle, 0, PLENTY, PLENTY) == found_in(rows, needle, 0)

    @invariant()
    def is_sane(self) -> None:
        self.store.check()
        assert self.store.files == len(self.texts)
        assert self.store.text_bytes == sum(map(len, self.texts.values()))
        assert all(self.store.text(file) == self.texts.get(file) for file in range(10))


def test_any_history_leaves_the_store_sane() -> None:
    run_state_machine_as_test(
        Histories, settings=settings(max_examples=40, stateful_step_count=25, deadline=None)
    )
