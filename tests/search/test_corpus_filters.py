"""Filters: checked when made, never changed, and the table of file types."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from manyhands.errors import UsageError
from manyhands.search.corpus.filters import Filters
from manyhands.search.corpus.languages import ALIASES, LANGUAGES, Names, language_of, matching_globs


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"hidden": 1}, "hidden must be True or False"),
        ({"globs": "*.c"}, r"write \['\*.c'\]"),
        ({"globs": [3]}, "a glob must be a string"),
        ({"globs": ["[a"]}, "not closed"),
        ({"globs": ["a\\"]}, "lone backslash"),
        ({"globs": [""]}, "empty"),
        ({"globs": ["!"]}, "empty"),
        ({"globs": ["/"]}, "empty"),
        ({"globs": ["{a,b"]}, "without a }"),
        ({"globs": ["[[:letter:]]"]}, "makes no sense"),
        ({"globs": ["[b-a]"]}, "makes no sense"),
        ({"types": ["pyton"]}, "did you mean python"),
        ({"types": [3]}, "types must be names"),
        ({"not_types": "py"}, "not_types must be a list"),
        ({"not_types": 3}, "not_types must be a list"),
        ({"max_file_bytes": -1}, "0 or more"),
        ({"max_file_bytes": "1M"}, "whole number"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_is_given(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Filters(**wrong)


def test_filters_survive_a_pickle() -> None:
    filters = Filters(hidden=True, globs=["*.{c,h}", b"!\xff"], types=["py"], max_file_bytes=7)
    again = pickle.loads(pickle.dumps(filters))
    assert again == filters
    assert hash(again) == hash(filters)
    assert again.globs == ("*.{c,h}", "!\udcff")


def test_filters_cannot_be_changed() -> None:
    filters = Filters()
    with pytest.raises(AttributeError, match="replace"):
        filters.hidden = True
    assert filters.replace(hidden=True) == Filters(hidden=True)
    assert filters == Filters()


def test_the_repr_shows_what_is_not_the_default() -> None:
    assert repr(Filters(follow=True, types=["c"])) == "Filters(types=('c',), follow=True)"


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("src/a.c", "c"),
        ("a.h", "c"),
        ("a.hpp", "cpp"),
        ("x/Makefile", "make"),
        ("Makefile.am", "make"),
        ("a.lds.S", "linker"),
        ("a.d.ts", "ts"),
        ("CMakeLists.txt", "cmake"),
        ("notes.txt", "txt"),
        (b"\xff.py", "py"),
        ("nothing", None),
        (".hidden", None),
    ],
)
def test_a_name_tells_the_language(path: str | bytes, language: str | None) -> None:
    assert language_of(path) == language


def test_aliases_lead_to_types_and_hide_none() -> None:
    assert set(ALIASES.values()) <= set(LANGUAGES)
    assert not set(ALIASES) & set(LANGUAGES)
    assert matching_globs(["python", "py", "Python"]) == LANGUAGES["py"]


def test_globs_of_the_table_have_no_wildcard_but_one_star() -> None:
    assert not [
        glob for glob in matching_globs(LANGUAGES) if glob.count("*") > 1 or set(glob) & set("/{},?[]!\\")
    ]


@pytest.mark.parametrize(
    ("glob", "name", "claimed"),
    [
        ("Makefile", b"Makefile", True),
        ("Makefile", b"Makefile.am", False),
        ("*.c", b"\xff.c", True),
        ("*.c", b".cc", False),
        ("Makefile.*", b"Makefile.am", True),
        ("a.*.b", b"a.x.b", True),
        ("a.*.b", b"a.b", False),
    ],
)
def test_a_glob_of_the_table_claims_names(glob: str, name: bytes, claimed: bool) -> None:
    assert Names([glob]).claim(name) == claimed
