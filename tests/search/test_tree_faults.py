"""Bad input and bad luck: what a tree says, and that it goes on."""

from __future__ import annotations

import asyncio
import gc
import io
import os
import pickle
import re
import signal
import threading

import pytest
from tests.search import naive
from tests.search.hostile import stop, stopped

import manyhands
import manyhands.search
from manyhands import _search
from manyhands.errors import ActorLostError, ClosedResourceError, UsageError
from manyhands.search import QueryError
from manyhands.search.load import Loader
from manyhands.search.shard import Load, Shard


@pytest.fixture
def wide(tmp_path):
    """Enough files for two shards, each with a word that all have and one of its own."""
    for number in range(200):
        (tmp_path / f"f{number:03}.txt").write_text(f"common word{number:03}\n" * 50)
    return tmp_path


@pytest.fixture
def opened(wide):
    with manyhands.search.open(wide, shards=2) as tree:
        yield tree


# ---- what makes no sense ----


def test_an_invalid_regex_shows_where(tree):
    with pytest.raises(QueryError) as caught:
        tree.search("abc[def", regex=True)
    assert (caught.value.parameter, caught.value.position) == ("pattern", 3)
    assert str(caught.value).splitlines()[-2:] == ["  abc[def", "     ^"]


def test_a_pattern_of_a_megabyte_is_searched_for(tree):
    assert tree.search("needle" * 170_000).all() == []
    with pytest.raises(QueryError, match="bytes; the most is"):
        tree.search("x" * 2_000_000)
    with pytest.raises(QueryError, match="the most is"):
        tree.search("x" * 100_000, regex=True)


@pytest.mark.parametrize("deadline", [0, -1, "soon", True])
def test_a_deadline_that_makes_no_sense_is_refused(tree, deadline):
    with pytest.raises(UsageError, match="deadline_s"):
        tree.search("x", deadline_s=deadline)


@pytest.mark.parametrize("shards", [0, -1, 1.5, True, "two"])
def test_a_number_of_shards_that_makes_no_sense_is_refused(forest, shards):
    with pytest.raises(UsageError, match="shards"):
        manyhands.search.open(forest, shards=shards)


def test_a_path_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no-such-folder"):
        manyhands.search.open(tmp_path / "no-such-folder")


def test_a_tree_that_was_closed_says_so(forest):
    tree = manyhands.search.open(forest, shards=1)
    tree.close()
    tree.close()
    with pytest.raises(ClosedResourceError, match="closed"):
        tree.search("needle")


def test_an_empty_tree_has_empty_answers(tmp_path):
    with manyhands.search.open(tmp_path) as tree:
        answer = tree.search("x")
        assert (answer.all(), answer.complete, len(tree)) == ([], True, 0)
        assert list(tree.files()) == []


def test_an_option_that_there_is_not_is_named_with_one_that_there_is(tree):
    with pytest.raises(QueryError, match="there is no option 'languge' of a query; did you mean lang"):
        tree.search("x", languge="python")


@pytest.mark.parametrize("option", ["limit", "before", "after", "context"])
def test_options_without_effect_are_refused(tree, option):
    with pytest.raises(QueryError, match=f"{option} makes no sense where lines are counted"):
        tree.count("x", **{option: 1})
    with pytest.raises(QueryError, match=f"{option} makes no sense where files are named"):
        tree.files("x", **{option: 1})


def test_one_question_is_checked_as_those_of_a_tree_are(forest):
    with pytest.raises(QueryError, match="did you mean lang"):
        manyhands.search.scan([forest], "x", languge="python")
    with pytest.raises(UsageError, match="deadline_s"):
        manyhands.search.scan([forest], "x", deadline_s=-1)
    with pytest.raises(QueryError, match="limit makes no sense where lines are counted"):
        manyhands.search.scan_counts([forest], "x", limit=3)
    with pytest.raises(QueryError, match="context makes no sense where files are named"):
        manyhands.search.scan_files([forest], "x", context=3)
    assert manyhands.search.scan([forest], "needle", deadline_s=float("inf")).all()


def test_a_glob_that_can_match_nothing_is_refused(tree):
    with pytest.raises(QueryError, match="can match nothing"):
        tree.search("x", file="[")


def test_an_endless_deadline_is_none(tree):
    assert tree.search("needle", deadline_s=float("inf")).all()


def test_a_tree_cannot_be_sent_to_another_process(tree):
    with pytest.raises(TypeError, match="a Tree belongs to the process that opened it"):
        pickle.dumps(tree)


