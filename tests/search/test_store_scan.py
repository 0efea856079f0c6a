"""Visits of the native store: steps, lines, regions, files, and hits as columns."""

from __future__ import annotations

import gc
import itertools
from array import array
from collections.abc import Iterator

import pytest

from manyhands import _search
from manyhands._search import (
    ASCII,
    CASELESS,
    FIRST_ONLY,
    FOLDS,
    INVALID,
    PLAIN_ONLY,
    UTF8,
    WORD,
    Hits,
    Store,
    Visit,
)

PLENTY = 1 << 40
PATHS = {"avx2": 3, "sse2": 2, "plain": 1}


@pytest.fixture(params=PATHS)
def path(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each way of searching that this machine has."""
    try:
        yield _search._force_path(PATHS[request.param])
    except ValueError:
        pytest.skip(f"no {request.param} here")
    finally:
        _search._force_path(0)


def numbers(packed: bytes) -> list[int]:
    return list(memoryview(packed).cast("I"))


def packed(*values: int) -> bytes:
    return array("I", values).tobytes()


def filled(*texts: bytes) -> Store:
    store = Store()
    for file, text in enumerate(texts):
        store.put(file, text)
    return store


def visit_of(*texts: bytes) -> Visit:
    return filled(*texts).visit(None, None)


def find(visit: Visit, needle: bytes, flags: int = 0) -> Hits:
    return visit.find(needle, flags, PLENTY, PLENTY)


def rows(hits: Hits) -> list[tuple[int, int, bytes]]:
    """File, line number and line of each."""
    files, lines, offsets, kinds, text = hits.columns(0, 0)
    assert kinds == b""
    assert hits.files() == files
    assert len(hits) * 4 == len(files)
    bounds = numbers(offsets)
    cut = [text[start:end] for start, end in itertools.pairwise(bounds)]
    assert cut == hits.lines() == [hits.line(place) for place in range(len(hits))]
    return list(zip(numbers(files), numbers(lines), cut, strict=True))


def context(hits: Hits, before: int, after: int) -> list[tuple[int, int, int, bytes]]:
    """File, line number, kind and line of each."""
    files, lines, offsets, kinds, text = hits.columns(before, after)
    bounds = numbers(offsets)
    cut = [text[start:end] for start, end in itertools.pairwise(bounds)]
    return list(zip(numbers(files), numbers(lines), kinds, cut, strict=True))


# ---- finding ----


def test_a_line_with_the_needle_is_found_with_its_number(path: str) -> None:
    assert rows(find(visit_of(b"one\ntwo\nthree\n", b"no", b"\n\ntwo"), b"two")) == [
        (0, 2, b"two"),
        (2, 3, b"two"),
    ]


def test_a_line_is_found_once_however_often_it_has_the_needle(path: str) -> None:
    assert rows(find(visit_of(b"aaaa\naa\na\n"), b"aa")) == [(0, 1, b"aaaa"), (0, 2, b"aa")]


def test_carriage_returns_belong_to_the_line(path: str) -> None:
    assert rows(find(visit_of(b"a\r\nb\r\n"), b"b\r")) == [(0, 2, b"b\r")]


def test_a_needle_is_never_found_across_lines_or_files(path: str) -> None:
    assert rows(find(visit_of(b"ab\ncd", b"ef"), b"bcd")) == []
    assert rows(find(visit_of(b"ab", b"cd"), b"abcd")) == []


@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 5000])
def test_needles_of_any_length_at_any_place(path: str, size: int) -> None:
    needle = bytes(33 + place * 7 % 90 for place in range(size))
    for lead in range(70):
        text = b"\n" + b" " * lead + needle + b" tail\n"
        assert rows(find(visit_of(text), needle)) == [(0, 2, text[1:-1])]
        almost = b" " * lead + needle[:-1] + b"\n" + needle[1:] + b"\n"
        assert rows(find(visit_of(almost), needle)) == []


def test_letters_fold_and_nothing_else_does(path: str) -> None:
    text = b"ABC[\nabc{\nAbC[\nabc[\n" + "Äbc[\näbc[".encode()
    assert [row[1] for row in rows(find(visit_of(text), b"aBc[", CASELESS))] == [1, 3, 4]
    assert [row[1] for row in rows(find(visit_of(text), "äBC".encode(), CASELESS))] == [6]


def test_a_word_has_no_word_byte_beside_it(path: str) -> None:
    text = b"cat\nconcat\ncats\n_cat\ncat9\n(cat)\n\xc3\xa4cat\xff\nconcat cat\n"
    assert [row[1] for row in rows(find(visit_of(text), b"cat", WORD))] == [1, 6, 7, 8]
    assert [row[1] for row in rows(find(visit_of(text), b"CAT", WORD | CASELESS))] == [1, 6, 7, 8]


def test_first_only_gives_one_line_a_file(path: str) -> None:
    store = filled(b"x\nx\n" * 50_000, b"y\nx\n", b"x\n")
    visit = store.visit(None, None)
    found = []
    while not visit.done:
        found += rows(visit.find(b"x", FIRST_ONLY, PLENTY, 1))
    assert found == [(0, 1, b"x"), (1, 2, b"x"), (2, 1, b"x")]
    assert visit.scanned_bytes < 1000


def test_a_step_ends_after_so_many_lines_and_the_next_goes_on_behind(path: str) -> None:
    text = b"".join(b"line %d\n" % number for number in range(1, 30_001))
    visit = visit_of(text)
    found: list[tuple[int, int, bytes]] = []
    while not visit.done:
        step = rows(visit.find(b"line", 0, PLENTY, 7_001))
        assert len(step) <= 7_001
        found += step
    assert found == [(0, number, b"line %d" % number) for number in range(1, 30_001)]
    assert visit.scanned_bytes == len(text)


def test_a_step_ends_soon_after_so_many_bytes(path: str) -> None:
    visit = visit_of(*[b"a line\n" * 10_000] * 20)
    steps = 0
    while not visit.done:
        before = visit.scanned_bytes
        visit.find(b"absent", 0, 100_000, 1)
        assert visit.scanned_bytes - before < 100_000 + 2 * (64 << 10)
        steps += 1
    assert steps > 5
    assert visit.scanned_bytes == 20 * 70_000


def test_every_line_is_a_line(path: str) -> None:
    visit = visit_of(b"", b"a\n\nb", b"\n", b"c\r\n\r\n")
    hits = visit.all_lines(PLENTY, PLENTY)
    assert rows(hits) == [(1, 1, b"a"), (1, 2, b""), (1, 3, b"b"), (2, 1, b""), (3, 1, b"c\r"), (3, 2, b"\r")]


def test_lines_are_counted_by_file(path: str) -> None:
    visit = visit_of(b"x\nxx\ny\n", b"y", b"yx", b"x\n" * 200_000)
    totals: dict[int, int] = {}
    while not visit.done:
        files, counts = visit.count(b"x", 0, 70_000)
        for file, count in zip(numbers(files), numbers(counts), strict=True):
            totals[file] = totals.get(file, 0) + count
    assert totals == {0: 2, 2: 1, 3: 200_000}


def test_files_that_are_not_wanted_are_left_out() -> None:
    store = filled(b"x0", b"x1", b"x2", b"x3")
    for files, wanted in [
        (b"\0\1\0", [1, 3]),
        (b"", [0, 1, 2, 3]),
        (b"\0\0\0\0", []),
        (b"\5\0\0\0\0\0\0\0\0", [0]),
    ]:
        assert numbers(store.visit(None, files).files()) == wanted


def test_blocks_that_are_not_wanted_are_left_out() -> None:
    store = filled(*[b"%d\n" % file * 40_000 for file in range(6)])
    size = (store.blocks + 7) // 8
    assert numbers(store.visit(b"\0" * size, None).files()) == []
    first = numbers(store.visit(b"\1" + b"\0" * (size - 1), None).files())
    assert first == [0]
    assert numbers(store.visit(b"\xff" * size, None).files()) == list(range(6))


def test_a_visit_does_not_see_what_is_put_after_it_began() -> None:
    store = filled(b"x0\n")
    visit = store.visit(None, None)
    store.put(1, b"x1\n")
    store.put(0, b"changed\n")
    assert rows(find(visit, b"x")) == [(0, 1, b"x0")]
    assert rows(find(store.visit(None, None), b"x")) == [(1, 1, b"x1")]


# ---- regions ----


def test_regions_make_up_the_whole_and_are_of_one_kind() -> None:
    texts = [b"ascii\n" * 20_000, "é\n".encode() * 20_000, b"more\n", b"and more\n"]
    visit = visit_of(*texts)
    seen, kinds = b"", []
    while (found := visit.region(100_000)) is not None:
        assert found[0].readonly
        seen += bytes(found[0])
        kinds.append(found[1])
    assert visit.done
    assert seen == b"".join(texts)
    assert kinds[0] == ASCII
    assert kinds[-1] == ASCII
    assert sorted(set(kinds)) == [ASCII, UTF8]


def test_regions_may_be_of_mixed_kinds_but_what_folds_stays_alone() -> None:
    texts = [b"ascii\n", "\u00e9\n".encode(), b"\xff\n", "\u017f\n".encode(), b"more\n", "\u00e9\n".encode()]
    visit = visit_of(*texts)
    found = []
    while (region := visit.region(PLENTY, mixed=True)) is not None:
        found.append((bytes(region[0]), region[1]))
    assert found == [(b"".join(texts[:3]), INVALID), (texts[3], UTF8 | FOLDS), (b"".join(texts[4:]), UTF8)]


def test_ends_of_matches_become_lines_in_order_each_once() -> None:
    visit = visit_of(b"one\ntwo\n\nfour\n", b"five\n")
    found = visit.region(PLENTY)
    assert found is not None
    assert bytes(found[0]) == b"one\ntwo\n\nfour\nfive\n"
    ends = {
        0: (0, 1),
        1: (0, 1),
        3: (0, 1),
        4: (0, 1),
        5: (0, 2),
        8: (0, 2),
        9: (0, 3),
        10: (0, 4),
        15: (1, 1),
        19: (1, 1),
    }
    for end, (file, number) in ends.items():
        assert [row[:2] for row in rows(visit.lines_at(packed(end)))] == [(file, number)], end
    assert [row[:2] for row in rows(visit.lines_at(packed(*ends)))] == sorted(set(ends.values()))
    assert rows(visit.lines_at(packed(19, 5, 5, 1, 19))) == [(0, 1, b"one"), (0, 2, b"two"), (1, 1, b"five")]
    assert rows(visit.lines_at(b"")) == []


def test_the_others_are_all_lines_of_the_region_that_are_not_there() -> None:
    visit = visit_of(b"one\ntwo\n\nfour\n", b"five\n")
    visit.region(PLENTY)
    some = visit.lines_at(packed(5, 19))
    assert [row[2] for row in rows(visit.others(some))] == [b"one", b"", b"four"]
    assert [row[2] for row in rows(visit.others(visit.others(some)))] == [b"two", b"five"]
    assert len(visit.others(visit.lines_at(b""))) == 5


def test_numbers_in_a_region_go_on_where_its_segments_begin() -> None:
    text = b"".join(b"%d\n" % number for number in range(1, 40_001))
    visit = visit_of(text)
    found = []
    while (region := visit.region(1)) is not None:
        found += rows(visit.lines_at(packed(*range(len(region[0])))))
    assert found == [(0, number, b"%d" % number) for number in range(1, 40_001)]


def test_what_folds_is_left_to_regions() -> None:
    store = filled(b"ask\n", "a\u017fk\n".encode(), b"ask again\n")
    visit = store.visit(None, None)
    assert rows(find(visit, b"ask", CASELESS | PLAIN_ONLY)) == [(0, 1, b"ask")]
    assert visit.at_folds
    assert rows(find(visit, b"ask", CASELESS | PLAIN_ONLY)) == []
    region = visit.region(PLENTY)
    assert region is not None
    assert (bytes(region[0]), region[1]) == ("a\u017fk\n".encode(), UTF8 | FOLDS)
    assert not visit.at_folds
    assert rows(find(visit, b"ask", CASELESS | PLAIN_ONLY)) == [(2, 1, b"ask again")]
    assert visit.done


def test_counting_leaves_what_folds_to_regions_too() -> None:
    store = filled(b"ask\nask\n", "a\u017fk\n".encode(), b"ask again\n")
    visit = store.visit(None, None)
    files, counts = visit.count(b"ask", CASELESS | PLAIN_ONLY, PLENTY)
    assert (list(memoryview(files).cast("I")), list(memoryview(counts).cast("I"))) == ([0], [2])
    assert visit.at_folds
    assert visit.region(PLENTY) is not None
    files, counts = visit.count(b"ask", CASELESS | PLAIN_ONLY, PLENTY)
    assert (list(memoryview(files).cast("I")), list(memoryview(counts).cast("I"))) == ([2], [1])
    assert visit.done


# ---- files ----


def test_files_are_given_whole() -> None:
    texts = [b"a\nb", b"", b"x\n" * 100_000, b"\n"]
    visit = visit_of(*texts)
    seen = {}
    while (found := visit.file()) is not None:
        seen[found[0]] = bytes(found[1])
    assert visit.done
    assert seen == {0: texts[0], 2: texts[2], 3: texts[3]}


@pytest.mark.parametrize(
    ("spans", "lines"),
    [
        ([], []),
        ([(0, 1)], [(1, b"one")]),
        ([(0, 3)], [(1, b"one")]),
        ([(0, 4)], [(1, b"one")]),
        ([(0, 5)], [(1, b"one\ntwo")]),
        ([(3, 3)], [(1, b"one")]),
        ([(4, 4)], [(2, b"two")]),
        ([(0, 1), (2, 3), (4, 5)], [(1, b"one"), (2, b"two")]),
        ([(0, 1), (2, 5), (6, 7)], [(1, b"one\ntwo")]),
        ([(1, 9), (2, 3)], [(1, b"one\ntwo\n")]),
        ([(8, 8)], [(3, b"")]),
        ([(8, 9), (9, 13)], [(3, b""), (4, b"four")]),
        ([(14, 14)], [(4, b"four")]),
        ([(13, 14), (14, 14)], [(4, b"four")]),
    ],
)
def test_spans_become_the_lines_that_they_touch(
    spans: list[tuple[int, int]], lines: list[tuple[int, bytes]]
) -> None:
    visit = visit_of(b"zero\n", b"one\ntwo\n\nfour\n")
    visit.file()
    visit.file()
    hits = visit.spans(packed(*[offset for span in spans for offset in span]))
    assert rows(hits) == [(1, number, line) for number, line in lines]


def test_the_context_of_several_lines_has_the_right_numbers() -> None:
    visit = visit_of(b"1\n2\n3\n4\n5\n6\n")
    visit.file()
    hits = visit.spans(packed(2, 7))
    assert context(hits, 1, 1) == [(0, 1, 0, b"1"), (0, 2, 1, b"2\n3\n4"), (0, 5, 0, b"5")]


def test_spans_stay_with_their_file_when_the_tables_grow() -> None:
    store = filled(b"one\ntwo\n")
    visit = store.visit(None, None)
    visit.file()
    for file in range(1, 500):
        store.put(file, b"more\n")
    assert rows(visit.spans(packed(4, 5))) == [(0, 2, b"two")]


# ---- hits ----


def test_some_hits_are_kept() -> None:
    hits = find(visit_of(b"a1\na2\na3\n"), b"a")
    assert [row[1] for row in rows(hits.keep(b"\1\0\7"))] == [1, 3]
    assert [row[1] for row in rows(hits.keep(bytearray(3)))] == []
    assert [row[1] for row in rows(hits.limit(2))] == [1, 2]
    assert len(hits.limit(0)) == 0
    assert len(hits.limit(10**30)) == 3


def test_hits_are_kept_by_what_they_contain(path: str) -> None:
    hits = find(visit_of(b"a Cat\na cats\na dog\n", b"a cat\na cat\n"), b"a")
    assert [row[:2] for row in rows(hits.containing(b"cat", 0, True))] == [(0, 2), (1, 1), (1, 2)]
    assert [row[:2] for row in rows(hits.containing(b"cat", WORD | CASELESS, wanted=True))] == [
        (0, 1),
        (1, 1),
        (1, 2),
    ]
    assert [row[:2] for row in rows(hits.containing(b"cat", CASELESS, wanted=False))] == [(0, 3)]
    assert [row[:2] for row in rows(hits.containing(b"cat", FIRST_ONLY, True))] == [(0, 2), (1, 1)]


def test_hits_are_joined() -> None:
    visit = visit_of(b"a\nb\nc\n")
    one, two, three = visit.all_lines(PLENTY, 1), visit.all_lines(PLENTY, 1), visit.all_lines(PLENTY, 1)
    assert [row[2] for row in rows(one.joined([two, three]))] == [b"a", b"b", b"c"]
    assert [row[2] for row in rows(one.joined([]))] == [b"a"]


def test_lines_beyond_ascii_are_marked() -> None:
    hits = visit_of("a\né\n\n".encode() + b"\xff" * 100).all_lines(PLENTY, PLENTY)
    assert hits.not_ascii() == b"\0\1\0\1"


def test_context_comes_once_and_never_from_another_file() -> None:
    hits = find(visit_of(b"1\n2\nx3\n4\n5\n6\nx7\nx8\n9\n", b"1\nx2\n3\n"), b"x")
    assert context(hits, 1, 1) == [
        (0, 2, 0, b"2"), (0, 3, 1, b"x3"), (0, 4, 0, b"4"), (0, 6, 0, b"6"), (0, 7, 1, b"x7"), (0, 8, 1, b"x8"),
        (0, 9, 0, b"9"), (1, 1, 0, b"1"), (1, 2, 1, b"x2"), (1, 3, 0, b"3"),
    ]  # fmt: skip
    assert [row[1] for row in context(hits, 2, 2)] == [*range(1, 10), 1, 2, 3]
    assert [row[1] for row in context(hits, 10**30, 0)] == [1, 2, 3, 4, 5, 6, 7, 8, 1, 2]
    assert [row[1] for row in context(hits, 0, 3)] == [3, 4, 5, 6, 7, 8, 9, 2, 3]


def test_hits_outlive_everything_else() -> None:
    hits = find(visit_of(b"one\ntwo\n"), b"t")
    gc.collect()
    assert hits.lines() == [b"two"]


# ---- bad input ----


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda visit: visit.find(b"", 0, 1, 1), "needle is b''; it must be part of one line"),
        (lambda visit: visit.find(b"a\nb", 0, 1, 1), "without a newline"),
        (lambda visit: visit.find(b"a", 16, 1, 1), "flags is 16"),
        (lambda visit: visit.find(b"a", -1, 1, 1), "flags is -1"),
        (lambda visit: visit.find(b"a", 0, 0, 1), "most_bytes is 0; it must be 1 or more"),
        (lambda visit: visit.find(b"a", 0, 1, 0), "most_lines is 0"),
        (lambda visit: visit.count(b"", 0, 1), "needle is"),
        (lambda visit: visit.count(b"a", 16, 1), "flags is 16; here it is made of"),
        (lambda visit: visit.count(b"a", 0, -7), "most_bytes is -7"),
        (lambda visit: visit.all_lines(0, 1), "most_bytes is 0"),
        (lambda visit: visit.region(-1), "most_bytes is -1"),
        (lambda visit: visit.lines_at(b""), "no present region"),
        (lambda visit: visit.spans(b""), "no present file"),
        (lambda visit: (visit.region(1), visit.lines_at(b"123")), "ends has 3 bytes"),
        (
            lambda visit: (visit.region(1), visit.lines_at(packed(9))),
            "end 0 is 9; the present region ends at 8",
        ),
        (lambda visit: (visit.region(1), visit.file()), "gone over by file"),
        (lambda visit: (visit.file(), visit.find(b"a", 0, 1, 1)), "gone over by file"),
        (lambda visit: (visit.all_lines(1, 1), visit.region(1)), "stands within a segment"),
        (lambda visit: (visit.file(), visit.spans(packed(1))), "spans has 4 bytes"),
        (lambda visit: (visit.file(), visit.spans(packed(2, 1))), r"span 0 is \(2, 1\)"),
        (lambda visit: (visit.file(), visit.spans(packed(0, 9))), "the present file has 8 bytes"),
        (lambda visit: (visit.file(), visit.spans(packed(2, 3, 0, 1))), "in order"),
        (lambda visit: (visit.close(), visit.find(b"a", 0, 1, 1)), "closed"),
        (lambda visit: (visit.close(), visit.region(1)), "closed"),
        (lambda visit: (visit.close(), visit.file()), "closed"),
        (lambda visit: (visit.close(), visit.files()), "closed"),
        (lambda visit: find(visit, b"e").keep(b"\1"), "mask has 1 bytes; it must have one for each of 2"),
        (lambda visit: find(visit, b"e").limit(-1), "most_lines is -1"),
        (lambda visit: find(visit, b"e").columns(-1, 0), "before is -1"),
        (lambda visit: find(visit, b"e").columns(0, -1), "after is -1"),
        (lambda visit: find(visit, b"e").containing(b"", 0, True), "needle is"),
        (lambda visit: find(visit, b"e").joined([1]), "others must be a list of hits"),
        (lambda visit: find(visit, b"e").joined([find(visit_of(b"e"), b"e")]), "of the same store"),
        (
            lambda visit: (visit.region(1), visit.others(find(visit_of(b"e"), b"e"))),
            "lines of the present region",
        ),
    ],
)
def test_a_wrong_value_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(visit_of(b"one\nthe\n"))


def test_hits_of_another_region_or_out_of_order_are_refused() -> None:
    visit = visit_of(b"a\n" * 50_000)
    visit.region(1)
    first = visit.lines_at(packed(1, 3))
    with pytest.raises(ValueError, match="in order"):
        visit.others(first.joined([first]))
    visit.region(1)
    with pytest.raises(ValueError, match="present region"):
        visit.others(first)


def test_a_line_that_is_not_there_is_an_index_error() -> None:
    hits = find(visit_of(b"e"), b"e")
    with pytest.raises(IndexError, match="index is 1, but there are 1 lines"):
        hits.line(1)
    with pytest.raises(ValueError, match="index is -1"):
        hits.line(-1)


def test_a_closed_visit_is_done_and_can_be_closed_again() -> None:
    visit = visit_of(b"e")
    visit.close()
    visit.close()
    assert visit.done


def test_a_view_cannot_be_written_to() -> None:
    found = visit_of(b"text").file()
    assert found is not None
    with pytest.raises(TypeError):
        found[1][0] = 0
