"""Which lines match, and where in them."""

from __future__ import annotations

import sys
from array import array

import pytest

from manyhands.search.errors import MissingExtraError, QueryError
from manyhands.search.query import engines
from manyhands.search.query.finders import finder
from manyhands.search.query.matcher import Matcher
from manyhands.search.query.plan import make_plan
from manyhands.search.query.regions import region_of
from manyhands.search.query.request import make_request


def matcher(*args, **arguments) -> Matcher:
    if arguments.get("regex"):
        pytest.importorskip("re2")
    return Matcher(make_plan(make_request(*args, **arguments)))


def found(line: bytes | str, *args, **arguments) -> list[str]:
    """The texts that match in a line."""
    line = line.encode() if isinstance(line, str) else line
    return [
        line[start:end].decode(errors="replace") for start, end in matcher(*args, **arguments).spans(line)
    ]


# ---- lines ----


def test_a_line_needs_a_pattern_all_conditions_and_no_exclusion() -> None:
    made = matcher("One", all_of=["Two", "Three"], none_of=["Four"])
    assert made.matches(b"Three Two One")
    assert not made.matches(b"Three Two")
    assert not made.matches(b"One Two")
    assert not made.matches(b"One Two Three Four")


def test_conditions_on_the_file_are_not_asked_of_a_line() -> None:
    made = matcher("One", all_of="Two", none_of="Four", scope="file")
    assert made.matches(b"One Four")


def test_any_of_several_patterns_will_do_and_which_one_is_told() -> None:
    made = matcher(["foo", "bar"])
    assert [made.which(line) for line in (b"a bar foo", b"foo", b"nothing")] == [1, 0, None]
    assert [made.matches(line) for line in (b"a bar foo", b"foo", b"nothing")] == [True, True, False]


def test_many_literals_are_as_right_as_few() -> None:
    made = matcher([f"word{number}x" for number in range(50)])
    assert made.matches(b"here is WORD49x")
    assert not made.matches(b"here is word50x")


@pytest.mark.parametrize(
    ("line", "pattern", "regex", "spans"),
    [
        (b"aXbXc", "X", False, [(1, 2), (3, 4)]), (b"aaaa", "aa", False, [(0, 2), (2, 4)]), (b"abc", "x*", True, []),
        (b"axxbx", "x*", True, [(1, 3), (4, 5)]), ("é=é".encode(), "é", False, [(0, 2), (3, 5)]), ("é.".encode(), ".", True, [(0, 2), (2, 3)]),
        (b"\xffab", "ab", True, [(1, 3)]), (b"\xff", ".", True, []), (b"a\xffb", "a.b", True, []), (b"", "^$", True, []),
    ],
)  # fmt: skip
def test_spans_are_bytes_and_never_empty(line, pattern, regex, spans) -> None:
    assert matcher(pattern, regex=regex).spans(line) == spans


def test_several_patterns_match_as_alternatives_of_one() -> None:
    assert found("abcabc", ["bc", "abc", "c"], case="exact") == ["abc", "abc"]
    assert found("abcabc", ["a", "ab"], case="exact") == ["a", "a"]


def test_highlights_show_conditions_too() -> None:
    made = matcher("One", all_of="Two")
    assert made.spans(b"Two One") == [(4, 7)]
    assert made.highlights(b"Two One") == [(0, 3), (4, 7)]


@pytest.mark.parametrize("text", ["K\u212ak", "s\u017fS"])
def test_letters_that_fold_to_ascii_are_found_in_any_case(text) -> None:
    for letter in {text[0].lower(), text[0].upper()}:
        assert found(text, letter, case="ignore") == list(text)
        assert found(text, letter, case="ignore", regex=True) == list(text)
        assert found(text, letter, case="exact") == [letter]


def test_wide_letters_fold_in_any_case() -> None:
    pytest.importorskip("re2")
    assert found("Größe GRÖSSE grÖße", "größe", case="ignore") == ["Größe", "grÖße"]


def test_bytes_that_are_no_text_are_found() -> None:
    assert matcher(b"\xffA", case="ignore").spans(b"\xffa\xffA") == [(0, 2), (2, 4)]