def test_ctrl_c_without_a_with_statement_is_told_of_once(forest, script, tmp_path):
    program = """
        import os, signal, sys, threading
        import manyhands.search
        sys.stderr = sys.stdout
        tree = manyhands.search.open(sys.argv[1])
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            while True:
                tree.search("needle").all()
        except KeyboardInterrupt:
            print("interrupted")
    """
    assert script(program, str(forest)) == "interrupted\n"


# ---- files with no text ----


def test_every_file_that_is_not_searched_is_listed_with_its_reason(tmp_path):
    (tmp_path / "text.txt").write_text("needle\n")
    (tmp_path / "binary").write_bytes(b"needle\0")
    (tmp_path / "bom").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "large").write_bytes(b"needle\n" * 1000)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "loop").symlink_to(tmp_path)
    with manyhands.search.open(tmp_path, max_file_bytes=1000) as tree:
        answer = tree.search("needle")
        assert [row.path for row in answer] == [str(tmp_path / "text.txt")]
        assert (answer.complete, answer.skipped) == (True, 6)
        reasons = {os.path.basename(path): reason for path, reason, _ in tree.skipped()}
    assert reasons == {
        b"binary": "binary", b"bom": "not the encoding that its byte order mark promises", b"large": "too large",
        b"fifo": "not a regular file", b"link": "symlink", b"loop": "symlink",
    }  # fmt: skip


def test_files_that_change_while_they_are_loaded(tmp_path):
    names = [b"vanishes", b"is_a_folder", b"turns_binary", b"fine", b"grows"]
    paths = [bytes(tmp_path / os.fsdecode(name)) for name in names]
    (tmp_path / "is_a_folder").mkdir()
    (tmp_path / "turns_binary").write_bytes(b"\0")
    (tmp_path / "fine").write_text("fine\n")
    (tmp_path / "grows").write_text("one\n")
    store = _search.Store()
    loader = Loader(store, binary=False, most_bytes=None)
    assert [files for files, _ in loader.batches(paths)] == [5]
    assert {number: reason for number, (reason, _) in loader.skipped.items()} == {
        0: "vanished", 1: "not a regular file", 2: "binary",
    }  # fmt: skip
    with open(tmp_path / "grows", "a") as file:
        file.write("two\n")
    assert loader.is_stale(4, paths[4])
    assert not loader.is_stale(3, paths[3])
    os.utime(tmp_path / "fine", ns=(-(10**9), -(10**9)))  # before 1970
    loader.read(3, paths[3])
    assert not loader.is_stale(3, paths[3])
    loader.read(4, paths[4])
    assert store.text(4) == b"one\ntwo\n"
    (tmp_path / "fine").write_bytes(b"\0\0")
    loader.read(3, paths[3])
    assert store.text(3) is None
    assert loader.skipped[3][0] == "binary"
    store.check()


def test_files_that_may_not_be_read(tmp_path, script):
    (tmp_path / "open.txt").write_text("needle\n")
    (tmp_path / "secret.txt").write_text("needle\n")
    (tmp_path / "secret.txt").chmod(0)
    tmp_path.chmod(0o755)
    for folder in [*tmp_path.parents][:3]:
        folder.chmod(0o755)
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody who may not")
    out = script(
        """
        import os, sys
        import manyhands.search as search
        search.scan([sys.argv[1]], "needle").all()  # all is imported that may be out of reach afterwards
        os.seteuid(65534)
        answer = search.scan([sys.argv[1]], "needle")
        print([os.path.basename(row.path) for row in answer], answer.complete, answer.skipped)
        """,
        str(tmp_path),
    )
    assert out.replace(", 'program.py'", "") == "['open.txt'] True 1\n"


@pytest.mark.slow
def test_a_line_of_a_hundred_megabytes(tmp_path):
    with open(tmp_path / "long.txt", "wb") as file:
        file.write(b"short needle\n")
        for _ in range(100):
            file.write(b"x" * (1 << 20))
        file.write(b"needle\nlast\n")
    with manyhands.search.open(tmp_path) as tree:
        rows = tree.search("needle").all()
        assert [(row.line_number, len(row.line_bytes)) for row in rows] == [(1, 12), (2, (100 << 20) + 6)]
        assert rows[1].spans_bytes == [(100 << 20, (100 << 20) + 6)]
        assert [row.line_number for row in tree.search("last")] == [3]


def test_names_that_are_not_utf8(tree, forest):
    paths = [path for path in tree.search("needle", case="exact") if b"odd\xff" in path.path_bytes]
    assert [os.fsencode(row.path) for row in paths] == [bytes(forest) + b"/odd\xffname.txt"]
    assert os.path.exists(paths[0].path)


# ---- deaths, deadlines, many at once ----


def test_a_shard_killed_with_a_query_is_asked_again_when_it_is_rebuilt(opened):
    victim = opened.status().shards[0].pid
    stop(victim)
    answer = opened.search("common")
    os.kill(victim, signal.SIGKILL)
    assert len(answer.all()) == 10_000
    assert answer.complete


