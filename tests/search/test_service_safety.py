"""What an attacker may try: on the wire, in a browser, in a question, in the tree. What is refused, and what stays hidden."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import ssl
import stat
import subprocess
from urllib.parse import quote

import pytest
from tests.search.hostile import (
    Wire,
    descendants,
    json_in,
    limited,
    memory_bytes,
    short_folder,
    status_of,
    wait_until,
)
from tests.search.serving import Serving

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

SECRET = "what nobody may read"
TOKEN = "a-token-of-24-characters"

#: What every answer has, whoever gave it.
ALWAYS = {
    "content-security-policy", "x-content-type-options", "x-frame-options", "referrer-policy",
    "cross-origin-resource-policy", "cross-origin-opener-policy", "cache-control",
}  # fmt: skip


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outside")
    (folder / "secret.txt").write_text(f"{SECRET}\n")
    return folder


@pytest.fixture(scope="module")
def tree(tmp_path_factory, outside):
    root = tmp_path_factory.mktemp("tree")
    (root / "a.txt").write_text("needle\n")
    (root / ("a" * 200)).write_text("needle\n")
    (root / "long.txt").write_text(f"{'x' * 60_000}\n" * 12)
    (root / "link.txt").symlink_to(outside / "secret.txt")
    (root / "folder").symlink_to(outside)
    return root


@pytest.fixture(scope="module")
def service(tree):
    with short_folder() as runtime, limited(tree, runtime=runtime, deadline_s=2) as serving:
        yield serving


@pytest.fixture(scope="module")
def guarded(tree):
    """With a token."""
    with (
        short_folder() as runtime,
        Serving(tree, runtime=runtime, env={"MANYHANDS_TOKEN": TOKEN}) as serving,
    ):
        yield serving
    said = "".join(serving.said)
    assert TOKEN not in said
    assert "wr0ng" not in said


def answer_of(service, data):
    """Of bytes that are sent as they are, with the rest of a request that ends its connection."""
    with Wire(service.address) as wire:
        return wire.send(data).rest()


def asked(service, target, *headers, method="GET"):
    with Wire(service.address) as wire:
        return wire.ask(target, "Connection: close", *headers, method=method).rest()


def is_well(service):
    return service.json("/count", pattern="needle")["lines"] == 2


# ---- files ----


TARGETS = [
    "/file?path=/etc/passwd", "/file?path=../../../../etc/passwd", "/file?path=%2e%2e/%2e%2e/etc/passwd",
    "/file?path={tree}/../../../../../etc/passwd", "/file?path={tree}/a.txt%00.html", "/file?path=%C0%AF..%C0%AF",
    "/file?path={tree}/link.txt", "/file?path={tree}/folder/secret.txt", "/file?path={outside}/secret.txt",
    "/file?path={tree}/./a.txt", "/file?path={tree}//a.txt", "/file?path=%ED%A0%80", "/file?path=%FF%FE",
    "/file?path=", "/file?path=/proc/self/environ", "/tree?under=/etc", "/tree?under={tree}/..",
    "/tree?under={tree}/folder", "/tree?under=%00", "/static/../../../etc/passwd", "/static/%2e%2e/__init__.py",
    "/static/..%2f__init__.py", "/static/%2e%2e%2f%2e%2e%2fservice/guard.py", "/static/", "/static/__init__.py",
    "/static//etc/passwd", "//etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..;/", "/%00", "/%C0%AF", "/%ED%A0%80",
    "/index.html", "/search/", "/search/%2e%2e/status/", "/favicon.ico%00", "/\\..\\", "/.git/config",
    "http://attacker.example/etc/passwd", "file:///etc/passwd", "http://localhost", "*", "etc/passwd",
]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_no_request_opens_a_file(service, tree, outside, target):
    answer = asked(service, target.format(tree=tree, outside=outside))
    assert status_of(answer) in (400, 404)
    assert b"root:" not in answer
    assert SECRET.encode() not in answer
    assert json_in(answer)["status"] == status_of(answer)


def is_found(service, text):
    events = service.events(pattern=text)
    assert events[-1]["type"] == "end"
    return len(events) > 2


def test_symlinks_that_lead_out_of_the_tree_are_not_followed(service, tree, outside):
    assert not is_found(service, SECRET)
    later = tree / "later.txt"
    later.write_text("soon a link\n")
    wait_until(lambda: is_found(service, "soon a link"), "the file is found")
    swap(outside / "secret.txt", later)
    wait_until(lambda: not is_found(service, "soon a link"), "the link is seen")
    assert not is_found(service, SECRET)
    later.unlink()


def swap(target, path):
    """A symlink in place of a file, at once."""
    made = path.with_name("made")
    made.symlink_to(target)
    made.replace(path)


def test_a_folder_that_becomes_a_symlink_while_its_files_change_leads_nowhere(service, tree, outside):
    folder, away = tree / "swapped", tree / "away"
    for _ in range(10):
        folder.mkdir()
        (folder / "secret.txt").write_text("harmless\n")
        wait_until(lambda: is_found(service, "harmless"), "the folder is followed")
        (folder / "secret.txt").write_text("still harmless\n")
        folder.rename(away)
        folder.symlink_to(outside)
        wait_until(
            lambda: not service.json("/tree", recursive="true", name="swapped/*")["files"], "it is seen"
        )
        assert not is_found(service, SECRET)
        folder.unlink()
        (away / "secret.txt").unlink()
        away.rmdir()
        wait_until(lambda: not is_found(service, "harmless"), "it is gone")


# ---- floods ----


def grown_by(service, flood):
    """Bytes that the service's memory has grown by at most while `flood` is sent, piece by piece; and the answer."""
    before, most = memory_bytes(service.pid), 0
    with Wire(service.address) as wire:
        for piece in flood:
            wire.send(piece)
            most = max(most, memory_bytes(service.pid) - before)
        return most, wire.rest()


