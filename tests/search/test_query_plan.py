"""How a query is to be answered."""

from __future__ import annotations

import pickle
from array import array

import pytest

from manyhands.search.query.plan import Filter, Needle, Plan, make_plan
from manyhands.search.query.request import make_request


def plan(*args, **arguments) -> Plan:
    return make_plan(make_request(*args, **arguments))


def literal(text: bytes) -> tuple[str, bytes]:
    return ("literal", text)


def test_a_plan_is_small_and_survives_a_pickle() -> None:
    pytest.importorskip("re2")
    made = plan([r"[A-Z]+_SUSPEND", "x+y"], regex=True, all_of="foo")
    packed = pickle.dumps(made)
    assert pickle.loads(packed) == made
    assert len(packed) < 2000


def test_a_literal_is_the_needle_and_decides() -> None:
    made = plan("Socket")
    assert (made.mode, made.decides) == ("needle", "always")
    assert made.needle == Needle(b"Socket", False, False, False)
    assert (made.need, made.folds) == (literal(b"socket"), False)


def test_a_literal_in_any_case_says_where_the_store_does_not_see_it() -> None:
    made = plan("socket")
    assert made.needle == Needle(b"socket", True, False, True)
    assert (made.need, made.folds) == (literal(b"socket"), True)
    assert plan("header").needle == Needle(b"header", True, False, False)


def test_a_word_decides_on_ascii_lines() -> None:
    made = plan("Int", word=True)
    assert (made.needle.word, made.decides) == (True, "ascii")


def test_a_whole_line_is_verified() -> None:
    assert plan("Int", whole_line=True).decides == "never"


def test_letters_beyond_ascii_in_any_case_are_no_needle() -> None:
    made = plan("größe")
    assert (made.mode, made.needle, made.need, made.expressions) == ("region", None, None, ())


def test_characters_without_case_are_a_needle_in_any_case() -> None:
    assert plan("\u65e5\u672c\u8a9e", case="ignore").needle == Needle(
        "\u65e5\u672c\u8a9e".encode(), True, False, False
    )


def test_bytes_that_are_no_text_are_a_needle() -> None:
    made = plan(b"\xff\xfeABC")
    assert (made.mode, made.needle.text, made.need) == ("needle", b"\xff\xfeABC", literal(b"\xff\xfeabc"))


def test_an_empty_literal_is_every_line() -> None:
    assert plan("").mode == "every"
    assert plan(["", "a"]).mode == "every"


def test_simple_conditions_are_filters() -> None:
    made = plan("One", all_of="Two", none_of="Three")
    assert made.filters == (
        Filter(Needle(b"Two", False, False, False), True),
        Filter(Needle(b"Three", False, False, False), False),
    )
    assert made.decides == "always"
    assert made.need == ("all", literal(b"one"), literal(b"two"))


def test_conditions_that_fold_beyond_ascii_are_verified() -> None:
    made = plan("one", none_of="task")
    assert (made.filters, made.decides) == ((), "never")


def test_conditions_on_the_file_leave_lines_as_they_are() -> None:
    made = plan("One", all_of="Two", none_of="Three", scope="file")
    assert (made.filters, made.decides) == ((), "always")
    assert made.need == literal(b"one")
    assert made.file_need == ("all", literal(b"one"), literal(b"two"))


def test_an_inverted_query_needs_every_block() -> None:
    assert plan("One", all_of="Two", invert=True).need is None
    made = plan("One", all_of="Two", invert=True, scope="file")
    assert (made.need, made.file_need) == (None, literal(b"two"))


def test_a_multiline_query_asks_for_files() -> None:
    made = plan("One\nTwo", multiline=True)
    assert (made.mode, made.need, made.file_need) == ("file", None, ("all", literal(b"one"), literal(b"two")))


def test_several_literals_are_looked_for_by_region() -> None:
    made = plan(["foo", "bar"], case="exact")
    assert (made.mode, made.decides) == ("region", "always")
    assert made.need == ("any", literal(b"foo"), literal(b"bar"))
    assert len(made.expressions) == 2


