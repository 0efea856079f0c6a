"""The query language of search boxes."""

from __future__ import annotations

import pytest

from manyhands.search.errors import QueryError
from manyhands.search.query.parse import parse_query, quoted
from manyhands.search.query.request import make_request


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("one", {"pattern": "one"}),
        ("  one   two three ", {"pattern": "one", "all_of": ("two", "three")}),
        ('"one two"', {"pattern": "one two"}),
        (r'"say \"\\\" \n"', {"pattern": 'say "\\" \\n'}),
        ("one OR two", {"pattern": ("one", "two")}),
        ("one OR two OR three four", {"pattern": ("one", "two", "three"), "all_of": ("four",)}),
        ("zero one OR two", {"pattern": ("one", "two"), "all_of": ("zero",)}),
        ("one -two", {"pattern": "one", "none_of": ("two",)}),
        ('one NOT "two three"', {"pattern": "one", "none_of": ("two three",)}),
        ("-two", {"pattern": "", "none_of": ("two",)}),
        ("file:*.c", {"pattern": "", "file": ("*.c",)}),
        ('x file:*.c file:"a b/*" -file:test/**', {"pattern": "x", "file": ("*.c", "a b/*"), "not_file": ("test/**",)}),
        ("x NOT file:*.c", {"pattern": "x", "not_file": ("*.c",)}),
        ("x lang:c -lang:cpp", {"pattern": "x", "lang": ("c",), "not_lang": ("cpp",)}),
        ("x case:yes", {"pattern": "x", "case": "exact"}),
        ("x case:no", {"pattern": "x", "case": "ignore"}),
        ("x case:auto word:yes", {"pattern": "x", "case": "smart", "word": True}),
        ("/a+/", {"pattern": "a+", "regex": True}),
        (r"/a\/b c\d/", {"pattern": r"a/b c\d", "regex": True}),
        ("/a+/ b.c", {"pattern": "a+", "all_of": (r"b\.c",), "regex": True}),
        ('regex:yes a+ "b+"', {"pattern": "a+", "all_of": (r"b\+",), "regex": True}),
        ("regex:no a+", {"pattern": "a+"}),
        ("a OR b c. OR d", {"pattern": ("a", "b"), "all_of": (r"(?:c\.)|(?:d)",), "regex": True}),
        ("/usr/include", {"pattern": "/usr/include"}),
    ],
)  # fmt: skip
def test_a_query_says(text, arguments) -> None:
    assert parse_query(text) == arguments


def test_words_with_signs_are_words() -> None:
    arguments = parse_query("std::vector http://x p->next --flag -> or not")
    assert arguments == {
        "pattern": "std::vector",
        "all_of": ("http://x", "p->next", "--flag", "->", "or", "not"),
    }


def test_an_open_quotation_does_not_swallow_the_next_alternative() -> None:
    pytest.importorskip("re2")
    arguments = parse_query(r"x OR y /\Qa/ OR b")
    assert make_request(**arguments).all_of == (rb"(?:\Qa\E)|(?:b)",)


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ('ab "cd', 3), ('"a"b', 3), ("OR a", 0), ("a OR", 2), ("a OR OR b", 5), ("a OR -b", 2), ("-a OR b", 3), ("a NOT", 2),
        ("a NOT NOT b", 6), ("a OR file:x", 2), ("a OR NOT b", 5), ("x case:maybe", 2), ("x word:", 2), ("x file: y", 2), ("x - y", 2),
        ("case:yes case:no x", 9), ("-word:yes x", 0), ("x file:\"a", 7), ("file:x OR b", 7), ("a \ud800", 2),
    ],
)  # fmt: skip
def test_an_error_says_where(text, position) -> None:
    with pytest.raises(QueryError) as caught:
        parse_query(text)
    assert (caught.value.position, caught.value.parameter) == (position, "query")


@pytest.mark.parametrize("text", ["", "  \t\n"])
def test_an_empty_query_is_refused(text) -> None:
    with pytest.raises(QueryError, match="empty"):
        parse_query(text)


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(QueryError, match="must be str"):
        parse_query(b"x")


@pytest.mark.parametrize("text", ["x", "OR", "-x", "file:*.c", '"', "\\", "/a/", "a b", ""])
def test_a_quoted_text_stands_for_itself(text) -> None:
    assert parse_query(quoted(text)) == {"pattern": text}
