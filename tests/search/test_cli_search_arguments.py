"""The command line of `manyhands search`: what it means, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from manyhands.cli.search.arguments import read
from manyhands.cli.search.manual import MANUAL
from manyhands.cli.search.options import FLAGS, VALUES, Options
from manyhands.errors import UsageError


def refused(*arguments: str) -> str:
    with pytest.raises(UsageError) as caught:
        read(arguments)
    return str(caught.value)


def test_the_first_operand_is_the_pattern_and_the_rest_are_paths() -> None:
    options = read(["foo", "a", "b"])
    assert (options.patterns, options.where) == (["foo"], ["a", "b"])


def test_with_e_all_operands_are_paths() -> None:
    options = read(["-e", "one", "a", "--regexp=two"])
    assert (options.patterns, options.where) == (["one", "two"], ["a"])


def test_short_options_stand_together_and_the_last_takes_the_rest_as_its_value() -> None:
    options = read(["-inA3", "foo"])
    assert (options.case, options.numbers, options.after, options.patterns) == ("ignore", True, 3, ["foo"])


@pytest.mark.parametrize(
    "said", [["-A3"], ["-A", "3"], ["-A=3"], ["--after-context", "3"], ["--after-context=3"]]
)
def test_a_value_can_be_written_in_each_way(said: list[str]) -> None:
    assert read([*said, "foo"]).around_lines == (0, 3)


def test_a_value_may_begin_with_a_dash() -> None:
    assert read(["-e", "-foo"]).patterns == ["-foo"]


def test_behind_two_dashes_everything_is_an_operand() -> None:
    options = read(["--", "-v", "-n"])
    assert (options.patterns, options.where, options.invert) == (["-v"], ["-n"], False)


def test_a_single_dash_is_a_path() -> None:
    assert read(["foo", "-"]).where == ["-"]


@pytest.mark.parametrize(
    ("said", "before_and_after"),
    [("-C2", (2, 2)), ("-A1 -C2", (2, 2)), ("-C2 -A1", (0, 1)), ("-B1 -A2", (1, 2)), ("-C2 -A0", (0, 0))],
)
def test_of_context_options_the_last_counts(said: str, before_and_after: tuple[int, int]) -> None:
    assert read([*said.split(), "foo"]).around_lines == before_and_after


@pytest.mark.parametrize(
    ("said", "attribute", "value"),
    [
        ("-i -s", "case", "exact"), ("-s -S", "case", "smart"), ("-w -x", "around", "line"),
        ("-n -N", "numbers", False), ("-H -I", "paths", False), ("--heading --no-heading", "heading", False),
        ("-l --files-without-match", "listing", "without"), ("-F --no-fixed-strings", "literal", False),
    ],
)  # fmt: skip
def test_of_rivals_the_last_counts(said: str, attribute: str, value: object) -> None:
    assert getattr(read([*said.split(), "foo"]), attribute) == value


@pytest.mark.parametrize(
    ("said", "seen"),
    [("", (True, False, False)), ("-u", (False, False, False)), ("-uu", (False, True, False)),
     ("-u -uu", (False, True, True)), ("--unrestricted --hidden", (False, True, False))],
)  # fmt: skip
def test_each_u_unlocks_more(said: str, seen: tuple[bool, bool, bool]) -> None:
    options = read([*said.split(), "foo"])
    assert (options.ignore, options.hidden, options.binary) == seen


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("500", 500), ("20K", 20_480), ("3M", 3 << 20), ("1G", 1 << 30)]
)
def test_sizes_have_units(text: str, size: int) -> None:
    assert read(["--max-filesize", text, "foo"]).max_file_bytes == size


def test_patterns_are_read_from_the_lines_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "patterns").write_bytes(b"one\r\n\n\xff")
    options = read(["-f", str(tmp_path / "patterns"), "-e", "two", "path"])
    assert (options.patterns, options.where) == (["two", b"one", b"", b"\xff"], ["path"])


def test_an_empty_file_of_patterns_has_none(tmp_path: Path) -> None:
    (tmp_path / "patterns").touch()
    options = read(["-f", str(tmp_path / "patterns"), "path"])
    assert (options.patterns, options.where) == ([], ["path"])


def test_files_needs_no_pattern() -> None:
    options = read(["--files", "path"])
    assert (options.patterns, options.where) == ([], ["path"])


def test_counting_only_what_matches_is_counting_matches() -> None:
    assert read(["-co", "foo"]).count == "matches"


def test_lines_that_do_not_match_are_counted_as_lines() -> None:
    assert read(["--count-matches", "-v", "foo"]).count == "lines"


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("", "there is no PATTERN"),
        ("--hiden foo", "there is no option --hiden; did you mean --hidden"),
        ("--qqqq foo", "there is no option --qqqq; manyhands search --help"),
        ("-nZ foo", "there is no option -Z"),
        ("foo -A", "-A needs a value"),
        ("foo --max-count", "--max-count needs a value"),
        ("-A x foo", "-A needs a whole number, 0 or more, not 'x'"),
        ("-A -1 foo", "-A needs a whole number, 0 or more, not '-1'"),
        ("-m 0 foo", "-m needs a whole number, 1 or more, not '0'"),
        ("--limit=1.5 foo", "--limit needs a whole number, 1 or more, not '1.5'"),
        ("--deadline 0 foo", "--deadline needs a number of seconds above 0, not '0'"),
        ("--deadline nan foo", "--deadline needs a number of seconds above 0, not 'nan'"),
        ("--deadline soon foo", "--deadline needs a number of seconds above 0, not 'soon'"),
        ("--color blue foo", "--color needs one of auto, always, never, ansi, not 'blue'"),
        ("--sort size foo", "--sort needs one of path, none, not 'size'"),
        ("--scope word foo", "--scope needs one of line, file, not 'word'"),
        ("--max-filesize 1X foo", "--max-filesize needs a number of bytes such as 500, 20K, 3M or 1G, not '1X'"),
        ("--max-filesize K foo", "--max-filesize needs a number of bytes such as 500, 20K, 3M or 1G, not 'K'"),
        ("--hidden=yes foo", "--hidden takes no value"),
        ("-uuuu foo", "-u can be said 3 times"),
        ("--json -c foo", "--json prints lines, and --count prints none"),
        ("--json --count-matches foo", "--json prints lines, and --count prints none"),
        ("--json -l foo", "--json prints lines, and --files-with-matches prints none"),
        ("--json --files-without-match foo", "--json prints lines, and --files-without-match prints none"),
        ("--json --files", "--json prints lines, and --files prints none"),
        ("-U -v foo", "-v is about lines, and --multiline about whole files"),
        ("-U --and b foo", "--and together with --multiline is about the whole file: add --scope file"),
        ("-U --not b foo", "--not together with --multiline is about the whole file: add --scope file"),
        ("-r x -v foo", "--replace replaces matches, and the lines that -v prints have none"),
        ("-f /nowhere/at/all foo", "the patterns in '/nowhere/at/all' cannot be read: No such file or directory"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(said: str, what: str) -> None:
    assert what in refused(*said.split())


def test_every_option_is_in_the_manual() -> None:
    words = set(MANUAL.replace(",", " ").replace(";", " ").split())
    negations = {name for name in FLAGS if name.startswith("--no-")} | {"--ignore", "--messages", "-uu"}
    assert {*FLAGS, *VALUES} - negations <= words


def test_every_option_sets_something_that_exists() -> None:
    there = {name for name in dir(Options) if not name.startswith("_")} | set(vars(Options()))
    assert {attribute for attribute, _ in [*FLAGS.values(), *VALUES.values()]} <= there


def test_help_wins_over_a_missing_pattern() -> None:
    assert read(["-h"]).ask == "help"
