"""A service for tests: ``manyhands serve`` as a process of its own, on a port of its own, in a runtime folder of its own."""

from __future__ import annotations

import http.client
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from urllib.parse import quote, urlencode, urlsplit

_PATIENCE_S = 40


class Serving:
    """A context manager. `runtime` is its XDG_RUNTIME_DIR (a short path: sockets are in it), `url` ends in a slash."""

    def __init__(
        self, *paths, runtime, options=("--port", "0"), cwd=None, env=None, ready=True,
        program=("-m", "manyhands", "serve"),
    ):  # fmt: skip
        self.runtime = os.fspath(runtime)
        os.makedirs(self.runtime, mode=0o700, exist_ok=True)
        self.environment = {**os.environ, "XDG_RUNTIME_DIR": self.runtime, **(env or {})}
        command = [sys.executable, *program, *options, *map(os.fspath, paths)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            errors="surrogateescape", env=self.environment, cwd=cwd,
        )  # fmt: skip
        self.said = []
        self._lines = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.url = ""
        if ready:
            try:
                self.wait_ready()
            except BaseException:
                self.kill()
                raise

    def _read(self):
        for line in self.process.stderr:
            self._lines.put(line)
        self._lines.put(None)

    def wait_for_line(self, pattern):
        """The first line of stderr, from now on, that matches."""
        while True:
            line = self._lines.get(timeout=_PATIENCE_S)
            assert line is not None, f"the service has ended: {''.join(self.said)}"
            self.said.append(line)
            if found := re.search(pattern, line):
                return found

    def wait_ready(self):
        """Until it says that it serves."""
        found = self.wait_for_line(r"serving .*?(?: at (http\S+))? (?:and )?to manyhands search")
        self.url = found[1] or ""

    @property
    def pid(self):
        return self.process.pid

    @property
    def address(self):
        """Host and port."""
        parts = urlsplit(self.url)
        return parts.hostname, parts.port

    @property
    def socket_path(self):
        folder = os.path.join(self.runtime, "manyhands")
        (name,) = [name for name in os.listdir(folder) if name.endswith(".socket")]
        return os.path.join(folder, name)

    # ---- asking ----

    def get(self, path, /, method="GET", headers=None, **parameters):
        """Status, headers, body. Parameters that are lists are repeated; bytes go as they are."""
        if parameters:
            path += "?" + urlencode(parameters, doseq=True, quote_via=quote)
        connection = http.client.HTTPConnection(*self.address, timeout=_PATIENCE_S)
        try:
            connection.request(method, path, headers=headers or {})
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def json(self, path, /, **parameters):
        """The answer of an endpoint that is one JSON object; of any status."""
        return json.loads(self.get(path, **parameters)[2])

    def events(self, path="/search", /, **parameters):
        """The events of a stream."""
        status, _, body = self.get(path, **parameters)
        assert status == 200, body
        return [json.loads(line) for line in body.splitlines()]

    def rows(self, **parameters):
        """Path, number and text of each line of an answer that must be complete."""
        *events, end = self.events(**parameters)
        assert end["type"] == "end", end
        assert end["complete"], end
        return rows_of(events)

    # ---- the end ----

    def stop(self, number=signal.SIGTERM):
        """End it as a user would; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self._reap()

    def kill(self):
        """End it at once."""
        self.process.kill()
        return self._reap()

    def _reap(self):
        status = self.process.wait(_PATIENCE_S)
        self._reader.join()
        while (line := self._lines.get()) is not None:
            self.said.append(line)
        self._lines.put(None)
        self.process.stderr.close()
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            if self.process.poll() is None:
                self.process.terminate()
            self._reap()
        except BaseException:
            self.process.kill()
            raise


def rows_of(events):
    """Path, number and text of the matching lines in events."""
    return [
        (event["path"], line["number"], line["text"])
        for event in events if event["type"] == "lines"
        for line in event["lines"] if line["match"]
    ]  # fmt: skip
