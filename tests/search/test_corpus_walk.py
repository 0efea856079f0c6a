"""walk(): each file once, in order, and a reason for each that is left out."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from manyhands.errors import ManyhandsError, UsageError
from manyhands.search.corpus import skipped as why
from manyhands.search.corpus.filters import Filters
from manyhands.search.corpus.walk import MissingRootError, Walk, walk


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the working folder; no rules of the machine's user reach it."""
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.delenv("GIT_CONFIG_GLOBAL", raising=False)
    monkeypatch.chdir(here)
    return here


def write(path: str | bytes, text: str = "x") -> None:
    where = os.path.dirname(path)
    if where:
        os.makedirs(where, exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


def found(*roots: str, **filters: object) -> list[str]:
    return [os.fsdecode(path) for path in walk(roots or ["."], Filters(**filters)).files]  # type: ignore[arg-type]


def reasons(result: Walk) -> dict[bytes, str]:
    return {path: reason for path, reason, _ in result.skipped}


def test_files_come_sorted_by_the_bytes_of_their_paths() -> None:
    for path in ("b/c", "a", "b.x", "b/a/z", "é"):
        write(path)
    assert found() == ["a", "b.x", "b/a/z", "b/c", "é"]


def test_paths_are_shown_as_they_were_given(tree: Path) -> None:
    write("src/a")
    assert found("src") == found("src/") == ["src/a"]
    assert found("./src") == ["./src/a"]
    assert found(".") == ["src/a"]
    assert found("./") == ["./src/a"]
    assert found("../here") == ["../here/src/a"]
    assert found(str(tree)) == [f"{tree}/src/a"]


def test_a_path_and_its_name_in_the_root_can_be_told(tree: Path) -> None:
    write("one/a/b")
    write("two/c")
    result = walk(["two", "one"])
    assert [result.name(index) for index in range(2)] == [b"a/b", b"c"]
    assert [result.path(index) for index in range(2)] == [
        os.fsencode(tree / "one/a/b"),
        os.fsencode(tree / "two/c"),
    ]
    assert list(result.root_of) == [1, 0]


def test_sizes_go_with_their_files() -> None:
    write("b", "12345")
    write("a/x", "1")
    assert walk(["."]).sizes == [1, 5]
    assert walk(["."], sized=False).sizes == [0, 0]


def test_names_that_are_not_utf8_are_found() -> None:
    write(b"caf\xe9/\xff.txt")
    assert walk(["."]).files == [b"caf\xe9/\xff.txt"]
    assert walk([b"caf\xe9"], Filters(globs=["*.txt"])).files == [b"caf\xe9/\xff.txt"]


def test_hidden_names_are_counted_and_left_out() -> None:
    for path in (".a", ".b/c", "d"):
        write(path)
    assert found() == ["d"]
    assert found(hidden=True) == [".a", ".b/c", "d"]
    assert walk(["."]).skipped.counts == {why.HIDDEN: 2}


def test_git_itself_is_entered_only_when_it_is_named() -> None:
    for path in (".git/config", "a"):
        write(path)
    assert found(hidden=True) == ["a"]
    assert found(globs=["/.git/**"]) == []
    assert found(hidden=True, globs=["**/.git/**"]) == [".git/config"]
    assert found(".git") == [".git/config"]


def test_gitignore_holds_inside_a_repository_only() -> None:
    write(".gitignore", "*.o\n")
    write("a.o")
    assert found() == ["a.o"]
    os.mkdir(".git")
    assert found() == []
    assert found(ignore=False) == ["a.o"]
    assert walk(["."]).skipped.counts == {why.IGNORED_FILE: 1, why.HIDDEN: 1}


def test_ignore_files_hold_everywhere_and_overrule_gitignore() -> None:
    os.mkdir(".git")
    write(".gitignore", "*.o\n*.x\n")
    write(".ignore", "!a.o\n*.c\n")
    for path in ("a.o", "b.o", "a.c", "b.x"):
        write(path)
    assert found() == ["a.o"]


def test_rules_of_parents_reach_a_root_below_them() -> None:
    os.mkdir(".git")
    write(".gitignore", "/sub/no\n*.o\n/other\n")
    write(".ignore", "sub/deep/hide\n")
    for path in ("sub/no", "sub/a.o", "sub/yes", "sub/deep/hide", "sub/deep/other"):
        write(path)
    assert found("sub") == ["sub/deep/other", "sub/yes"]
    assert found("sub/deep") == ["sub/deep/other"]


def test_a_repository_inside_another_one_hears_only_its_own_rules() -> None:
    os.makedirs("in/.git")
    os.mkdir(".git")
    write(".gitignore", "*.o\n")
    write("a.o")
    write("in/b.o")
    assert found() == ["in/b.o"]


def test_the_repositorys_and_the_users_excludes_hold(tree: Path) -> None:
    write(".git/info/exclude", "one\n")
    write("../home/.config/git/ignore", "two\n")
    for path in ("one", "two", "three"):
        write(path)
    assert found() == ["three"]
    write("../home/.gitconfig", '[user]\n  name = x\n[core]\n\tExcludesFile = "~/mine"\n')
    write("../home/mine", "/three\n")
    assert found() == ["two"]


def test_a_linked_work_tree_has_the_excludes_of_its_repository(tree: Path) -> None:
    write("main/.git/info/exclude", "no\n")
    write("main/.git/worktrees/w/commondir", "../..\n")
    write("w/.git", f"gitdir: {tree}/main/.git/worktrees/w\n")
    write("w/no")
    write("w/yes")
    assert found("w") == ["w/yes"]


def test_what_is_in_an_ignored_folder_cannot_be_taken_back() -> None:
    write(".ignore", "out/\n!out/keep\n")
    write("out/keep")
    assert found() == []
    assert walk(["."]).skipped.counts[why.IGNORED_FOLDER] == 1


def test_a_rule_that_takes_a_dotted_name_back_shows_it() -> None:
    write(".ignore", "!.config\n")
    write(".config")
    write(".other")
    assert found() == [".config"]


def test_a_root_is_searched_even_if_it_is_hidden_or_ignored() -> None:
    write(".ignore", "out\n*.log\n")
    write("out/a")
    write(".b")
    write("c.log")
    assert found("out", ".b", "c.log") == [".b", "c.log", "out/a"]
    assert found("c.log", globs=["*.c"], types=["py"]) == ["c.log"]


def test_an_ignore_file_that_is_a_fifo_holds_nothing_up() -> None:
    os.mkfifo(".ignore")
    write("a")
    assert found() == ["a"]


def test_globs_take_and_leave_out_and_the_last_decides() -> None:
    for path in ("a.c", "b.c", "a.h", "v/a.c", "v/w/x.c", "n.txt"):
        write(path)
    assert found(globs=["*.{c,h}", "!b.*"]) == ["a.c", "a.h", "v/a.c", "v/w/x.c"]
    assert found(globs=["!v"]) == ["a.c", "a.h", "b.c", "n.txt"]
    assert found(globs=["!*.c", "a.c"]) == ["a.c", "v/a.c"]
    assert found(globs=["/a.c"]) == ["a.c"]
    assert found(globs=["v/**/x.c"]) == ["v/w/x.c"]


def test_a_glob_with_a_slash_is_about_the_path_from_here_or_from_an_absolute_root(tree: Path) -> None:
    write("v/a.c")
    write("v/w/x.c")
    assert found("v", globs=["v/*.c"]) == ["v/a.c"]
    assert found("./v", globs=["v/*.c"]) == ["./v/a.c"]
    assert found(str(tree / "v"), globs=["/*.c"]) == [f"{tree}/v/a.c"]


def test_a_glob_overrules_ignore_rules_and_dots() -> None:
    write(".ignore", "*.log\n")
    write("a.log")
    write(".b.log")
    assert found(globs=["*.log"]) == [".b.log", "a.log"]


def test_types_choose_by_name() -> None:
    for path in ("a.py", "b.c", "Makefile", "d/e.pyi", "x"):
        write(path)
    assert found(types=["py", "make"]) == ["Makefile", "a.py", "d/e.pyi"]
    assert found(not_types=["python"]) == ["Makefile", "b.c", "x"]
    assert found(types=["c", "py"], not_types=["c"]) == ["a.py", "d/e.pyi"]


def test_large_files_are_left_out_with_a_reason() -> None:
    write("a", "12345")
    write("b", "1234")
    result = walk([".", "a"], Filters(max_file_bytes=4))
    assert result.files == [b"b"]
    assert reasons(result) == {b"a": why.TOO_LARGE}


def test_symlinks_are_left_out_with_a_reason_unless_followed() -> None:
    write("a")
    os.symlink("a", "link")
    result = walk(["."])
    assert result.files == [b"a"]
    assert reasons(result) == {b"link": why.SYMLINK}
    assert found(follow=True) == ["a", "link"]


def test_followed_links_to_folders_are_entered() -> None:
    write("in/a")
    os.symlink("in", "link")
    assert found(follow=True) == ["in/a", "link/a"]


def test_a_followed_link_does_not_leave_its_root() -> None:
    write("../outside/secret")
    write("root/a")
    os.symlink("../../outside", "root/folder")
    os.symlink("../../outside/secret", "root/file")
    os.symlink("nowhere", "root/nothing")
    result = walk(["root"], Filters(follow=True))
    assert result.files == [b"root/a"]
    assert reasons(result) == {
        b"root/file": why.LEADS_OUT, b"root/folder": why.LEADS_OUT, b"root/nothing": why.LEADS_NOWHERE,
    }  # fmt: skip


def test_loops_of_links_end() -> None:
    write("a/x")
    os.symlink("..", "a/up")
    os.mkdir("b")
    os.symlink("../a", "b/to_a")
    os.symlink("../b", "a/to_b")
    result = walk(["."], Filters(follow=True))
    assert result.files == [b"a/x", b"b/to_a/x"]
    assert reasons(result) == {
        b"a/up": why.LOOP, b"a/to_b/to_a": why.LOOP, b"b/to_a/up": why.LOOP, b"b/to_a/to_b": why.LOOP,
    }  # fmt: skip


def test_a_root_may_be_a_symlink() -> None:
    write("a/x")
    os.symlink("a", "link")
    write("y")
    os.symlink("y", "file")
    assert found("link", "file") == ["file", "link/x"]


def test_what_is_no_file_is_left_out_with_a_reason() -> None:
    os.mkfifo("fifo")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("socket")
        result = walk([".", "fifo"])
    assert result.files == []
    assert reasons(result) == {b"fifo": why.NOT_REGULAR, b"socket": why.NOT_REGULAR}


def test_what_the_system_refuses_is_left_out_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    write("open/a")
    write("closed/b")
    write("gone/c")
    real, errors = os.scandir, {b"closed": PermissionError(13, "no"), b"gone": FileNotFoundError(2, "no")}

    def scandir(path: bytes) -> object:
        if os.path.basename(path) in errors:
            raise errors[os.path.basename(path)]
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    result = walk(["."])
    assert result.files == [b"open/a"]
    assert reasons(result) == {b"closed/": why.NO_PERMISSION, b"gone/": why.VANISHED}


def test_overlapping_roots_give_each_file_once() -> None:
    for path in ("a/x", "a/b/y", "c"):
        write(path)
    assert found("a", "a/b", "a", "c", "./c") == ["a/b/y", "a/x", "c"]
    assert found("a/b", "./a") == ["./a/x", "a/b/y"]


def test_a_missing_root_is_an_error_that_names_it() -> None:
    write("a")
    os.symlink("nowhere", "link")
    with pytest.raises(MissingRootError, match="'nope'") as caught:
        walk(["a", "nope"])
    assert isinstance(caught.value, FileNotFoundError)
    assert isinstance(caught.value, ManyhandsError)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.path) == (str(caught.value), b"nope")
    with pytest.raises(MissingRootError, match="symlink to nothing"):
        walk(["link"])
    with pytest.raises(MissingRootError):
        walk(["a/b"])


@pytest.mark.parametrize("roots", [[], "a", [""], [3], ["a\0b"]])
def test_senseless_roots_are_refused(roots: list[str]) -> None:
    with pytest.raises(UsageError):
        walk(roots)


def test_a_walk_survives_a_pickle() -> None:
    write("a/b")
    result = pickle.loads(pickle.dumps(walk(["a"])))
    assert result.files == [b"a/b"]
    assert result.path(0) == os.fsencode(os.path.abspath("a/b"))


def test_walking_loads_nothing_heavy() -> None:
    write("a.py")
    write("b/.ignore", "# no rule\n")
    heavy = ("re", "typing", "dataclasses", "ctypes", "threading", "enum", "pathspec", "re2", "watchfiles")
    program = f"""
import sys
sys.path[:0] = {sys.path!r}
from manyhands.search.corpus.walk import walk
walk(["."])
print([name for name in {heavy!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