def repeated(piece, total):
    return itertools.repeat(piece, total // len(piece))


START = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
FLOODS = {
    "100,000 headers": (repeated(b"x-flood: 1\r\n" * 1000, 1_200_000), 431),
    "an endless header": (itertools.chain([b"x-flood: "], repeated(b"x" * 65536, 10_000_000)), 431),
    "an endless header's name": (repeated(b"x" * 65536, 10_000_000), 431),
    "headers in one piece": ([b"x-flood: 1\r\n" * 20_000 + b"\r\n"], 431),
    "folded lines": (repeated(b"x-flood: 1\r\n 2\r\n" * 1000, 1_000_000), (400, 431)),
    "a long body": (itertools.chain([b"Content-Length: 10000000\r\n\r\n"], repeated(b"x" * 65536, 10_000_000)), 413),
    "a long body in chunks": (
        itertools.chain([b"Transfer-Encoding: chunked\r\n\r\n"], repeated(b"10000\r\n" + b"x" * 65536 + b"\r\n", 10_000_000)),
        413,
    ),
    "one endless chunk": (
        itertools.chain([b"Transfer-Encoding: chunked\r\n\r\nFFFFFFF\r\n"], repeated(b"x" * 65536, 10_000_000)),
        413,
    ),
    "an endless size of a chunk": (
        itertools.chain([b"Transfer-Encoding: chunked\r\n\r\n"], repeated(b"0" * 65536, 10_000_000)),
        413,
    ),
    "a body that is announced and never sent": ([b"Content-Length: 10000000\r\nExpect: 100-continue\r\n\r\n"], 413),
}  # fmt: skip


@pytest.mark.parametrize("name", FLOODS)
def test_floods_are_refused_in_bounded_memory(service, name):
    pieces, statuses = FLOODS[name]
    grown, answer = grown_by(service, itertools.chain([START], pieces))
    assert grown < 16 << 20
    if answer:  # the system throws it away when more is sent than was read
        assert status_of(answer) in (statuses if isinstance(statuses, tuple) else (statuses,))
    assert is_well(service)


def test_an_endless_request_line_is_refused_in_bounded_memory(service):
    grown, answer = grown_by(service, itertools.chain([b"GET /"], repeated(b"x" * 65536, 10_000_000)))
    assert grown < 16 << 20
    assert not answer or status_of(answer) == 431
    assert is_well(service)


def test_a_head_that_is_a_little_too_large_is_told_so(service):
    answer = asked(service, "/healthz", f"X-Large: {'x' * 65_600}")
    assert (status_of(answer), json_in(answer)["status"]) == (431, 431)
    assert asked(service, "/healthz", f"X-Large: {'x' * 60_000}").startswith(b"HTTP/1.1 200 ")


def test_requests_that_are_sent_ahead_are_bounded(service):
    head = START + b"\r\n"
    grown, answer = grown_by(service, [head * 20_000])
    assert grown < 16 << 20
    assert answer.count(b"HTTP/1.1 ") < 200
    _, answer = grown_by(service, [head * 1000])
    assert answer.count(b"HTTP/1.1 ") < 200
    with Wire(service.address) as wire:
        few = wire.send(head * 9 + START + b"Connection: close\r\n\r\n").rest()
    assert few.count(b"HTTP/1.1 200 ") == 10


# ---- what is no HTTP ----


SMUGGLED = b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n"
MALFORMED = {
    "two lengths": START + b"Content-Length: 0\r\nContent-Length: 41\r\n\r\n" + SMUGGLED,
    "a length and chunks": START
    + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "chunks and a length": START
    + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "chunks that are not last": START + b"Transfer-Encoding: chunked, x\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a hidden encoding": START + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a length with a sign": START + b"Content-Length: +41\r\n\r\n" + SMUGGLED,
    "a length that is none": START + b"Content-Length: x\r\n\r\n" + SMUGGLED,
    "two hosts": START + b"Host: localhost\r\n\r\n" + SMUGGLED,
    "a NUL in a header": START + b"X-Nul: a\0b\r\n\r\n",
    "a bare newline in a header": START + b"X-Bare: a\rb\r\n\r\n",
    "no version": b"GET /status\r\n\r\n",
    "another protocol": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": bytes.fromhex("160301007501000071"),
    "noise": bytes(range(256)),
    "a method that is none": b"GET\0 / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a connect": b"CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_can_be_read_in_two_ways_is_refused(service, name):
    answer = answer_of(service, MALFORMED[name])
    assert answer.count(b"HTTP/1.1 ") == 1
    assert status_of(answer) in (400, 403, 413)
    assert json_in(answer)["detail"]
    assert b"uptime_s" not in answer


def test_a_refusal_is_never_written_into_another_answer(service):
    with Wire(service.address, window=4096) as wire:
        wire.ask("/search?pattern=x&max_columns=100000").until(b'"begin"')
        rest = wire.send(b"\0\0\0\0 no request\r\n\r\n").rest()
    assert b"HTTP/1.1" not in rest
    assert b'"end"' not in rest
    wait_until(lambda: service.json("/status")["queries"]["running"] == 0, "its query has ended")


@pytest.mark.parametrize("upgrade", ["websocket", "h2c", "TLS/1.0"])
def test_no_other_protocol_is_agreed_to(service, upgrade):
    with Wire(service.address) as wire:
        wire.ask("/healthz", "Connection: Upgrade, close", f"Upgrade: {upgrade}", "Sec-WebSocket-Key: AAAA")
        assert status_of(wire.until(b"}")) == 200


# ---- whose page asks ----


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("LOCALHOST", 200), ("localhost:1", 200), ("127.0.0.1", 200), ("[::1]:80", 200),
        ("attacker.example", 403), ("attacker.example:80", 403), ("localhost.attacker.example", 403),
        ("127.0.0.1.attacker.example", 403), ("localhost@attacker.example", 403), ("", 403), ("0", 403),
        ("127.1", 403), ("localhost:80:80", 403), ("[::1", 403), ("localhost.", 403), ("localhost, attacker", 403),
    ],
)  # fmt: skip
def test_only_hosts_that_are_ours_are_answered(service, host, status):
    for target in ("/healthz", "/", "/search?q=needle"):
        answer = answer_of(
            service, f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        )
        assert status_of(answer) == status


