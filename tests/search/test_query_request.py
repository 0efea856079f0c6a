"""What may be asked: each argument is checked where it is given, and the error says which and what to do."""

from __future__ import annotations

import pickle

import pytest

from manyhands.errors import ManyhandsError, UsageError
from manyhands.search.errors import MissingExtraError, QueryError
from manyhands.search.query.request import make_request


def refusal(*args, **arguments) -> QueryError:
    with pytest.raises(QueryError) as caught:
        make_request(*args, **arguments)
    return caught.value


def test_a_plain_text_is_asked_for_in_every_line() -> None:
    made = make_request("text")
    assert (made.patterns, made.regex, made.scope, made.limit) == ((b"text",), False, "line", None)


def test_several_patterns_keep_their_order() -> None:
    assert make_request(["b", b"a", "c"]).patterns == (b"b", b"a", b"c")


def test_a_request_survives_a_pickle() -> None:
    made = make_request("a", all_of="b", none_of=["c"], file="*.py", limit=3, context=2, word=True)
    assert pickle.loads(pickle.dumps(made)) == made


def test_equal_requests_are_equal_and_hash_alike() -> None:
    assert {make_request("a", limit=2)} == {make_request("a", limit=2)}


@pytest.mark.parametrize(
    ("arguments", "parameter"),
    [
        ({"case": "yes"}, "case"), ({"scope": "tree"}, "scope"), ({"regex": 1}, "regex"), ({"word": None}, "word"),
        ({"multiline": "no"}, "multiline"), ({"invert": 0}, "invert"), ({"whole_line": ""}, "whole_line"),
        ({"limit": 0}, "limit"), ({"limit": -1}, "limit"), ({"limit": 1.5}, "limit"), ({"limit": True}, "limit"),
        ({"limit_per_file": 0}, "limit_per_file"), ({"before": -1}, "before"), ({"after": "2"}, "after"), ({"context": -2}, "context"),
        ({"all_of": 5}, "all_of"), ({"none_of": [None]}, "none_of"), ({"file": 3}, "file"), ({"file": [""]}, "file"),
        ({"not_file": ["a\0"]}, "not_file"), ({"lang": [1]}, "lang"), ({"not_lang": "no such language"}, "not_lang"),
    ],
)  # fmt: skip
def test_an_argument_that_makes_no_sense_is_named(arguments, parameter) -> None:
    error = refusal("x", **arguments)
    assert error.parameter == parameter
    assert parameter in str(error)


@pytest.mark.parametrize("pattern", [5, None, {"a": 1}, [1], [["a"]]])
def test_a_pattern_that_is_no_text_is_refused(pattern) -> None:
    assert refusal(pattern).parameter == "pattern"


def test_no_pattern_at_all_is_refused() -> None:
    assert "at least one" in str(refusal([]))


def test_an_empty_text_is_in_every_line() -> None:
    assert make_request("").patterns == (b"",)


def test_an_unknown_language_is_answered_with_near_names() -> None:
    pytest.importorskip("manyhands.search.corpus.languages")
    assert "did you mean python" in str(refusal("x", lang="pythn"))


def test_another_name_of_a_language_is_understood() -> None:
    pytest.importorskip("manyhands.search.corpus.languages")
    assert make_request("x", lang="Python").lang == make_request("x", lang="py").lang


def test_context_stands_for_lines_before_and_after() -> None:
    made = make_request("x", context=3, after=1)
    assert (made.before, made.after) == (3, 1)


@pytest.mark.parametrize(
    ("pattern", "regex", "ignores"),
    [
        ("abc", False, True), ("aBc", False, False), ("É", False, False), ("é", False, True), ("12", False, True),
        (r"\S\W\D\B", True, True), (r"\pL\p{Lu}", True, True), (r"[[:upper:]]", True, True), (r"\Afoo", True, True),
        (r"[A-Z]x", True, False), (r"(?P<Name>x)", True, True), (r"\QA\E", True, False), ("[^a-z]", True, True),
    ],
)  # fmt: skip
def test_smart_case_looks_for_capitals_that_are_written(pattern, regex, ignores) -> None:
    if regex:
        pytest.importorskip("re2")
    assert make_request(pattern, regex=regex).ignore_case is ignores


def test_one_capital_makes_all_patterns_exact() -> None:
    assert make_request("abc", none_of="Debug").ignore_case is False


