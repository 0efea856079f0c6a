"""`manyhands search` and a service that refuses, breaks off, talks nonsense or says nothing: a socket that says what the
test wants it to."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import threading
from array import array
from pathlib import Path

import pytest

from manyhands.cli.main import main
from manyhands.cli.search import exchange, served
from manyhands.search.columns import Columns, Page
from manyhands.search.service import frames, register

FOUND_HERE = (0, b"a.txt:a foo\nb.txt:b foo\n", b"")


class FakeService:
    """Serves `root` as the register has it, and gives each connection the next of `replies`, a piece after the other.

    A reply is a list of pieces; the connection is closed behind the last one. `requests` has the targets."""

    def __init__(self, root: Path, *replies: list[bytes]) -> None:
        self._replies = list(replies)
        self.requests: list[bytes] = []
        self.is_left = threading.Event()  # a client has gone before all was sent
        self.may_go_on = threading.Event()
        self._claim = register.claim([root], {})
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self._claim.socket_path)
        self._listener.listen()
        self._claim.publish()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        answering = []
        while head := self._head_of(connection := self._listener.accept()[0]):
            self.requests.append(head.split(b" ")[1])
            assert b"\r\nAccept: application/vnd.manyhands.columns\r\n" in head
            answering.append(threading.Thread(target=self._send, args=(connection, self._replies.pop(0))))
            answering[-1].start()
        connection.close()
        for thread in answering:
            thread.join()

    @staticmethod
    def _head_of(connection: socket.socket) -> bytes:
        """A request; nothing at the end of the test."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            if not (block := connection.recv(1 << 16)):
                return b""
            head += block
        return head

    def _send(self, connection: socket.socket, pieces: list[bytes]) -> None:
        with connection:
            for piece in pieces:
                if piece is SILENCE:
                    self.may_go_on.wait()
                    continue
                try:
                    connection.sendall(piece)
                except OSError:
                    self.is_left.set()
                    return

    def __enter__(self) -> FakeService:
        return self

    def __exit__(self, *_: object) -> None:
        self.may_go_on.set()
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(self._claim.socket_path)
        self._thread.join()
        self._listener.close()
        self._claim.close()


#: In a reply: wait until the test allows to go on.
SILENCE = b"\0silence"

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.manyhands.columns\r\n\r\n"
CHUNKED = HEAD[:-2] + b"transfer-encoding: Chunked\r\n\r\n"

FACTS = {
    "complete": 1, "truncated_by": "", "timed_out": 0, "missing": [], "shards": 1, "shards_total": 1, "files": 2,
    "text_bytes": 12, "scanned_bytes": 12, "skipped": 0, "elapsed_us": 100,
}  # fmt: skip


def end(**facts: object) -> bytes:
    return frames.encode_end({**FACTS, **facts})


def rows(root: Path, *names: str) -> bytes:
    """A frame with the line "told" of each of these files."""
    count = len(names)
    packed = [array("I", each).tobytes() for each in (range(count), [1] * count, range(0, 4 * count + 1, 4))]
    page = Page(
        Columns(*packed, b"", b"told" * count),
        [os.fsencode(root / name) for name in names],
        lambda _: [(0, 4)],
    )
    return frames.encode_page(page, 0, count, False)


def chunk(data: bytes) -> bytes:
    return b"%X\r\n%b\r\n" % (len(data), data)


@pytest.fixture
def here(monkeypatch, tmp_path):
    """A folder with two files; the working folder."""
    runtime = tempfile.mkdtemp(prefix="mh")
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.txt").write_text("a foo\n")
    (root / "b.txt").write_text("b foo\n")
    monkeypatch.chdir(root)
    yield root
    shutil.rmtree(runtime)


@pytest.fixture
def run(capsysbinary):
    """``run(*arguments)``: exit status and both outputs."""

    def run(*arguments: str) -> tuple[int, bytes, bytes]:
        status = main(["search", *arguments])
        return status, *capsysbinary.readouterr()

    return run


# ---- what comes ----


@pytest.mark.parametrize("head", [HEAD, CHUNKED], ids=["until its end", "in chunks"])
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_reply_may_be_cut_anywhere(head, size, here, run) -> None:
    content = [rows(here, "a.txt"), rows(here, "b.txt", "c d.txt") + end()]
    body = b"".join(content) if head is HEAD else b"".join(map(chunk, content)) + b"0\r\n\r\n"
    whole = head + body
    with FakeService(here, [whole[at : at + size] for at in range(0, len(whole), size)]):
        assert run("foo") == (0, b"a.txt:told\nb.txt:told\nc d.txt:told\n", b"")