@pytest.mark.parametrize(
    ("pattern", "need"),
    [
        ("abc", ("literal", b"abc")),
        ("(?i)ABC", ("literal", b"abc")),
        ("ab", None),
        ("abc|defg", ("any", ("literal", b"abc"), ("literal", b"defg"))),
        ("abc|d", None),
        ("abc.*def", ("all", ("literal", b"abc"), ("literal", b"def"))),
        ("colou?r", ("any", ("literal", b"colour"), ("literal", b"color"))),
        ("[ab]cd", ("any", ("literal", b"acd"), ("literal", b"bcd"))),
        ("(foo|bar)baz", ("any", ("literal", b"foobaz"), ("literal", b"barbaz"))),
        ("fo+bar", ("literal", b"obar")),
        ("(?:ab){2}x", ("literal", b"ababx")),
        ("(?:ab){2,}x", ("literal", b"ababx")),
        ("(?:abc)*", None),
        ("(?:abc)*def", ("literal", b"def")),
        ("(?:abc.)+", ("literal", b"abc")),
        (r"\bfoo\b", ("literal", b"foo")),
        ("^foo$", ("literal", b"foo")),
        (r"\Qa.b\E", ("literal", b"a.b")),
        ("x{,5}y", ("literal", b"x{,5}y")),
        ("[[:alpha:]]bcd", ("literal", b"bcd")),
        (".", None),
        (r"\d{3}-\d{4}", None),
        ("gr\u00f6\u00dfe", ("literal", "gr\u00f6\u00dfe".encode())),
        ("(?i)gr\u00f6\u00dfen", None),
        ("foobar|foo", ("literal", b"foo")),
        ("foobar.*foo", ("literal", b"foobar")),
        ("abc(?:x|.)def", ("all", ("literal", b"abc"), ("literal", b"def"))),
        ("[sS][kK][bB]", ("literal", b"skb")),
        ("abc\ndef", ("all", ("literal", b"abc"), ("literal", b"def"))),
    ],
)  # fmt: skip
def test_a_regex_needs(pattern, need) -> None:
    pytest.importorskip("re2")
    assert plan(pattern, regex=True, case="exact", multiline=True).file_need == need


def test_too_many_alternatives_need_nothing() -> None:
    assert plan([f"word{number:04}" for number in range(200)]).need is None


@pytest.mark.parametrize(
    ("pattern", "text", "caseless"),
    [("[A-Z]+_SUSPEND", b"_SUSPEND", False), ("abc.*REAL_NAME", b"REAL_NAME", False), ("(?i)x.*blocker", b"bloc", True)],
)  # fmt: skip
def test_a_regex_has_a_literal_to_look_for_first(pattern, text, caseless) -> None:
    pytest.importorskip("re2")
    assert plan(pattern, regex=True, case="exact").prefilter == Needle(text, caseless, False, False)


def test_a_regex_without_a_sure_literal_has_none_to_look_for_first() -> None:
    pytest.importorskip("re2")
    assert plan("abc|def", regex=True).prefilter is None


HYPERSCAN_TAKES = [
    "foo$", "^$", r"^\s*$", r"foo(?:\s|$)", r"\bif\b", "x*", "a*|b", r"a\b|b\z", "^foo|bar$", "foo(?:$|bar)?", r"\Afoo", r"\d{3}-\d{4}",
    "[A-Z]+_SUSPEND", r"(?i)k\w+\(", r"\pL+\PL", "[^a]b", "a??b", "", r"\C", r"(a|b{2,}){1,3}c",
]  # fmt: skip


@pytest.mark.parametrize("around", ["", "word", "whole_line"])
@pytest.mark.parametrize("pattern", HYPERSCAN_TAKES)
def test_hyperscan_takes_what_is_common(pattern, around) -> None:
    pytest.importorskip("re2")
    hyperscan = pytest.importorskip("hyperscan")
    from manyhands.search.query.engines import Automaton

    made = plan([pattern, "never looked for alone"], regex=True, **({around: True} if around else {}))
    if made.mode == "region":
        assert Automaton(hyperscan, made.expressions).scan(b"") == array("I")


def test_hyperscan_takes_a_start_among_alternatives() -> None:
    pytest.importorskip("re2")
    hyperscan = pytest.importorskip("hyperscan")
    from manyhands.search.query.engines import Automaton

    made = plan(r"(?:^|\s)foo(?:\s|$)", regex=True)
    assert Automaton(hyperscan, made.expressions).scan(b"a foo\nafoo\nfoo\n") == array("I", [6, 15])


def test_a_line_end_in_the_middle_is_left_to_re2() -> None:
    pytest.importorskip("re2")
    assert plan("a$b", regex=True).expressions is None


def test_large_patterns_are_left_to_re2() -> None:
    pytest.importorskip("re2")
    assert plan("x" * 5000 + "y?", regex=True).expressions is None
    assert plan(["x" * 100_000, "y"]).expressions is None