def test_a_shard_that_is_being_rebuilt_is_waited_for(opened):
    os.kill(opened.status().shards[0].pid, signal.SIGKILL)
    assert opened.count("common").lines == 10_000
    os.kill(opened.status().shards[1].pid, signal.SIGKILL)
    assert len(opened.files("common")) == 200


def test_a_shard_killed_in_the_middle_of_its_answer_makes_it_partial_and_the_next_is_whole(tmp_path):
    (tmp_path / "many.txt").write_bytes(b"needle in a long line of text, again and again\n" * 400_000)
    with manyhands.search.open(tmp_path, shards=1) as tree:
        answer = tree.search("needle")
        next(answer)
        os.kill(tree.status().shards[0].pid, signal.SIGKILL)
        assert len(answer.all()) < 400_000
        assert (answer.complete, answer.shards) == (False, (0, 1))
        assert isinstance(answer.missing[0], ActorLostError)
        assert tree.count("needle").lines == 400_000


def test_who_has_no_patience_gets_a_partial_answer_at_once_and_the_next_is_whole(opened, until):
    every = opened.count("common").lines
    assert every == 10_000
    victim = opened.status().shards[0].pid
    stop(victim)
    answer = opened.search("common", patient=False)
    os.kill(victim, signal.SIGKILL)
    rows = answer.all()
    assert len(rows) == every // 2
    assert (answer.complete, answer.timed_out, answer.shards) == (False, False, (1, 2))
    assert isinstance(answer.missing[0], ActorLostError)
    until(lambda: opened.status().shards[0].state == "ready")
    again = opened.search("common")
    assert len(again.all()) == every
    assert again.complete


def test_a_deadline_ends_the_answer_with_what_was_found(opened):
    answer = opened.search("common", deadline_s=1e-9)
    rows = answer.all()
    assert len(rows) < 10_000
    assert (answer.complete, answer.timed_out, answer.missing) == (False, True, {})
    assert opened.search("common", deadline_s=60).all()


def test_a_shard_that_hangs_is_given_up_at_the_deadline(opened):
    opened.wait_indexed()
    with stopped(opened.status().shards[1].pid):
        answer = opened.search("common", deadline_s=2)
        assert len(answer.all()) == 5_000
        assert (answer.complete, answer.timed_out, answer.shards) == (False, True, (1, 2))
        assert isinstance(answer.missing[1], TimeoutError)
    assert len(opened.search("common").all()) == 10_000


def test_who_stops_reading_stops_the_query(tmp_path, until):
    (tmp_path / "many.txt").write_bytes(b"needle in a long line of text, again and again\n" * 400_000)
    with manyhands.search.open(tmp_path, shards=1) as tree:
        with tree.search("needle") as answer:
            next(answer)
        until(lambda: tree.status().shards[0].open_requests == 0)
        forgotten = tree.search("needle")
        next(forgotten)
        del forgotten
        gc.collect()
        until(lambda: tree.status().shards[0].open_requests == 0)
        assert tree.count("needle").lines == 400_000


