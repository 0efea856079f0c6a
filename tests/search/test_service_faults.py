"""Deaths, stops, floods and bad clients: what the service does then. See "What each death leaves" in the design."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import resource
import shutil
import signal
import threading

import pytest
from tests.search.hostile import (
    Wire,
    descendants,
    is_running,
    json_in,
    limited,
    memory_bytes,
    short_folder,
    status_of,
    stopped,
    wait_until,
)
from tests.search.serving import Serving

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

#: An answer of 40 MB: more than is under way to a client that does not read.
LONG = "/search?pattern=hay&limit=100000&max_columns=100000&deadline_s=60"
FILES, LINES = 40, 500


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Two shards' worth of long lines, and a word that is in each file once."""
    root = tmp_path_factory.mktemp("tree")
    for number in range(FILES):
        hay = f"hay {'x' * 2000}\n" * LINES
        (root / f"f{number:02}.txt").write_text(f"needle {number}\n{hay}")
    return root


@pytest.fixture(scope="module")
def service(tree):
    with short_folder() as runtime, limited(tree, runtime=runtime, head_s=0.5, stall_s=0.5) as serving:
        yield serving


@pytest.fixture
def runtime():
    with short_folder() as path:
        yield path


def whole(service):
    """Are all the needles there?"""
    *events, end = service.events(pattern="needle")
    return end["complete"] and sum(event["type"] == "lines" for event in events) == FILES


def shards(service):
    return service.json("/status")["shards"]


def is_idle(service):
    status = service.json("/status")
    return status["queries"]["running"] == status["queries"]["waiting"] == 0


def last_event(answer):
    """Of a raw answer in chunks."""
    return json.loads(answer.split(b"\r\n\r\n")[-2].split(b"\r\n")[-2].splitlines()[-1])


# ---- shards ----


class Load:
    """Threads that ask again and again, and note how each answer ended."""

    def __init__(self, service, threads=4):
        self.ends, self._stop = [], threading.Event()
        self._service = service
        self._threads = [threading.Thread(target=self._ask) for _ in range(threads)]

    def _ask(self):
        while not self._stop.is_set():
            *events, end = self._service.events(pattern="needle", patient="false")
            self.ends.append((end, sum(event["type"] == "lines" for event in events)))

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()


def test_a_shard_that_is_killed_under_load_is_named_in_answers_until_it_is_back(service):
    killed = shards(service)[0]
    with Load(service) as load:
        wait_until(lambda: len(load.ends) > 8, "answers before the death")
        os.kill(killed["pid"], signal.SIGKILL)
        wait_until(lambda: shards(service)[0]["restarts"] > killed["restarts"], "the shard is rebuilt")
        count = len(load.ends)
        wait_until(lambda: len(load.ends) > count + 8, "answers after the death")
    for end, files in load.ends:
        assert end["type"] == "end"
        if end["complete"]:
            assert (files, end["missing"], end["shards"]["answered"]) == (FILES, [], 2)
        else:
            assert [one["shard"] for one in end["missing"]] == [0]
            assert "rebuilt" in end["missing"][0]["why"]
    assert load.ends[-1][0]["complete"]
    assert service.get("/healthz")[0] == 200


def test_files_are_followed_after_a_shard_has_died_with_a_change(tree, service):
    path = tree / "f00.txt"
    before = path.read_text()
    for number in range(5):
        (pid,) = [shard["pid"] for shard in shards(service)[:1]]
        path.write_text(f"{before}changed{number}\n")
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(service.events(pattern="changed")) == 3, "the change is found")
    path.write_text(before)
    wait_until(lambda: len(service.events(pattern="changed")) == 2, "the change is gone")
    assert service.json("/status")["watching"].startswith("watching ")