def test_a_pattern_of_any_bytes_is_asked_as_it_is(here, run) -> None:
    with FakeService(here, [HEAD, rows(here, "a.txt"), end()]) as service:
        run("-F", os.fsdecode(b"a+b&c=d #\xff?%"), "--and", "\u00e9 x", "-i", "-m2")
    (target,) = service.requests
    path, _, query = target.partition(b"?")
    assert path == b"/search"
    assert sorted(query.split(b"&")) == [
        b"all_of=%C3%A9%20x", b"case=ignore", b"limit_per_file=2", b"patient=true",
        b"pattern=a%2Bb%26c%3Dd%20%23%FF%3F%25", b"scope=line",
    ]  # fmt: skip


def test_a_place_is_asked_for_by_its_real_path(here, run, monkeypatch) -> None:
    (here / "s b").mkdir()
    (here.parent / "link").symlink_to(here)
    monkeypatch.chdir(here.parent / "link")
    with FakeService(here, [HEAD, rows(here, "s b/c.txt"), end()]) as service:
        assert run("foo", "../link/./s b") == (0, b"../link/./s b/c.txt:told\n", b"")
    assert b"under=" + os.fsencode(f"{here}/s%20b") in service.requests[0].split(b"&")


def test_a_deadline_is_told_and_so_is_that_it_was_too_short(here, run) -> None:
    with FakeService(here, [HEAD, rows(here, "a.txt"), end(complete=0, timed_out=1)]) as service:
        status, out, said = run("--deadline", "2.5", "foo")
    assert b"deadline_s=2.5" in service.requests[0].split(b"&")
    assert (status, out) == (2, b"a.txt:told\n")
    assert said == (
        b"manyhands search: the deadline of 2.5 s came first: there may be more than what was found\n"
    )


def test_a_shard_that_is_missing_is_told(here, run) -> None:
    with FakeService(here, [HEAD, rows(here, "a.txt"), end(complete=0, missing=["shard 1 died"])]):
        assert run("foo") == (
            2, b"a.txt:told\n", b"manyhands search: a part of the files was not searched: shard 1 died\n",
        )  # fmt: skip


def test_files_that_the_service_could_not_read_are_told_in_the_users_words(here, run) -> None:
    entries = [
        (os.fsencode(here / "s" / "x"), "no permission", ""),
        (os.fsencode(here / "s") + b"/", "read error", "Input/output error"),
        (os.fsencode(here / "s" / "y"), "binary", ""),
    ]
    (here / "s").mkdir()
    skipped = frames.encode_skipped(entries, {"no permission": 1, "read error": 1, "binary": 1})
    with FakeService(here, [HEAD, rows(here, "s/c.txt"), end(skipped=3)], [HEAD, skipped]) as service:
        status, out, said = run("foo", "s")
    assert service.requests[1] == b"/skipped?under=" + os.fsencode(here / "s")
    assert (status, out) == (2, b"s/c.txt:told\n")
    assert said == (
        b"manyhands search: s/: read error (Input/output error)\nmanyhands search: s/x: no permission\n"
    )


@pytest.mark.parametrize(("place", "asks"), [(".", 1), ("s", 1), ("a.txt", 2)])
def test_skipped_files_that_nobody_is_told_of_are_not_asked_for(place, asks, here, run) -> None:
    (here / "s").mkdir()
    reply = [HEAD, rows(here, "s/b.txt"), end(skipped=3, trouble=0)]
    with FakeService(here, reply, [HEAD, frames.encode_skipped([], {})]) as service:
        assert run("-q", "-c", "foo", place) == (0, b"", b"")
        assert len(service.requests) == 2  # without the end nobody knows
    with FakeService(here, reply, [HEAD, frames.encode_skipped([], {})]) as service:
        assert run("foo", place)[0] == 0
        assert len(service.requests) == asks


def test_quiet_stops_the_service_at_the_first_line(here, run) -> None:
    more = rows(here, *(f"{n}.txt" for n in range(20_000)))
    with FakeService(
        here, [HEAD, rows(here, "a.txt"), SILENCE, more, more, more], [HEAD, frames.encode_skipped([], {})]
    ) as (service):
        assert run("-q", "foo") == (0, b"", b"")
        service.may_go_on.set()
        service.is_left.wait()


# ---- what does not come ----

