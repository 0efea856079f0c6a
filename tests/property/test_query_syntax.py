"""The parser takes what RE2 takes, and no more; and what it says of classes is what RE2 does."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from manyhands.search.query.classes import PERL, POSIX, ascii_of_char, ascii_set
from manyhands.search.query.parse import parse_query, quoted
from manyhands.search.query.parser import Malformed, parse
from manyhands.search.query.regex import closed, escaped
from manyhands.search.query.syntax import Chars

re2 = pytest.importorskip("re2")
SETTINGS = settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))

pieces = st.sampled_from([
    *"ab1_-^$.|()[]{}*+?\\,:<>=!PQEzZxdDpiLs&~é\n", "(?", "(?:", "(?P<n>", "(?<n>", "(?i)", "(?-s:", "(?i-", "[:alpha:]", "[[:^word:]]",
    "\\Q", "\\E", "\\x{41}", "\\x4", "\\101", "\\08", "\\1", "\\pL", "\\p{Greek}", "\\P{^Lu}", "\\C", "[^", "{2}", "{2,}", "{2,3}", "{,3}",
    "{3,2}", "{02}", "{1001}", "[a-z]", "[]a]", "[^]", "\\d", "[\\d-z]", "[a-\\d]", "\\b", "[\\b]", "\\", "+?", "??", "{2}?",
])  # fmt: skip
strings = st.lists(pieces, max_size=9).map("".join)


def compiled(pattern: str) -> bool:
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error:
        return False
    return True


def malformed_at(pattern: str) -> int | None:
    """Where the parser stops; None when it takes the pattern."""
    try:
        parse(pattern)
    except Malformed as malformed:
        return malformed.position
    return None


@SETTINGS
@given(strings)
def test_the_parser_takes_what_re2_takes(pattern) -> None:
    position = malformed_at(pattern)
    if position is None and re.search(r"\\p", pattern, re.IGNORECASE):
        return  # which names of properties there are is for RE2 to say
    assert (position is None) == compiled(pattern)
    assert position is None or 0 <= position <= len(pattern)


@SETTINGS
@given(strings)
def test_a_closed_regex_may_be_put_into_a_group(pattern) -> None:
    if compiled(pattern):
        source = closed(pattern.encode())
        assert compiled(f"(?:{source.decode()})b")


@settings(SETTINGS, max_examples=300)
@given(st.text(max_size=20))
def test_an_escaped_text_is_a_regex_for_just_that_text(text) -> None:
    text = text.encode("utf-8", "ignore").decode()
    found = re2.compile(escaped(text)).fullmatch(text.encode())
    assert found is not None
    assert re2.compile(escaped(text)).fullmatch(text.encode() + b"x") is None


WRITTEN = [
    ".", "(?s:.)", "[^a]", "[a-f]", "[^a-f]", "[\u017f]", "[\u212a-\u212b]", "[^\u017f]", r"[^\n]", r"[\d\s]", r"[^\W_]",
    *(f"\\{name}" for name in PERL), *(f"[[:{name}:]]" for name in POSIX), *(f"[[:^{name}:]x]" for name in POSIX),
    *(f"\\p{{{name}}}" for name in ("L", "Lu", "Ll", "N", "Nd", "P", "S", "Z", "Zs", "C", "Cc", "Sm", "M", "Any", "Latin", "Greek", "Common")),
    r"\PL", r"\P{Lu}", r"[^\pL]", r"\p{^Lu}",
]  # fmt: skip


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("written", WRITTEN)
def test_a_class_has_the_ascii_characters_that_it_has_in_re2(written, fold) -> None:
    source = f"(?i){written}" if fold else written
    tree = parse(source)
    assert isinstance(tree, Chars)
    compiled = re2.compile(source)
    expected = {code for code in range(0x80) if compiled.fullmatch(bytes([code]))}
    assert ascii_set(tree) == expected


@pytest.mark.parametrize("char", ["a", "K", "s", "1", "\u017f", "\u212a", "é"])
def test_a_character_in_any_case_has_the_ascii_characters_that_it_has_in_re2(char) -> None:
    tree = parse(f"(?i){char}")
    compiled = re2.compile(f"(?i){char}")
    assert ascii_of_char(tree) == {code for code in range(0x80) if compiled.fullmatch(bytes([code]))}


@settings(SETTINGS, max_examples=300)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_quoted_text_is_a_query_for_just_that_text(text) -> None:
    assert parse_query(quoted(text)) == {"pattern": text}


@settings(SETTINGS, max_examples=300)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=2, max_size=4))
def test_quoted_texts_are_all_wanted(texts) -> None:
    arguments = parse_query(" ".join(map(quoted, texts)))
    assert arguments == {"pattern": texts[0], "all_of": tuple(texts[1:])}
