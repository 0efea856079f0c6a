"""Frames: what goes in comes out, however it is cut on the way; and what is no frame is refused."""

from __future__ import annotations

import contextlib
from array import array
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyhands.search.columns import Columns, Page
from manyhands.search.service import frames
from manyhands.search.service.frames import FrameError, Lines, read_frames
from manyhands.search.service.percent import quoted, unquoted

NAMES = [b"a.txt", b"odd\xff\n.txt", b""]


def spans_of(line: bytes) -> list[tuple[int, int]]:
    return [(at, at + 1) for at, byte in enumerate(line) if byte == ord("x")]


def page_of(rows: list[tuple[int, int, int, bytes]]) -> Page:
    """A page of (file, number, kind, line); without kinds if all are matches."""
    files, numbers, kinds, lines = zip(*rows, strict=True) if rows else ((), (), (), ())
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line))
    packed = (array("I", each).tobytes() for each in (files, numbers, offsets))
    return Page(Columns(*packed, b"" if all(kinds) else bytes(kinds), b"".join(lines)), NAMES, spans_of)


def rows_of(lines: Lines) -> list[tuple[bytes, int, bool, bytes, list[tuple[int, int]]]]:
    """Name, number, whether it matches, line and spans of each row."""
    found, start = [], 0
    for name, stop in zip(lines.names, lines.run_ends, strict=True):
        for row, line in enumerate(lines.lines(start, stop), start):
            is_match = not lines.kinds or lines.kinds[row] == 1
            found.append((name, lines.numbers[row], is_match, line, lines.spans(row)))
        start = stop
    return found


def decoded(data: bytes) -> list[Lines]:
    payloads = list(read_frames([data]))
    assert {kind for kind, _ in payloads} <= {frames.LINES}
    return [Lines(payload) for _, payload in payloads]


ROWS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(1, 2**32 - 1),
        st.integers(0, 1),
        st.binary(max_size=8).map(lambda b: b + b"x"),
    ),
    max_size=12,
)


@given(rows=ROWS, ends=st.tuples(st.integers(0, 12), st.integers(0, 12)), with_spans=st.booleans())
def test_the_rows_of_a_page_come_out_as_they_went_in(rows, ends, with_spans) -> None:
    start, stop = sorted(min(end, len(rows)) for end in ends)
    (lines,) = decoded(frames.encode_page(page_of(rows), start, stop, with_spans))
    wanted = [
        (NAMES[file], number, kind == 1, line, spans_of(line) if with_spans and kind == 1 else [])
        for file, number, kind, line in rows[start:stop]
    ]
    assert rows_of(lines) == wanted


def test_rows_of_one_file_are_one_run() -> None:
    (lines,) = decoded(
        frames.encode_page(page_of([(0, 1, 1, b"x"), (0, 2, 1, b"y"), (1, 1, 1, b"")]), 0, 3, False)
    )
    assert (lines.names, lines.run_ends) == ([NAMES[0], NAMES[1]], [2, 3])


def test_a_page_with_much_text_comes_in_several_frames(monkeypatch) -> None:
    monkeypatch.setattr(frames, "_TEXT_BYTES_MOST", 10)
    rows = [(0, number, 1, b"xxxxx") for number in range(1, 8)]
    parts = decoded(frames.encode_page(page_of(rows), 0, 7, True))
    assert len(parts) > 1
    assert [row[:2] for part in parts for row in rows_of(part)] == [
        (NAMES[0], number) for number in range(1, 8)
    ]


def test_a_frame_that_is_too_large_is_not_made(monkeypatch) -> None:
    monkeypatch.setattr(frames, "FRAME_BYTES_MOST", 10)
    with pytest.raises(FrameError, match="a frame of 11 bytes is too large; the most is 10"):
        frames.encode_diff(b"x" * 11)


# ---- the other kinds ----


@given(st.lists(st.tuples(st.binary(max_size=9), st.integers(0, 2**32 - 1)), max_size=5))
def test_counts_come_out_as_they_went_in(pairs) -> None:
    names, lines = [name for name, _ in pairs], [number for _, number in pairs]
    ((kind, payload),) = read_frames([frames.encode_counts(names, lines)])
    assert (kind, frames.decode_counts(payload)) == (frames.COUNTS, pairs)


def test_a_diff_is_as_it_is() -> None:
    assert list(read_frames([frames.encode_diff(b"--- a\xff\n")])) == [(frames.DIFF, b"--- a\xff\n")]


def test_skipped_files_come_with_their_counts() -> None:
    entries = [(b"odd\xff\n", "no permission", ""), (b"b", "read error", "caf\udce9 \u00e9")]
    skipped, end = read_frames([frames.encode_skipped(entries, {"no permission": 3, "binary": 1})])
    assert (skipped[0], frames.decode_skipped(skipped[1])) == (frames.SKIPPED, entries)
    assert frames.decode_end(end[1]) == {"count": ["no permission 3", "binary 1"]}


def test_the_end_keeps_texts_with_blanks_and_newlines() -> None:
    facts = {"complete": False, "missing": ["shard 1 died:\n 100%", "b"], "truncated_by": None, "files": 3}
    ((kind, payload),) = read_frames([frames.encode_end(facts)])
    assert kind == frames.END
    assert frames.decode_end(payload) == {
        "complete": ["false"],
        "missing": ["shard 1 died:\n 100%", "b"],
        "files": ["3"],
    }


