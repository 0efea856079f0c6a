"""Watcher: what it tells after each kind of change, how it ends, and what it does where the kernel cannot help."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import watchfiles

from manyhands.errors import UsageError
from manyhands.search.corpus import tracker
from manyhands.search.corpus.changes import CHANGED, DELETED, NEW, Change
from manyhands.search.corpus.events import Events
from manyhands.search.corpus.filters import Filters
from manyhands.search.corpus.walk import MissingRootError
from manyhands.search.corpus.watch import Watcher
from manyhands.search.errors import MissingExtraError

#: A watchdog against hangs, not a promise of speed.
PATIENCE_S = 20


class Told:
    """All that a watcher has said, and waits for what it has yet to say."""

    def __init__(self, roots: list[str], filters: Filters | None = None, **options: object) -> None:
        self._news = threading.Condition()
        self.changes: list[Change] = []
        self.rewalks = 0
        self.watcher = Watcher(roots, filters, self._changed, self._rewalk, **options)  # type: ignore[arg-type]
        assert self.watcher.wait_ready(PATIENCE_S)

    def _changed(self, changes: list[Change]) -> None:
        with self._news:
            self.changes += changes
            self._news.notify_all()

    def _rewalk(self) -> None:
        with self._news:
            self.rewalks += 1
            self._news.notify_all()

    def wait(self, condition: Callable[[], bool]) -> None:
        with self._news:
            assert self._news.wait_for(condition, PATIENCE_S), (self.changes, self.watcher.state)

    def wait_for(self, path: str, *kinds: str) -> None:
        self.wait(lambda: any(Change(os.fsencode(path), kind) in self.changes for kind in kinds))

    def paths(self) -> set[bytes]:
        return {change.path for change in self.changes}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def watch() -> Iterator[Callable[..., Told]]:
    made: list[Told] = []

    def make(*roots: str, filters: Filters | None = None, **options: object) -> Told:
        made.append(Told(list(roots) or ["."], filters, **options))
        return made[-1]

    yield make
    for told in made:
        told.watcher.close()
        assert told.watcher.error is None


def write(path: str | bytes, text: str = "x") -> None:
    where = os.path.dirname(path)
    if where:
        os.makedirs(where, exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


def count_inotifies() -> int:
    """Of this process."""
    links = (os.path.join("/proc/self/fd", each) for each in os.listdir("/proc/self/fd"))
    return sum(os.path.islink(link) and "inotify" in os.readlink(link) for link in links)


ways = pytest.mark.parametrize("options", [{}, {"polling": True, "poll_s": 0.01}], ids=["kernel", "polling"])


@ways
def test_a_new_a_saved_and_a_deleted_file_are_told(
    watch: Callable[..., Told], options: dict[str, object]
) -> None:
    told = watch(**options)
    write("a")
    told.wait_for("a", NEW)
    write("a", "more")
    told.wait_for("a", CHANGED)
    os.unlink("a")
    told.wait_for("a", DELETED)


@ways
def test_a_rename_is_a_deletion_and_a_new_file(
    watch: Callable[..., Told], options: dict[str, object]
) -> None:
    write("a")
    told = watch(**options)
    os.rename("a", "b")
    told.wait_for("a", DELETED)
    told.wait_for("b", NEW)


@ways
def test_a_save_by_renaming_over_the_old_file_is_told(
    watch: Callable[..., Told], options: dict[str, object]
) -> None:
    write("a")
    told = watch(**options)
    write(".a.tmp", "new text")
    os.rename(".a.tmp", "a")
    told.wait_for("a", NEW, CHANGED)
    assert told.paths() == {b"a"}


@ways
def test_a_new_folder_tells_every_file_in_it(
    watch: Callable[..., Told], options: dict[str, object], here: Path
) -> None:
    write("../made/x")
    write("../made/deep/y")
    told = watch(**options)
    os.rename("../made", "in")
    told.wait_for("in/x", NEW)
    told.wait_for("in/deep/y", NEW)
    write("in/deep/z")
    told.wait_for("in/deep/z", NEW)


def test_names_that_are_not_utf8_are_told_by_polling(watch: Callable[..., Told]) -> None:
    told = watch(polling=True, poll_s=0.01)
    write(b"\xe9/\xff")
    told.wait_for("\udce9/\udcff", NEW)


def test_a_name_that_is_not_utf8_turns_watching_into_polling(watch: Callable[..., Told]) -> None:
    told = watch(poll_s=0.01)
    write(b"\xff")
    told.wait(lambda: told.rewalks > 0)
    assert told.watcher.state == "polling (a name is not UTF-8, and watchfiles takes no other)"
    write(b"\xfe")
    told.wait_for("\udcfe", NEW)


def test_a_folder_whose_name_is_not_utf8_is_polled_from_the_start(watch: Callable[..., Told]) -> None:
    write(b"\xe9/a")
    told = watch(poll_s=0.01)
    assert told.watcher.state == "polling (a folder's name is not UTF-8, and watchfiles takes no other)"
    write(b"\xe9/a", "more")
    told.wait_for("\udce9/a", CHANGED)


def test_what_comes_into_a_new_folder_before_it_is_watched_is_told(
    watch: Callable[..., Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = watch()
    real = Events.watch

    def late(self: Events, folders: set[bytes]) -> set[bytes]:
        if not os.path.exists("in/deep"):
            write("in/deep/x")
        return real(self, folders)

    monkeypatch.setattr(Events, "watch", late)
    os.mkdir("in")
    told.wait_for("in/deep/x", NEW)
    write("in/deep/y")
    told.wait_for("in/deep/y", NEW)


def test_many_new_folders_are_watched_by_a_few_watchers(watch: Callable[..., Told]) -> None:
    told = watch()
    inotifies = count_inotifies()
    for number in range(40):
        write(f"{number}/a")
        told.wait_for(f"{number}/a", NEW)
    for number in range(40):
        write(f"{number}/b")
        told.wait_for(f"{number}/b", NEW)
    assert count_inotifies() <= inotifies + 3


@ways
def test_what_a_walk_would_not_give_is_not_told(
    watch: Callable[..., Told], options: dict[str, object]
) -> None:
    write(".ignore", "*.o\n/out/\n")
    os.mkdir("out")
    os.mkdir(".git")
    told = watch(filters=Filters(not_types=["md"], max_file_bytes=5), **options)
    for path in ("a.o", "out/a", ".hidden", ".git/config", "a.md", "new/b.o"):
        write(path)
    write(".large", "123456")
    os.rename(".large", "large")
    write("new/last")
    told.wait_for("new/last", NEW)
    assert {change.path for change in told.changes if change.kind != DELETED} == {b"new/last"}


def test_a_deleted_folder_is_told_once_for_all_that_was_in_it(watch: Callable[..., Told], here: Path) -> None:
    write("a/b/x")
    write("a/y")
    told = watch()
    os.rename("a", "../elsewhere")
    told.wait_for("a", DELETED)
    assert set(told.changes) == {Change(b"a", DELETED)}
    write("../elsewhere/b/unseen")
    write("z")
    told.wait_for("z", NEW)
    assert told.paths() == {b"a", b"z"}


def test_a_renamed_folder_goes_and_comes(watch: Callable[..., Told]) -> None:
    write("a/b/x")
    told = watch()
    os.rename("a", "c")
    told.wait_for("c/b/x", NEW)
    told.wait_for("a", DELETED)
    write("c/b/x", "more")
    told.wait_for("c/b/x", CHANGED)


def test_a_folder_replaced_by_another_tells_the_deletion_first(
    watch: Callable[..., Told], here: Path
) -> None:
    write("a/old")
    write("../b/new")
    told = watch()
    os.rename("a", "../gone")
    os.rename("../b", "a")
    told.wait_for("a/new", NEW)
    assert told.changes.index(Change(b"a", DELETED)) < told.changes.index(Change(b"a/new", NEW))


def test_a_file_that_turns_into_something_else_is_told_as_deleted(watch: Callable[..., Told]) -> None:
    write("a")
    os.symlink("nowhere", ".link")
    told = watch()
    os.rename(".link", "a")
    told.wait_for("a", DELETED)


def test_a_changed_ignore_file_asks_for_a_walk_and_holds_from_then_on(watch: Callable[..., Told]) -> None:
    write("a.o")
    told = watch()
    write("new", "*.o\n")
    told.wait_for("new", NEW)
    os.rename("new", ".ignore")
    told.wait(lambda: told.rewalks > 0)
    write("b.o")
    write("c")
    told.wait_for("c", NEW)
    assert told.paths() == {b"new", b"c"}


def test_a_repository_that_begins_asks_for_a_walk(watch: Callable[..., Told]) -> None:
    write(".gitignore", "*.o\n")
    told = watch()
    os.mkdir(".git")
    told.wait(lambda: told.rewalks > 0)


def test_ignored_folders_cost_no_watch(watch: Callable[..., Told]) -> None:
    write(".ignore", "node_modules\n")
    write("node_modules/a/b/c/d")
    write("src/x")
    assert watch().watcher.state == "watching 2 folders"


def test_a_root_that_is_a_file_is_told_whatever_rules_say(watch: Callable[..., Told]) -> None:
    write(".ignore", "*\n")
    write("a.log")
    told = watch("a.log", filters=Filters(types=["py"]))
    write("other")
    write(".a.tmp")
    os.rename(".a.tmp", "a.log")
    told.wait_for("a.log", NEW)
    os.unlink("a.log")
    told.wait_for("a.log", DELETED)
    assert told.paths() == {b"a.log"}


def test_overlapping_roots_tell_each_file_once(watch: Callable[..., Told]) -> None:
    os.makedirs("a/b")
    told = watch("a", "a/b")
    write("a/b/x")
    told.wait_for("a/b/x", NEW)
    os.unlink("a/b/x")
    told.wait_for("a/b/x", DELETED)
    assert len([change for change in told.changes if change.kind == DELETED]) == 1


def test_a_followed_link_brings_the_folder_it_leads_to(watch: Callable[..., Told]) -> None:
    write("a/x")
    told = watch(filters=Filters(follow=True))
    os.symlink("a", "link")
    told.wait_for("link/x", NEW)
    write("a/y")
    told.wait_for("a/y", NEW)
    told.wait_for("link/y", NEW)
    os.unlink("link")
    told.wait_for("link", DELETED)
    write("a/z")
    told.wait_for("a/z", NEW)
    assert b"link/z" not in told.paths()


def test_a_root_that_goes_and_comes_back_asks_for_a_walk(watch: Callable[..., Told], here: Path) -> None:
    write("root/a")
    told = watch("root", poll_s=0.01)
    os.rename("root", "away")
    told.wait_for("root", DELETED)
    os.rename("away", "root")
    told.wait(lambda: told.rewalks > 0)
    write("root/b")
    told.wait_for("root/b", NEW)


def test_so_many_changes_that_some_may_be_lost_ask_for_a_walk(
    watch: Callable[..., Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = watch()
    monkeypatch.setattr(tracker, "MANY", 1)
    write("a")
    told.wait(lambda: told.rewalks > 0)
    monkeypatch.setattr(tracker, "MANY", 1000)
    write("b")
    told.wait_for("b", NEW, CHANGED)


def test_without_the_kernels_help_it_polls_and_says_why(
    watch: Callable[..., Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> Iterator[set[object]]:
        raise OSError('OS file watch limit reached. about ["/x"] (Error { kind: MaxFilesWatch })')
        yield set()

    monkeypatch.setattr(watchfiles, "watch", refuse)
    told = watch(poll_s=0.01)
    assert told.watcher.state == "polling (fs.inotify.max_user_watches is reached)"
    write("a")
    told.wait_for("a", NEW)


def test_polling_needs_no_word_for_changed_rules(watch: Callable[..., Told]) -> None:
    write("a.o")
    told = watch(polling=True, poll_s=0.01)
    write(".ignore", "*.o\n")
    told.wait_for("a.o", DELETED)


def test_a_callback_that_raises_ends_the_watching_and_is_kept() -> None:
    def fail(changes: list[Change]) -> None:
        raise KeyError("mine")

    with Watcher(["."], None, fail, lambda: None) as watcher:
        watcher.wait_ready(PATIENCE_S)
        write("a")
        watcher._thread.join(PATIENCE_S)
        assert isinstance(watcher.error, KeyError)
        assert watcher.state == "stopped by KeyError: 'mine'"


def test_close_ends_the_thread_and_may_be_called_again() -> None:
    before = threading.active_count()
    watcher = Watcher(["."], None, print, print)
    watcher.close()
    watcher.close()
    assert threading.active_count() == before
    assert watcher.state == "closed"


def test_a_program_may_end_without_closing() -> None:
    program = f"""
