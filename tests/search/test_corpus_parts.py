"""Pieces, decoding, and the record of what was skipped."""

from __future__ import annotations

import codecs
import errno
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyhands.errors import UsageError
from manyhands.search.corpus import skipped as why
from manyhands.search.corpus.decode import decode, has_mark, is_binary
from manyhands.search.corpus.pieces import FILE_COST_BYTES, Piece, split
from manyhands.search.corpus.skipped import Skipped, reason_of


@given(st.lists(st.integers(0, 10**9), max_size=50), st.integers(1, 12))
def test_pieces_cover_all_files_without_a_gap(sizes: list[int], shards: int) -> None:
    pieces = split([b""] * len(sizes), sizes, shards)
    assert [pieces[0].first, *(piece.stop for piece in pieces)] == [
        *(piece.first for piece in pieces),
        len(sizes),
    ]
    assert len(pieces) == max(1, min(shards, len(sizes)))
    assert all(pieces) or not sizes
    assert sum(piece.size_bytes for piece in pieces) == sum(sizes)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=200), st.integers(1, 8))
def test_no_piece_is_heavier_than_its_share_by_more_than_the_largest_file(
    sizes: list[int], shards: int
) -> None:
    pieces = split([b""] * len(sizes), sizes, shards)
    costs = [piece.size_bytes + FILE_COST_BYTES * len(piece) for piece in pieces]
    assert max(costs) <= sum(costs) / len(pieces) + max(sizes) + FILE_COST_BYTES + 1


def test_many_small_files_weigh_as_much_as_a_large_one() -> None:
    sizes = [0] * 100 + [100 * FILE_COST_BYTES]
    assert split([b""] * 101, sizes, 2) == [Piece(0, 100, 0), Piece(100, 101, 100 * FILE_COST_BYTES)]


def test_without_sizes_files_are_dealt_by_number() -> None:
    assert [len(piece) for piece in split([b""] * 9, None, 3)] == [3, 3, 3]


def test_pieces_of_nothing_are_one_empty_piece() -> None:
    assert split([], [], 4) == [Piece(0, 0, 0)]


def test_senseless_shares_are_refused() -> None:
    with pytest.raises(UsageError, match="shards is 0"):
        split([], [], 0)
    with pytest.raises(UsageError, match="1 numbers for 2 files"):
        split([b"a", b"b"], [1], 1)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-8"])
def test_marked_text_becomes_utf8_without_its_mark(encoding: str) -> None:
    data = "\ufeffgrüße 🎉\n".encode(encoding)
    assert has_mark(data)
    assert decode(data) == "grüße 🎉\n".encode()


def test_text_without_a_mark_stays_as_it_is() -> None:
    assert decode(b"\xffabc") == b"\xffabc"
    assert not has_mark(b"\xffabc")


@pytest.mark.parametrize("data", [codecs.BOM_UTF16_LE + b"a", codecs.BOM_UTF16_BE + b"\xd8\x00\x00a"])
def test_a_broken_promise_of_utf16_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="utf-16"):
        decode(data)


def test_a_utf8_mark_promises_nothing() -> None:
    assert decode(codecs.BOM_UTF8 + b"\xff\n") == b"\xff\n"


def test_a_nul_near_the_beginning_makes_a_file_binary() -> None:
    assert is_binary(b"x" * 8191 + b"\0")
    assert not is_binary(b"x" * 8192 + b"\0")


def test_skipped_counts_lists_and_merges() -> None:
    one, other = Skipped(), Skipped()
    one.add(b"b", why.BINARY)
    other.add_error(b"a", errno.EACCES)
    other.tally(why.IGNORED_FILE, 1200)
    one.merge(other)
    one.sort()
    assert list(one) == [(b"a", why.NO_PERMISSION, ""), (b"b", why.BINARY, "")]
    assert str(one) == "1 binary, 1 no permission, 1,200 ignored file"
    assert pickle.loads(pickle.dumps(one)) == one


def test_nothing_skipped_is_false_and_empty() -> None:
    assert not Skipped()
    assert str(Skipped()) == ""


def test_a_failed_read_says_what_the_system_said() -> None:
    assert reason_of(errno.EIO) == (why.READ_ERROR, "Input/output error")
    assert reason_of(errno.ENOENT) == (why.VANISHED, "")