def test_classes_are_ascii() -> None:
    assert found("é1\u0663", r"\w", regex=True) == ["1"]
    assert found("é1\u0663", r"\d", regex=True) == ["1"]


def test_a_long_literal_in_any_case_is_found() -> None:
    text = "Lock" * 2000
    assert matcher(text, case="ignore").spans(b"x" + text.upper().encode()) == [(1, 8001)]
    folded = text.replace("k", "\u212a").encode()
    assert matcher(text, case="ignore").spans(folded) == [(0, len(folded))]


# ---- words and whole lines ----


@pytest.mark.parametrize("regex", [False, True])
@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("foo", 1), ("foo foo", 2), ("foofoo", 0), ("foo_", 0), ("1foo", 0), ("éfoo", 0), ("fooé", 0), ("(foo)", 1), ("\u00a0foo\u2014", 1),
        ("foo\u0301", 0), ("foo\u0663", 0), ("xfoo foo", 1), ("foox,foo", 1),
    ],
)  # fmt: skip
def test_a_word_has_no_letter_mark_digit_or_underscore_beside_it(line, count, regex) -> None:
    assert len(found(line, "foo", word=True, regex=regex)) == count
    assert matcher("foo", word=True, regex=regex).matches(line.encode()) is bool(count)


def test_bytes_that_are_no_text_are_no_part_of_a_word() -> None:
    for regex in (False, True):
        assert matcher("foo", word=True, regex=regex).spans(b"\xfffoo\xff \xc3foo\xa9x") == [(1, 4), (7, 10)]


def test_a_word_may_be_shorter_or_longer_than_the_first_choice() -> None:
    assert found("foobar", "foo|foobar", word=True, regex=True) == ["foobar"]
    assert found("ab abc", "abc?", word=True, regex=True) == ["ab", "abc"]


def test_words_that_are_signs_may_touch() -> None:
    assert found("a--b", "-", word=True, regex=True) == []
    assert found("--", "-", word=True, regex=True) == ["-", "-"]
    assert found("--", "-", word=True) == ["-", "-"]


def test_a_whole_line_is_the_whole_line() -> None:
    for regex in (False, True):
        made = matcher("foo", whole_line=True, word=True, regex=regex)
        assert made.matches(b"foo")
        assert not made.matches(b"foo ")
        assert not made.matches(b" foo")
    assert matcher("a|ab", whole_line=True, regex=True).matches(b"ab")


# ---- replacement ----


@pytest.mark.parametrize(
    ("line", "pattern", "template", "result"),
    [
        (b"foo bar", r"(\w+) (\w+)", "$2 $1", b"bar foo"), (b"foo", "(?P<x>o)", "<${x}>", b"f<o><o>"), (b"foo", "o", "[$0]", b"f[o][o]"),
        (b"foo", "o", "$$0", b"f$0$0"), (b"foo", "(o)", "${1}x", b"foxox"), (b"ab", "", "-", b"-a-b-"), (b"ab", "x*", "-", b"-a-b-"),
        ("éé".encode(), "", "-", "-é-é-".encode()), (b"ac", "(a)|(b)", "<$2>", b"<>c"), (b"a", "a", "$", b"$"), (b"a", "a", "$-", b"$-"),
        (b"abc", "b*", "-", b"-a-c-"), (b"x", "x", b"\xff", b"\xff"),
    ],
)  # fmt: skip
def test_a_replacement(line, pattern, template, result) -> None:
    assert matcher(pattern, regex=True, case="exact").replace(line, template) == result


def test_a_replacement_of_literals_and_words() -> None:
    assert matcher(["One", "Two"]).replace(b"One Two", "<$0>") == b"<One> <Two>"
    assert matcher("(a)(b)?", regex=True, word=True).replace(b"a ab xa", "[$1$2]") == b"[a] [ab] xa"


def test_a_group_that_no_pattern_has_is_an_error_that_names_it() -> None:
    with pytest.raises(QueryError, match="no pattern has a group '1x'") as caught:
        matcher("(a)", regex=True).replace(b"a", "-$1x")
    assert (caught.value.parameter, caught.value.position) == ("replacement", 1)


def test_a_group_of_another_pattern_is_empty() -> None:
    assert matcher(["(a)", "b"], regex=True).replace(b"ab", "<$1>") == b"<a><>"