def test_a_request_without_a_host_is_refused(service):
    assert status_of(answer_of(service, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")) == 403
    assert status_of(answer_of(service, b"GET / HTTP/1.0\r\n\r\n")) == 403


def test_another_name_can_be_allowed(tree):
    with short_folder() as runtime:
        options = ("--port", "0", "--allow-host", "search.example")
        with Serving(tree, runtime=runtime, options=options) as serving:
            assert serving.get("/healthz", headers={"Host": "search.example:80"})[0] == 200
            assert serving.get("/healthz", headers={"Host": "other.example"})[0] == 403


VISIT = ("Sec-Fetch-Mode: navigate",)


@pytest.mark.parametrize(
    ("headers", "target", "status"),
    [
        (("Sec-Fetch-Site: same-origin",), "/search?q=needle", 200),
        (("Sec-Fetch-Site: none",), "/search?q=needle", 200),
        (("Sec-Fetch-Site: cross-site",), "/search?q=needle", 403),
        (("Sec-Fetch-Site: same-site",), "/search?q=needle", 403),
        (("Sec-Fetch-Site: cross-site", *VISIT), "/search?q=needle", 403),
        (("Sec-Fetch-Site: cross-site", *VISIT), "/file?path=x", 403),
        (("Sec-Fetch-Site: cross-site", *VISIT), "/", 200),
        (("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"), "/", 403),
        (("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"), "/static/main.js", 403),
        (("Origin: http://localhost",), "/search?q=needle", 200),
        (("Origin: http://attacker.example",), "/search?q=needle", 403),
        (("Origin: http://localhost:3000",), "/search?q=needle", 403),
        (("Origin: null",), "/search?q=needle", 403),
        (("Origin: ",), "/search?q=needle", 403),
    ],
)  # fmt: skip
def test_what_another_sites_page_asks_is_refused(service, headers, target, status):
    assert status_of(asked(service, target, *headers)) == status


@pytest.mark.parametrize("method", ["OPTIONS", "GET", "HEAD", "POST", "TRACE", "DELETE"])
def test_no_other_site_is_ever_let_in(service, method):
    preflight = ("Access-Control-Request-Method: GET", "Origin: http://attacker.example")
    for headers in (preflight, ("Origin: http://localhost", "Access-Control-Request-Method: GET"), ()):
        for target in ("/search?q=needle", "/", "/nothing", "/search/x"):
            answer = asked(service, target, *headers, method=method)
            assert b"access-control" not in answer.lower()
            assert headers != preflight or status_of(answer) == 403
            assert method not in ("OPTIONS", "TRACE", "POST") or status_of(answer) in (403, 404, 405)


def head_of(answer):
    lines = answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


@pytest.mark.parametrize(
    "target",
    ["/", "/docs", "/search?q=needle", "/search", "/nothing", "/healthz", "/metrics", "/static/style.css", "*", "/%"],
)  # fmt: skip
def test_every_answer_says_what_a_browser_may_do_with_it(service, target):
    for method in ("GET", "HEAD", "POST"):
        head = head_of(asked(service, target, method=method))
        assert set(head) >= ALWAYS
        assert "unsafe" not in head["content-security-policy"]
        assert "default-src 'none'" in head["content-security-policy"]
        assert (head["x-content-type-options"], head["x-frame-options"]) == ("nosniff", "DENY")


def test_refusals_of_the_wire_say_so_too(service):
    for data in (b"noise\r\n\r\n", START + b"x: " + b"x" * 70_000 + b"\r\n\r\n"):
        assert set(head_of(answer_of(service, data))) >= ALWAYS


def test_an_answer_that_shows_what_was_asked_is_no_page(service):
    for target in ("/search?<script>=1", "/search?q=%3Cscript%3E", "/<script>", "/file?path=%3Cscript%3E"):
        assert "html" not in head_of(asked(service, target.replace("<", "%3C")))["content-type"]


# ---- the token ----

#: Endpoints that hold data, and what they would need besides.
HOLDERS = [
    "/search?q=needle", "/count?q=needle", "/files?q=needle", "/preview?q=needle&replacement=x", "/file?path=x",
    "/tree", "/skipped", "/status", "/metrics", "/search/x", "/nothing", "/healthz/", "//",
]  # fmt: skip
WRONG = [
    None, "", "Bearer", "Bearer ", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", f"Bearer {TOKEN.upper()}", f"Basic {TOKEN}",
    "Bearer wr0ng-wr0ng-wr0ng-wr0ng", "Bearer wr0ng\u00e9\u00ff", f"Bearer {'wr0ng' * 2000}", TOKEN, f"Bearer \t{TOKEN[1:]}",
]  # fmt: skip


@pytest.mark.parametrize("said", WRONG)
def test_what_holds_data_needs_the_token(guarded, said):
    headers = () if said is None else (f"Authorization: {said}",)
    for target in HOLDERS:
        for method in ("GET", "HEAD", "DELETE"):
            answer = asked(guarded, target, *headers, method=method)
            assert status_of(answer) == 401
            assert head_of(answer)["www-authenticate"].startswith("Bearer")
            assert b"needle" not in answer
            assert TOKEN.encode() not in answer
            assert b"wr0ng" not in answer


@pytest.mark.parametrize("said", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER  {TOKEN} "])
def test_the_token_opens(guarded, said):
    assert guarded.get("/count?q=needle", headers={"Authorization": said})[0] == 200
    assert guarded.get("/status", headers={"Authorization": said})[0] == 200


def test_the_token_is_told_to_nobody(guarded):
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for target in (*HOLDERS, "/", "/docs", "/openapi.json", "/healthz"):
        _, head, body = guarded.get(target, headers=headers)
        assert TOKEN not in str(head)
        assert TOKEN.encode() not in body


def test_who_has_no_token_learns_nothing_of_the_tree(guarded, tree):
    for target in ("/", "/docs", "/openapi.json", "/healthz", "/static/main.js"):
        status, _, body = guarded.get(target)
        assert status == 200
        assert str(tree).encode() not in body
    for target in ("/static/../status", "/static/%2e%2e/status", "/static/"):
        assert status_of(asked(guarded, target)) == 404
    assert guarded.json("/healthz") == {"status": "ok"}
    known = guarded.get("/healthz", headers={"Authorization": f"Bearer {TOKEN}"})[2]
    assert json.loads(known) == {"status": "ok", "why": []}


def test_the_socket_needs_no_token(guarded):
    with Wire(guarded.socket_path) as wire:
        assert status_of(wire.ask("/count?q=needle", "Connection: close").rest()) == 200


REFUSED = [
    (("--host", "0.0.0.0"), {}, "token"),
    (("--host", "::"), {}, "token"),
    (("--host", "example.org"), {}, "token"),
    ((), {"MANYHANDS_TOKEN": "short"}, "at least 16 characters"),
    ((), {"MANYHANDS_TOKEN": "n\u00e9" * 20}, "printable ASCII"),
    ((), {"MANYHANDS_TOKEN": "with a blank in the middle"}, "printable ASCII"),
    (("--token-file", "/nowhere/token"), {}, "cannot be read"),
    (("--tls-cert", "/nowhere/cert.pem"), {}, "cert"),
    (("--tls-key", "/nowhere/key.pem"), {}, "certificate"),
    (("--host", "nowhere.invalid"), {"MANYHANDS_TOKEN": TOKEN}, "nowhere.invalid"),
]


@pytest.mark.parametrize(("options", "environment", "why"), REFUSED)
def test_what_would_be_unsafe_is_refused_at_the_start(tree, options, environment, why):
    with short_folder() as runtime:
        serving = Serving(
            tree, runtime=runtime, options=("--port", "0", *options), env=environment, ready=False
        )
        assert serving.process.wait() != 0
        serving.stop()
        said = "".join(serving.said)
        assert why in said
        assert "Traceback" not in said
        assert not any(token in said for token in environment.values())
        assert not descendants(serving.pid)


# ---- what is said of it ----


def test_patterns_and_paths_and_what_is_wrong_are_in_no_log(tree):
    with short_folder() as runtime, Serving(tree, runtime=runtime) as serving:
        for target in (
            "/search?q=s3cret", "/search?pattern=s3cret(&regex=true", "/search?s3cret=1", "/file?path=s3cret",
            "/s3cret", "/tree?name=s3cret%FF", "/search?pattern=x&file=s3cret%FF", "/preview?q=s3cret&replacement=$9",
            "/search?q=s3cret&deadline_s=0.000001", "/search/s3cret",
        ):  # fmt: skip
            asked(serving, target, "X-S3cret: s3cret", "Referer: s3cret", "Authorization: Bearer s3cret")
        answer_of(serving, b"s3cret\r\n\r\n")
        answer_of(serving, START + b"s3cret: " + b"s3cret" * 20_000)
        wire = Wire(serving.address).ask("/search?q=s3cret")
        wire.reset()
        assert serving.stop() == 0
    said = "".join(serving.said)
    assert "s3cret" not in said
    assert len(said.splitlines()) == 2  # that it serves, and that it ends


# ---- questions ----

EXPLOSIVE = [
    "(a*)*b", "(x+x+)+y", "(x|xx|xxx)*y", "((x{1,30}){1,30})y", "x{0,1000}" * 3, "(x{1000}){1000}", "\\pL{1000}",
    "(\\pL\\pM*){500}y", "|".join(f"x{{{n}}}y" for n in range(1, 1000, 3)), ".*" * 500 + "y", "(.*)" * 90,
    "(" * 8000 + ")" * 8000, "[" * 8000, "[^x]" * 4000, "(?i)" + "x" * 16_000, "\\x{10FFFF}" * 1000, "x" * 16_000,
    "[" + "".join(map(chr, range(0x100, 0x1400, 2))) + "]{1,9}x", "(?:" * 90 + "x" + "*)" * 90 + "y", "\\b" * 5000 + "y",
    "^" * 5000, "()" * 5000, "(x?){500}x{500}y", "x|" * 8000, "(?P<a>x)" * 1000,
]  # fmt: skip


def ends(service, path, **question):
    """A question that may be refused, or ends at its deadline; then the shards are free for others."""
    status, _, body = service.get(path, regex="true", deadline_s="0.3", **question)
    last = json.loads(body.splitlines()[-1])
    assert (status, last.get("type")) in ((200, "end"), (400, "about:blank"))
    assert "Error" not in last.get("detail", "")
    wait_until(lambda: is_well(service), "the shards are free again")


@pytest.mark.parametrize("pattern", EXPLOSIVE, ids=lambda pattern: pattern[:20])
def test_regexes_that_explode_are_refused_or_end_at_the_deadline(service, pattern):
    ends(service, "/search", pattern=pattern)


@pytest.mark.parametrize("pattern", ["(x+x+)+y", "(x|xx|xxx)*", "x{0,100}", "(x+?)(x+?)", "\\b", "x"])
def test_matches_without_number_end_at_the_deadline(service, pattern):
    ends(service, "/search", pattern=pattern, max_columns=100_000)
    ends(service, "/search", pattern=pattern, multiline="true")
    ends(service, "/preview", pattern=pattern, replacement="$0$0")


@pytest.mark.parametrize(
    "glob", ["*a" * 60 + "b", "**/" * 500 + "b", "{a,b}" * 30, "[a-z]*" * 60 + "!", "?" * 5000, "[!x]" * 3000]
)
def test_globs_that_explode_are_refused_or_end(service, glob):
    for path, name in (("/tree", "name"), ("/count", "file")):
        more = {"pattern": "needle"} if path == "/count" else {}
        assert service.get(path, **{name: glob}, **more)[0] in (200, 400)
    assert is_well(service)


def test_others_have_their_turn_after_each_line_with_a_million_matches(service):
    events = service.events(pattern="x", regex="true", max_columns=60_000, deadline_s=30)
    assert [len(event["lines"]) for event in events[1:-1] if event["path"].endswith("long.txt")] == [1] * 12


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("limit", 100_001), ("limit", 10**9), ("limit", -1), ("limit", "1e3"), ("limit", "\u0661"),
        ("limit_per_file", 100_001), ("context", 101), ("before", 101), ("after", 10**9), ("deadline_s", 61),
        ("deadline_s", "inf"), ("deadline_s", "-inf"), ("deadline_s", "1e999"), ("deadline_s", "0x10"),
        ("max_columns", 100_001), ("max_columns", 0), ("id", "x" * 65), ("id", ""), ("case", "SMART"),
        ("word", "yes"), ("patient", "2"), ("scope", "tree"), ("spans", "true"), ("lang", "x" * 10_000),
    ],
)  # fmt: skip
def test_the_bounds_of_what_may_be_asked(service, parameter, value):
    status, _, body = service.get("/search", pattern="needle", **{parameter: value})
    assert (status, json.loads(body)["parameter"]) == (400, parameter)


@pytest.mark.parametrize("name", ["pattern", "all_of", "none_of"])
def test_patterns_are_bounded_in_number_and_length(service, name):
    needed = {} if name == "pattern" else {"pattern": "needle"}
    for value in (["x"] * 101, "x" * 16_385):
        status, _, body = service.get("/search", **needed, **{name: value})
        assert (status, json.loads(body)["parameter"]) == (400, name)


PARAMETERS = {
    "/search": ("q", "pattern", "all_of", "none_of", "file", "not_file", "lang", "under", "id", "case", "limit",
                "deadline_s", "word"),
    "/preview": ("pattern", "replacement", "file", "context"),
    "/files": ("pattern", "under", "without"), "/count": ("pattern", "not_lang", "scope"),
    "/file": ("path", "line", "before"), "/tree": ("under", "name", "cursor", "recursive", "limit"),
    "/skipped": ("under", "limit"),
}  # fmt: skip
NEEDED = {
    "/search": "pattern=needle&",
    "/preview": "pattern=needle&replacement=y&",
    "/files": "pattern=needle&",
    "/count": "pattern=needle&",
}
ODD = [
    b"", b"\0", b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x80\xae", b"\xef\xbb\xbf", b"%", b"\\",
    b"\\\xff", b"[", b"[\xff", b"{", b"}", b"!", b"#", b" ", b"\n", b"$", b"${", b"$9", b"(", b")", b"*", b"\"", b"/", b"/(",
    b"-", b"- ", b"OR", b"NOT", b"file:", b"lang:\xff", b"case:", b"\x7f", b"../", b"0" * 5000, b"-1", b"1" * 400,
    b"\xf0\x9f\x98\x80" * 3000, b"a\tb", b"\r\n", b"file:[", b"regex:yes [", b"word:yes \xe2\x80\x8d",
]  # fmt: skip


@pytest.mark.parametrize("path", PARAMETERS)
def test_any_bytes_in_any_parameter_have_an_answer_or_a_problem(service, path):
    connection = contextlib.closing(socket.create_connection(service.address))
    with connection as wire, wire.makefile("rwb") as file:
        for name, value in itertools.product(PARAMETERS[path], ODD):
            others = "&".join(
                each for each in NEEDED.get(path, "").split("&") if not each.startswith(f"{name}=")
            )
            target = f"{path}?{others}&{name}={quote(value)}&"
            file.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            file.flush()
            status, body = read_answer(file)
            assert status in (200, 400, 404), target
            last = json.loads(body.splitlines()[-1])
            assert last.get("type") in (None, "end", "about:blank"), target


def read_answer(file):
    """Status and body of the next answer on a connection."""
    status, length = int(file.readline().split()[1]), None
    while (line := file.readline()) != b"\r\n":
        name, _, value = line.lower().partition(b":")
        length = int(value) if name == b"content-length" else length
    if length is not None:
        return status, file.read(length)
    body = b""
    while size := int(file.readline(), 16):
        body += file.read(size)
        file.readline()
    file.readline()
    return status, body


# ---- the socket, and TLS ----


def test_the_socket_is_the_users_alone(service):
    path = service.socket_path
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
    (text,) = [name for name in os.listdir(os.path.dirname(path)) if name.endswith(".tree")]
    assert stat.S_IMODE(os.stat(os.path.join(os.path.dirname(path), text)).st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_runtime_folder_that_others_may_use_is_refused(tree, mode):
    with short_folder() as runtime:
        folder = os.path.join(runtime, "manyhands")
        os.mkdir(folder)
        os.chmod(folder, mode)
        serving = Serving(tree, runtime=runtime, ready=False)
        assert serving.process.wait() != 0
        serving.stop()
        assert "chmod 700" in "".join(serving.said)
        assert os.listdir(folder) == []


def test_a_runtime_folder_that_is_a_symlink_is_refused(tree, outside):
    with short_folder() as runtime:
        os.symlink(outside, os.path.join(runtime, "manyhands"))
        serving = Serving(tree, runtime=runtime, ready=False)
        assert serving.process.wait() != 0
        serving.stop()
        assert "Traceback" not in "".join(serving.said)
    assert os.listdir(outside) == ["secret.txt"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificate")
    made = folder / "certificate.pem"
    try:
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", made],
            check=True, capture_output=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("there is no openssl to make a certificate with")
    return folder


def test_tls_is_spoken_with_a_certificate_and_nothing_else(tree, certificate):
    options = (
        "--port", "0", "--tls-cert", f"{certificate}/certificate.pem", "--tls-key", f"{certificate}/key.pem",
    )  # fmt: skip
    with short_folder() as runtime, Serving(tree, runtime=runtime, options=options) as serving:
        assert serving.url.startswith("https://127.0.0.1:")
        context = ssl.create_default_context(cafile=certificate / "certificate.pem")
        with (
            socket.create_connection(serving.address) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as wire,
        ):
            assert wire.version() in ("TLSv1.2", "TLSv1.3")
            wire.sendall(b"GET /count?q=needle HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = b"".join(iter(lambda: wire.recv(65536), b""))
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["lines"] == 2
        assert not asked(serving, "/count?q=needle").startswith(b"HTTP/1.1 200")
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        with socket.create_connection(serving.address) as plain, pytest.raises(ssl.SSLError):
            old.wrap_socket(plain, server_hostname="localhost")
        assert serving.stop() == 0
