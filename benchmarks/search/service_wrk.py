"""wrk, if it is here: a client that many know, to stand beside our own.

Always true: its errors (of connections, reads, statuses, and those of time) are counted as ours are; what its answers
say is not checked, because that would be its slowest part.

Its percentiles are those that it corrects itself: an answer that took longer than the mean is counted as if the
questions that it kept from being asked had waited, too.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.search import service_wire as wire

_PATIENCE_S = 30.0

#: Goes over the questions in a file, one a line, and tells the figures as JSON.
_SCRIPT = """
local targets, at = {}, 0

function init(args)
  for line in io.lines(args[1]) do targets[#targets + 1] = wrk.format("GET", line) end
end

function request()
  at = at % #targets + 1
  return targets[at]
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\\nFIGURES {"queries": %d, "us": %d, "p50_us": %f, "p99_us": %f, "min_us": %f, "max_us": %f, "errors": %d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.min, latency.max,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


class NoWrk(Exception):
    """It is not there; the message says what to install."""


def find() -> str:
    """Where it is. Raises `NoWrk`."""
    found = shutil.which("wrk")
    if found is None:
        raise NoWrk("wrk is not here: apt install wrk; the clients of this benchmark are measured alone")
    return found


def version() -> str:
    """As it says itself; "not installed" when it is not."""
    try:
        done = subprocess.run([find(), "-v"], capture_output=True, text=True, check=False)  # it ends with 1
    except NoWrk:
        return "not installed"
    return (done.stdout.split() or ["", "unknown"])[1].removeprefix("debian/")


def measure(
    address: tuple[str, int], connections: int, seconds: float, words: Mapping[str, int]
) -> dict[str, Any]:
    """Figures as those of `service_client.measure`; of one thread, which is more than the service needs."""
    with tempfile.TemporaryDirectory() as folder:
        script, targets = Path(folder, "script.lua"), Path(folder, "targets")
        script.write_text(_SCRIPT)
        targets.write_text("".join(f"{wire.target(word)}\n" for word in words))
        host, port = address
        command = [find(), "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", str(script)]
        done = subprocess.run(
            [*command, f"http://{host}:{port}", "--", str(targets)], stdin=subprocess.DEVNULL, check=False,
            capture_output=True, text=True, timeout=seconds + _PATIENCE_S,
        )  # fmt: skip
    return _figures(done)


def _figures(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    _, mark, told = done.stdout.partition("FIGURES ")
    if done.returncode or not mark:
        words = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise RuntimeError(f"wrk ended with {done.returncode}: {words[-1]}")
    found = json.loads(told.splitlines()[0])
    seconds = {f"{name}_s": found[f"{name}_us"] / 1e6 for name in ("p50", "p99", "min", "max")}
    return {
        "queries": found["queries"],
        "per_s": found["queries"] * 1e6 / found["us"],
        **seconds,
        "errors": found["errors"],
        "told": [],
    }