def test_a_shard_that_cannot_be_rebuilt_is_named_and_the_others_answer(tree, runtime):
    with limited(tree, runtime=runtime, deadline_s=2) as serving:
        first = shards(serving)[0]["pid"]
        (template,) = [pid for pid in descendants(serving.pid) if first in descendants(pid)]
        resource.prlimit(template, resource.RLIMIT_NOFILE, (3, 3))  # no descriptor for another child
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: shards(serving)[0]["state"] == "failed", "the shard is given up")
        status, _, body = serving.get("/healthz")
        assert (status, json.loads(body)["status"]) == (503, "degraded")
        (why,) = json.loads(body)["why"]
        assert why.startswith("shard 0 cannot be rebuilt: ")
        assert not why.endswith(": None")
        *events, end = serving.events(pattern="needle")
        assert 0 < sum(event["type"] == "lines" for event in events) < FILES
        assert (end["complete"], [one["shard"] for one in end["missing"]]) == (False, [0])
        metrics = serving.get("/metrics")[2].decode()
        assert "manyhands_shards 2.0" in metrics
        assert "manyhands_shards_ready 1.0" in metrics
        check_what_is_left_of_a_tree_is_served(tree, serving)


def check_what_is_left_of_a_tree_is_served(tree, serving):
    """One of two shards is lost for good: the other's files are read and followed, and nothing is a 500."""
    served = [f"{tree}/f{number:02}.txt" for number in range(FILES)]
    statuses = [serving.get("/file", path=path)[0] for path in (served[0], served[-1])]
    assert statuses == [503, 200]
    assert serving.get("/skipped")[0] == 503
    lost, path = tree / "f00.txt", tree / "f39.txt"
    before = {each: each.read_text() for each in (lost, path)}
    for each in (lost, path):
        each.write_text(before[each] + "changed\n")
        threading.Event().wait(0.1)  # told one after the other
    wait_until(lambda: len(serving.events(pattern="changed")) == 3, "the change is found")
    for each, text in before.items():
        each.write_text(text)
    wait_until(lambda: len(serving.events(pattern="changed")) == 2, "the change is gone")
    assert serving.json("/status")["watching"].startswith("watching ")


def is_in_use(service, name):
    """Is a query of that name under way? Asks no shard, as the status would."""
    return service.get(f"/count?pattern=needle&id={name}")[0] == 409


def test_a_shard_that_is_stopped_makes_queries_end_at_their_deadline(tree, runtime):
    with limited(tree, runtime=runtime, deadline_s=0.5) as serving:
        before = shards(serving)
        with stopped(before[1]["pid"]):
            *events, end = serving.events(pattern="needle")
            assert (end["timed_out"], end["complete"]) == (True, False)
            assert [one["shard"] for one in end["missing"]] == [1]
            assert 0 < sum(event["type"] == "lines" for event in events) < FILES
            with Wire(serving.address) as health, Wire(serving.address) as status:
                health.ask("/healthz", "Connection: close")
                found = json_in(status.ask("/status", "Connection: close").rest())
                answer = health.rest()
            assert (status_of(answer), json_in(answer)["why"]) == (503, ["shard 1 does not answer"])
            assert [shard["pid"] for shard in found["shards"]] == [shard["pid"] for shard in before]
            assert serving.get("/file", path=f"{tree}/f39.txt")[0] == 503
            assert serving.get("/skipped")[0] == 503
            assert serving.get("/file", path=f"{tree}/f00.txt")[0] == 200
            wire = Wire(serving.address).ask("/search?pattern=needle&deadline_s=60&id=mine")
            wait_until(lambda: is_in_use(serving, "mine"), "a query waits for the shard")
            wire.reset()
            wait_until(lambda: not is_in_use(serving, "mine"), "it ends with its client")
        wait_until(lambda: serving.get("/healthz")[0] == 200, "it is well again")
        assert whole(serving)


def test_a_service_ends_though_a_shard_is_stopped_and_a_change_waits_for_it(tree, runtime):
    path = tree / "f39.txt"
    before = path.read_text()
    serving = limited(tree, runtime=runtime, deadline_s=0.5, drain_s=0.5)
    with serving, stopped(shards(serving)[1]["pid"]):
        path.write_text(before + "one more\n")
        (tree / "f00.new").write_text("brand new\n")
        wait_until(lambda: serving.events(pattern="brand new")[1:-1], "a later change is seen")
        assert serving.stop() == 0
    path.write_text(before)
    (tree / "f00.new").unlink()
    assert os.listdir(f"{runtime}/manyhands") == []


