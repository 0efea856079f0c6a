"""How `manyhands search` prints what it is given: pure functions, without a search."""

from __future__ import annotations

import base64
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyhands.cli.search.events import EventPrinter
from manyhands.cli.search.groups import Group, groups_of_pages
from manyhands.cli.search.lines import LinePrinter
from manyhands.cli.search.options import Options
from manyhands.cli.search.original import Original, original_of
from manyhands.cli.search.paint import Paint, make_paint
from manyhands.cli.search.shortfalls import Shortfalls
from manyhands.cli.search.stats import Tally
from manyhands.cli.search.style import Style
from manyhands.cli.search.writer import Writer
from manyhands.search.columns import Columns, Page
from manyhands.search.corpus import skipped as why
from manyhands.search.corpus.skipped import Skipped


def group(path: bytes, lines: dict[int, bytes], *, context: tuple[int, ...] = ()) -> Group:
    """Lines by number; each ``x`` in them is a match."""
    texts = list(lines.values())
    kinds = bytes(number not in context for number in lines) if context else b""
    return Group(path, list(lines), texts, kinds, lambda place: spans(texts[place]))


def spans(line: bytes) -> list[tuple[int, int]]:
    return [(at, at + 1) for at, byte in enumerate(line) if byte == ord("x")]


def printed(style: Style, *groups: Group) -> bytes:
    out: list[bytes] = []
    printer = LinePrinter(style, out.append)
    for one in groups:
        printer.print(one)
    return b"".join(out)


def styled(**how: object) -> Style:
    style = Style()
    for name, value in how.items():
        setattr(style, name, value)
    return style


# ---- lines ----

_LINES = st.dictionaries(st.integers(1, 9), st.sampled_from([b"", b"x", b"ab", b"a%d", b"\xff", b"a\nb"]))


class _Detailed(Style):
    """As another, but never printed the fast way."""

    is_plain = False


