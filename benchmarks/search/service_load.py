"""A stage: rare words, asked of the service over HTTP by 1, 16 and 128 connections at once.

Always true: no answer may fail; with one that does a figure is an error, and stands in no table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.harness import Measurement
from benchmarks.search import service_client, service_wrk
from benchmarks.search.service import Service, rare_words
from benchmarks.search.settings import Settings

CONNECTIONS = 1, 16, 128

OWN, WRK = "our client", "wrk"
CLIENTS = OWN, WRK

Measure = Callable[[tuple[str, int], int, float, dict[str, int]], dict[str, Any]]
_MEASURES: dict[str, Measure] = {OWN: service_client.measure, WRK: service_wrk.measure}

_WORDS = {False: 3000, True: 200}
_SECONDS = {False: 2.0, True: 1.0}


def variant(client: str, connections: int) -> str:
    """A way of asking, as the tables name it."""
    return f"{client}, {connections} connection{'' if connections == 1 else 's'}"


def measure(settings: Settings) -> Iterator[Measurement]:
    """Round by round."""
    words = rare_words(settings, _WORDS[settings.quick])
    clients = []
    for client in CLIENTS:
        if note := _lacking(client):
            yield Measurement("search_service", "manyhands", client, 0, "unusable", note=note)
        else:
            clients.append(client)
    with Service(settings.folder) as service:
        service.wait_indexed()
        for number in range(1, settings.rounds + 1):
            for connections in CONNECTIONS:
                for client in clients:
                    yield _one(service, words, number, client, connections, _SECONDS[settings.quick])


def _lacking(client: str) -> str:
    """What is missing for it to run here."""
    if client == WRK:
        try:
            service_wrk.find()
        except service_wrk.NoWrk as error:
            return str(error)
    return ""


def _one(
    service: Service, words: dict[str, int], number: int, client: str, connections: int, seconds: float
) -> Measurement:
    before = service.cpu_seconds()
    found = _MEASURES[client](service.address, connections, seconds, words)
    told = found.pop("told")
    for who, was, now in zip(("service", "shards"), before, service.cpu_seconds(), strict=True):
        found[f"{who}_cpu_s"] = (now - was) / max(1, found["queries"])  # those that warm it up are few
    name = variant(client, connections)
    if found["errors"] or not found["queries"]:
        note = f"{found['errors']:,} of {found['queries'] + found['errors']:,} failed: {'; '.join(told)}"
        return Measurement("search_service", "manyhands", name, number, "error", found, note)
    return Measurement("search_service", "manyhands", name, number, "ok", found, wall_s=seconds)