# ---- clients ----


def test_a_thousand_connections_at_once_are_all_answered(service):
    wires = [Wire(service.address) for _ in range(1000)]
    for number, wire in enumerate(wires):
        wire.ask(f"/count?pattern=needle&id=c{number}", "Connection: close")
    answers = [json.loads(wire.rest().partition(b"\r\n\r\n")[2]) for wire in wires]
    for wire in wires:
        wire.close()
    assert [(answer["id"], answer["lines"], answer["complete"]) for answer in answers] == [
        (f"c{number}", FILES, True) for number in range(1000)
    ]


@pytest.mark.parametrize(
    "said", [b"", b"GET /hea", b"GET /healthz HTTP/1.1\r\nHost: loc", b"\r\n", b"\x16\x03\x01"]
)
def test_a_client_that_sends_no_whole_request_is_dropped(service, said):
    with Wire(service.address) as wire:
        rest = wire.send(said).rest()
        assert rest == b"" or status_of(rest) == 400


@pytest.mark.parametrize("said", [b"\r\n", b"GET /hea", b"GET /healthz HTTP/1.1\r\n"])
def test_a_client_that_sends_no_whole_second_request_is_dropped(service, said):
    with Wire(service.address) as wire:
        assert status_of(wire.ask("/healthz").until(b"}")) == 200
        assert wire.send(said).rest() == b""


def test_a_client_that_does_not_read_is_dropped_and_its_query_stops(service):
    with Wire(service.address, window=4096) as wire:
        wire.ask(f"{LONG}&id=unread")
        wait_until(lambda: not is_idle(service), "the query has begun")
        wait_until(lambda: is_idle(service), "it is given up")
        assert service.get("/search/unread", method="DELETE")[0] == 404
        assert b'"type":"end"' not in wire.rest()


def test_a_client_that_reads_no_last_answer_is_dropped(tmp_path, runtime):
    """Of one of these answers a little has still to be sent when all is done: less than makes the service wait."""
    (tmp_path / "large.txt").write_text(f"{'x' * 1000}\n" * 4800)  # more than the system keeps for a client
    with contextlib.ExitStack() as stack:
        serving = stack.enter_context(limited(tmp_path, runtime=runtime, stall_s=0.5))
        descriptors = f"/proc/{serving.pid}/fd"
        before = len(os.listdir(descriptors))
        wires = [stack.enter_context(Wire(serving.address, window=4096)) for _ in range(80)]
        for number, wire in enumerate(wires):
            wire.ask(f"/file?path={tmp_path}/large.txt&before=0&after={60 * number}", "Connection: close")
        wait_until(lambda: len(os.listdir(descriptors)) <= before, "all are dropped")


def test_a_client_that_reads_nothing_keeps_no_others_waiting(tree, runtime):
    serving = limited(tree, runtime=runtime, running=1)
    with serving, Wire(serving.address, window=4096) as wire:
        wire.ask(LONG, "Connection: close")
        wire.until(b'"begin"')
        assert whole(serving)
        assert b'"type":"end"' in wire.rest()


def test_of_too_many_clients_that_read_nothing_the_first_are_broken_off(tree, runtime):
    serving = limited(tree, runtime=runtime, running=1, aside=1)
    with serving, contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire(serving.address, window=4096)) for _ in range(3)]
        for wire in wires:
            wire.ask(LONG, "Connection: close")
            wire.until(b'"begin"')
        assert whole(serving)
        assert [b'"type":"end"' in wire.rest() for wire in wires] == [False, False, True]


def test_the_command_may_stand_still_for_as_long_as_it_likes(tree, runtime):
    serving = limited(tree, runtime=runtime, running=1, stall_s=0.2, delivery_s=0.2)
    with serving, Wire(serving.socket_path) as wire:
        wire.ask(LONG.replace("&deadline_s=60", ""), "Connection: close")
        wire.until(b'"begin"')
        with Wire(serving.address, window=4096) as other:
            other.ask(LONG)
            other.until(b'"begin"')
            wait_until(lambda: serving.json("/status")["queries"]["running"] == 1, "the other one is dropped")
        assert whole(serving)
        assert b'"type":"end"' in wire.rest()