# ---- files ----


def test_a_multiline_pattern_goes_over_lines() -> None:
    text = b"one\ntwo\nthree\n"
    assert matcher("e\nt", multiline=True).text_spans(text) == [(2, 5)]
    assert matcher(r"^t\w+$", regex=True, multiline=True).text_spans(text) == [(4, 7), (8, 13)]
    assert matcher("one.two", regex=True, multiline=True).text_spans(text) == []
    assert matcher("(?s)one.two", regex=True, multiline=True).text_spans(text) == [(0, 7)]


def test_an_empty_match_stands_for_a_line_that_has_no_other() -> None:
    assert matcher("^", regex=True, multiline=True).text_spans(b"a\n\nb\n") == [(0, 0), (2, 2), (3, 3)]
    assert matcher("b*", regex=True, multiline=True).text_spans(b"abb\nc\n") == [(0, 0), (1, 3), (4, 4)]
    assert matcher("^$", regex=True, multiline=True).text_spans(b"a\n\nb\n") == [(2, 2)]


def test_multiline_words_and_lines() -> None:
    text = b"foo\nxfoo\nfoo bar\n\xfffoo\n"
    assert matcher("foo", regex=True, word=True, multiline=True).text_spans(text) == [
        (0, 3),
        (9, 12),
        (18, 21),
    ]
    assert matcher("foo", regex=True, whole_line=True, multiline=True).text_spans(text) == [(0, 3)]
    assert matcher("foo", whole_line=True, multiline=True).text_spans(text) == [(0, 3)]


def test_a_file_needs_a_pattern_all_conditions_and_no_exclusion() -> None:
    made = matcher("One", all_of="Two", none_of="Three", scope="file")
    assert made.file_matches(b"One\nTwo\n")
    assert made.file_matches(b"Two\nOne")
    assert not made.file_matches(b"One\n")
    assert not made.file_matches(b"Two\n")
    assert not made.file_matches(b"One\nTwo\nThree\n")


def test_an_inverted_query_does_not_ask_a_file_for_its_pattern() -> None:
    made = matcher("One", all_of="Two", scope="file", invert=True)
    assert made.file_matches(b"Two\n")
    assert not made.file_matches(b"One\n")


def test_conditions_on_a_file_are_met_within_lines() -> None:
    made = matcher("One", all_of=r"a\sb", scope="file", regex=True)
    assert made.file_matches(b"One\na b\n")
    assert not made.file_matches(b"One\na\nb\n")
    assert matcher("One", all_of=r"a\sb", scope="file", regex=True, multiline=True).file_matches(
        b"One\na\nb\n"
    )


# ---- regions ----

REGION = b"alpha 1\nbeta\n\n  gamma 22\nalpha beta\nend"


def ends(made: Matcher, region: bytes) -> list[int]:
    return array("I", made.re2_ends(region)).tolist()


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("^", [8, 13, 14, 25, 36, 39]), ("^$", [14]), (r"\Aa", [8, 36]), (r"\d\z", [8, 25]), (r"\s", [8, 25, 36]), (r"1[^a]*b", []),
        (r"\C\C\C\C\C\C\C\C", [25, 36]), (r"(?s)1.b", []), (r"(?-m)^alpha", [8, 36]), ("beta|end", [13, 36, 39]), ("x*", [8, 13, 14, 25, 36, 39]),
        (r"a\W", [8, 25, 36]), ("d$", [39]), (r"\bbeta", [13, 36]),
    ],
)  # fmt: skip
def test_a_region_gives_the_end_of_each_matching_line(pattern, expected) -> None:
    made = matcher(pattern, regex=True)
    assert ends(made, REGION) == expected
    assert ends(made, memoryview(REGION)) == expected


def test_a_region_gives_the_lines_of_literals() -> None:
    assert ends(matcher(["gamma", "ALPHA"], case="ignore"), REGION) == [8, 25, 36]
    assert ends(matcher(["gamma", "ALPHA"], case="exact"), REGION) == [25]
    assert ends(matcher("", word=True), b"") == []


