"""A session over stdio: what is on stdout, what ends it, what is left of it, and what a death or a cancel does to answers."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import termios

import pytest
from tests.search.hostile import stop
from tests.search.mcp_session import Client, children_of, command, is_alive, lines_of, shards_of, text_of

from manyhands.search.service.mcp.tools import AT_ONCE, WAITING_MOST
from manyhands.search.service.mcp.transport import MESSAGE_BYTES_MOST

HELLO = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}


@pytest.fixture
def wide(tmp_path):
    """Enough files for two shards."""
    root = tmp_path / "wide"
    root.mkdir()
    for number in range(100):
        (root / f"f{number:02}.txt").write_text(f"common word{number:02}\n" * 20)
    return root


@pytest.fixture
def client(wide):
    with Client(wide, shards=2) as opened:
        yield opened


class Raw:
    """The process without the library's client: lines in, lines out."""

    def __init__(self, *paths, before: str = "", **streams) -> None:
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE) | streams
        self.process = subprocess.Popen(command(paths, {"shards": 2}, before), **pipes)
        self.pid = self.process.pid

    def write(self, *messages: dict | bytes) -> None:
        for message in messages:
            line = (
                message if isinstance(message, bytes) else json.dumps({"jsonrpc": "2.0", **message}).encode()
            )
            self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def begin(self) -> dict:
        """Shake hands."""
        self.write(
            {"id": 0, "method": "initialize", "params": HELLO}, {"method": "notifications/initialized"}
        )
        return self.read()

    def ask(self, number: object, tool: str, **arguments) -> None:
        self.write({"id": number, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})

    def read(self) -> dict:
        return json.loads(self.process.stdout.readline())

    def finish(self, *messages: dict | bytes) -> list[dict]:
        """Write these, close stdin, and have all that it says until it ends."""
        self.write(*messages)
        out, self.errors = self.process.communicate()
        return [json.loads(line) for line in out.splitlines()]

    def close(self) -> None:
        for pid in shards_of(self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


@pytest.fixture
def raw():
    """``raw(*paths, before=...)``: a process, ended with the test."""
    started: list[Raw] = []

    def start(*paths, **options) -> Raw:
        started.append(Raw(*paths, **options))
        return started[-1]

    yield start
    for one in started:
        one.close()


def common(number: object) -> dict:
    return {
        "id": number,
        "method": "tools/call",
        "params": {"name": "count", "arguments": {"pattern": "common"}},
    }


def loaded(session: Raw) -> list[int]:
    """Wait for an answer, and so for the tree; all processes of it."""
    session.begin()
    session.ask("loaded", "count", pattern="common")
    assert session.read()["result"]["structuredContent"]["lines"] == 2000
    return [*children_of(session.pid), *shards_of(session.pid)]


# ---- what is on the wire ----


def test_a_conversation_through_a_pipe_is_answered_to_its_end(raw, wide):
    hands = [{"id": 0, "method": "initialize", "params": HELLO}, {"method": "notifications/initialized"}]
    session = raw(wide)
    said = session.finish(*hands, common("one"), common(2))
    assert session.errors == b""
    assert [one["id"] for one in said[:1]] == [0]
    assert {one["id"]: one["result"]["structuredContent"]["lines"] for one in said[1:]} == {
        "one": 2000,
        2: 2000,
    }


def test_the_command_serves_with_its_filters(wide):
    (wide / ".hidden.txt").write_text("common\n")
    messages = [
        {"id": 0, "method": "initialize", "params": HELLO},
        {"method": "notifications/initialized"},
        common(1),
    ]
    given = "".join(json.dumps({"jsonrpc": "2.0", **message}) + "\n" for message in messages)
    arguments = [
        sys.executable,
        "-m",
        "manyhands",
        "serve",
        "--mcp",
        "--hidden",
        "-g",
        "*0.txt",
        "-g",
        ".h*",
        str(wide),
    ]
    done = subprocess.run(arguments, input=given, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["result"]["structuredContent"]["lines"] == 10 * 20 + 1


def test_a_conversation_from_a_file_to_a_file_is_answered_to_its_end(raw, wide, tmp_path):
    hands = [{"id": 0, "method": "initialize", "params": HELLO}, {"method": "notifications/initialized"}]
    lines = [json.dumps({"jsonrpc": "2.0", **one}) for one in (*hands, common(1))]
    (tmp_path / "in").write_text("\n".join(lines))  # the last line has no end
    with open(tmp_path / "in") as stdin, open(tmp_path / "out", "w") as stdout:
        assert raw(wide, stdin=stdin, stdout=stdout).process.wait() == 0
    said = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert [one["id"] for one in said] == [0, 1]


def test_nothing_but_the_protocol_is_on_stdout_whatever_is_printed(raw, wide):
    before = """if True:
        import os, subprocess
        import manyhands.search
        real = manyhands.search.open

        def loud(*paths, **options):
            print("stray text")
            os.write(1, b"stray bytes\\n")
            subprocess.run(["echo", "stray child"])
            return real(*paths, **options)

        manyhands.search.open = loud
        print("before it serves", flush=True)
    """
    session = raw(wide, before=before)
    assert session.process.stdout.readline() == b"before it serves\n"
    session.begin()
    said = session.finish(common(1))
    assert [one["id"] for one in said] == [1]
    assert {b"stray text", b"stray bytes", b"stray child"} <= set(session.errors.splitlines())


def test_no_child_has_the_clients_pipes(raw, wide):
    session = raw(wide)
    processes = loaded(session)
    pipes = {
        f"pipe:[{os.fstat(end.fileno()).st_ino}]" for end in (session.process.stdin, session.process.stdout)
    }
    assert len(processes) == 3
    for pid in processes:
        links = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
        assert not links & pipes


def test_a_forked_child_does_not_have_the_clients_pipes(raw, wide):
    before = """if True:
        import os, sys
        import manyhands.search
        real = manyhands.search.open

        def forking(*paths, **options):
            pid = os.fork()
            if pid == 0:
                links = [os.readlink(f"/proc/self/fd/{fd}") for fd in range(3, 20) if os.path.exists(f"/proc/self/fd/{fd}")]
                os.write(2, f"fork {[each for each in links if each.startswith('pipe:')]}\\n".encode())
                os._exit(0)
            os.waitpid(pid, 0)
            return real(*paths, **options)

        manyhands.search.open = forking
    """
    session = raw(wide, before=before)
    pipes = [os.fstat(end.fileno()).st_ino for end in (session.process.stdin, session.process.stdout)]
    session.begin()
    session.finish(common(1))
    [told] = [line for line in session.errors.decode().splitlines() if line.startswith("fork ")]
    assert not any(str(inode) in told for inode in pipes)


def test_garbage_on_stdin_is_left_out_and_told_on_stderr(raw, wide):
    session = raw(wide)
    session.begin()
    garbage = [
        b"this is private",
        b"\xff\xfe\x00",
        b"[]",
        b"{}",
        b"null",
        b"",
        b"  ",
        b'{"jsonrpc":"2.0"',
        b"[" * 100_000,
    ]
    said = session.finish(*garbage, common(1))
    assert [one["id"] for one in said] == [1]
    assert said[0]["result"]["structuredContent"]["lines"] == 2000
    assert session.errors.count(b"is no message of the protocol") == 7
    assert b"private" not in session.errors


def test_a_line_that_never_ends_is_left_out_in_bounded_memory(raw, wide):
    session = raw(wide)
    loaded(session)
    before = memory(session.pid)
    session.process.stdin.write(b"x" * (64 << 20))
    session.write(b"", common(1))
    assert session.read()["id"] == 1
    assert memory(session.pid) - before < 4 * MESSAGE_BYTES_MOST
    session.finish()
    assert b"a line of more than" in session.errors


def memory(pid: int) -> int:
    """The most that it had, in bytes."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM"))


def test_a_request_that_is_none_is_answered_if_it_has_an_id(raw, wide):
    session = raw(wide)
    session.begin()
    session.write(b'{"jsonrpc":"2.0","id":7,"method":5}')
    answer = session.read()
    assert (answer["id"], answer["error"]["code"]) == (7, -32600)


def test_the_later_protocol_without_a_handshake_is_spoken_too(raw, wide):
    session = raw(wide)
    envelope = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    asked = common(1)
    asked["params"]["_meta"] = envelope
    session.write(asked)
    assert session.read()["result"]["structuredContent"]["lines"] == 2000


# ---- what ends it ----


def test_the_end_of_stdin_ends_the_process_and_its_shards(raw, wide, until):
    session = raw(wide)
    processes = loaded(session)
    session.process.stdin.close()
    assert session.process.wait() == 0
    until(lambda: not any(map(is_alive, processes)))


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_process_and_its_shards(raw, wide, until, signum):
    session = raw(wide)
    processes = loaded(session)
    session.process.send_signal(signum)
    assert session.process.wait() == 0
    assert session.process.stdout.read() == b""
    assert b"Traceback" not in session.process.stderr.read()
    until(lambda: not any(map(is_alive, processes)))


def test_a_signal_does_not_wait_for_calls_under_way(raw, wide):
    session = raw(wide)
    loaded(session)
    for pid in shards_of(session.pid):
        stop(pid)
    session.ask(1, "search", pattern="common", deadline_s=120)
    session.ask(2, "list_files")
    assert session.read()["id"] == 2  # the first is under way by now
    session.process.terminate()
    assert session.process.wait() == 0


def test_sigkill_leaves_no_shard(raw, wide, until):
    session = raw(wide)
    processes = loaded(session)
    session.process.kill()
    until(lambda: not any(map(is_alive, processes)))


def test_a_client_that_reads_no_more_ends_it_with_calls_under_way(raw, wide, until):
    session = raw(wide)
    processes = loaded(session)
    for pid in shards_of(session.pid):
        stop(pid)
    session.ask(1, "search", pattern="common", deadline_s=120)
    session.process.stdout.close()
    session.process.stdin.close()
    assert session.process.wait() == 0
    until(lambda: not any(map(is_alive, processes)))


def unread(pipe: int) -> int:
    """How many bytes wait in it."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def test_a_client_that_does_not_read_does_not_hold_up_a_signal(raw, wide, until):
    session = raw(wide)
    loaded(session)
    pipe = session.process.stdout.fileno()
    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 4096)  # one page: whatever is in it, it takes no more
    session.ask(1, "search", pattern="common", limit=500)
    until(lambda: unread(pipe))
    session.process.terminate()
    assert session.process.wait() == 0


def test_a_path_that_is_not_there_ends_it_with_the_reason(raw, tmp_path):
    session = raw(tmp_path / "no-such-folder")
    assert session.process.wait() == 1
    assert b"no-such-folder" in session.process.stderr.read()
    assert session.process.stdout.read() == b""


def test_a_closed_stdin_is_refused_with_the_reason(wide):
    code = "import os; os.close(0)"
    done = subprocess.run(command((wide,), {}, code), capture_output=True, check=False)
    assert done.returncode == 1
    assert b"stdin is closed" in done.stderr


# ---- while the files are read ----

ENDLESS = """if True:
    import threading
    import manyhands.search

    def endless(*paths, progress, **options):
        while True:
            progress(3, 8)
            threading.Event().wait(0.01)

    manyhands.search.open = endless
"""


def test_a_client_is_greeted_and_told_how_far_it_is_while_the_files_are_read(raw, wide):
    session = raw(wide, before=ENDLESS)
    assert session.begin()["result"]["serverInfo"]["name"] == "manyhands"
    session.ask(1, "count", pattern="common", deadline_s=0.2)
    answer = session.read()["result"]
    assert answer["isError"]
    assert "the files are still being read (3 of 8 files): ask again" in answer["content"][0]["text"]


@pytest.mark.parametrize("way", ["stdin", "signal"])
def test_reading_the_files_is_given_up_at_the_end(raw, wide, way):
    session = raw(wide, before=ENDLESS)
    session.begin()
    if way == "stdin":
        session.process.stdin.close()
    else:
        session.process.terminate()
    assert session.process.wait() == 0


# ---- deaths, deadlines, cancels ----


def test_an_answer_without_a_killed_shard_says_so_and_later_ones_are_whole(client, until):
    assert client.facts("count", pattern="common")["lines"] == 2000
    victim = client.shards()[0]
    stop(victim)
    call = client.begin("search", pattern="common", limit=500, deadline_s=60)
    client.call("list_files")  # by its answer the first call has asked the shards
    os.kill(victim, signal.SIGKILL)
    answer = call.result()
    facts = answer.structured_content
    assert (facts["complete"], facts["timed_out"]) == (False, False)
    assert [one["shard"] for one in facts["missing"]] == [0]
    assert all(path >= "f50.txt" for path, _, _ in lines_of(facts))
    assert "shard 0" in text_of(answer)
    assert "Ask again for the whole answer" in text_of(answer)
    whole = until(lambda: (found := client.facts("count", pattern="common"))["complete"] and found)
    assert whole["lines"] == 2000


def test_a_deadline_ends_an_answer_with_what_was_found(client):
    assert client.facts("count", pattern="common")["lines"] == 2000
    stop(client.shards()[1])
    answer = client.call("search", pattern="common word00", deadline_s=0.3)
    facts = answer.structured_content
    assert (facts["complete"], facts["timed_out"], facts["lines"]) == (False, True, 20)
    assert "The deadline of 0.3 s came first" in text_of(answer)


def test_cancelled_calls_make_room_for_others(client, until):
    assert client.facts("count", pattern="common")["lines"] == 2000
    for pid in client.shards():
        stop(pid)
    calls = [client.begin("search", pattern="common", deadline_s=120) for _ in range(AT_ONCE)]
    listing = client.begin("list_files")
    assert "did not get its turn in 0.2 s" in client.refusal("count", pattern="common", deadline_s=0.2)
    assert not listing.done()
    for call in calls:
        call.cancel()
    assert len(listing.result().structured_content["files"]) == 100


def test_too_many_calls_at_once_are_refused(client):
    assert client.facts("count", pattern="common")["lines"] == 2000
    for pid in client.shards():
        stop(pid)
    calls = [client.begin("search", pattern="common", deadline_s=120) for _ in range(AT_ONCE + WAITING_MOST)]
    assert f"{AT_ONCE + WAITING_MOST} calls are under way" in client.refusal("list_files")
    for call in calls:
        call.cancel()
    assert len(client.facts("list_files")["files"]) == 100


# ---- what changes ----


def test_what_is_written_is_found_a_moment_later(client, wide, until):
    assert client.facts("count", pattern="brand new")["lines"] == 0
    (wide / "new.txt").write_text("brand new line\n")
    until(lambda: client.facts("count", pattern="brand new")["lines"] == 1)
    assert client.facts("read_lines", path="new.txt")["lines"][0]["text"] == "brand new line"
    (wide / "new.txt").unlink()
    until(lambda: client.call("read_lines", path="new.txt").is_error)


def test_a_file_that_becomes_a_symlink_to_the_outside_is_held_no_more(client, wide, until):
    (wide.parent / "secret").write_text("the secret\n")
    assert client.facts("read_lines", path="f00.txt")["total_lines"] == 20
    (wide / "f00.txt").unlink()
    (wide / "f00.txt").symlink_to(wide.parent / "secret")
    until(lambda: client.call("read_lines", path="f00.txt").is_error)
    assert client.facts("count", pattern="the secret")["lines"] == 0