@given(st.binary())
def test_percent_encoding_gives_back_any_bytes(raw) -> None:
    text = quoted(raw)
    assert text.isascii()
    assert text.isprintable()
    assert not {" ", "+", "&", "=", "#", "?"} & set(text)
    assert unquoted(text) == raw


@pytest.mark.parametrize("text", ["%", "%4", "a%4", "%zz", "% 4", "%4 ", "%+4"])
def test_a_percent_sign_without_two_digits_is_refused(text) -> None:
    with pytest.raises(ValueError, match="hexadecimal"):
        unquoted(text)


# ---- the way ----


@given(st.lists(st.integers(0, 60), max_size=8))
def test_frames_may_be_cut_anywhere_on_their_way(cuts) -> None:
    whole = frames.encode_diff(b"first") + frames.encode_diff(b"") + frames.encode_end({"complete": 1})
    places = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    pieces = [whole[a:b] for a, b in pairwise(places)]
    assert list(read_frames(pieces)) == [
        (frames.DIFF, b"first"),
        (frames.DIFF, b""),
        (frames.END, b"complete 1\n"),
    ]


def test_a_frame_is_given_before_the_next_piece_is_asked_for() -> None:
    def pieces():
        yield frames.encode_diff(b"first") + b"D"
        raise AssertionError("nobody needs more for the first frame")

    assert next(read_frames(pieces())) == (frames.DIFF, b"first")


@pytest.mark.parametrize("cut", range(1, 10))
def test_an_answer_that_breaks_off_inside_of_a_frame_is_refused(cut) -> None:
    with pytest.raises(FrameError, match="breaks off"):
        list(read_frames([frames.encode_diff(b"first")[:cut]]))


def test_a_frame_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(FrameError, match=r"b'H', which is no kind of frame"):
        list(read_frames([b"HTTP/1.1 200 OK\r\n"]))


def test_a_frame_that_claims_to_be_huge_is_refused_before_it_is_read() -> None:
    def pieces():
        yield b"P\xff\xff\xff\xff"
        raise AssertionError("nobody should wait for it")

    with pytest.raises(FrameError, match="4294967295 bytes; the most is"):
        list(read_frames(pieces()))


# ---- what is no frame ----

GOOD = frames.encode_page(page_of([(0, 1, 1, b"xy"), (0, 2, 0, b"y"), (1, 3, 1, b"x")]), 0, 3, True)[5:]
U32S = 4  # bytes


def altered(place: int, value: int) -> bytes:
    """The good payload with another number at a place."""
    return GOOD[: place * U32S] + value.to_bytes(U32S, "little") + GOOD[(place + 1) * U32S :]


#: Places in it: rows, runs, spans, kinds; name_ends 4-5; run_ends 6-7; numbers 8-10; offsets 11-14; span_ends 15-17.
@pytest.mark.parametrize(
    ("place", "value", "match"),
    [
        (0, 0xFFFFFFFF, "3 kinds for 4294967295 rows"),
        (0, 4, "3 kinds for 4 rows"),
        (1, 0xFFFFFFFF, "no room"),
        (1, 3, "backwards|no room|runs"),
        (2, 0xFFFFFFFE, "no room"),
        (2, 1, "spans|many|room"),
        (3, 0xFFFFFFFF, "kinds"),
        (4, 500, "backwards"),
        (5, 0xFFFFFFFF, "no room"),
        (6, 4, "backwards"),
        (7, 2, "the runs of a frame are not its rows"),
        (12, 500, "backwards"),
        (14, 0xFFFFFFFF, "no room"),
        (14, 3, "1 bytes too many"),
        (17, 1, "spans|backwards"),
    ],
)
def test_lines_whose_numbers_do_not_fit_are_refused(place, value, match) -> None:
    assert rows_of(Lines(GOOD))[0] == (NAMES[0], 1, True, b"xy", [(0, 1)])
    with pytest.raises(FrameError, match=match):
        Lines(altered(place, value))


def test_a_row_that_is_neither_match_nor_context_is_refused() -> None:
    place = GOOD.index(b"\1\0\1")
    with pytest.raises(FrameError, match="neither a match nor context"):
        Lines(GOOD[:place] + b"\1\2\1" + GOOD[place + 3 :])


@given(place=st.integers(0, len(GOOD) - 1), byte=st.integers(0, 255), cut=st.integers(0, 8))
def test_no_damage_does_more_than_to_be_refused(place, byte, cut) -> None:
    damaged = bytearray(GOOD)
    damaged[place] = byte
    try:
        rows = rows_of(Lines(bytes(damaged[: len(GOOD) - cut])))
    except FrameError:
        return
    assert len(rows) == 3


@given(st.binary(max_size=40))
def test_bytes_of_anybody_are_refused_or_read(payload) -> None:
    for decode in (Lines, frames.decode_counts, frames.decode_skipped, frames.decode_end):
        with contextlib.suppress(FrameError):
            decode(payload)


@pytest.mark.parametrize("decode", [Lines, frames.decode_counts, frames.decode_skipped])
def test_a_payload_that_is_cut_or_has_more_than_it_says_is_refused(decode) -> None:
    kinds = {
        Lines: GOOD,
        frames.decode_counts: frames.encode_counts([b"ab"], [1])[5:],
        frames.decode_skipped: frames.encode_skipped([(b"ab", "c", "d")], {})[5:-5],
    }
    decode(kinds[decode])
    for wrong in (kinds[decode][:-1], kinds[decode] + b"x"):
        with pytest.raises(FrameError):
            decode(wrong)
