"""The HTTP API of the search service: what it answers is what the tree answers, and what is wrong is told by name."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import tempfile
import threading

import pytest
from tests.search.serving import Serving, rows_of

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")


@pytest.fixture(scope="module")
def service(forest):
    runtime = tempfile.mkdtemp(prefix="mh")
    with Serving(forest, runtime=runtime, options=("--port", "0", "--shards", "2")) as serving:
        yield serving
    shutil.rmtree(runtime)


def shown(path):
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def facts(rows):
    return [(shown(row.path), row.line_number, row.line) for row in rows if row.is_match]


QUESTIONS = [
    {"pattern": "needle"}, {"pattern": "needle", "case": "exact"}, {"pattern": ["hay", "kiss"], "case": "ignore"},
    {"pattern": r"f\d{2,3}\(", "regex": True}, {"pattern": "needle", "word": True},
    {"pattern": "needle", "whole_line": True}, {"pattern": "needle", "all_of": ["a"]},
    {"pattern": "needle", "none_of": ["a"], "file": ["*.py"]}, {"pattern": "needle", "invert": True, "file": ["*.c"]},
    {"pattern": "needle", "lang": ["py"]}, {"pattern": "needle", "not_lang": ["py"], "not_file": ["*.txt"]},
    {"pattern": "needle", "limit_per_file": 1}, {"pattern": "needle\nthree", "multiline": True},
    {"pattern": "needle", "all_of": ["three"], "scope": "file"}, {"pattern": b"needle"},
]  # fmt: skip


@pytest.mark.parametrize("question", QUESTIONS, ids=str)
def test_the_rows_are_those_of_the_tree(service, tree, question):
    asked = {name: str(value).lower() if value is True else value for name, value in question.items()}
    (*events, end) = service.events(**asked, limit=100_000)
    own = tree.search(question["pattern"], **{k: v for k, v in question.items() if k != "pattern"})
    assert rows_of(events) == [(path, number, text[:1000]) for path, number, text in facts(own)]
    assert (end["lines"], end["files"], end["truncated_by"]) == (own.lines, own.files, own.truncated_by)
    assert end["complete"] is own.complete
    assert events[0] == {"type": "begin", "id": end["id"]}


@pytest.mark.parametrize(
    ("q", "question"),
    [
        ("needle -hay file:*.py", {"pattern": "needle", "none_of": ["hay"], "file": ["*.py"]}),
        ("/f2\\d+/ lang:py", {"pattern": r"f2\d+", "regex": True, "lang": ["py"]}),
        ('"two needle" case:yes', {"pattern": "two needle", "case": "exact"}),
    ],
)
def test_q_is_the_language_of_search_boxes(service, tree, q, question):
    own = tree.search(question.pop("pattern"), **question)
    assert service.rows(q=q, limit=100_000) == facts(own) != []


def test_q_and_parameters_add_up(service, tree):
    own = facts(tree.search("needle", file=["*.py"], not_file=["late*"], word=True))
    assert service.rows(q="needle file:*.py", not_file="late*", word="true") == own != []
    assert service.rows(q="needle case:no", case="exact") == service.rows(q="needle case:no")


def test_context_lines_are_told_from_matches(service, forest):
    path = f"{forest}/deep/er/late.py"
    events = service.events(pattern="needle", context=1, under=path)
    lines = [(line["number"], line["match"]) for event in events[1:-1] for line in event["lines"]]
    assert lines == [(1, False), (2, True), (3, False), (4, False), (5, True), (6, False)]
    assert [line["spans"] for line in events[1]["lines"]][:2] == [[], [[4, 10]]]


def test_spans_count_characters(service, forest):
    (_, event, _) = service.events(pattern="llo", under=f"{forest}/bom16le.txt")
    (line,) = event["lines"]
    assert line["text"] == "needle héllo"
    assert [line["text"][a:b] for a, b in line["spans"]] == ["llo"]


def test_every_word_of_a_question_is_told_where_it_is(service, forest):
    (_, event, _) = service.events(q="needle two -three", under=f"{forest}/deep/er/late.py")
    assert [line["spans"] for line in event["lines"]] == [[[0, 3], [4, 10]]]


def test_a_broken_regex_in_a_question_is_told_in_its_words(service):
    detail = service.json("/search", q="foo /ba(r/")["detail"]
    assert (
        detail
        == "this is no regex: this group is never closed; write \\( for the character; in quotes, it is text"
    )


def test_a_long_line_is_cut_around_its_match(service, forest):
    (_, event, _) = service.events(pattern="needley", under=f"{forest}/long.txt", max_columns=50)
    line = event["lines"][0]
    assert (len(line["text"]), line["length"]) == (50, 400_006)
    assert (line["from"], line["spans"]) == (0, [])  # the match is beyond what is looked at in one line
    (_, event, _) = service.events(pattern="def f7()", under=f"{forest}/big.py", max_columns=4)
    assert event["lines"][0] == {
        "number": 8, "text": "def ", "spans": [[0, 4]], "match": True, "from": 0, "length": 23,
    }  # fmt: skip


def test_a_limit_is_said(service):
    *events, end = service.events(pattern="needle", limit=3)
    assert len(rows_of(events)) == end["lines"] == 3
    assert (end["complete"], end["truncated_by"]) == (False, "limit")


def test_server_sent_events_say_the_same(service):
    status, headers, body = service.get(
        "/search", headers={"Accept": "text/event-stream"}, pattern="needle", id="same"
    )
    assert (status, headers["content-type"]) == (200, "text/event-stream")
    pieces = [piece.split(b"\n") for piece in body.removesuffix(b"\n\n").split(b"\n\n")]
    events = [json.loads(data.removeprefix(b"data: ")) for _, data in pieces]
    assert [kind.decode() for kind, _ in pieces] == [f"event: {event['type']}" for event in events]
    plain = service.events(pattern="needle", id="same")
    assert events[:-1] == plain[:-1]
    assert events[-1] | {"elapsed_ms": 0} == plain[-1] | {"elapsed_ms": 0}


def test_a_name_that_is_no_text_is_found_by_its_href(service, forest):
    (_, event, _) = service.events(pattern="needle", file="odd*")
    assert event["path"].endswith("odd\ufffdname.txt")
    found = service.json(event["href"])
    assert (found["href"], found["lines"]) == (event["href"], ["needle"])


def test_counts_and_files_are_those_of_the_tree(service, tree):
    own = tree.count("needle")
    found = service.json("/count", pattern="needle")
    assert (found["lines"], found["files"], found["complete"]) == (own.lines, own.files, True)
    assert {each["path"]: each["lines"] for each in found["by_file"]} == {
        shown(path): lines for path, lines in own.by_file.items()
    }
    cut = service.json("/count", pattern="needle", limit=2)
    assert (cut["by_file"], cut["by_file_left_out"]) == (found["by_file"][:2], own.files - 2)
    for without in (False, True):
        named = service.json("/files", pattern="needle", without=str(without).lower())
        assert [each["path"] for each in named["paths"]] == list(
            map(shown, tree.files("needle", without=without))
        )


def test_a_preview_is_a_diff_of_each_file(service, tree, forest):
    folder = f"{forest}/deep/er"
    events = service.events("/preview", pattern="needle", replacement="${0}s", under=folder, context=0)
    own = list(tree.preview("needle", "${0}s", under=folder, context=0))
    assert [(event["path"], event["diff"], event["lines"]) for event in events[1:-1]] == [
        tuple(diff) for diff in own
    ]


# ---- what is held ----


def test_a_file_is_read_around_a_line(service, forest):
    path = f"{forest}/deep/er/late.py"
    found = service.json("/file", path=path, line=4, before=1, after=1)
    assert found == {
        "path": path, "href": f"/file?path={path}", "first": 3, "lines": ["three", "four", "five needle"],
        "total_lines": 6, "size_bytes": 40, "language": "py",
    } | {"size_bytes": os.path.getsize(path)}  # fmt: skip
    assert service.json("/file", path=path)["first"] == 1
    assert service.json("/file", path=path, line=99)["lines"] == []


def test_folders_are_listed_with_what_is_in_them(service, forest, tree):
    top = service.json("/tree")
    assert top["folders"] == [
        {"path": str(forest), "href": f"/tree?under={forest}", "files": len(tree.names())}
    ]
    found = service.json("/tree", under=str(forest))
    assert [(each["path"], each["files"]) for each in found["folders"]] == [(f"{forest}/deep", 42)]
    held = [
        shown(os.fsdecode(name)) for name in tree.names() if name.count(b"/") == str(forest).count("/") + 1
    ]
    assert [each["path"] for each in found["files"]] == held
    deep = service.json("/tree", under=f"{forest}/deep", recursive="true")
    assert [each["path"] for each in deep["files"]] == [
        os.fsdecode(name) for name in tree.names(f"{forest}/deep")
    ]


def test_a_listing_goes_on_where_it_stopped(service, forest, tree):
    seen, cursor = [], ""
    for _ in range(100):
        page = service.get(f"/tree?recursive&limit=7&cursor={cursor}")[2]
        found = json.loads(page)
        seen += [each["path"] for each in found["files"]]
        cursor = found["cursor"]
        if cursor is None:
            break
    assert seen == [shown(os.fsdecode(name)) for name in tree.names()]


def test_files_are_listed_by_a_glob(service, tree):
    found = service.json("/tree", name="*.py")
    assert [each["path"] for each in found["files"]] == list(tree.files(name="*.py"))


def test_skipped_files_are_told_with_their_reason(service, forest):
    found = service.json("/skipped")
    assert found["counts"] == {"binary": 1}
    (one,) = found["files"]
    assert (one["path"], one["reason"]) == (f"{forest}/binary.bin", "binary")
    assert service.json("/skipped", under=f"{forest}/deep")["files"] == []


def test_the_status_tells_the_tree_in_numbers(service, tree, forest):
    found, own = service.json("/status"), tree.status()
    assert (found["files"], found["skipped"], found["text_bytes"]) == (own.files, own.skipped, own.text_bytes)
    assert found["roots"] == [str(forest)]
    assert found["watching"].startswith("watching ")
    assert [(shard["shard"], shard["state"]) for shard in found["shards"]] == [(0, "ready"), (1, "ready")]
    assert found["pid"] == service.pid
    assert found["queries"] | {"most_running": 0, "most_waiting": 0} == {
        "running": 0, "waiting": 0, "most_running": 0, "most_waiting": 0,
    }  # fmt: skip
    assert "py" in found["languages"]


def test_it_is_well(service):
    assert service.get("/healthz")[0] == 200
    assert service.json("/healthz") == {"status": "ok", "why": []}


def test_the_meters_count_requests(service, tree):
    def counted():
        text = service.get("/metrics")[2].decode()
        assert f"manyhands_files {float(tree.status().files)}" in text
        lines = [
            line
            for line in text.splitlines()
            if line.startswith('manyhands_requests_total{endpoint="/search"')
        ]
        return sum(float(line.split()[-1]) for line in lines)

    before = counted()
    service.rows(pattern="needle", limit=100_000)
    service.get("/search?nonsense=1")
    assert counted() == before + 2


def test_what_is_new_in_the_tree_is_found(tmp_path):
    runtime = tempfile.mkdtemp(prefix="mh")
    (tmp_path / "first.txt").write_text("a needle\n")
    with Serving(tmp_path, runtime=runtime) as serving:
        assert len(serving.rows(q="needle")) == 1
        (tmp_path / "second.txt").write_text("another needle\n")
        while len(serving.rows(q="needle")) < 2:  # the watchdog ends a test that waits for ever
            pass
    shutil.rmtree(runtime)


# ---- what is wrong ----


@pytest.mark.parametrize(
    ("path", "status", "parameter", "position"),
    [
        ("/search", 400, "q", None),
        ("/search?q=", 400, "q", None),
        ("/search?q=a&pattern=b", 400, "pattern", None),
        ("/search?q=a&regex=true", 400, "regex", None),
        ("/search?q=a&patern=b", 400, "patern", None),
        ("/search?q=a&q=b", 400, "q", None),
        ("/search?q=a+OR", 400, "q", 2),
        ("/search?q=foo+/ba(r/", 400, "q", 7),
        ("/search?pattern=ba(r&regex=true", 400, "pattern", 2),
        ("/search?q=a&case=any", 400, "case", None),
        ("/search?q=a&word=maybe", 400, "word", None),
        ("/search?q=a&limit=0", 400, "limit", None),
        ("/search?q=a&limit=x", 400, "limit", None),
        ("/search?q=a&limit=100001", 400, "limit", None),
        ("/search?q=a&context=101", 400, "context", None),
        ("/search?q=a&deadline_s=0", 400, "deadline_s", None),
        ("/search?q=a&deadline_s=61", 400, "deadline_s", None),
        ("/search?q=a&deadline_s=nan", 400, "deadline_s", None),
        ("/search?q=a&id=a%20b", 400, "id", None),
        ("/search?q=a&lang=klingon", 400, "lang", None),
        ("/search?q=a&file=%00", 400, "file", None),
        ("/search?q=a&under=/nowhere", 404, "under", None),
        ("/search?q=a&max_columns=1000000", 400, "max_columns", None),
        ("/count?q=a&before=3", 400, "before", None),
        ("/count?pattern=a%0Ab", 400, "pattern", 1),
        ("/preview?q=a", 400, "replacement", None),
        ("/preview?q=a&replacement=$9", 400, "replacement", 0),
        ("/file", 400, "path", None),
        ("/file?path=/etc/passwd", 404, "path", None),
        ("/file?path=x&before=9999999", 400, "after", None),
        ("/tree?under=/nowhere", 404, "under", None),
        ("/nothing", 404, None, None),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_by_name_and_place(service, path, status, parameter, position):
    got, headers, body = service.get(path)
    problem = json.loads(body)
    assert (got, headers["content-type"]) == (status, "application/problem+json")
    assert (problem["status"], problem["parameter"], problem["position"]) == (status, parameter, position)
    assert problem["detail"]


def test_a_pattern_that_is_too_long_is_refused(service):
    assert service.json("/search", pattern="x" * 16_385)["parameter"] == "pattern"
    assert service.json("/search", pattern=["x"] * 101)["detail"].startswith("pattern is said 101 times")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_only_reading_is_allowed(service, method):
    status, headers, body = service.get("/search?q=a", method=method)
    assert (status, headers["allow"]) == (405, "GET, HEAD")
    assert json.loads(body)["status"] == 405


def test_head_is_get_without_its_body(service):
    status, headers, body = service.get("/healthz", method="HEAD")
    assert (status, headers["content-type"], body) == (200, "application/json", b"")


# ---- queries by name ----


def test_a_query_is_cancelled_by_its_name(service):
    connection = http.client.HTTPConnection(*service.address, timeout=30)
    connection.request("GET", "/search?pattern=&limit=100000&id=mine&deadline_s=60&file=*.py")
    response = connection.getresponse()  # much more than fits on the way: it waits for its reader
    assert json.loads(response.readline()) == {"type": "begin", "id": "mine"}
    assert service.json("/search", q="a", id="mine")["status"] == 409
    assert service.get("/search/mine", method="DELETE")[0] == 204
    last = json.loads(response.read().splitlines()[-1])
    connection.close()
    assert (last["type"], last["id"], last["cancelled"], last["complete"]) == ("end", "mine", True, False)
    assert service.get("/search/mine", method="DELETE")[0] == 404


def test_many_clients_get_their_own_answers(service, tree):
    wanted = {word: facts(tree.search(word)) for word in ("needle", "hay", "kiss", "stack", "f12", "import")}
    wrong = []

    def ask(word):
        answers = [service.rows(pattern=word, limit=100_000) for _ in range(5)]
        wrong.extend(word for rows in answers if rows != [(p, n, t[:1000]) for p, n, t in wanted[word]])

    threads = [threading.Thread(target=ask, args=(word,)) for word in wanted for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_connections_are_kept(service):
    connection = http.client.HTTPConnection(*service.address, timeout=30)
    connection.connect()
    own = connection.sock
    for _ in range(3):
        connection.request("GET", "/count?pattern=needle")
        assert json.loads(connection.getresponse().read())["complete"]
        assert connection.sock is own
    connection.close()


# ---- the description ----


def test_every_parameter_is_described(service):
    described = service.json("/openapi.json")
    from manyhands.search.service.parameters import ENDPOINTS

    for path, parameters in ENDPOINTS.items():
        assert [each["name"] for each in described["paths"][path]["get"]["parameters"]] == [
            p.name for p in parameters
        ]
    assert "delete" in described["paths"]["/search/{id}"]
    page = service.get("/docs")[2].decode()
    assert all(f"<code>{path}</code>" in page for path in ENDPOINTS)


def test_what_a_browser_has_already_is_not_sent_again(service):
    status, headers, body = service.get("/")
    assert (status, headers["cache-control"]) == (200, "no-cache")
    again = service.get("/", headers={"If-None-Match": headers["etag"]})
    assert (again[0], again[2], again[1]["etag"]) == (304, b"", headers["etag"])
    assert service.get("/", headers={"If-None-Match": '"another"'})[2] == body
    assert service.get("/status")[1]["cache-control"] == "no-store"


def test_the_page_and_its_files_are_served(service):
    status, headers, body = service.get("/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in headers["content-security-policy"]
    assert b"<html" in body


def test_lines_that_do_not_match_have_nothing_to_highlight(service, forest):
    (_, event, _) = service.events(
        pattern="needle", all_of="e", invert="true", under=f"{forest}/deep/er/late.py"
    )
    assert [line["spans"] for line in event["lines"]] == [[]] * len(event["lines"])