import sys
sys.path[:0] = {sys.path!r}
from manyhands.search.corpus.watch import Watcher
watcher = Watcher(["."], None, print, print)
watcher.wait_ready()
print("end")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    assert (done.stdout, done.stderr) == ("end\n", "")


def test_close_from_a_callback_does_not_wait_for_itself() -> None:
    closed = threading.Event()

    def stop(changes: list[Change]) -> None:
        watcher.close()
        closed.set()

    watcher = Watcher(["."], None, stop, lambda: None)
    watcher.wait_ready(PATIENCE_S)
    write("a")
    assert closed.wait(PATIENCE_S)
    watcher.close()


def test_nothing_is_told_after_close(watch: Callable[..., Told]) -> None:
    told = watch()
    told.watcher.close()
    write("a")
    assert told.changes == []


def test_without_the_library_it_is_an_error_at_the_call_and_polling_needs_none(
    watch: Callable[..., Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(MissingExtraError, match="watchfiles"):
        Watcher(["."], None, print, print)
    assert watch(polling=True).watcher.state == "polling (as asked)"


def test_a_missing_root_is_an_error_at_the_call() -> None:
    with pytest.raises(MissingRootError):
        Watcher(["nope"], None, print, print)
    with pytest.raises(UsageError, match="poll_s"):
        Watcher(["."], None, print, print, poll_s=0)


def test_a_tree_deleted_while_it_is_entered_does_no_harm(watch: Callable[..., Told]) -> None:
    told = watch()
    for _ in range(20):
        write("t/a/b/c")
        shutil.rmtree("t")
    write("end")
    told.wait_for("end", NEW)
    write("t/a/b/c")
    told.wait_for("t/a/b/c", NEW)