@given(
    st.lists(st.tuples(st.sampled_from([b"a", b"b"]), _LINES.filter(bool))),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_the_fast_way_prints_what_the_other_prints(
    files: list[tuple[bytes, dict[int, bytes]]], numbers: bool, paths: bool, heading: bool, separates: bool
) -> None:
    groups = []
    for path, lines in files:
        around = (number for number in (2, 3, 5) if separates and b"\n" not in lines.get(number, b""))
        groups.append(group(path, dict(sorted(lines.items())), context=tuple(around)))
    fast, other = Style(paths=paths), _Detailed(paths=paths)
    several = any(b"\n" in line for one in groups for line in one.lines)
    for style in (fast, other):
        style.finds_several = several
        style.numbers, style.heading, style.separates = numbers, heading, separates
    assert fast.is_plain
    assert printed(fast, *groups) == printed(other, *groups)


def test_a_file_in_two_groups_has_one_heading() -> None:
    style = styled(heading=True)
    assert printed(style, group(b"f", {1: b"x"}), group(b"f", {9: b"y"})) == b"f\nx\ny\n"


def test_groups_that_follow_one_another_are_not_separated() -> None:
    style = styled(separates=True, numbers=True, paths=False)
    first, second = group(b"f", {1: b"x"}), group(b"f", {2: b"x", 4: b"x"})
    assert printed(style, first, second) == b"1:x\n2:x\n--\n4:x\n"


def test_a_match_over_several_lines_is_followed_by_the_line_behind_it() -> None:
    style = styled(finds_several=True, separates=True, numbers=True, paths=False)
    assert printed(style, group(b"f", {1: b"x\nx", 3: b"y"}, context=(3,))) == b"1:x\n2:x\n3-y\n"


def test_a_match_over_several_lines_is_painted_in_each() -> None:
    style = Style(paint=Paint(True), paths=False)
    one = Group(b"f", [1], [b"ab\ncd"], b"", lambda _: [(1, 4)])
    red, end = b"\x1b[0m\x1b[1m\x1b[31m", b"\x1b[0m"
    assert printed(style, one) == b"a" + red + b"b" + end + b"\n" + red + b"c" + end + b"d\n"


def test_a_line_that_matches_with_nothing_has_the_first_column() -> None:
    style = styled(columns=True, each_match=True, numbers=True)
    assert printed(style, group(b"f", {3: b"y"})) == b"f:3:1:y\n"


def test_a_path_is_a_link_where_links_are_wanted() -> None:
    shown = Paint(True, links=True).path(b"a b/\xff")
    url = f"file://{os.uname().nodename}{os.getcwd()}/a%20b/%FF".encode()
    assert shown == b"\x1b]8;;" + url + b"\x1b\\\x1b[0m\x1b[35ma b/\xff\x1b[0m\x1b]8;;\x1b\\"


def test_without_colours_there_are_no_links() -> None:
    assert Paint(False, links=True).path(b"a") == b"a"


# ---- groups ----


def page(files: list[int], lines: list[bytes], kinds: bytes = b"") -> Page:
    def packed(values: list[int]) -> bytes:
        return b"".join(value.to_bytes(4, "little") for value in values)

    offsets = [sum(map(len, lines[:place])) for place in range(len(lines) + 1)]
    numbers = list(range(1, len(files) + 1))
    columns = Columns(packed(files), packed(numbers), packed(offsets), kinds, b"".join(lines))
    return Page(columns, [b"zero", b"one"], spans)


def facts(groups: list[Group]) -> list[object]:
    return [
        (one.path, list(one.numbers), list(one.lines), [one.is_match(place) for place in range(len(one.lines))],
         [one.spans(place) for place in range(len(one.lines))])
        for one in groups
    ]  # fmt: skip


def test_a_page_gives_a_group_a_file() -> None:
    found = list(groups_of_pages([page([0, 0, 1], [b"x", b"yx", b"z"])]))
    assert facts(found) == [
        (b"zero", [1, 2], [b"x", b"yx"], [True, True], [[(0, 1)], [(1, 2)]]),
        (b"one", [3], [b"z"], [True], [[]]),
    ]


def test_rows_give_the_same_groups_as_their_page() -> None:
    one = page([0, 0, 1], [b"x", b"y", b"z"], b"\1\0\1")
    assert facts(list(groups_of_pages([one.first(2, 1)]))) == facts(list(groups_of_pages([one])))


def test_the_context_of_a_match_that_was_cut_off_is_left_out() -> None:
    one = page([0] * 4, [b"x", b"a", b"b", b"c"], b"\1\0\0\0")
    (found,) = groups_of_pages([one.first(1, 1)])
    assert list(found.lines) == [b"x", b"a"]


# ---- JSON ----


def events(original: Original | None, *groups: Group) -> list[dict[str, object]]:
    out: list[bytes] = []
    printer = EventPrinter(out.append, lambda _: original)
    for one in groups:
        printer.print(one)
    printer.finish()
    return [json.loads(line) for line in b"".join(out).splitlines()]


def test_a_file_in_two_groups_begins_and_ends_once() -> None:
    found = events(Original(b"x\nx\n"), group(b"f", {1: b"x"}), group(b"f", {2: b"x"}))
    assert [event["type"] for event in found] == ["begin", "match", "match", "end"]


def test_bytes_that_are_no_text_are_base64() -> None:
    (_, match, end) = events(None, group(b"\xff", {1: b"\xfex"}))
    expected = {"bytes": base64.b64encode(b"\xfex\n").decode()}
    assert match["data"]["lines"] == expected
    assert end["data"]["path"] == {"bytes": base64.b64encode(b"\xff").decode()}


def test_of_a_file_that_has_changed_no_offset_is_told() -> None:
    (_, match, _) = events(Original(b"x\n"), group(b"f", {7: b"x"}))
    assert match["data"]["absolute_offset"] is None


def test_a_line_without_an_end_has_none_in_json() -> None:
    (_, first, last, _) = events(Original(b"x\nax"), group(b"f", {1: b"x", 2: b"ax"}))
    assert [event["data"]["lines"]["text"] for event in (first, last)] == ["x\n", "ax"]
    assert [event["data"]["absolute_offset"] for event in (first, last)] == [0, 2]


@given(st.text())
def test_every_text_survives_json(text: str) -> None:
    line = text.encode("utf-8", "replace").replace(b"\n", b"")
    (_, match, _) = events(None, group(b"f", {1: line}))
    assert match["data"]["lines"] == {"text": line.decode() + "\n"}


@given(st.lists(st.binary(max_size=600).map(lambda line: line.replace(b"\n", b" ")), min_size=1), st.data())
def test_offsets_are_where_lines_begin(lines: list[bytes], data: st.DataObject) -> None:
    original, numbers = Original(b"\n".join(lines)), range(1, len(lines) + 1)
    for number in sorted(data.draw(st.lists(st.sampled_from(numbers)))):
        assert original.offset(number) == sum(len(line) + 1 for line in lines[: number - 1])
    assert original.offset(len(lines) + 1) is None


def test_a_file_that_is_gone_has_no_original() -> None:
    assert original_of(b"/nowhere/at/all") is None


# ---- what was left out ----


@pytest.mark.parametrize(
    ("reason", "is_wrong"),
    [(why.NO_PERMISSION, True), (why.READ_ERROR, True), (why.BINARY, False), (why.TOO_LARGE, False)],
)
def test_trouble_is_said_and_rules_are_not(reason: str, is_wrong: bool) -> None:
    said: list[str] = []
    shortfalls, skipped = Shortfalls(Options(), said.append), Skipped()
    skipped.add(b"f", reason, "why")
    shortfalls.skipped(skipped, named=[])
    assert (shortfalls.is_wrong, said) == (is_wrong, [f"manyhands search: f: {reason} (why)"] * is_wrong)


# ---- the rest ----


def test_a_tally_counts_lines_matches_and_files() -> None:
    tally = Tally()
    groups = [
        group(b"f", {1: b"xx", 2: b"y"}, context=(2,)),
        group(b"f", {3: b"x"}),
        group(b"g", {1: b"x\nx"}),
    ]
    assert list(tally.counted(groups)) == groups
    assert (tally.lines, tally.matches, tally.files) == (4, 5, 2)


def test_a_writer_keeps_the_order_across_chunks() -> None:
    read_end, write_end = os.pipe()
    with open(write_end, "wb", buffering=0) as file, open(read_end, "rb") as reader:
        writer = Writer(file)
        writer.write(b"a")
        writer.write(b"b")
        writer.flush()
        assert reader.read(2) == b"ab"
        assert writer.written_bytes == 2


@pytest.mark.parametrize(
    ("environment", "is_on"), [({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({}, False),
                               ({"TERM": "xterm", "NO_COLOR": ""}, False)],
)  # fmt: skip
def test_colours_are_for_terminals_that_can_and_people_who_want(
    environment: dict[str, str], is_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert make_paint(Options(), is_terminal=True).is_on is is_on
    assert not make_paint(Options(), is_terminal=False).is_on
