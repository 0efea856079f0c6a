"""``manyhands serve`` as it is typed: what it says, what it refuses, and how it ends."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile

import pytest
from tests.search.serving import Serving

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

TOKEN = "a-token-of-some-length"


@pytest.fixture
def runtime():
    folder = tempfile.mkdtemp(prefix="mh")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def small(tmp_path):
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file.txt").write_text("a needle\n")
    return tmp_path / "tree"


def serve(*arguments, runtime, env=None):
    """Exit status and stderr of a service that is not to start."""
    ended = subprocess.run(
        [sys.executable, "-m", "manyhands", "serve", *map(os.fspath, arguments)], stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=50, check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": runtime, **(env or {})},
    )  # fmt: skip
    assert ended.stdout == ""
    return ended.returncode, ended.stderr


def test_help_says_what_there_is(runtime):
    ended = subprocess.run(
        [sys.executable, "-m", "manyhands", "serve", "--help"],
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    assert all(
        word in ended.stdout for word in ("--port", "--token-file", "--mcp", "--shards", "manyhands search")
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{tree}/nowhere"], "has no such path; check the spelling"),
        (["{tree}", "--port", "65536"], "port must be between 0 and 65535, not 65536"),
        (["{tree}", "--host", "no.host.invalid"], "no.host.invalid can be reached by others"),
        (["{tree}", "--host", "0.0.0.0"], "give a token, or listen on 127.0.0.1"),
        (["{tree}", "--token-file", "{tree}/nowhere"], "cannot be read: No such file or directory"),
        (["{tree}", "--token-file", "/dev/null"], "there is no token in '/dev/null'"),
        (["{tree}", "--token-file", "{tree}/file.txt"], "the token must have at least 16 characters"),
        (["{tree}", "--no-http", "--port", "1"], "--no-http and --port exclude each other"),
        (["{tree}", "--deadline", "0"], "--deadline needs a number of seconds above 0"),
        (["{tree}", "--queries", "0"], "--queries needs a whole number, 1 or more"),
        (["{tree}", "--shards", "0"], "shards must be a whole number from 1 on"),
        (["{tree}", "-t", "klingon"], "klingon"),
        (["{tree}", "--max-filesize", "x"], "needs a number of bytes such as 500, 20K, 3M or 1G"),
        (["{tree}", "--tls-key", "x"], "a TLS key needs its certificate"),
        (["{tree}", "--tls-cert", "/nowhere"], "/nowhere cannot be read: No such file or directory"),
        (["{tree}", "--tls-cert", "{tree}/file.txt"], "no certificate with its key"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line(small, runtime, arguments, said):
    status, stderr = serve(*(each.format(tree=small) for each in arguments), "--no-progress", runtime=runtime)
    assert status in (1, 2)
    assert said in stderr
    assert "Traceback" not in stderr
    folder = os.path.join(runtime, "manyhands")
    assert not os.path.isdir(folder) or os.listdir(folder) == []


def test_a_port_in_use_is_said_to_be(small, runtime):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        status, stderr = serve(small, "--port", port, runtime=runtime)
    assert (status, stderr.strip()) == (
        2, f"manyhands serve: port {port} of 127.0.0.1 is in use by another program; --port 0 takes any that is free",
    )  # fmt: skip


def test_a_second_service_of_a_tree_says_who_serves_it(small, runtime):
    with Serving(small, runtime=runtime) as first:
        status, stderr = serve(f"{small}/../tree", "--port", "0", runtime=runtime)
        assert status == 1
        assert f"process {first.pid}" in stderr
        assert first.url in stderr
    with Serving(small, runtime=runtime) as second:
        assert second.rows(q="needle")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_nothing_is_left(small, runtime, number):
    serving = Serving(small, runtime=runtime)
    shards = [shard["pid"] for shard in serving.json("/status")["shards"]]
    assert serving.stop(number) == 0
    assert os.listdir(os.path.join(runtime, "manyhands")) == []
    assert not any(os.path.exists(f"/proc/{pid}") for pid in shards)
    assert "ending: answers under way are finished first" in serving.said[-1]


def test_the_socket_is_the_users_alone(small, runtime):
    with Serving(small, runtime=runtime) as serving:
        assert stat.S_IMODE(os.stat(serving.socket_path).st_mode) == 0o600
        assert stat.S_IMODE(os.stat(os.path.dirname(serving.socket_path)).st_mode) == 0o700


def test_without_http_it_listens_on_the_socket_alone(small, runtime):
    with Serving(small, runtime=runtime, options=("--no-http",)) as serving:
        assert serving.url == ""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(serving.socket_path)
            client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            answer = b"".join(iter(lambda: client.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 200")


def test_a_token_may_come_from_the_environment(small, runtime):
    with Serving(small, runtime=runtime, env={"MANYHANDS_TOKEN": TOKEN}) as serving:
        assert serving.get("/search?q=needle")[0] == 401
        status, _, body = serving.get("/search?q=needle", headers={"Authorization": f"Bearer {TOKEN}"})
        assert (status, b"a needle" in body) == (200, True)
        assert serving.get("/")[0] == 200
    assert TOKEN not in "".join(serving.said)


def test_which_files_are_chosen_as_in_the_command(small, runtime):
    (small / ".hidden.py").write_text("needle\n")
    (small / "plain.py").write_text("needle\n")
    options = ("--port", "0", "--hidden", "-t", "py")
    with Serving(small, runtime=runtime, options=options) as serving:
        found = [os.path.basename(path) for path, _, _ in serving.rows(q="needle")]
    assert found == [".hidden.py", "plain.py"]


def test_several_trees_are_one_service(small, tmp_path, runtime):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "more.txt").write_text("needle\n")
    with Serving(small, tmp_path / "other", runtime=runtime) as serving:
        assert serving.json("/status")["roots"] == [f"{tmp_path}/tree", f"{tmp_path}/other"]
        assert len(serving.rows(q="needle")) == 2
        assert [each["files"] for each in serving.json("/tree")["folders"]] == [1, 1]


def test_without_its_libraries_it_says_what_to_install(small, runtime, tmp_path):
    (tmp_path / "starlette.py").write_text("raise ModuleNotFoundError('none', name='starlette')\n")
    status, stderr = serve(small, runtime=runtime, env={"PYTHONPATH": str(tmp_path)})
    assert (status, "pip install 'manyhands[serve]'" in stderr) == (1, True)
