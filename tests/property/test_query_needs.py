"""No match is lost before RE2 sees it: needs, needles, Hyperscan and regions say too much, never too little."""

from __future__ import annotations

import unicodedata
from array import array
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from manyhands.search.errors import QueryError
from manyhands.search.query.finders import finder
from manyhands.search.query.matcher import Matcher
from manyhands.search.query.needs import Need, fold
from manyhands.search.query.plan import Needle, Plan, make_plan
from manyhands.search.query.request import make_request

re2 = pytest.importorskip("re2")
SETTINGS = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))

LETTERS = "abkKsS1_- .é\u017f\u212aÉ\u00df\u3042"
atoms = st.one_of(
    st.sampled_from([
        "a", "b", "k", "s", "K", "S", "1", "_", "-", " ", "é", "É", "\u017f", "\u212a", "\u3042", "abc", "foo", "ask", "sks",
        ".", r"\d", r"\w", r"\W", r"\s", r"\S", r"\.", "[ab]", "[^a]", "[a-s]", "[kK]", "[^k]", "[é\u3042]", r"[\w-]",
        "[[:alpha:]]", "[[:^alpha:]]", r"\pL", r"\PL", r"\p{Lu}", r"\p{Greek}", r"\x{61}", r"\141", r"\Qa.b\E", "^", "$",
        r"\b", r"\B", r"\A", r"\z", "", r"\C", "[sS][kK]", "x{,2}", "[^\u017f]",
    ]),
)  # fmt: skip


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.lists(inner, min_size=1, max_size=5).map("".join),
        st.tuples(inner, st.sampled_from("*+?")).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
        st.tuples(inner, st.sampled_from(["{2}", "{2,}", "{1,3}", "{0,2}", "{3}?", "+?", "*?", "{0}"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
        st.lists(inner, min_size=2, max_size=3).map(lambda items: f"({'|'.join(items)})"),
        inner.map(lambda one: f"(?i:{one})"),
        inner.map(lambda one: f"(?i){one}"),
        inner.map(lambda one: f"(?s-i:{one})"),
    )


patterns = st.recursive(atoms, _grow, max_leaves=8)
chars = st.one_of(
    st.sampled_from(LETTERS), st.sampled_from(["abc", "foo", "ask", "SKS", "a.b", "sk", "x{,2}", "xx"])
)
texts = st.lists(chars, max_size=14).map("".join)
lines = st.one_of(
    texts.map(str.encode),
    st.lists(st.one_of(chars.map(str.encode), st.sampled_from([b"\xff", b"\x80", b"\xc3", b"\x00", b"\r"])), max_size=12)
    .map(b"".join),
)  # fmt: skip


def satisfied(need: Need, text: bytes, folds: bool) -> bool:
    if need is None:
        return True
    if need[0] == "literal":
        lowered = text.lower()
        return need[1] in lowered or (folds and need[1] in fold(text).lower())
    return (all if need[0] == "all" else any)(satisfied(one, text, folds) for one in need[1:])


def plan_of(pattern: str, **arguments: Any) -> Plan:
    try:
        return make_plan(make_request(pattern, **arguments))
    except QueryError:
        assume(False)
        raise


def truth(pattern: str, line: bytes, ignore_case: bool) -> bool:
    """RE2 alone, on the line alone."""
    source = f"(?i){pattern}" if ignore_case else pattern
    return re2.compile(source.encode()).search(line) is not None


def has(needle: Needle, line: bytes) -> bool:
    return needle.text.lower() in line.lower() if needle.caseless else needle.text in line


@SETTINGS
@given(patterns, st.lists(lines, min_size=1, max_size=5), st.sampled_from(["exact", "ignore", "smart"]))
def test_a_line_that_re2_matches_has_what_the_index_is_asked_for(pattern, some, case) -> None:
    plan = plan_of(pattern, regex=True, case=case)
    for line in some:
        if truth(pattern, line, plan.request.ignore_case):
            assert satisfied(plan.need, line, plan.folds), (plan.need, line)


@SETTINGS
@given(patterns, st.lists(lines, min_size=1, max_size=5), st.sampled_from(["exact", "ignore"]))
def test_a_line_that_re2_matches_has_the_prefilter(pattern, some, case) -> None:
    plan = plan_of(pattern, regex=True, case=case)
    assume(plan.prefilter is not None)
    for line in some:
        if truth(pattern, line, plan.request.ignore_case):
            assert has(plan.prefilter, line), (plan.prefilter, line)


@SETTINGS
@given(patterns, lines, st.sampled_from(["exact", "ignore", "smart"]))
def test_a_matcher_says_what_re2_says(pattern, line, case) -> None:
    plan = plan_of(pattern, regex=True, case=case)
    matcher = Matcher(plan)
    expected = truth(pattern, line, plan.request.ignore_case)
    assert matcher.matches(line) is expected
    assert (matcher.which(line) is not None) is expected


def lines_at(ends: bytes, region: bytes) -> list[bytes]:
    """The lines that the ends stand for."""
    return [region[: end - 1].rpartition(b"\n")[2] for end in sorted(set(array("I", ends)))]


@SETTINGS
@given(
    patterns,
    st.lists(lines, max_size=8),
    st.sampled_from(["exact", "ignore"]),
    st.sampled_from(["", "word", "whole_line"]),
)
def test_regions_give_exactly_the_lines_that_match(pattern, some, case, around) -> None:
    plan = plan_of(pattern, regex=True, case=case, **({around: True} if around else {}))
    matcher = Matcher(plan)
    region = b"".join(line + b"\n" for line in some)
    expected = [line for line in some if matcher.matches(line)]
    assert lines_at(matcher.re2_ends(memoryview(region)), region) == expected


@SETTINGS
@given(
    patterns,
    st.lists(texts, max_size=8),
    st.sampled_from(["exact", "ignore"]),
    st.sampled_from(["", "word", "whole_line"]),
)
def test_hyperscan_gives_exactly_the_ascii_lines_that_match(pattern, some, case, around) -> None:
    pytest.importorskip("hyperscan")
    plan = plan_of(pattern, regex=True, case=case, **({around: True} if around else {}))
    matcher = Matcher(plan)
    ascii_lines = [line.encode("ascii", "ignore") for line in some]
    region = b"".join(line + b"\n" for line in ascii_lines)
    ends = matcher.ends(memoryview(region))
    assume(ends is not None)
    assert lines_at(ends, region) == [line for line in ascii_lines if matcher.matches(line)]


@SETTINGS
@given(
    st.lists(texts, min_size=1, max_size=4),
    lines,
    st.sampled_from(["exact", "ignore"]),
    st.sampled_from(["", "word", "whole_line"]),
)
def test_literals_match_as_the_regexes_that_say_the_same(literals, line, case, around) -> None:
    flags = {around: True} if around else {}
    plan = make_plan(make_request(literals, case=case, **flags))
    escaped = [re2.escape(literal) for literal in literals]
    as_regexes = Matcher(make_plan(make_request(escaped, regex=True, case=case, **flags)))
    assert Matcher(plan).matches(line) is as_regexes.matches(line)
    assert Matcher(plan).spans(line) == as_regexes.spans(line)


@SETTINGS
@given(
    st.lists(texts, min_size=1, max_size=3), lines, st.booleans(), st.sampled_from(["", "word", "whole_line"])
)
def test_what_a_needle_decides_is_right(literals, line, ignore, around) -> None:
    plan = plan_of(literals[0], case="ignore" if ignore else "exact", **({around: True} if around else {}))
    assume(plan.needle is not None)
    assume(not plan.needle.folds or fold(line) == line)
    matches = Matcher(plan).matches(line)
    found = native_finds(plan.needle, line)
    assert found or not matches
    if plan.decides == "always" or (plan.decides == "ascii" and line.isascii()):
        assert found is matches


def native_finds(needle: Needle, line: bytes) -> bool:
    """As the native store does: with `word`, only ASCII is part of words."""
    text, wanted = (line.lower(), needle.text.lower()) if needle.caseless else (line, needle.text)
    at = text.find(wanted)
    while at >= 0:
        beside = text[max(0, at - 1) : at] + text[at + len(wanted) : at + len(wanted) + 1]
        if not needle.word or not any(chr(byte).isalnum() or byte == 0x5F for byte in beside if byte < 0x80):
            return True
        at = text.find(wanted, at + 1)
    return False


def is_word(text: str) -> bool:
    return any(char == "_" or unicodedata.category(char)[0] in "LMN" for char in text)


def stands_alone(line: bytes, start: int, end: int) -> bool:
    """Whether no word character is beside the span; by decoding all of the line."""
    before, after = line[:start].decode(), line[end:].decode()
    return not is_word(before[-1:]) and not is_word(after[:1])


def char_places(line: str) -> list[int]:
    return [len(line[:index].encode()) for index in range(len(line) + 1)]


@SETTINGS
@given(patterns, texts)
def test_a_word_is_found_wherever_one_is_by_trying_all_spans(pattern, line) -> None:
    assume(r"\C" not in pattern)
    plan = plan_of(pattern, regex=True, case="exact", word=True)
    compiled, text = re2.compile(pattern.encode()), line.encode()
    places = char_places(line)
    spans = [(start, end) for start in places for end in places if start <= end]
    expected = [span for span in spans if stands_alone(text, *span) and compiled.fullmatch(text, *span)]
    matcher = Matcher(plan)
    assert matcher.matches(text) is bool(expected)
    assert set(matcher.spans(text)) <= set(expected)
    starts = [start for start, _ in expected]
    found = finder(plan.patterns[0]).search(text, 0)
    assert (found is None) is (not expected)
    assert found is None or found[0] == min(starts)


@SETTINGS
@given(st.lists(patterns, min_size=2, max_size=3), lines)
def test_several_regexes_match_as_their_alternation(several, line) -> None:
    apart = Matcher(plan_of(several, regex=True, case="exact"))
    together = "|".join(f"(?:{pattern})" for pattern in several)
    assert apart.spans(line) == Matcher(plan_of(together, regex=True, case="exact")).spans(line)
