"""How the service is: /status, /healthz, /metrics.

Always true: none of them waits for a shard longer than `_PATIENCE_S`.
"""

from __future__ import annotations

import os
import time
from typing import Any

from manyhands.search.corpus.languages import LANGUAGES
from manyhands.search.service.desk import Desk
from manyhands.search.service.meters import Meters
from manyhands.search.service.replying import Reply
from manyhands.search.service.settings import Settings
from manyhands.search.told import TreeStatus
from manyhands.search.tree import Tree

Said = dict[str, Any]

_PATIENCE_S = 2.0


class Health:
    """See the module. `is_draining` is set by whoever ends the service. Threads: the loop's."""

    def __init__(self, tree: Tree, settings: Settings, desk: Desk, meters: Meters) -> None:
        self._tree, self._settings, self._desk, self._meters = tree, settings, desk, meters
        self._started_s, self._began_s = time.time(), time.monotonic()
        self.is_draining = False

    async def _look(self) -> TreeStatus:
        return await self._tree.status_async(deadline_s=_PATIENCE_S)

    async def status(self, reply: Reply, _said: Said) -> None:
        """All of it, in numbers."""
        import manyhands

        found, limits, desk = await self._look(), self._settings.limits, self._desk
        facts: dict[str, Any] = {
            "version": manyhands.__version__, "pid": os.getpid(),
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._started_s)),
            "uptime_s": round(time.monotonic() - self._began_s, 1),
            "roots": self._settings.real_paths, "health": self._health(found), "draining": self.is_draining,
            "queries": {
                "running": desk.running, "waiting": desk.waiting,
                "most_running": limits.running, "most_waiting": limits.waiting,
            },
            "languages": sorted(LANGUAGES),
            "limits": {
                "rows": limits.rows, "rows_most": limits.rows_most, "context": limits.context,
                "deadline_s": limits.deadline_s, "deadline_most_s": limits.deadline_most_s,
                "pattern_bytes": limits.pattern_bytes, "columns": limits.columns, "file_lines": limits.file_lines,
            },
        }  # fmt: skip
        await reply.json(facts | _numbers(found))

    async def healthz(self, reply: Reply, _said: Said) -> None:
        """Is it well? 200 when it is. Why it is not is told to those who may know of the tree."""
        health = self._health(await self._look())
        if not reply.scope["manyhands.knows"]:
            del health["why"]
        status = 200 if health["status"] == "ok" else 503
        import orjson

        await reply.whole(orjson.dumps(health), "application/json", status)

    def _health(self, found: TreeStatus) -> dict[str, Any]:
        if self.is_draining:
            return {"status": "draining", "why": ["the service is ending"]}
        why = _troubles(found)
        return {"status": "degraded" if why else "ok", "why": why}

    async def metrics(self, reply: Reply, _said: Said) -> None:
        """For Prometheus."""
        data, content_type = self._meters.text(await self._look(), self._desk)
        await reply.whole(data, content_type)


def _troubles(found: TreeStatus) -> list[str]:
    lost = [_trouble(found, shard) for shard in found.shards if _is_in_trouble(found, shard)]
    if found.watching.startswith(("stopped", "closed")):
        lost.append(f"changes of files are not followed any more: {found.watching}")
    return lost


def _is_in_trouble(found: TreeStatus, shard: Any) -> bool:
    """One that is being rebuilt is not."""
    return shard.state in ("failed", "gone") or isinstance(found.missing.get(shard.shard), TimeoutError)


def _trouble(found: TreeStatus, shard: Any) -> str:
    if shard.state not in ("failed", "gone"):
        return f"shard {shard.shard} does not answer"
    return f"shard {shard.shard} cannot be rebuilt: {found.missing.get(shard.shard)}"


def _numbers(found: TreeStatus) -> dict[str, Any]:
    return {
        "files": found.files, "skipped": found.skipped, "text_bytes": found.text_bytes,
        "memory_bytes": found.memory_bytes, "indexed": round(found.indexed, 4), "watching": found.watching,
        "shards": [
            {
                "shard": shard.shard, "state": shard.state, "pid": shard.pid, "restarts": max(0, shard.builds - 1),
                "why": _trouble(found, shard) if _is_in_trouble(found, shard) else None,
            }
            for shard in found.shards
        ],
    }  # fmt: skip
