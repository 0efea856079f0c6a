"""Walk, watcher and git give the same verdict on every file, whatever the ignore files say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manyhands.search.corpus.changes import DELETED, Change
from manyhands.search.corpus.filters import Filters
from manyhands.search.corpus.walk import walk
from manyhands.search.corpus.watch import Watcher

PATIENCE_S = 20
NAMES = ("a", "b", "ab", "a.o", "foo", "foo.c", ".x", "x y", "[z]", "q*", "é", "a.b.o", "#h", "!n", "t ", "-")
PARTS = (
    "a", "b", "*", "**", "?", "foo", ".o", ".c", "/", "/", "[ab]", "[!a]", "[^b]", "[a-z]", "\\", ".", "x",
    "[z", "{a,b}", "é", " ", "!", "#", "q\\*", "[]]", "[]-a]", "-",
)  # fmt: skip

TRICKY = {
    "plain": {"": "*.o\n!a.o\n/foo\n"},
    "nested": {"": "*\n!*/\n!*.c\n", "a": "!b\n", "a/b": "*.c\n"},
    "pruned": {"": "a/\n!a/b\n!a/b/foo\n"},
    "one level": {"": "a/*\n!a/b\na/b/*\n!a/b/foo\n"},
    "stars": {"": "**/b/*.o\na/**/foo\n**/x y\n", "a": "b/**\n"},
    "anchors": {"a": "/b/foo\n/foo\n", "a/b": "/foo\n!/foo.c\n"},
    "folders": {"": "foo/\nb/\n!a/b/\n"},
    "odd": {"": "\\#h\n\\!n\nt\\ \n[[]z]\nq\\*\n# foo\n\n   \n"},
    "windows": {"": "*.o\r\nfoo\r\n"},
}


@pytest.fixture(autouse=True)
def no_rules_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("XDG_CONFIG_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)


@pytest.fixture
def root() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp())
    yield path
    shutil.rmtree(path)


def by_git(root: Path) -> list[bytes]:
    """What git would add. It reads the work tree's own rules, as we do."""
    command = ["git", "-C", root, "ls-files", "-o", "-c", "--exclude-standard", "-z"]
    listed = subprocess.run(command, capture_output=True, check=True).stdout
    return sorted({path for path in listed.split(b"\0") if path})


def by_walk(root: Path) -> list[bytes]:
    prefix = os.fsencode(root) + b"/"
    return [path.removeprefix(prefix) for path in walk([root], Filters(hidden=True)).files]


def by_watcher(root: Path, files: list[str]) -> list[bytes]:
    """What is told when every file is saved. A root that is a file, saved last, tells that this was all."""
    told: set[bytes] = set()
    done = threading.Event()

    def hear(changes: list[Change]) -> None:
        told.update(change.path for change in changes if change.kind != DELETED)
        if os.fsencode(end.name) in told:
            done.set()

    with tempfile.NamedTemporaryFile() as end:
        with Watcher([root, end.name], Filters(hidden=True), hear, lambda: None) as watcher:
            assert watcher.wait_ready(PATIENCE_S)
            for file in files:
                (root / file).write_text("saved")
            Path(end.name).write_text("saved")
            assert done.wait(PATIENCE_S)
        told.discard(os.fsencode(end.name))
    return sorted(path.removeprefix(os.fsencode(root) + b"/") for path in told)


def grow(root: Path, folders: list[str], files: list[str], rules: dict[str, str]) -> list[str]:
    """A tree; the files that could be made (a folder may have the name)."""
    subprocess.run(["git", "init", "-q", root], check=True)
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
    for folder, text in rules.items():
        (root / folder / ".gitignore").write_bytes(text.encode())
    made = [file for file in files if not (root / file).is_dir()]
    for file in made:
        (root / file).touch()
    return made


def every_file(folders: list[str]) -> list[str]:
    return [os.path.join(folder, name) for folder in folders for name in NAMES]


needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@needs_git
@pytest.mark.parametrize("name", TRICKY)
def test_tricky_rules_mean_the_same_to_all_three(name: str, root: Path) -> None:
    folders = ["", "a", "a/b", "b", "a/b/x y"]
    files = [file for file in every_file(folders) if file not in ("a", "b", "a/b", "a/b/x y")]
    made = grow(root, folders, files, TRICKY[name])
    git = by_git(root)
    assert 0 < len(git) < len(made) + len(TRICKY[name])  # the rules say something
    assert by_walk(root) == git
    rules = {os.fsencode(os.path.join(folder, ".gitignore")) for folder in TRICKY[name]}
    assert by_watcher(root, made) == [path for path in git if path not in rules]


def is_read_as_git_reads_it(pattern: str) -> bool:
    """Not so: stars behind a text, which git takes for a whole component against its manual (``x**/y`` matches ``xy``);
    three stars, two to git and one to pathspec; a negated bracket in a pattern with a slash, which pathspec lets match the slash. What pathspec has no notion of
    (classes, a backslash or an empty range in brackets) is not in PARTS."""
    path = pattern.rstrip(" \r").removeprefix("!").rstrip("/")
    return not re.search(r"[^/!]\*\*", pattern) and not ("/" in path and re.search(r"\[[!^]", path))


lines = st.builds(
    lambda negated, parts, end: negated + "".join(parts) + end,
    st.sampled_from(["", "", "!"]),
    st.one_of(
        st.lists(st.sampled_from(PARTS), min_size=1, max_size=4), st.lists(st.sampled_from(NAMES), max_size=1)
    ),
    st.sampled_from(["", "", "/", "/*", "*", " ", "\\ ", "\r"]),
).filter(is_read_as_git_reads_it)
texts = st.lists(lines, min_size=1, max_size=4).map("\n".join)
trees = st.lists(st.lists(st.sampled_from(NAMES), max_size=3).map("/".join), max_size=4)


@needs_git
@settings(max_examples=60, deadline=None)
@given(trees, st.lists(texts, min_size=1, max_size=3))
def test_random_rules_mean_the_same_to_walk_and_git(folders: list[str], ignore_files: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        places = ["", *folders]
        rules = dict(zip(places, ignore_files, strict=False))
        grow(Path(name), folders, every_file(places), rules)
        assert by_walk(Path(name)) == by_git(Path(name))


@needs_git
@settings(max_examples=15, deadline=None)
@given(trees, st.lists(texts, min_size=1, max_size=3))
def test_random_rules_mean_the_same_to_walk_and_watcher(folders: list[str], ignore_files: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        places = ["", *folders]
        made = grow(Path(name), folders, every_file(places), dict(zip(places, ignore_files, strict=False)))
        walked = [path for path in by_walk(Path(name)) if not path.endswith(b".gitignore")]
        assert by_watcher(Path(name), made) == walked
