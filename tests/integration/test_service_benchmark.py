"""The load benchmark of the search service: its clients see what is wrong, its service is a real one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from benchmarks.harness import Measurement
from benchmarks.search import service_client, service_load, service_wrk, stages, table
from benchmarks.search import service_wire as wire
from benchmarks.search.goals import Goal
from benchmarks.search.service import Service

for library in ("starlette", "uvicorn", "httptools", "orjson", "prometheus_client"):
    pytest.importorskip(library)

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(event: dict[str, object]) -> bytes:
    data = json.dumps(event, separators=(",", ":")).encode() + b"\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


def reply(lines: int, complete: bool = True) -> bytes:
    events = {"type": "lines", "lines": []}, {"type": "end", "complete": complete, "lines": lines}
    return HEAD + b"".join(map(chunk, events)) + b"0\r\n\r\n"


REFUSED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\nretry-after: 1\r\n\r\nbusy"


# ---- what comes over the wire ----


@pytest.mark.parametrize("whole", [reply(7), REFUSED])
def test_a_reply_is_whole_with_its_last_byte_and_not_before(whole: bytes) -> None:
    assert wire.is_whole(whole)
    assert not any(wire.is_whole(whole[:end]) for end in range(len(whole)))


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        (reply(7), ""),
        (reply(6), "6 lines instead of 7"),
        (reply(7, complete=False), "it is not complete"),
        (HEAD + b"0\r\n\r\n", "there is no end"),
        (REFUSED, "HTTP/1.1 503 Service Unavailable"),
        (b"", "the connection was closed"),
    ],
)
def test_an_answer_that_is_not_the_expected_one_is_named(answer: bytes, trouble: str) -> None:
    found = wire.trouble_with(answer, 7)
    assert found.startswith(trouble)
    assert bool(found) is bool(trouble)


def test_a_long_reply_is_followed_through_pieces_of_any_size() -> None:
    seen = wire.Followed()
    for at, byte in enumerate(reply(7)):
        seen.hear(bytes([byte]), float(at + 1))
    lines = reply(7).index(b'{"type":"lines"') + len(b'{"type":"lines"')
    assert (seen.first_byte_s, seen.first_lines_s, seen.whole_s) == (1.0, lines, len(reply(7)))
    assert seen.is_whole
    assert seen.end["lines"] == 7


def test_a_long_reply_that_is_refused_is_an_error_with_its_status() -> None:
    with pytest.raises(wire.BadReplyError, match="503 Service Unavailable"):
        wire.Followed().hear(REFUSED, 1.0)


def test_figures_are_those_of_the_answers_in_time() -> None:
    found = service_client.figures_of([at / 1000 for at in range(1, 101)], passed=2.0)
    assert found == {
        "queries": 100, "per_s": 50.0, "p50_s": 0.051, "p99_s": 0.1, "min_s": 0.001, "max_s": 0.1,
    }  # fmt: skip


# ---- a service ----


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A folder with two lines that have the word."""
    folder = tmp_path_factory.mktemp("tree")
    (folder / "some.txt").write_text("needle one\nanother\nneedle two\n")
    with Service(str(folder)) as made:
        made.wait_indexed()
        yield made


def by_socket(service: Service) -> wire.Address:
    return service.socket_path


def by_address(service: Service) -> wire.Address:
    return service.address


@pytest.mark.parametrize("address_of", [by_address, by_socket])
def test_clients_get_right_answers_from_a_service(
    service: Service, address_of: Callable[[Service], wire.Address]
) -> None:
    found = service_client.measure(address_of(service), 4, 0.1, {"needle": 2, "another": 1})
    assert (found["errors"], found["told"]) == (0, [])
    assert found["queries"] > 0
    assert found["min_s"] <= found["p50_s"] <= found["p99_s"] <= found["max_s"]


def test_clients_count_answers_that_are_wrong(service: Service) -> None:
    found = service_client.measure(service.address, 2, 0.1, {"needle": 3})
    assert found["queries"] == 0
    assert found["errors"] > 0
    assert set(found["told"]) == {"2 lines instead of 3"}


def test_a_measurement_with_wrong_answers_is_an_error(service: Service) -> None:
    found = service_load._one(service, {"needle": 3}, 1, service_load.OWN, 2, 0.1)
    assert found.status == "error"
    assert found.note.endswith("failed: 2 lines instead of 3; 2 lines instead of 3; 2 lines instead of 3")


def test_a_service_tells_how_many_it_has_answered(service: Service) -> None:
    before = service.answered("/search")
    with wire.Kept(service.address) as line:
        assert wire.trouble_with(line.ask(wire.request(wire.target("needle"))), 2) == ""
    assert service.answered("/search") == before + 1


def test_a_service_that_nobody_asks_is_idle(service: Service) -> None:
    assert service.wait_idle() >= 0
    assert service.status()["queries"]["running"] == 0


def test_a_service_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"did not start: .*none"), Service(str(tmp_path / "none")):
        pass


def test_a_service_leaves_no_process_and_no_folder(tmp_path: Path) -> None:
    with Service(str(tmp_path)) as made:
        pid, runtime = made.pid, made.runtime
    assert not Path(runtime).exists()
    assert not Path(f"/proc/{pid}").exists()


# ---- wrk, the stages, the table ----


@pytest.mark.skipif(service_wrk.version() == "not installed", reason="wrk is not installed")
def test_wrk_gives_the_same_figures(service: Service) -> None:
    found = service_wrk.measure(service.address, 2, 1, {"needle": 2, "another": 1})
    assert found["errors"] == 0
    assert found["queries"] > 0
    assert found["min_s"] <= found["p50_s"] <= found["p99_s"] <= found["max_s"]


@pytest.mark.skipif(service_wrk.version() == "not installed", reason="wrk is not installed")
def test_wrk_counts_answers_that_are_refused(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "target", lambda word: f"/search?nonsense={word}")
    assert service_wrk.measure(service.address, 1, 1, {"needle": 2})["errors"] > 0


def test_without_wrk_it_says_what_to_install_and_that_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    note = service_load._lacking(service_load.WRK)
    assert "apt install wrk" in note
    lacking = Measurement("search_service", "manyhands", service_load.WRK, 0, "unusable", note=note)
    assert table.faults([lacking]) == []
    goal = Goal("search_service", service_load.variant(service_load.WRK, 16), "16 connections", "")
    assert table._line(goal, [lacking], True).endswith("not here")
    assert table._line(goal, [], True).endswith("NO FIGURE")


def test_a_stage_can_be_named_alone_or_with_all_of_the_service() -> None:
    assert stages.named(None) == list(stages.WATCHDOGS_S)
    assert stages.named(["live"]) == ["live"]
    found = stages.named([stages.SERVICE])
    assert found
    assert all(name.startswith("service_") for name in found)
    assert stages.named([stages.SERVICE, found[0]]) == found
