"""The answers are those of a plain scan, whichever way the engine takes: index, literals, automata, RE2, files."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig

import pytest
from tests.search import naive

import manyhands.search
from manyhands import PAUSE, _search
from manyhands.actor import current
from manyhands.search import run
from manyhands.search.asking import matcher_of


def rows_of(answer):
    found = [(row.path_bytes, row.line_number, row.line_bytes) for row in answer if row.is_match]
    assert answer.complete, (answer, answer.missing, answer.truncated_by)
    return found


LITERALS = ["needle", "Needle", "hay", "x", "no such thing", "f29999()", "é", "needle\r", "caf", "late"]


@pytest.mark.parametrize("pattern", LITERALS)
def test_literals_in_their_case(ask, forest, pattern):
    wanted = naive.search(forest, re.escape(pattern.encode()))
    assert rows_of(ask(pattern, case="exact")) == wanted


@pytest.mark.parametrize("pattern", ["needle", "KISS", "Stack", "hay", "import", "ne"])
def test_literals_in_any_case_fold_as_unicode_does(ask, forest, pattern):
    fold = pattern.lower().replace("k", "(?:k|\u212a)").replace("s", "(?:s|\u017f)").encode()
    wanted = naive.search(forest, fold, re.IGNORECASE)
    assert rows_of(ask(pattern, case="ignore")) == wanted


@pytest.mark.parametrize("pattern", ["needle", "KISS", "stack", "k"])
def test_counts_are_those_of_the_rows(tree, pattern):
    rows = tree.search(pattern, case="ignore").all()
    counts = tree.count(pattern, case="ignore")
    assert counts.lines == len(rows)
    assert counts.by_file == {
        path: sum(row.path == path for row in rows) for path in {row.path for row in rows}
    }


def test_letters_beyond_ascii_fold_too(ask):
    assert {line for _, _, line in rows_of(ask("HÉLLO", case="ignore"))} >= {"héllo".encode()}


REGEXES = [
    r"need+le", r"^needle$", r"^$", r"hay\d{3,}", r"[A-Z]+EDLE", r"(needle|stack)s?", r"n.+e", r"\bclass\b", r"f\d+\(\)",
    r"[^a-z]$", r"x{20}needle", r"needle$", r"^", r"caf. needle", r"(one|two) [a-z]+",
]  # fmt: skip


@pytest.mark.parametrize("pattern", REGEXES)
def test_regexes(ask, forest, pattern):
    # a dot is a character of UTF-8 here, and one byte to `naive`
    different = {"n.+e": {b"na\xefve"}, "caf. needle": {b"caf\xe9 needle"}}.get(pattern, set())
    wanted = [row for row in naive.search(forest, pattern.encode()) if row[2] not in different]
    assert rows_of(ask(pattern, regex=True, case="exact")) == wanted


@pytest.mark.parametrize("pattern", REGEXES)
def test_regexes_without_hyperscan(forest, pattern, monkeypatch):
    from manyhands.search.query.matcher import Matcher

    usual = rows_of(manyhands.search.scan([forest], pattern, regex=True))
    monkeypatch.setattr(Matcher, "ends", lambda *_: None)
    monkeypatch.setattr(Matcher, "has_automaton", False)
    assert rows_of(manyhands.search.scan([forest], pattern, regex=True)) == usual


@pytest.mark.parametrize("pattern", ["needle", "hay", "f1", "ß", "kiss"])
def test_whole_words(ask, forest, pattern):
    def is_word(line):
        text = line.decode("utf-8", "replace")
        return re.search(rf"(?<!\w){re.escape(pattern)}(?!\w)", text) is not None

    wanted = [row for row in naive.search(forest, re.escape(pattern.encode())) if is_word(row[2])]
    assert rows_of(ask(pattern, case="exact", word=True)) == wanted


def test_several_patterns_are_any_of_them(ask, forest):
    assert rows_of(ask(["class", "import", "fifth"], case="exact")) == naive.search(
        forest, b"class|import|fifth"
    )


def test_conditions_on_the_line(ask, forest):
    wanted = [row for row in naive.search(forest, b"def") if b"99" in row[2] and b"299" not in row[2]]
    assert rows_of(ask("def", all_of=["99"], none_of=["299"])) == wanted
    assert rows_of(ask("def", regex=True, all_of=["9{2}"], none_of=["29+'"])) == [
        row for row in naive.search(forest, b"def") if b"99" in row[2] and not re.search(b"29+'", row[2])
    ]


def test_conditions_on_the_file(ask, forest):
    with_class = {name for name, text in naive.texts(forest) if b"class" in text}
    wanted = [row for row in naive.search(forest, b"needle") if row[0] in with_class]
    assert rows_of(ask("needle", case="exact", all_of=["class"], scope="file")) == wanted
    wanted = [row for row in naive.search(forest, b"needle") if row[0] not in with_class]
    assert rows_of(ask("needle", case="exact", none_of=["class"], scope="file")) == wanted


@pytest.mark.parametrize("pattern", ["needle", "hay", "n"])
def test_inverted(ask, forest, pattern):
    has = set(naive.search(forest, pattern.encode()))
    wanted = [row for row in naive.search(forest, b"") if row not in has]
    assert rows_of(ask(pattern, case="exact", invert=True)) == wanted


def test_a_pattern_that_matches_the_empty_text_is_in_every_line(ask, forest):
    every = naive.search(forest, b"")
    assert rows_of(ask("")) == every
    assert rows_of(ask("z*", regex=True)) == every


def test_several_lines(ask, forest):
    found = ask(r"two needle\nthree", regex=True, multiline=True).all()
    assert [(row.line_number, row.line) for row in found] == [(2, "two needle\nthree")]
    assert found[0].spans == [(0, 16)]
    wanted = sum(len(re.findall(rb"hay\d+'\ndef f\d*7\(", text)) for _, text in naive.texts(forest))
    answer = ask(r"hay\d+'\ndef f\d*7\(", regex=True, multiline=True)
    assert sum(len(row.spans) for row in answer) == wanted > 1000


def test_context_comes_once_and_in_order(ask):
    rows = ask("needle", file="late.py", before=1, after=1).all()
    assert [(row.line_number, row.is_match) for row in rows] == [
        (1, False), (2, True), (3, False), (4, False), (5, True), (6, False),
    ]  # fmt: skip
    assert [row.line for row in rows] == ["one", "two needle", "three", "four", "five needle", "six"]


def test_context_of_many_lines_over_many_steps(ask, forest):
    rows = ask("7()", file="big.py", before=2, after=2).all()
    numbers = [row.line_number for row in rows]
    assert numbers == sorted(set(numbers))
    assert sum(row.is_match for row in rows) == 3000
    by_number = dict(enumerate(naive.lines((forest / "big.py").read_bytes()), 1))
    assert all(row.line_bytes == by_number[row.line_number] for row in rows)


def letters(room, monkeypatch):
    """How many lines come in each message of a shard whose reader has room for so many."""
    monkeypatch.setattr(run, "_FIRST_NS", 0)
    monkeypatch.setattr(run, "_HELD_NS", 0)
    store = _search.Store()
    for file in range(200):
        store.put(file, b"needle\n" + b"x" * 100_000)
    asked = current.CurrentRequest(1, 0, None, room)
    current.serve(asked)
    try:
        sent = [
            part
            for part in run.Run(store, matcher_of("needle", {}).plan, None, 0).rows()
            if part is not PAUSE
        ]
    finally:
        current.serve(None)
    assert asked.works_ahead
    return [len(part.columns.numbers) // 4 for part in sent if part.columns is not None]


def test_lines_are_sent_at_once_to_who_has_room_and_else_together(monkeypatch):
    at_once = letters(1, monkeypatch)
    assert len(at_once) > 1
    assert sum(at_once) == 200
    assert letters(0, monkeypatch) == [200]


def test_filters_by_name_and_language(ask, forest):
    assert {row.path for row in ask("needle", file="*.py")} == {
        str(forest / "deep/er/a b.py"), str(forest / "deep/er/late.py"),
    }  # fmt: skip
    assert {row.path for row in ask("needle", lang="python")} == {
        row.path for row in ask("needle", file="*.py")
    }
    assert not any(row.path.endswith(".txt") for row in ask("needle", not_file="*.txt"))
    assert {row.path for row in ask("needle", lang="c")} == {str(forest / "crlf.c")}


def test_limits(ask, forest):
    every = naive.search(forest, b"needle")
    answer = ask("needle", case="exact", limit=7)
    assert [(row.path_bytes, row.line_number, row.line_bytes) for row in answer] == every[:7]
    assert (answer.truncated_by, answer.complete, answer.lines) == ("limit", False, 7)
    answer = ask("needle", case="exact", limit=len(every))
    assert len(answer.all()) == len(every)
    assert (answer.truncated_by, answer.complete) == (None, True)
    answer = ask("needle", case="exact", limit_per_file=1)
    assert [row.path_bytes for row in answer] == list(dict.fromkeys(name for name, _, _ in every))
    assert (answer.truncated_by, answer.complete) == ("limit_per_file", False)


def test_a_limit_cuts_context_too(ask):
    rows = ask("needle", file="late.py", before=1, after=1, limit=1).all()
    assert [(row.line_number, row.is_match) for row in rows] == [(1, False), (2, True), (3, False)]


def test_globs_with_a_slash_are_about_the_path_below_the_root(ask, forest):
    assert {row.path for row in ask("needle", file="deep/er/*.py")} == {
        row.path for row in ask("needle", file="*.py")
    }
    assert {row.path for row in ask("needle", file="/*.c")} == {str(forest / "crlf.c")}
    assert ask("needle", file="er/*.py").all() == []


def test_spans_say_where(ask):
    row = next(row for row in ask("needle", case="exact", file="latin1.txt"))
    assert row.spans_bytes == [(5, 11)]
    assert row.spans == [(5, 11)]
    row = next(row for row in ask("héllo", file="bom16le.txt"))
    assert (row.spans_bytes, row.spans) == ([(7, 13)], [(7, 12)])
    row = next(row for row in ask("e+", regex=True, file="late.py", case="exact"))
    assert row.spans == [(2, 3)]


def test_rows_survive_a_pickle(ask):
    import pickle

    rows = ask("needle", limit=3).all()
    again = pickle.loads(pickle.dumps(rows))
    assert again == rows
    assert [row.spans for row in again] == [row.spans for row in rows]


# ---- against GNU grep, on a tree of real files ----


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    root = tmp_path_factory.mktemp("library")
    source = sysconfig.get_path("stdlib")
    for name in ("json", "asyncio", "email", "encodings", "importlib", "concurrent", "xml"):
        shutil.copytree(os.path.join(source, name), root / name, ignore=shutil.ignore_patterns("__pycache__"))
    return root


@pytest.fixture(scope="session")
def opened_library(library):
    with manyhands.search.open(library, shards=2) as tree:
        tree.wait_indexed()
        yield tree


GREPS = [
    ("-F", "import"), ("-F", "self._"), ("-Fi", "ERROR"), ("-Fw", "in"), ("-Fv", "e"), ("-E", "def [a-z_]+\\(self\\)"),
    ("-E", "^class [A-Z]"), ("-E", "[0-9]{3}"), ("-Ei", "(get|set)_?loop"), ("-E", "return$"), ("-Fx", "    pass"),
    ("-E", "0x[0-9A-F]{4}"), ("-Fi", "k"), ("-E", "\"[^\"]*\""), ("-Ew", "(async|await)"),
]  # fmt: skip


@pytest.mark.skipif(shutil.which("grep") is None, reason="needs GNU grep")
@pytest.mark.parametrize(("flags", "pattern"), GREPS)
def test_as_gnu_grep_finds_it(opened_library, library, flags, pattern):
    done = subprocess.run(
        ["grep", "-rnIH", flags, "-e", pattern, str(library)],
        capture_output=True, check=False, env=os.environ | {"LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    options = {
        "regex": "E" in flags, "case": "ignore" if "i" in flags else "exact", "word": "w" in flags,
        "invert": "v" in flags, "whole_line": "x" in flags,
    }  # fmt: skip
    found = [b"%s:%d:%s" % row for row in rows_of(opened_library.search(pattern, **options))]
    assert sorted(found) == sorted(done.stdout.splitlines())