def test_a_thousand_queries_at_once_from_threads(opened):
    wrong = []

    def work(first):
        for number in range(first, first + 63):
            word = f"word{number % 200:03}"
            rows = opened.search(word).all()
            if len(rows) != 50 or not all(word in row.line for row in rows):
                wrong.append(word)

    threads = [threading.Thread(target=work, args=(63 * n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_thousand_queries_at_once_from_tasks(opened):
    async def ask(number):
        answer = opened.search(f"word{number % 200:03}")
        rows = [row async for row in answer]
        return len(rows), answer.complete

    async def everything():
        return await asyncio.gather(*(ask(number) for number in range(1000)))

    assert set(asyncio.run(everything())) == {(50, True)}


def test_a_task_that_is_cancelled_stops_its_query(opened, until):
    async def main():
        async def forever():
            while True:
                async for _ in opened.search("common"):
                    await asyncio.sleep(0)

        task = asyncio.create_task(forever())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    until(lambda: all(shard.open_requests == 0 for shard in opened.status().shards))


def test_counts_and_files_without_blocking_the_loop(opened):
    async def main():
        counts = await opened.count_async("word007")
        found = await opened.files_async("word007")
        return counts.lines, counts.files, counts.complete, [os.path.basename(path) for path in found]

    assert asyncio.run(main()) == (50, 1, True, ["f007.txt"])


def test_a_shard_whose_constructor_raises_says_so():
    with pytest.raises(TypeError, match="a name must be bytes, not 3"):
        manyhands.ActorGroup(Shard, [Load(0, [3], [b"x"], [], False, None, None)])  # type: ignore[list-item]


# ---- counts, files, status ----


def test_counts_by_file(opened, wide):
    counts = opened.count("word00")
    assert (counts.lines, counts.files, counts.complete) == (500, 10, True)
    assert counts.by_file[str(wide / "f003.txt")] == 50
    assert opened.count("word00", invert=True).lines == 9_500
    assert opened.count(r"word00\d", regex=True, limit_per_file=3).lines == 30


def test_files_with_and_without(opened, wide, tree, forest):
    assert list(opened.files("word007")) == [str(wide / "f007.txt")]
    without = opened.files("word007", without=True)
    assert len(without) == 199
    assert str(wide / "f007.txt") not in without
    assert opened.files(name="f00*").paths_bytes == [bytes(wide / f"f00{n}.txt") for n in range(10)]
    assert list(opened.files("word00", name="*7.txt", file="f008.txt")) == [
        str(wide / f"f00{n}.txt") for n in (7, 8)
    ]
    wanted = {name for name, _, _ in naive.search(forest, b"needle")}
    assert tree.files("needle", case="exact").paths_bytes == sorted(wanted)
    every = {name for name, _ in naive.texts(forest)}
    assert tree.files("needle", case="exact", without=True).paths_bytes == sorted(every - wanted)


def test_status_says_what_is_there(opened):
    opened.wait_indexed()
    status = opened.status()
    assert (status.files, status.skipped, status.indexed, status.watching) == (200, 0, 1.0, "off")
    assert status.text_bytes == 200 * 50 * len("common word000\n")
    assert [shard.state for shard in status.shards] == ["ready", "ready"]


# ---- what changes ----


def test_refresh_finds_what_is_new_changed_and_gone(opened, wide):
    (wide / "f000.txt").write_text("changed needle\n")
    (wide / "f0005.txt").write_text("new needle\n")
    (wide / "zzz.txt").write_text("last needle\n")
    (wide / "f199.txt").unlink()
    assert opened.refresh() == 4
    assert [(row.path, row.line) for row in opened.search("needle")] == [
        (str(wide / "f000.txt"), "changed needle"),
        (str(wide / "f0005.txt"), "new needle"),
        (str(wide / "zzz.txt"), "last needle"),
    ]
    assert opened.search("word199").all() == []
    assert opened.search("word000").all() == []
    assert len(opened) == 201
    assert opened.refresh() == 0


def test_a_shard_rebuilt_after_changes_has_them(opened, wide, until):
    (wide / "f000.txt").write_text("changed needle\n")
    (wide / "f0005.txt").write_text("new needle\n")
    (wide / "f001.txt").unlink()
    opened.refresh()
    before = opened.search("e", case="exact").all()
    shard = opened.status().shards[0]
    os.kill(shard.pid, signal.SIGKILL)
    until(lambda: opened.status().shards[0].builds == shard.builds + 1)
    assert opened.search("e", case="exact").all() == before


def test_progress_is_told(wide):
    told = []
    with manyhands.search.open(
        wide, shards=2, progress=lambda done, total: told.append((done, total))
    ) as tree:
        assert len(tree) == 200
    assert told[-1] == (200, 200)


def test_progress_is_shown_in_files_megabytes_and_their_rate(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.txt").write_bytes(b"text\n" * 200_000)
    stream = io.StringIO()
    with manyhands.search.open(tmp_path, shards=2, progress={"file": stream}):
        assert re.search(r"loading 3 files: 3 of 3 \(100%\) in .*, [\d.]+ MB/s", stream.getvalue())


def test_files_that_grow_and_shrink_while_they_are_read(tmp_path):
    path, lines, ended = tmp_path / "restless", b"a line of text\n" * 100_000, threading.Event()
    path.write_bytes(lines)

    def resize():
        with open(path, "r+b") as file:
            while not ended.is_set():
                file.truncate(len(lines) // 3)
                file.seek(0)
                file.write(lines)

    store = _search.Store()
    loader = Loader(store, binary=False, most_bytes=None)
    thread = threading.Thread(target=resize)
    thread.start()
    try:
        for _ in range(60):
            loader.read(0, bytes(path))
            text = store.text(0)
            assert text is not None
            assert_is_beginning_or_zeros(text, lines)
            store.check()
    finally:
        ended.set()
        thread.join()
    loader.read(0, bytes(path))
    assert store.text(0) == lines
    assert loader.skipped == {}


def assert_is_beginning_or_zeros(text, whole):
    """While a file is truncated, the kernel itself gives zeros for what is being cut off: read(2) does so too."""
    assert len(text) <= len(whole)
    assert whole.startswith(text) or all(got in (0, wanted) for got, wanted in zip(text, whole, strict=False))