REFUSALS = {
    "not found": [b"HTTP/1.1 404 Not Found\r\nContent-Type: application/problem+json\r\n\r\n{}"],
    "unavailable": [b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n"],
    "another form": [b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n{}\n"],
    "no form": [b"HTTP/1.1 200 OK\r\n\r\n"],
    "no HTTP": [b"220 mail.example.org ESMTP\r\n\r\n"],
    "a head without an end": [b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 80_000],
    "nothing": [],
    "half a head": [b"HTTP/1.1 200"],
    "no content": [HEAD],
    "half a frame": [HEAD, b"P\x10\0"],
    "no frame": [HEAD, b"<html>"],
    "a frame of another kind": [HEAD, frames.encode_diff(b"")],
    "damaged lines": [HEAD, b"P\x04\0\0\0\xff\xff\xff\xff"],
    "an end that says nothing": [HEAD, frames.encode_end({})],
    "an end that makes no sense": [HEAD, end(files="many")],
    "an error": [HEAD, frames.encode_end({"error": "a shard has died"})],
    "cancelled": [HEAD, end(complete=0)],
    "a chunk without a size": [CHUNKED, b"x" * 100],
    "a chunk of an odd size": [CHUNKED, b"-5\r\nabcde\r\n"],
    "a chunk of a huge size": [CHUNKED, b"F" * 16 + b"\r\n"],
    "chunks that end too early": [CHUNKED, b"0\r\n\r\n"],
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_without_an_answer_one_searches_here_and_says_nothing(kind, here, run) -> None:
    with FakeService(here, REFUSALS[kind]) as service:
        assert run("foo") == FOUND_HERE
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("option", "out"),
    [("-c", b"a.txt:1\nb.txt:1\n"), ("-l", b"a.txt\nb.txt\n"), ("--files-without-match", b"")],
)
def test_counts_and_paths_are_told_when_all_have_come_and_not_before(option, out, here, run) -> None:
    counts = frames.encode_counts([os.fsencode(here / "a.txt"), os.fsencode(here / "told.txt")], [5, 5])
    with FakeService(here, [HEAD, counts]):
        assert run(option, "foo") == (0 if out else 1, out, b"")


def test_a_service_that_does_not_begin_to_answer_is_left_alone(here, run, monkeypatch) -> None:
    monkeypatch.setattr(exchange, "_PATIENCE_S", 0.05)
    with FakeService(here, [SILENCE]):
        assert run("foo") == FOUND_HERE


def test_of_two_services_the_one_that_answers_is_heard(here, run) -> None:
    with (
        FakeService(here, [HEAD, rows(here, "told.txt"), end()]) as one,
        FakeService(here.parent, [HEAD, rows(here, "told.txt"), end()]) as other,
    ):
        refusing = min(one, other, key=lambda service: service._claim.socket_path)
        refusing._replies[:] = [REFUSALS["unavailable"]]
        assert run("foo") == (0, b"told.txt:told\n", b"")
        assert len(one.requests) == len(other.requests) == 1


def test_what_is_too_long_to_ask_is_not_asked(here, run, monkeypatch) -> None:
    monkeypatch.setattr(served, "_REQUEST_BYTES_MOST", 100)
    with FakeService(here) as service:
        assert run("-e", "foo", "-e", "x" * 100) == FOUND_HERE
    assert service.requests == []


# ---- what does not come any more ----

BREAKS = {
    "it breaks off before its end": [],
    "the answer breaks off: 3 bytes of a frame of 5 have come": [b"P\x10\0"],
    "a frame begins with b'<', which is no kind of frame": [b"<html>"],
    "a shard has died": [frames.encode_end({"error": "a shard has died"})],
    "the query was cancelled": [end(complete=0)],
}

#: More than the command keeps before it prints.
MANY = [f"{number:08}.txt" for number in range(6_000)]


def told_not_everything(why: str) -> bytes:
    return (
        f"manyhands search: the service (process {os.getpid()}) has not told everything: {why}; "
        "--no-service searches without it\n"
    ).encode()


@pytest.mark.parametrize("why", BREAKS)
def test_lines_that_nobody_has_seen_are_forgotten_when_an_answer_breaks_off(why, here, run) -> None:
    with FakeService(here, [HEAD, rows(here, "told.txt"), *BREAKS[why]]):
        assert run("foo") == FOUND_HERE


@pytest.mark.parametrize("why", BREAKS)
def test_an_answer_that_breaks_off_behind_lines_that_were_printed_is_told(why, here, run) -> None:
    with FakeService(here, [HEAD, rows(here, *MANY), *BREAKS[why]]):
        status, out, said = run("foo")
    assert (status, said) == (2, told_not_everything(why))
    assert out == b"".join(b"%b:told\n" % name.encode() for name in MANY)


def test_stats_of_what_was_forgotten_are_forgotten_too(here, run) -> None:
    with FakeService(here, [HEAD, rows(here, *MANY[:100])]):
        status, out, said = run("--stats", "foo")
    assert (status, said) == (0, b"")
    assert b"\n2 matched lines\n2 files contained matches\n2 files searched\n24 bytes printed\n" in out


def test_a_service_that_falls_silent_cannot_make_one_wait_for_ever_behind_a_deadline(
    here, run, monkeypatch
) -> None:
    monkeypatch.setattr(exchange, "_GRACE_S", 0.0)
    with FakeService(here, [HEAD, rows(here, *MANY), SILENCE]):
        status, _, said = run("--deadline", "0.05", "foo")
    assert (status, said) == (2, told_not_everything("timed out"))


def test_skipped_files_that_are_not_told_are_trouble(here, run) -> None:
    with FakeService(here, [HEAD, rows(here, *MANY), end(skipped=1)], REFUSALS["unavailable"]):
        status, _, said = run("foo")
    assert (status, said) == (2, told_not_everything("http/1.1 503 service unavailable"))
