"""The service that is measured: ``manyhands serve`` on the corpus, as a process of its own; and what it is asked.

Always true: it listens on a free port of this machine and in a runtime folder of its own, so it meets no other service;
when its context is left it has ended, by SIGTERM, and cleanly.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import manyhands.search
from benchmarks.processes import environment
from benchmarks.search import memory
from benchmarks.search.questions import questions
from benchmarks.search.samples import Samples
from benchmarks.search.settings import SEED, WORKERS, Settings

#: What a request or the end of the service may take at most.
_PATIENCE_S = 20.0

#: Between two looks at how much is indexed.
_PAUSE_S = 0.05

_READY = re.compile(r"serving .* at http://([^:/]+):(\d+)/")


class Service:
    """A context manager. `address` is its host and port, `socket_path` its socket, `runtime` its XDG_RUNTIME_DIR."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self.runtime = self.socket_path = ""
        self.address = ("", 0)

    def __enter__(self) -> Service:
        with ExitStack() as stack:
            self.runtime = stack.enter_context(tempfile.TemporaryDirectory())
            self._process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                text=True, errors="replace", env=environment() | self.environment,
            )  # fmt: skip
            try:
                self._wait_ready()
            except BaseException:
                self._process.kill()
                self._process.communicate()
                raise
            stack.callback(self._end)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _command(self) -> list[str]:
        options = ["--hidden", "--shards", str(WORKERS), "--port", "0"]
        return [sys.executable, "-m", "manyhands", "serve", *options, self._folder]

    @property
    def environment(self) -> dict[str, str]:
        """What ``manyhands search`` must know to find it."""
        return {"XDG_RUNTIME_DIR": self.runtime}

    @property
    def pid(self) -> int:
        """Of the process that answers; its children are the shards."""
        return self._process.pid

    def _wait_ready(self) -> None:
        assert self._process.stderr is not None
        said = []
        for line in self._process.stderr:
            said.append(line.strip())
            if found := _READY.search(line):
                self.address = found[1], int(found[2])
                (socket_path,) = Path(self.runtime, "manyhands").glob("*.socket")
                self.socket_path = str(socket_path)
                return
        raise RuntimeError(f"the service did not start: {' '.join(said[-3:]) or 'it said nothing'}")

    def _end(self) -> None:
        self._process.terminate()
        try:
            _, said = self._process.communicate(timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise RuntimeError(f"the service did not end within {_PATIENCE_S:g} s of SIGTERM") from None
        if self._process.returncode:
            words = said.strip().splitlines() or ["it said nothing"]
            raise RuntimeError(f"the service ended with {self._process.returncode}: {words[-1]}")

    # ---- what it says of itself ----

    def status(self) -> dict[str, Any]:
        """Its ``/status``."""
        found: dict[str, Any] = json.loads(self._get("/status"))
        return found

    def wait_indexed(self) -> None:
        """Until all its text is; the stage's watchdog bounds it."""
        while self.status().get("indexed", 0) < 1:
            time.sleep(_PAUSE_S)

    def wait_idle(self) -> float:
        """Until no query runs or waits; how long that took. Raises TimeoutError."""
        began = time.monotonic()
        while any(self.status()["queries"][state] for state in ("running", "waiting")):
            if time.monotonic() - began > _PATIENCE_S:
                raise TimeoutError(f"queries without clients still run after {_PATIENCE_S:g} s")
            time.sleep(_PAUSE_S)
        return time.monotonic() - began

    def answered(self, endpoint: str) -> int:
        """How many requests there it has answered, by its ``/metrics``."""
        begin = f'manyhands_requests_total{{endpoint="{endpoint}",status="200"}} '
        lines = self._get("/metrics").decode().splitlines()
        return sum(int(float(line.removeprefix(begin))) for line in lines if line.startswith(begin))

    def _get(self, target: str) -> bytes:
        connection = http.client.HTTPConnection(*self.address, timeout=_PATIENCE_S)
        try:
            connection.request("GET", target)
            reply = connection.getresponse()
            content = reply.read()
            if reply.status != http.HTTPStatus.OK:
                raise RuntimeError(f"{target}: {reply.status} {content[:200]!r}")
            return content
        finally:
            connection.close()

    def held_bytes(self) -> tuple[int, int]:
        """PSS of the process that answers, and of its shards."""
        return memory.pss_bytes([self.pid]), memory.pss_bytes(memory.family(self.pid) - {self.pid})

    def cpu_seconds(self) -> tuple[float, float]:
        """What the process that answers has used, and its shards."""
        return _cpu_seconds([self.pid]), _cpu_seconds(memory.family(self.pid) - {self.pid})


def _cpu_seconds(pids: Iterable[int]) -> float:
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])  # utime, stime
    return ticks / os.sysconf("SC_CLK_TCK")


# ---- what is asked ----


def rare_words(settings: Settings, wanted: int) -> dict[str, int]:
    """Words of the corpus, and in how many lines each is, as a tree of this process finds them."""
    with manyhands.search.open(settings.folder, hidden=True, shards=WORKERS) as tree:
        tree.wait_indexed()
        return Samples(tree, wanted, SEED).rows


def common_word(settings: Settings) -> str:
    """A word with a long answer."""
    return next(one.pattern for one in questions(settings.corpus, "") if one.shape == "search_common")
