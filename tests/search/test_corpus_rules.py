"""One ignore file: what its lines speak of, and the last that matches decides.

How a pattern matches is pathspec's to test. Here is what we make of its answer: that a line speaks of a path and not of
what is below it, bytes, ends of lines, and what happens to lines that are broken.
"""

from __future__ import annotations

import sys

import pytest

from manyhands.errors import UsageError
from manyhands.search.corpus.braces import expand
from manyhands.search.corpus.rules import IGNORE, KEEP, SILENT, Rules
from manyhands.search.errors import MissingExtraError


def ignores(text: bytes, path: bytes, is_folder: bool = False) -> bool:
    way, _, name = path.rpartition(b"/")
    return Rules.read(text).verdict(way + b"/" if way else b"", name, is_folder) == IGNORE


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        (b"foo", b"foo"),
        (b"foo", b"a/b/foo"),
        (b"/foo", b"foo"),
        (b"a/foo", b"a/foo"),
        (b"*.o", b"a/x.o"),
        (b"*.tar.gz", b"x.tar.gz"),
        (b"foo*", b"foobar"),
        (b"*", b".x"),
        (b"f?o", b"fxo"),
        (b"[a-c]x", b"bx"),
        (b"[!a-c]x", b"dx"),
        (b"[]]x", b"]x"),
        (b"**/foo", b"foo"),
        (b"**/foo", b"a/b/foo"),
        (b"a/**/b", b"a/b"),
        (b"a/**/b", b"a/x/y/b"),
        (b"a/**", b"a/x/y"),
        (b"a/**", b"a/x"),
        (b"/**", b"x"),
        (b"a/*.c", b"a/x.c"),
        (b"\\#x", b"#x"),
        (b"\\!x", b"!x"),
        (b"x\\ ", b"x "),
        (b"x  ", b"x"),
        (b"x\r", b"x"),
        (b"\xef\xbb\xbfx", b"x"),
        (b"\xff*", b"\xffz"),
        (b"?", b"\xff"),
        (b"a\n*", b"a"),
        ("voilà".encode(), "voilà".encode()),
        (b"x\t", b"x\t"),
    ],
)
def test_a_pattern_matches(pattern: bytes, path: bytes) -> None:
    assert ignores(pattern + b"\n", path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        (b"/foo", b"a/foo"),
        (b"a/foo", b"b/a/foo"),
        (b"*.o", b"x.oo"),
        (b"foo/", b"foo"),
        (b"a/*", b"a/b/c"),
        (b"a/*.c", b"a/b/x.c"),
        (b"a?b/c", b"a/b/c"),
        (b"a", b"a/b"),
        (b"!b\na/*", b"a/x/b"),
        (b"**foo", b"bar"),
        (b"a/**", b"a"),
        (b"[abc", b"a"),
        (b"x\\", b"x"),
        (b"[b-a]", b"b"),
        (b"!", b"!"),
        (b"/", b"x"),
        (b"# x", b"# x"),
        (b"{a,b}", b"a"),
        (b"x\t", b"x"),
        ("voilà".encode(), b"voil\xc3"),
        (b"", b""),
    ],
)
def test_a_pattern_does_not_match(pattern: bytes, path: bytes) -> None:
    assert not ignores(pattern + b"\n", path)


def test_a_pattern_with_a_slash_at_its_end_is_for_folders_only() -> None:
    assert ignores(b"foo/\n", b"a/foo", is_folder=True)


@pytest.mark.parametrize("pattern", [b"a/**", b"a[!x]", b"a/**/"])
def test_a_folder_is_not_among_what_is_in_it_or_begins_with_its_name(pattern: bytes) -> None:
    assert not ignores(pattern + b"\n", b"a", is_folder=True)


def test_a_space_before_the_slash_belongs_to_the_name() -> None:
    assert ignores(b"x /\n", b"x ", is_folder=True)
    assert not ignores(b"x /\n", b"x", is_folder=True)


def test_a_broken_line_does_not_spoil_the_others() -> None:
    assert ignores(b"[a\nx\\\n[b-a]\n[[:digit:]]\ny\n", b"y")


def test_comments_and_blanks_are_no_rules() -> None:
    assert not Rules.read(b"# x\n\n  \n/\n")


@pytest.mark.parametrize(("library", "package"), [("pathspec", "pathspec"), ("re2", "google-re2")])
def test_a_rule_without_the_library_that_reads_it_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch, library: str, package: str
) -> None:
    for name in [each for each in sys.modules if each.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    assert not Rules.read(b"# no rule\n")
    with pytest.raises(MissingExtraError, match=package):
        Rules.read(b"rule\n")


def test_the_last_pattern_that_matches_decides() -> None:
    text = b"*.log\n!keep.log\nkeep*\n!keep.log\n"
    assert Rules.read(text).verdict(b"", b"keep.log", False) == KEEP
    assert Rules.read(text).verdict(b"", b"keep.txt", False) == IGNORE
    assert Rules.read(text).verdict(b"", b"other.txt", False) == SILENT


def test_a_later_folder_pattern_says_nothing_of_a_file_of_that_name() -> None:
    rules = Rules.read(b"x\n!x/\n")
    assert rules.verdict(b"", b"x", False) == IGNORE
    assert rules.verdict(b"", b"x", True) == KEEP


def test_patterns_of_every_shape_keep_their_order() -> None:
    shapes = (b"a.b", b"*.b", b"a*", b"*a.b", b"a?b", b"/a.b")
    for last in shapes:
        text = b"\n".join(each for each in shapes if each != last) + b"\n!" + last
        assert Rules.read(text).verdict(b"", b"a.b", False) == KEEP, last


def test_braces_stand_for_every_combination() -> None:
    assert expand("{a,b}{1,2}.c") == ["a1.c", "a2.c", "b1.c", "b2.c"]
    assert expand("*.{c,{h,hh}pp}") == ["*.c", "*.hpp", "*.hhpp"]
    assert expand(r"\{a,b\}") == [r"\{a,b\}"]


@pytest.mark.parametrize("glob", ["{a,b", "a}", "{a,{b}"])
def test_half_a_pair_of_braces_is_refused(glob: str) -> None:
    with pytest.raises(UsageError, match="glob"):
        expand(glob)


def test_braces_cannot_explode() -> None:
    with pytest.raises(UsageError, match="more than 1000"):
        expand("{a,b}" * 30)