def test_hyperscan_reports_a_line_once() -> None:
    pytest.importorskip("hyperscan")
    made = matcher("[a-z]", regex=True)
    assert made.has_automaton
    assert array("I", made.ends(REGION + b"\n")).tolist() == [8, 13, 25, 36, 40]


def test_the_last_lines_of_a_region_are_not_left_to_hyperscan() -> None:
    pytest.importorskip("hyperscan")
    for length in (1, 16, 40, 300, 3000):
        region = b"b" * length + b"\n\n"
        assert array("I", matcher("^a*$", regex=True).ends(memoryview(region))).tolist() == [length + 2]


def test_hyperscan_is_not_asked_of_a_last_line_without_its_newline() -> None:
    assert matcher("[a-z]", regex=True).ends(REGION) is None


def test_what_no_ascii_line_matches_is_known_without_a_scan() -> None:
    made = matcher("é|ß", regex=True)
    assert made.ends(REGION + b"\n") == b""
    assert made.has_automaton


def test_what_hyperscan_does_not_take_is_left_to_re2() -> None:
    made = matcher("a$b|c", regex=True)
    assert made.ends(REGION + b"\n") is None
    assert not made.has_automaton


# ---- without the libraries ----


@pytest.fixture
def without(monkeypatch):
    """Blocks the import of modules, and forgets what was compiled by them."""
    kept = (engines.compiled, engines.compiled_set, engines.automaton, finder, region_of)

    def forget() -> None:
        for cache in kept:
            cache.cache_clear()

    def block(*names: str) -> None:
        forget()
        for name in names:
            monkeypatch.setitem(sys.modules, name, None)

    yield block
    forget()


def test_without_hyperscan_re2_does_its_work(without) -> None:
    without("hyperscan")
    made = matcher("[a-z]+ [0-9]", regex=True)
    assert made.ends(REGION + b"\n") is None
    assert not made.has_automaton
    assert ends(made, REGION) == [8, 25]


def test_without_re2_a_regex_is_refused_by_what_to_install(without) -> None:
    without("re2", "hyperscan")
    with pytest.raises(MissingExtraError, match="pip install"):
        make_request("a+", regex=True)


def test_without_re2_literals_are_found(without) -> None:
    without("re2", "hyperscan")
    for case in ("exact", "ignore"):
        made = Matcher(make_plan(make_request([f"word{n}" for n in range(9)], case=case, all_of="task")))
        assert made.matches(b"word3 task")
        assert not made.matches(b"word3")
        assert made.spans(b"word3 task") == [(0, 5)]
        assert made.replace(b"word3 task", "<$0>") == b"<word3> task"
        assert ends(made, b"x\nword5\n") == [8]


def test_without_re2_wide_letters_in_any_case_are_refused(without) -> None:
    without("re2", "hyperscan")
    made = Matcher(make_plan(make_request("größe", case="ignore")))
    with pytest.raises(MissingExtraError, match="google-re2"):
        made.matches(b"gr")
    assert Matcher(make_plan(make_request("größe", case="exact"))).matches("größe".encode())


def test_a_literal_needs_no_library(without) -> None:
    """The names of the libraries are not even looked up: their import would cost each short search its time."""
    without("re2", "hyperscan")
    made = Matcher(make_plan(make_request("task", word=True)))
    assert made.matches(b"a task")
    assert not made.matches("étask".encode())


@pytest.mark.parametrize("line", ["a\u00b2 x", "foo-a", "\u2460a"])
def test_a_word_ends_where_unicode_says(line):
    assert Matcher(make_plan(make_request("a", word=True))).matches(line.encode())


@pytest.mark.parametrize("line", ["a\u200db", "a\u203fb", "a\u0301", "a\u0663", "a\u2160"])
def test_joiners_connectors_marks_and_digits_go_on_with_a_word(line):
    assert not Matcher(make_plan(make_request("a", word=True))).matches(line.encode())
    assert not Matcher(make_plan(make_request("[a]", regex=True, word=True))).matches(line.encode())


def test_a_match_that_takes_the_newline_of_its_row_has_a_span():
    matcher = Matcher(make_plan(make_request(r"foo\n", regex=True, multiline=True)))
    assert matcher.line_spans(b"a foo") == [(2, 5)]
    assert matcher.line_spans(b"foo\nfoo") == [(0, 4), (4, 7)]
