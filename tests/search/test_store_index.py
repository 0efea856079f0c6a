"""The native store's index: what it leaves out cannot have the literal, and it leaves out most of the rest."""

from __future__ import annotations

import random

import pytest

from manyhands import _search
from manyhands._search import Store

BLOCK = 64 << 10
PLENTY = 1 << 40


def bits(packed: bytes) -> set[int]:
    number = int.from_bytes(packed, "little")
    return {place for place in range(number.bit_length()) if number >> place & 1}


def noise(seed: int, size_bytes: int) -> bytes:
    """Words that no other seed has."""
    source = random.Random(seed)
    words = ["".join(source.choices("bcdfghjklmnpqrtvwxyz", k=6)) for _ in range(400)]
    return b"".join(
        " ".join(source.choices(words, k=8)).encode() + b"\n" for _ in range(size_bytes // 56 + 1)
    )


def indexed(*texts: bytes) -> Store:
    store = Store()
    for file, text in enumerate(texts):
        store.put(file, text)
    assert store.index(PLENTY) == 0
    assert store.indexed == store.blocks
    return store


def files_with(store: Store, literal: bytes, folds: bool = False) -> list[int]:
    return list(memoryview(store.visit(store.candidates(literal, folds), None).files()).cast("I"))


def test_only_the_blocks_that_have_the_literal_are_named() -> None:
    store = indexed(*[noise(seed, BLOCK) + b"mark%dmark\n" % (seed % 7) for seed in range(100)])
    for number in range(7):
        files = files_with(store, b"mark%dmark" % number)
        assert set(files) >= set(range(number, 100, 7))
        assert len(files) < 60
    assert len(files_with(store, b"no such words")) < 5


@pytest.mark.parametrize("path", [0, 1])
def test_case_makes_no_difference(path: int) -> None:
    _search._force_path(path)
    try:
        store = indexed(noise(1, 10 * BLOCK), b"A Needle Or 2[\n")
    finally:
        _search._force_path(0)
    for literal in (b"needle", b"NEEDLE", b"Or 2[", b"oR 2[", b"a n", b"A N", b" 2["):
        assert 1 in files_with(store, literal), literal


def test_literals_of_three_letters_have_an_index_of_their_own() -> None:
    texts = [noise(seed, 4 * BLOCK) for seed in range(24)]
    texts[13] += b"#@!\n"
    store = indexed(*texts)
    files = files_with(store, b"#@!")
    assert 13 in files
    assert len(files) < 10


def marked(place: int) -> bytes:
    """Three bytes that are in no noise, and differ."""
    return b"%c%c!" % (48 + place // 10, 48 + place % 10)


def test_every_block_is_found_by_three_letters() -> None:
    store = indexed(*[noise(0, BLOCK) + marked(place) + b"\n" for place in range(99)])
    for place in range(99):
        assert place in files_with(store, marked(place))


def test_three_letters_find_the_neighbours_of_a_block_that_is_used_again() -> None:
    store = indexed(*[b"x" * BLOCK + marked(place) + b"\n" for place in range(12)])
    assert store.blocks == 12
    for place in (1, 6, 7):
        store.remove(place)
    for place in (1, 6, 7):
        store.put(place, b"y" * BLOCK + marked(place + 50) + b"\n")
    assert store.blocks == 12
    assert store.index(PLENTY) == 0
    for place in range(12):
        assert place in files_with(store, marked(place + 50 if place in (1, 6, 7) else place))


@pytest.mark.parametrize("literal", [b"", b"a", b"ab", b"\n", b"a\nb", "é".encode()])
def test_short_literals_name_all_blocks_that_live(literal: bytes) -> None:
    store = indexed(*[noise(seed, BLOCK) for seed in range(5)])
    store.remove(2)
    living = bits(store.candidates(b"", False))
    assert len(living) >= 4
    assert bits(store.candidates(literal, True)) == living


def test_a_literal_with_a_newline_is_looked_for_by_its_rarest_part() -> None:
    texts = [noise(seed, BLOCK) + b"end of all\nbegin\n" for seed in range(50)]
    texts[20] = texts[20].replace(b"begin", b"quite something else")
    store = indexed(*texts)
    assert 20 in files_with(store, b"end of all\nquite something else")
    assert len(files_with(store, b"end of all\nquite something else")) < 10
    assert 20 in files_with(store, b"quite something else\n")


def test_a_literal_across_two_blocks_is_not_missed() -> None:
    lines = noise(3, 3 * BLOCK).splitlines()
    store = indexed(b"\n".join(lines))
    for place in range(len(lines) - 1):
        assert files_with(store, lines[place] + b"\n" + lines[place + 1]) == [0]


def test_what_folds_is_found_in_either_form() -> None:
    store = indexed(noise(1, 4 * BLOCK), noise(2, BLOCK) + "a\u017fynchronou\u017f \u212aernel\n".encode())
    for literal in (b"asynchronous", b"SYNCHRONOUS KERNEL", b" ker", b"kernel"):
        assert 1 in files_with(store, literal, folds=True), literal
    assert 1 in files_with(store, "a\u017fynchronou".encode(), folds=True)
    assert 1 in files_with(store, "\u017fynchronou\u017f".encode(), folds=False)
    assert 1 in files_with(store, "ASYNCHRONOU\u017f".encode(), folds=True)


def test_letters_beyond_ascii_are_used_when_nothing_folds() -> None:
    texts = [noise(seed, BLOCK) for seed in range(60)]
    texts[30] += "Äpfel über Öl\n".encode()
    store = indexed(*texts)
    assert 30 in files_with(store, "äpfel"[1:].encode(), folds=False)
    assert 30 in files_with(store, "über Öl".encode(), folds=False)
    assert len(files_with(store, "über Öl".encode(), folds=False)) < 10
    assert 30 in files_with(store, "Über öL".encode(), folds=True)


def test_blocks_that_are_not_indexed_are_always_named() -> None:
    store = indexed(*[noise(seed, BLOCK) for seed in range(10)])
    before = bits(store.candidates(b"unheard of", False))
    store.put(10, noise(10, 3 * BLOCK))
    assert store.indexed < store.blocks
    assert 10 in files_with(store, b"unheard of")
    assert store.index(PLENTY) == 0
    assert bits(store.candidates(b"unheard of", False)) <= before | set(range(store.blocks - 4, store.blocks))
    assert 10 not in files_with(store, b"unheard of at any time")


def test_the_index_is_made_a_little_at_a_time() -> None:
    store = Store()
    for seed in range(30):
        store.put(seed, noise(seed, BLOCK) + b"mark%d\n" % seed)
    assert store.index(0) == store.blocks
    left = store.blocks
    while left:
        assert store.index(1) < left
        left = store.index(0)
        assert store.indexed == store.blocks - left
        assert all(seed in files_with(store, b"mark%d" % seed) for seed in range(30))
    assert len(files_with(store, b"mark11")) < 10
    store.check()


def test_text_that_is_added_to_a_block_is_added_to_the_index() -> None:
    store = indexed(b"first words\n")
    for file in range(1, 20):
        store.put(file, b"word number %d here\n" % file)
        assert files_with(store, b"number %d here" % file)
        store.index(PLENTY)
        assert file in files_with(store, b"number %d here" % file)
    assert store.blocks == 1


def test_a_block_that_is_used_again_forgets_what_it_had() -> None:
    store = indexed(*[noise(seed, BLOCK) for seed in range(40)])
    blocks = store.blocks
    literals = {seed: noise(seed, 100).split()[0] for seed in range(80)}
    for seed in range(40):
        store.remove(seed)
    for seed in range(40, 80):
        store.put(seed, noise(seed, BLOCK))
    assert store.blocks == blocks
    store.index(PLENTY)
    for seed in range(40, 80):
        assert seed in files_with(store, literals[seed])
    gone = [len(files_with(store, noise(seed, 400)[:30].split(b"\n")[0])) for seed in range(40)]
    assert sum(gone) < 40


def test_dead_blocks_are_not_named() -> None:
    store = indexed(*[noise(seed, BLOCK) for seed in range(8)])
    for seed in range(8):
        store.remove(seed)
    assert bits(store.candidates(b"", False)) == set()
    assert bits(store.candidates(b"anything", False)) == set()


def test_a_long_literal_is_found() -> None:
    text = noise(5, BLOCK)
    store = indexed(noise(4, 4 * BLOCK), text)
    line = text.splitlines()[100]
    assert files_with(store, line) == [1]
    assert 1 in files_with(store, line + b"\n" + text.splitlines()[101])


def test_an_index_of_many_groups_finds_what_is_in_each() -> None:
    store = Store()
    words = {}
    for seed in range(700):  # more than a group of 64 and one of 512 blocks
        words[seed] = b"unique%dword" % (seed * 7919)
        store.put(seed, noise(seed % 5, BLOCK) + words[seed] + b"\n")
    store.index(PLENTY)
    for seed in range(0, 700, 23):
        files = files_with(store, words[seed])
        assert seed in files
        assert len(files) < 350
    assert store.memory_bytes < 1.35 * store.text_bytes
    store.check()