def test_memory_is_bounded_by_the_window_whatever_is_found_and_not_read(service):
    with contextlib.ExitStack() as stack:
        assert len(service.get(LONG)[2]) > 40_000_000
        before = memory_bytes(service.pid)
        wires = [stack.enter_context(Wire(service.address, window=4096)) for _ in range(8)]
        for wire in wires:
            wire.ask(LONG)
        grown = 0
        while not is_idle(service):
            grown = max(grown, memory_bytes(service.pid) - before)
        assert grown < 200 << 20  # 8 answers are 320 MB


@pytest.mark.parametrize("end", [Wire.reset, Wire.close])
def test_the_query_of_a_client_that_vanishes_stops(tree, runtime, end):
    with limited(tree, runtime=runtime) as serving:
        wire = Wire(serving.address, window=4096).ask(LONG)
        wire.until(b'"begin"')
        assert not is_idle(serving)
        end(wire)
        wait_until(lambda: is_idle(serving), "its query has ended")
        wait_until(lambda: 'status="499"' in serving.get("/metrics")[2].decode(), "it is counted")


# ---- cancelling, and the queue ----


def test_a_long_stream_that_is_cancelled_twice_ends_with_its_end(service):
    with Wire(service.address, window=65536) as wire:
        wire.ask(f"{LONG}&id=long", "Connection: close").until(b'"begin"')
        wait_until(lambda: wire.is_still, "it waits for its reader")
        statuses = [service.get("/search/long", method="DELETE")[0] for _ in range(2)]
        assert statuses == [204, 204]
        end = last_event(wire.rest())
    assert (end["type"], end["cancelled"], end["complete"]) == ("end", True, False)


@pytest.fixture(scope="module")
def narrow(tree):
    with short_folder() as runtime, limited(tree, runtime=runtime, running=1, waiting=1) as serving:
        yield serving


def test_a_full_queue_refuses_at_once_and_says_when_to_come_again(narrow):
    with Wire(narrow.address, window=4096) as first, Wire(narrow.address) as second:
        first.ask(f"{LONG}&id=first").until(b'"begin"')
        second.ask("/count?pattern=needle&id=second", "Connection: close")
        wait_until(lambda: narrow.json("/status")["queries"]["waiting"] == 1, "the second waits")
        status, headers, body = narrow.get("/count?pattern=needle")
        assert (status, headers["retry-after"]) == (503, "1")
        assert "come again" in json.loads(body)["detail"]
        assert narrow.json("/count", pattern="needle", id="second")["status"] == 409
        assert narrow.get("/search/first", method="DELETE")[0] == 204
        first.until(b'"cancelled":true')
        assert json.loads(second.rest().partition(b"\r\n\r\n")[2])["lines"] == FILES


def test_a_query_that_waits_can_be_cancelled(narrow):
    with Wire(narrow.address, window=4096) as first, Wire(narrow.address) as second:
        first.ask(LONG).until(b'"begin"')
        second.ask("/count?pattern=needle&id=waits", "Connection: close")
        wait_until(lambda: narrow.json("/status")["queries"]["waiting"] == 1, "the second waits")
        assert narrow.get("/search/waits", method="DELETE")[0] == 204
        answer = second.rest()
        assert (status_of(answer), json_in(answer)["detail"]) == (409, "the query was cancelled")
    wait_until(lambda: is_idle(narrow), "the place is free")
    assert whole(narrow)


def test_a_client_that_vanishes_from_the_queue_leaves_its_place(narrow):
    with Wire(narrow.address, window=4096) as first:
        first.ask(LONG).until(b'"begin"')
        Wire(narrow.address).ask("/count?pattern=needle&id=gone").reset()
        wait_until(lambda: narrow.json("/status")["queries"]["waiting"] == 0, "nobody waits")
    wait_until(lambda: is_idle(narrow), "the place is free")


