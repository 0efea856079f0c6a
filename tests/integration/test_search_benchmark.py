"""The search benchmark in its quick mode: both sides find the same lines, each line of its table has a figure."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.harness import Measurement
from benchmarks.search import command, corpus, stages, table
from benchmarks.search.agreement import differing_lines
from benchmarks.search.goals import GOALS, Goal
from benchmarks.search.queries import Rounds
from benchmarks.search.questions import ROWS, Question
from benchmarks.search.ripgrep import Ripgrep
from benchmarks.search.settings import Settings

import manyhands.search

ROOT = Path(__file__).resolve().parents[2]

#: What a run's record says of the machine.
HEAD = {
    "cpu": "a processor", "cores": 2, "usable_cores": 2, "memory_bytes": 1 << 34, "kernel": "6", "python": "3",
    "load_before": 0.0, "commit": "0", "dirty": False, "corpus": "a folder", "search_versions": {"ripgrep": "13"},
}  # fmt: skip

needs_ripgrep = pytest.mark.skipif(shutil.which("rg") is None, reason="ripgrep is not installed")


@pytest.fixture(scope="module")
def quick() -> list[Measurement]:
    """All measurements of a quick run with one round."""
    with corpus.library() as library:
        settings = Settings("library", str(library), str(library), True, 1)
        return list(stages.run(settings, list(stages.WATCHDOGS_S)))


@pytest.fixture
def small(tmp_path: Path) -> Settings:
    """A folder with two lines to be found."""
    (tmp_path / "some.txt").write_text("a word\nanother\na word too\n")
    return Settings("library", str(tmp_path), str(tmp_path), True, 1)


@needs_ripgrep
@pytest.mark.slow
def test_both_find_the_same_lines_in_the_standard_library(quick: list[Measurement]) -> None:
    assert [(one.shape, one.variant, one.note) for one in table.faults(quick)] == []


@needs_ripgrep
@pytest.mark.slow
def test_every_line_of_the_table_has_a_figure(quick: list[Measurement]) -> None:
    for goal in GOALS:
        if table.is_lacking(goal, quick):
            continue
        found = [one for one in quick if (one.shape, one.variant) == (goal.shape, goal.variant)]
        assert any(goal.key in one.figures for one in found if one.rival == "manyhands"), goal.title


@needs_ripgrep
@pytest.mark.slow
def test_a_goal_against_ripgrep_has_a_figure_of_ripgreps(quick: list[Measurement]) -> None:
    for goal in GOALS:
        if goal.kind == "times ripgrep":
            theirs = [one for one in quick if one.shape == goal.shape and one.rival == "ripgrep"]
            assert any(one.figures[goal.key] > 0 for one in theirs), goal.title


@needs_ripgrep
def test_a_line_that_only_one_side_finds_is_named(small: Settings) -> None:
    question = Question("search_rare", "", "a word", (ROWS,))
    with manyhands.search.open(small.folder, hidden=True) as tree:
        assert differing_lines(tree, Ripgrep(small.folder), question, small.folder) == ""
        (Path(small.folder) / "late.txt").write_text("and a word that the tree has not read\n")
        found = differing_lines(tree, Ripgrep(small.folder), question, small.folder)
    assert found == "\n  only ripgrep: late.txt:1: b'and a word that the tree has not read'"


@needs_ripgrep
def test_a_question_on_which_the_two_differ_is_an_error_with_both_numbers(small: Settings) -> None:
    question = Question("search_rare", "", "a word", (ROWS,))
    with manyhands.search.open(small.folder, hidden=True) as tree:
        rounds = Rounds(tree, Ripgrep(small.folder), small)
        assert rounds.compare(question) is None
        (Path(small.folder) / "late.txt").write_text("a word that the tree has not read\n")
        found = rounds.compare(question)
    assert found is not None
    assert found.status == "error"
    assert found.note.startswith("'a word': 2 lines, ripgrep 3\n  only ripgrep: late.txt:1:")


@needs_ripgrep
def test_a_call_that_finds_another_number_later_is_an_error(small: Settings) -> None:
    question = Question("search_rare", "", "a word", (ROWS,))
    with manyhands.search.open(small.folder, hidden=True) as tree:
        rounds = Rounds(tree, Ripgrep(small.folder), small)
        assert rounds.compare(question) is None
        (Path(small.folder) / "late.txt").write_text("a word that the tree has not read\n")
        ours, theirs = rounds.run([question])
    assert (ours.status, theirs.status) == ("ok", "error")
    assert theirs.note == "'a word': 3 lines, and a moment ago 2"


def test_a_disagreement_is_a_fault_and_has_no_figure_in_the_table() -> None:
    wrong = Measurement("search_rare", "manyhands", "rows", 0, "error", note="8 lines, ripgrep 7")
    assert table.faults([wrong]) == [wrong]
    shown = table.show(HEAD, [wrong], judged=True, saved="")
    assert "ERROR search_rare rows: 8 lines, ripgrep 7" in shown
    assert "rare literal" in shown
    assert all("NO FIGURE" in line for line in shown.splitlines() if line.startswith("rare literal"))


@pytest.mark.parametrize(
    ("kind", "value", "ours", "ratio", "said"),
    [
        ("times ripgrep", 10, 0.1, 10.0, "met"),
        ("times ripgrep", 10, 0.1, 9.9, "MISSED"),
        ("times ripgrep", 0.25, 2.0, 0.5, "met, slower than ripgrep"),
        ("at most", 10, 10.0, None, "met"),
        ("at most", 10, 10.1, None, "MISSED"),
        ("at least", 10, 9.9, None, "MISSED"),
        ("", 0, 9.9, None, ""),
    ],
)
def test_a_verdict_compares_a_figure_with_its_goal(
    kind: str, value: float, ours: float, ratio: float | None, said: str
) -> None:
    goal = Goal("", "", "", kind, value)  # type: ignore[arg-type]
    assert table.verdict(goal, ours, ratio, judged=True) == said


def test_without_ripgrep_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert command.main(["--quick", "--no-save"]) == 2
    assert "apt install ripgrep" in capsys.readouterr().err


def test_a_corpus_that_is_not_there_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "search", "--no-save", "--corpus", str(tmp_path / "none")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "is no folder" in done.stderr


def test_without_corpus_and_without_network_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("apt-get", "dpkg-deb", "tar", "xz"):
        program = programs / name
        program.write_text("#!/bin/sh\necho 'could not resolve the mirror' >&2\nexit 100\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/bin:/usr/bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(corpus.NoCorpus, match=r"could not resolve the mirror.*--corpus FOLDER"):
        corpus.kernel(None)
    assert list((tmp_path / ".cache" / "manyhands").iterdir()) == []
