"""What is measured, for Prometheus.

Always true: labels are endpoints and statuses of a fixed list, never anything that a client has said.
"""

from __future__ import annotations

from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from manyhands.search.service.desk import Desk
from manyhands.search.told import TreeStatus

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

_GAUGES = {
    "files": "Files whose text is held",
    "skipped_files": "Files that are not searched",
    "text_bytes": "Bytes of text",
    "memory_bytes": "Bytes of memory for text and index",
    "indexed_ratio": "How much of the index is built",
    "shards": "Shards of the tree",
    "shards_ready": "Shards that answer",
    "shard_restarts": "How often shards were built again",
    "queries_running": "Queries that run",
    "queries_waiting": "Queries that wait for a place",
    "queries_cancelled": "Queries cancelled by request since the start",
}


class Meters:
    """See the module. Threads: the loop's."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(namespace="manyhands", registry=self._registry)
        self._requests = Counter(
            "manyhands_requests", "Requests answered", ("endpoint", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "manyhands_request_seconds", "From the request to the end of its answer", ("endpoint",), buckets=_SECONDS,
            registry=self._registry,
        )  # fmt: skip
        self._counted: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._gauges = {
            name: Gauge(f"manyhands_{name}", says, registry=self._registry) for name, says in _GAUGES.items()
        }

    def note(self, endpoint: str, status: int, seconds: float) -> None:
        """A request was answered; status 499: its client went before."""
        key = endpoint, status
        counted = self._counted.get(key)
        if counted is None:  # to find a label's own meter takes longer than to count
            made = self._requests.labels(endpoint, str(status)), self._seconds.labels(endpoint)
            counted = self._counted[key] = made
        counted[0].inc()
        counted[1].observe(seconds)

    def text(self, found: TreeStatus, desk: Desk) -> tuple[bytes, str]:
        """All of it, and its content type."""
        facts: dict[str, Any] = {
            "queries_running": desk.running, "queries_waiting": desk.waiting, "queries_cancelled": desk.cancelled,
            "files": found.files, "skipped_files": found.skipped, "text_bytes": found.text_bytes,
            "memory_bytes": found.memory_bytes, "indexed_ratio": found.indexed, "shards": len(found.shards),
            "shards_ready": sum(s.state == "ready" and s.shard not in found.missing for s in found.shards),
            "shard_restarts": sum(max(0, shard.builds - 1) for shard in found.shards),
        }  # fmt: skip
        for name, value in facts.items():
            self._gauges[name].set(value)
        return generate_latest(self._registry), CONTENT_TYPE_LATEST