# ---- the end ----


def left_in(runtime):
    return os.listdir(f"{runtime}/manyhands")


def test_sigterm_under_load_ends_streams_properly_and_leaves_nothing(tree, runtime):
    with limited(tree, runtime=runtime, drain_s=0.5) as serving, contextlib.ExitStack() as stack:
        below = descendants(serving.pid)
        readers = [stack.enter_context(Wire(serving.address, window=1 << 16)) for _ in range(4)]
        slow = stack.enter_context(Wire(serving.address, window=1 << 16))
        deaf = stack.enter_context(Wire(serving.address, window=4096))
        for wire in (*readers, slow, deaf):
            wire.ask(LONG).until(b'"begin"')
        serving.process.terminate()
        serving.wait_for_line("ending")
        cancelled = last_event(slow.rest(pause_s=0.003))  # it takes seconds for all of it
        ends = [last_event(wire.rest()) for wire in readers]
        assert serving.stop() == 0
    assert (cancelled["type"], cancelled["cancelled"]) == ("end", True)
    assert {end["type"] for end in ends} == {"end"}
    assert all(end["complete"] or end["cancelled"] for end in ends)
    assert left_in(runtime) == []
    wait_until(lambda: not any(map(is_running, below)), "no process is left")


def test_signals_that_come_again_and_again_leave_nothing(tree, runtime):
    with limited(tree, runtime=runtime, drain_s=0.5) as serving, Wire(serving.address, window=4096) as wire:
        below = descendants(serving.pid)
        wire.ask(LONG).until(b'"begin"')
        while serving.process.poll() is None:
            serving.process.terminate()
            threading.Event().wait(0.001)
    assert left_in(runtime) == []
    wait_until(lambda: not any(map(is_running, below)), "no process is left")


def test_a_service_that_is_killed_leaves_no_process_and_the_next_one_takes_over(tree, runtime):
    with Serving(tree, runtime=runtime) as first:
        below = descendants(first.pid)
        assert below
        first.kill()
    wait_until(lambda: not any(map(is_running, below)), "its shards leave with it")
    left = sorted(left_in(runtime))
    assert [os.path.splitext(name)[1] for name in left] == [".socket", ".tree"]
    with Serving(tree, runtime=runtime) as second:
        assert whole(second)
        assert sorted(left_in(runtime)) == left
        assert second.stop() == 0
    assert left_in(runtime) == []


