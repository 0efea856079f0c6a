"""The native store: what is put in comes out, what dies leaves room, and bad input is told what was wrong with it."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable

import pytest

from manyhands import _search
from manyhands._search import ASCII, FOLDS, INVALID, UTF8, Store

BLOCK = 64 << 10
PLENTY = 1 << 40


def numbers(packed: bytes) -> list[int]:
    return list(memoryview(packed).cast("I"))


def lines_of(text: bytes) -> list[bytes]:
    return text.removesuffix(b"\n").split(b"\n") if text else []


def filled(*texts: bytes) -> Store:
    store = Store()
    for file, text in enumerate(texts):
        store.put(file, text)
    return store


def everything(
    store: Store, blocks: bytes | None = None, files: bytes | None = None
) -> list[tuple[int, bytes]]:
    visit = store.visit(blocks, files)
    hits = visit.all_lines(PLENTY, PLENTY)
    assert visit.done
    return list(zip(numbers(hits.files()), hits.lines(), strict=True))


def paragraph(seed: int, size_bytes: int) -> bytes:
    line = b"paragraph %d of the text, which goes on and on\n" % seed
    return line * (size_bytes // len(line) + 1)


# ---- text ----


@pytest.mark.parametrize(
    "text", [b"", b"\n", b"a", b"a\n", b"a\n\n", b"\na", b"a\r\nb\r\n", b"\0\xff\n\0", b"x" * 300_000]
)
def test_a_text_comes_out_as_it_was_put_in(text: bytes) -> None:
    store = filled(text)
    assert store.text(0) == text
    assert (store.files, store.text_bytes) == (1, len(text))
    store.check()


def test_a_file_that_was_never_put_has_no_text() -> None:
    store = filled(b"a")
    assert store.text(1) is None
    assert store.text(2**31 - 1) is None


def test_any_buffer_can_be_put() -> None:
    store = Store()
    store.put(0, bytearray(b"one"))
    store.put(1, memoryview(b"--two--")[2:5])
    store.put(2, array("H", [0x6161, 0x6262]))
    assert [store.text(file) for file in range(3)] == [b"one", b"two", b"aabb"]


def test_putting_a_file_again_lets_its_old_text_die() -> None:
    store = filled(b"old\n", b"other\n")
    store.put(0, b"new")
    assert store.text(0) == b"new"
    assert (store.files, store.text_bytes) == (2, 9)
    assert everything(store) == [(0, b"new"), (1, b"other")]


def test_a_removed_file_is_gone_and_says_so() -> None:
    store = filled(b"a\n", b"b\n")
    assert store.remove(0)
    assert not store.remove(0)
    assert not store.remove(7)
    assert store.text(0) is None
    assert everything(store) == [(1, b"b")]
    assert (store.files, store.text_bytes) == (1, 2)


def test_file_numbers_may_be_far_apart() -> None:
    store = Store()
    store.put(3_000_000, b"far\n")
    store.put(5, b"near\n")
    assert everything(store) == [(5, b"near"), (3_000_000, b"far")]
    store.check()


def test_a_long_text_is_cut_into_blocks_at_line_ends() -> None:
    text = paragraph(1, 5 * BLOCK)
    store = filled(text)
    assert store.blocks == 5 or store.blocks == 6
    assert everything(store) == [(0, line) for line in lines_of(text)]
    store.check()


def test_a_line_longer_than_a_block_stays_whole() -> None:
    long = b"x" * (3 * BLOCK)
    store = filled(b"before\n" + long + b"\nafter\n")
    assert everything(store) == [(0, b"before"), (0, long), (0, b"after")]
    store.check()


def test_small_files_share_a_block() -> None:
    store = filled(*[b"small\n"] * 1000)
    assert store.blocks == 1
    store.check()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b"plain\n", ASCII),
        (b"", ASCII),
        ("häßlich".encode(), UTF8),
        ("日本語 \U0001f600".encode(), UTF8),
        ("été".encode("latin-1"), INVALID),
        (b"\xc0\x80", INVALID),
        (b"\xed\xa0\x80", INVALID),
        (b"\xf4\x90\x80\x80", INVALID),
        (b"\xe0\x9f\xbf", INVALID),
        (b"\xe2\x84", INVALID),
        (b"\x80", INVALID),
        ("\u017f".encode(), UTF8 | FOLDS),
        ("5 \u212a".encode(), UTF8 | FOLDS),
        (b"\xff" + "\u017f".encode(), INVALID | FOLDS),
        (b"a" * 5000 + "\u017f".encode(), UTF8 | FOLDS),
    ],
)
def test_the_kind_of_a_text(text: bytes, kind: int) -> None:
    assert filled(text).kind(0) == kind


def test_every_code_point_is_valid_and_the_kind_is_the_worst_of_all_parts() -> None:
    points = [*range(1, 0xD800), *range(0xE000, 0x110000)]
    text = "".join(map(chr, points)).encode()
    assert filled(text).kind(0) == UTF8 | FOLDS
    assert filled(text + b"\n\xff").kind(0) == INVALID | FOLDS


# ---- order ----


def test_visits_go_in_the_order_of_ranks() -> None:
    store = filled(b"a\n", b"b\n", b"c\n", b"d\n")
    store.set_ranks(array("I", [30, 20, 10]))
    assert [file for file, _ in everything(store)] == [2, 1, 0, 3]


def test_equal_ranks_go_in_the_order_of_numbers_and_new_files_come_last() -> None:
    store = filled(b"a\n", b"b\n", b"c\n")
    store.set_ranks(array("I", [5, 5, 1]))
    store.put(9, b"j\n")
    store.put(4, b"e\n")
    assert [file for file, _ in everything(store)] == [2, 0, 1, 4, 9]


def test_ranks_order_visits_of_few_blocks_too() -> None:
    store = filled(*[paragraph(file, BLOCK) for file in range(40)])
    store.set_ranks(array("I", range(40, 0, -1)))
    few = bytearray((store.blocks + 7) // 8)
    few[0] = few[2] = 0b1000
    files = [file for file, _ in everything(store, bytes(few))]
    assert files == sorted(files, reverse=True)
    assert 1 < len(set(files)) < 7


def test_ranks_may_be_more_than_the_files() -> None:
    store = filled(b"a\n", b"b\n")
    store.set_ranks(array("I", [2, 1, 0, 0, 0]))
    assert [file for file, _ in everything(store)] == [1, 0]


def test_the_numbers_of_all_files_come_in_the_same_order() -> None:
    store = filled(b"a\n", b"", b"c\n", b"d\n")
    store.remove(3)
    store.put(6, b"")
    assert numbers(store.numbers()) == [0, 1, 2, 6]
    store.set_ranks(array("I", [3, 2, 1]))
    assert numbers(store.numbers()) == [2, 1, 0, 6]
    assert numbers(Store().numbers()) == []


# ---- death ----


def churn(store: Store, rounds: int) -> None:
    """Put the same few files again and again."""
    for turn in range(rounds):
        for file in range(8):
            store.put(file, paragraph(turn, 20_000))


def test_the_room_of_the_dead_is_used_again() -> None:
    store = Store()
    churn(store, 200)
    assert store.memory_bytes < 200 * 8 * 20_000 / 5
    store.check()


def test_nothing_dead_is_overwritten_while_a_visit_is_open() -> None:
    store = filled(*[paragraph(file, BLOCK) for file in range(8)])
    expected = everything(store)
    visit = store.visit(None, None)
    churn(store, 10)
    hits = visit.all_lines(PLENTY, PLENTY)
    assert list(zip(numbers(hits.files()), hits.lines(), strict=True)) == expected
    store.check()


@pytest.mark.parametrize("holder", ["hits", "region", "file"])
def test_hits_and_views_hold_the_text_after_their_visit_is_closed(holder: str) -> None:
    text = paragraph(7, BLOCK)
    store = filled(text)
    visit = store.visit(None, None)
    held = {
        "hits": lambda: visit.all_lines(PLENTY, PLENTY),
        "region": lambda: visit.region(PLENTY),
        "file": visit.file,
    }[holder]()
    visit.close()
    store.remove(0)
    for turn in range(8):
        store.put(turn, paragraph(8, BLOCK))
    if holder == "hits":
        assert b"\n".join(held.lines()) + b"\n" == text
    else:
        assert bytes(held[holder == "file"]).startswith(text[:1000])
    store.check()
    del held
    store.check()
    assert everything(store)


def test_when_the_last_holder_goes_the_dead_make_room() -> None:
    store = Store()
    visit = store.visit(None, None)
    churn(store, 20)
    held = store.blocks
    visit.close()
    churn(store, 20)
    assert store.blocks <= held + 4


def test_tidying_moves_what_lives_out_of_sparse_blocks() -> None:
    store = filled(*[b"%d\n" % file * 1000 for file in range(400)])
    for file in range(400):
        if file % 8:
            store.remove(file)
    expected = everything(store)
    moved = 0
    while step := store.tidy(100_000):
        assert step <= 100_000
        moved += step
        store.check()
    assert moved > 0
    assert everything(store) == expected
    before = store.memory_bytes
    for file in range(400):
        if file % 8:
            store.put(file, b"%d\n" % file * 700)
    assert store.memory_bytes < before * 1.2
    store.check()


def test_nothing_is_moved_while_little_is_dead_or_a_visit_is_open() -> None:
    store = filled(*[paragraph(file, 3000) for file in range(100)])
    store.remove(3)
    assert store.tidy(PLENTY) == 0
    for file in range(0, 100, 2):
        store.remove(file)
    visit = store.visit(None, None)
    assert store.tidy(PLENTY) == 0
    visit.close()
    assert store.tidy(PLENTY) > 0


def test_a_store_can_be_emptied_and_filled_again() -> None:
    store = filled(*[paragraph(file, BLOCK) for file in range(20)])
    for file in range(20):
        store.remove(file)
    assert (store.files, store.text_bytes, everything(store)) == (0, 0, [])
    store.check()
    blocks = store.blocks
    for file in range(20):
        store.put(file, paragraph(file, BLOCK))
    assert store.blocks == blocks
    store.check()


# ---- bad input ----


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda store: store.put(-1, b""), r"file is -1; it must be 0 or more"),
        (lambda store: store.put(2**31, b""), r"file is 2147483648; file numbers are below 2\*\*31"),
        (lambda store: store.put(2**80, b""), r"file numbers are below"),
        (lambda store: store.text(-5), r"file is -5"),
        (lambda store: store.kind(3), r"file 3 has no text"),
        (lambda store: store.set_ranks(b"123"), r"ranks has 3 bytes"),
        (lambda store: store.tidy(-1), r"most_bytes is -1"),
        (lambda store: store.index(-1), r"most_blocks is -1"),
        (
            lambda store: store.visit(b"\xff\xff", None),
            r"blocks has 2 bytes; a bit for each of 1 blocks is 1 bytes",
        ),
        (lambda store: store.read(0, b"/", 1), r"file 0 has a text; remove it"),
        (lambda store: store.read(9, b"", 1), r"path is b''"),
        (lambda store: store.read(9, b"a\0b", 1), r"has no NUL"),
        (lambda store: store.read_many(b"/", 0, [b"x"], 1), r"file 0 has a text"),
        (lambda store: store.read_many(b"/", 2**31 - 1, [b"x", b"y"], 1), r"beyond 2\*\*31"),
        (lambda store: store.read_many(b"", 5, [], 1), r"root is b''"),
        (lambda store: _search._force_path(4), r"no path 4"),
    ],
)
def test_a_wrong_value_is_named(call, message: str) -> None:
    store = filled(b"text\n")
    with pytest.raises(ValueError, match=message):
        call(store)
    store.check()
    assert store.text(0) == b"text\n"


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.put(0, "text"),
        lambda store: store.put("0", b"text"),
        lambda store: store.candidates("text", False),
        lambda store: store.read(1, "path", 1),
        lambda store: store.read_many(b"/", 1, ["name"], 1),
        lambda store: store.visit(1, None),
        lambda store: store.visit(None, None).find("text", 0, 1, 1),
        lambda store: type(store.visit(None, None))(),
        lambda store: Store(1),
    ],
)
def test_a_wrong_type_is_refused(call) -> None:
    with pytest.raises(TypeError):
        call(filled(b"text\n"))


def refusals(store: Store, ended: Callable[[], bool]) -> list[str]:
    """What a thread that asks again and again is told, until a call of another thread has ended."""
    told = []
    while not ended():
        try:
            store.files  # noqa: B018
        except RuntimeError as error:
            told.append(str(error))
    return told


def test_a_second_thread_is_refused_while_a_call_is_at_work(background) -> None:
    store = filled(*[b"e\n" * (4 << 20)] * 4)
    told: list[str] = []
    while not told:  # the first thread may have been the only one that ran
        visit, counted = store.visit(None, None), threading.Event()

        def count(visit: _search.Visit = visit, counted: threading.Event = counted) -> bytes:
            found = visit.count(b"e", 0, PLENTY)[1]
            counted.set()
            return found

        result = background(count)
        told = refusals(store, counted.is_set)
        assert sum(numbers(result())) == 16 << 20
    assert set(told) == {told[0]}
    assert "from one thread at a time" in told[0]


def test_what_another_thread_lets_go_of_meanwhile_makes_room_afterwards(background) -> None:
    store = filled(*[b"e\n" * (4 << 20)] * 4)
    held = [store.visit(None, None) for _ in range(10_000)]
    visit, counted = store.visit(None, None), threading.Event()
    store.remove(0)

    def count() -> None:
        visit.count(b"e", 0, PLENTY)
        counted.set()

    result = background(count)
    while held and not counted.is_set():
        del held[-1]
    result()
    held.clear()
    visit.close()
    store.check()
    blocks = store.blocks
    store.put(0, b"e\n" * (4 << 20))
    assert store.blocks == blocks


def test_a_store_without_address_space_is_a_memory_error(script) -> None:
    said = script(
        """
        import resource
        from manyhands._search import Store
        import pytest

        store = Store()
        used = int(open("/proc/self/statm").read().split()[0]) * 4096
        resource.setrlimit(resource.RLIMIT_AS, (used + (8 << 20), used + (8 << 20)))
        with pytest.raises(MemoryError, match="RLIMIT_AS"):
            Store()
        """
    )
    assert said == ""


def test_a_text_for_which_there_is_no_memory_leaves_the_store_as_it_was(script) -> None:
    said = script(
        """
        import resource
        from manyhands._search import Store
        import pytest

        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        store = Store()
        store.put(0, b"small\\n")
        line = b"a line of text\\n" * 70_000
        files = 0
        with pytest.raises(MemoryError):
            while True:
                store.put(files + 1, line)
                files += 1
        assert files > 10
        store.check()
        assert store.files == files + 1
        assert store.text(0) == b"small\\n"
        store.remove(5)
        store.remove(6)
        store.put(0, line)
        store.check()
        """
    )
    assert said == ""