@pytest.mark.parametrize(("case", "ignores"), [("exact", False), ("ignore", True)])
def test_a_case_that_is_given_is_obeyed(case, ignores) -> None:
    assert make_request("aB", case=case).ignore_case is ignores


def test_a_newline_in_a_literal_needs_multiline() -> None:
    error = refusal("ab\ncd")
    assert error.position == 2
    assert "multiline=True" in str(error)
    assert make_request("ab\ncd", multiline=True).patterns == (b"ab\ncd",)


def test_a_newline_in_a_regex_needs_multiline() -> None:
    pytest.importorskip("re2")
    error = refusal(r"ab\n", regex=True)
    assert error.position == 2
    assert make_request(r"ab\n", regex=True, multiline=True).multiline


def test_a_literal_of_a_megabyte_is_taken_and_a_larger_one_is_not() -> None:
    assert len(make_request("x" * (1 << 20)).patterns[0]) == 1 << 20
    assert "1048576" in str(refusal("x" * ((1 << 20) + 1)))


def test_a_large_regex_is_refused_by_its_size() -> None:
    assert "65536" in str(refusal("x" * ((64 << 10) + 1), regex=True))


def test_a_large_literal_with_wide_letters_in_any_case_is_refused() -> None:
    assert 'case="exact"' in str(refusal("é" * (40 << 10), case="ignore"))
    assert make_request("é" * (40 << 10), case="exact")


def test_bytes_that_came_through_the_command_line_are_those_bytes() -> None:
    assert make_request(b"a\xff".decode("utf-8", "surrogateescape")).patterns == (b"a\xff",)


def test_a_lone_surrogate_is_no_text() -> None:
    assert refusal("ab\ud800").position == 2


@pytest.mark.parametrize(
    ("arguments", "parameter"),
    [({"multiline": True, "invert": True}, "invert"), ({"multiline": True, "all_of": "b"}, "all_of"), ({"multiline": True, "none_of": "b"}, "none_of")],
)  # fmt: skip
def test_what_makes_no_sense_together_is_refused(arguments, parameter) -> None:
    assert refusal("a", **arguments).parameter == parameter


@pytest.mark.parametrize(
    ("pattern", "position"),
    [
        ("(ab", 0), ("ab)", 2), ("é[a", 1), ("a**", 2), ("*a", 0), ("ab\\", 2), (r"x\8", 1), (r"a\pX", 1), ("a(?=b)", 1), ("[b-a]", 1),
        (r"a\Z", 1), ("x{2,1}", 1), ("a{2}{3}", 4), ("[[:foo:]]", 1), ("(?P<a-b>c)", 0), (r"\x{110000}", 0),
    ],
)  # fmt: skip
def test_an_invalid_regex_says_where(pattern, position) -> None:
    pytest.importorskip("re2")
    error = refusal("ok", none_of=["fine", pattern], regex=True)
    assert (error.parameter, error.pattern, error.position) == ("none_of", pattern, position)
    assert str(error).splitlines()[-1] == " " * (2 + position) + "^"


def test_a_regex_that_is_not_utf8_is_refused() -> None:
    error = refusal(b"a\xffb", regex=True)
    assert error.position == 1
    assert "regex=False" in str(error)


def test_counts_that_multiply_are_refused() -> None:
    pytest.importorskip("re2")
    assert "multiply" in str(refusal("(a{100}){100}", regex=True))


def test_an_error_survives_a_pickle() -> None:
    error = QueryError("wrong", pattern="a(", position=1, parameter="all_of")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.pattern, again.position, again.parameter) == (str(error), "a(", 1, "all_of")


def test_a_missing_extra_survives_a_pickle_and_says_what_to_install() -> None:
    again = pickle.loads(pickle.dumps(MissingExtraError("this", "google-re2")))
    assert (again.what, again.package) == ("this", "google-re2")
    assert "pip install 'manyhands[search]'" in str(again)


def test_errors_are_caught_as_their_standard_kin() -> None:
    assert issubclass(QueryError, UsageError)
    assert issubclass(QueryError, ValueError)
    assert issubclass(MissingExtraError, ImportError)
    assert issubclass(MissingExtraError, ManyhandsError)


def test_a_long_pattern_is_not_shown() -> None:
    assert str(QueryError("wrong", pattern="a" * 500, position=400)) == "wrong"