def test_a_second_service_of_a_tree_says_who_the_first_is(tree, runtime):
    with (
        Serving(tree, runtime=runtime) as first,
        Serving(f"{tree}/.", runtime=runtime, ready=False) as second,
    ):
        assert second.process.wait() != 0
        assert second.stop() != 0
        said = "".join(second.said)
        assert f"process {first.pid}" in said
        assert first.url in said
        assert "Traceback" not in said
        assert whole(first)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Takes a while to load."""
    root = tmp_path_factory.mktemp("large")
    for number in range(20):
        (root / f"{number}.txt").write_bytes(b"a line of text that is long enough\n" * 100_000)
    return root


def has_claimed(serving):
    with contextlib.suppress(OSError):
        return left_in(serving.runtime)
    return False


MOMENTS = {
    "claimed": has_claimed,
    "first process": lambda serving: descendants(serving.pid),
    "shards": lambda serving: len(descendants(serving.pid)) > 1,
    "more shards": lambda serving: len(descendants(serving.pid)) > 3,
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_signal_while_the_tree_is_loaded_leaves_nothing(large, runtime, moment, number):
    options = ("--port", "0", "--shards", "4")
    with Serving(large, runtime=runtime, options=options, ready=False) as serving:
        wait_until(lambda: MOMENTS[moment](serving), moment)
        below = descendants(serving.pid)
        assert serving.stop(number) != 0
    assert "Traceback" not in "".join(serving.said)
    assert left_in(runtime) == []
    wait_until(lambda: not any(map(is_running, below)), "no process is left")


# ---- the tree ----


def texts(service):
    return sorted(line["text"] for event in service.events(pattern="text")[1:-1] for line in event["lines"])


def test_a_tree_that_is_deleted_and_replaced_is_followed(tmp_path, runtime):
    root, other = tmp_path / "served", tmp_path / "other"
    for folder, text in (root, "old text\n"), (other, "new text\n"):
        folder.mkdir()
        (folder / "a.txt").write_text(text)
    with Serving(root, runtime=runtime) as serving:
        assert texts(serving) == ["old text"]
        shutil.rmtree(root)
        wait_until(lambda: "gone" in serving.json("/status")["watching"], "the status says so")
        assert (texts(serving), serving.events(pattern="text")[-1]["complete"]) == ([], True)
        other.rename(root)
        wait_until(lambda: texts(serving) == ["new text"], "the other tree is found")
        wait_until(lambda: serving.json("/status")["watching"].startswith("watching"), "it is followed")
        (root / "b.txt").write_text("later text\n")
        wait_until(lambda: texts(serving) == ["later text", "new text"], "a change is seen")


def test_a_tree_that_comes_and_goes_is_followed_in_the_end(tmp_path, runtime):
    root = tmp_path / "served"
    root.mkdir()
    with Serving(root, runtime=runtime) as serving:
        for number in range(30):
            shutil.rmtree(root)
            threading.Event().wait(0.05 * (number % 3))
            root.mkdir()
            (root / "a.txt").write_text(f"text {number}\n")
        wait_until(lambda: texts(serving) == ["text 29"], "the last is found")
        (root / "b.txt").write_text("text of another\n")
        wait_until(lambda: len(texts(serving)) == 2, "a change is seen")
        assert serving.get("/healthz")[0] == 200


#: Becomes the only user of a user namespace, where limits and mounts are its own.
APART = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
user, group = os.getuid(), os.getgid()
def check(result):
    if result:
        raise SystemExit("not allowed: " + os.strerror(ctypes.get_errno()))
check(libc.unshare(0x10000000 | 0x00020000))
open("/proc/self/setgroups", "w").write("deny")
open("/proc/self/uid_map", "w").write(f"{user} {user} 1")
open("/proc/self/gid_map", "w").write(f"{group} {group} 1")
"""


def started(tree, runtime, before, **settings):
    """A service that does something first which not every machine allows: then the test is skipped."""
    serving = limited(tree, runtime=runtime, before=before, ready=False, **settings)
    try:
        serving.wait_ready()
    except AssertionError:
        serving.stop()
        said = "".join(serving.said)
        if "not allowed" in said or "PermissionError" in said or "Read-only" in said:
            pytest.skip(f"this machine does not allow it: {said.splitlines()[-1]}")
        raise
    return serving


def test_changes_are_polled_for_when_the_kernel_watches_no_more(tmp_path, runtime):
    for name in "abcd":
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "a.txt").write_text("old text\n")
    few = APART + 'open("/proc/sys/user/max_inotify_watches", "w").write("2")\n'
    with started(tmp_path, runtime, few) as serving:
        assert serving.json("/status")["watching"] == "polling (fs.inotify.max_user_watches is reached)"
        (tmp_path / "a" / "b.txt").write_text("new text\n")
        wait_until(lambda: texts(serving) == ["new text", "old text"], "the change is found")
        assert serving.get("/healthz")[0] == 200


def test_a_full_disk_affects_no_query(tmp_path, runtime):
    (tmp_path / "a.txt").write_text("old text\n")
    full = APART + f'check(libc.mount(b"none", {runtime.encode()!r}, b"tmpfs", 0, b"size=64k,mode=700"))\n'
    with started(tmp_path, runtime, full) as serving:
        inside = f"/proc/{serving.pid}/root{runtime}"
        with open(f"{inside}/filler", "wb", buffering=0) as filler, pytest.raises(OSError, match="No space"):
            filler.writelines(itertools.repeat(b"x" * 4096, 64))
        (tmp_path / "b.txt").write_text("new text\n")
        wait_until(lambda: texts(serving) == ["new text", "old text"], "the change is found")
        assert serving.stop() == 0
