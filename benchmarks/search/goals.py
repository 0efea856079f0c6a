"""What each figure should come to: the lines of the table, in order.

Always true: a goal speaks of one figure of ours, or of how it compares with ripgrep's figure of the same shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmarks.search.crowd import TASKS, THREADS
from benchmarks.search.oneshot import COMMANDS
from benchmarks.search.questions import COLUMNS, COUNT, FIRST_PAGE, ROWS, UNTOUCHED
from benchmarks.search.service_command import ALONE, SERVED
from benchmarks.search.service_delay import API, HTTP, SOCKET
from benchmarks.search.service_load import CLIENTS, CONNECTIONS, variant
from benchmarks.search.service_slow import CLIENTS as SLOW_CLIENTS

Kind = Literal["times ripgrep", "at most", "at least", ""]


@dataclass(frozen=True)
class Goal:
    """A line of the table: the figure `key` of (`shape`, `variant`). ``times ripgrep``: so many times as good at least;
    ``at most`` and ``at least``: the figure itself; empty: only shown."""

    shape: str
    variant: str
    title: str
    kind: Kind
    value: float = 0.0
    key: str = "p50_s"
    unit: str = "s"


def _times(shape: str, variant: str, title: str, value: float) -> Goal:
    return Goal(shape, variant, title, "times ripgrep", value)


def _load(client: str, connections: int) -> tuple[Goal, ...]:
    """What a number of connections comes to."""
    name = variant(client, connections)
    return (
        Goal("search_service", name, f"HTTP, {name}", "", key="per_s", unit="/s"),
        Goal("search_service", name, "  one answer", ""),
        Goal("search_service", name, "  one answer, p99", "", key="p99_s"),
    )


_SERVICE = (
    *(line for connections in CONNECTIONS for client in CLIENTS for line in _load(client, connections)),
    Goal("search_service_delay", API, "rare literal, Python API", ""),
    Goal("search_service_delay", HTTP, "the same over HTTP", ""),
    Goal("search_service_delay", HTTP, "  more than the API", "at most", 0.0003, "more_s"),
    Goal("search_service_delay", SOCKET, "the same over the Unix socket", ""),
    Goal("search_service_delay", SOCKET, "  more than the API", "", key="more_s"),
    Goal("search_service_long", HTTP, "long answer, first byte", "", key="first_byte_s"),
    Goal("search_service_long", HTTP, "  its first lines", "", key="first_lines_s"),
    Goal("search_service_long", HTTP, "  first row from the Python API", "", key="api_first_s"),
    Goal("search_service_long", HTTP, "  all of it", "", key="whole_s"),
    Goal("search_service_slow", "", f"memory for {SLOW_CLIENTS} slow clients", "", key="growth_bytes", unit="B"),
    Goal("search_service_slow", "", "  a client", "", key="growth_per_client_bytes", unit="B"),
    Goal("search_service_command", SERVED, "the command, served", ""),
    Goal("search_service_command", SERVED, "  in starts of the interpreter", "at most", 2.5, "starts", "starts"),
    Goal("search_service_command", ALONE, "the command, without a service", ""),
)  # fmt: skip

GOALS = (
    _times("search_absent", ROWS.name, "absent literal", 1000),
    _times("search_rare", ROWS.name, "rare literal", 1000),
    _times("search_frequent", COLUMNS.name, "frequent literal, columns", 15),
    _times("search_frequent", ROWS.name, "frequent literal, rows", 15),
    _times("search_frequent", FIRST_PAGE.name, f"frequent literal, {FIRST_PAGE.name}", 200),
    _times("search_regex_literal", COLUMNS.name, "regex with a literal, columns", 20),
    _times("search_regex_literal", ROWS.name, "regex with a literal, rows", 20),
    _times("search_regex_loose", COLUMNS.name, "regex without, columns", 6),
    _times("search_regex_loose", ROWS.name, "regex without, rows", 6),
    _times("search_common", FIRST_PAGE.name, f"common literal, {FIRST_PAGE.name}", 200),
    _times("search_count", COUNT.name, "common literal, count", 10),
    _times("search_common", UNTOUCHED.name, "common literal, all rows", 0.25),
    _times("search_common", COLUMNS.name, "common literal, columns", 0.25),
    Goal("search_crowd", f"{THREADS} threads", f"{THREADS} threads", "at least", 1500, "per_s", "/s"),
    Goal("search_crowd", f"{TASKS} asyncio tasks", f"{TASKS} asyncio tasks", "at least", 1500, "per_s", "/s"),
    *(
        _times("search_command", command.name, f"the command, {command.name}", 0.25)
        for command in COMMANDS
    ),
    Goal("search_load", "", "load and index", "at most", 10, "index_s"),
    Goal("search_load", "", "load", "", key="load_s"),
    Goal("search_load", "", "memory a byte of text", "at most", 1.35, "held_per_byte", "B"),
    Goal("search_used", "", "memory after all questions", "at most", 1.35, "held_per_byte", "B"),
    Goal("search_files", "", "files lost", "at most", 0, "lost", ""),
    Goal("search_files", "", "files searched", "", key="searched", unit=""),
    Goal("search_files", "", "files skipped", "", key="skipped", unit=""),
    Goal("search_live", "", "save to found", "at most", 0.1),
    Goal("search_live", "", "save to found, p99", "at most", 0.1, "p99_s"),
    *_SERVICE,
)  # fmt: skip
