"""What answers and their events look like, as JSON Schema: a part of the OpenAPI description.

Always true: an object has all that it is said to have, and nothing else, but for what is said to be optional.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number"}
FLAG: Schema = {"type": "boolean"}


def _object(properties: Mapping[str, Schema], optional: tuple[str, ...] = ()) -> Schema:
    required = [name for name in properties if name not in optional]
    return {
        "type": "object", "properties": dict(properties), "required": required, "additionalProperties": False,
    }  # fmt: skip


def _list(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def _or_null(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _one_of(*values: str | None) -> Schema:
    return {"enum": list(values)}


def _named(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_PLACE = {"path": TEXT, "href": TEXT}
_SPAN = {**_list(WHOLE), "minItems": 2, "maxItems": 2}

#: What an answer says of itself at its end.
_FACTS = {
    "complete": FLAG, "truncated_by": _one_of(None, "limit", "limit_per_file"), "timed_out": FLAG, "cancelled": FLAG,
    "missing": _list(_object({"shard": WHOLE, "why": TEXT})),
    "shards": _object({"answered": WHOLE, "total": WHOLE}),
    "searched": _object({"files": WHOLE, "bytes": WHOLE}), "scanned_bytes": WHOLE, "skipped": WHOLE, "trouble": WHOLE,
    "elapsed_ms": {**NUMBER, "minimum": 0},
}  # fmt: skip

_LINE = _object(
    {
        "number": {**WHOLE, "minimum": 1}, "text": TEXT, "spans": _list(_SPAN), "match": FLAG,
        "from": WHOLE, "length": WHOLE,
    },
    optional=("from", "length"),
)  # fmt: skip

_SHARD = _object({
    "shard": WHOLE, "state": _one_of("starting", "ready", "failed", "leaving", "gone"), "pid": _or_null(WHOLE),
    "restarts": WHOLE, "why": _or_null(TEXT),
})  # fmt: skip

_LIMITS = {
    "rows": WHOLE, "rows_most": WHOLE, "context": WHOLE, "deadline_s": NUMBER, "deadline_most_s": NUMBER,
    "pattern_bytes": WHOLE, "columns": WHOLE, "file_lines": WHOLE,
}  # fmt: skip

_HEALTH = _object(
    {"status": _one_of("ok", "degraded", "draining"), "why": _list(TEXT)},
    optional=("why",),  # which is for those who may know
)


def _event(kind: str, facts: Mapping[str, Schema], optional: tuple[str, ...] = ()) -> Schema:
    return _object({"type": {"const": kind}, "id": TEXT, **facts}, optional)


#: Name → schema, as ``#/components/schemas`` has them.
SCHEMAS: Mapping[str, Schema] = {
    "Problem": _object({
        "type": TEXT, "title": TEXT, "status": WHOLE, "detail": TEXT, "parameter": _or_null(TEXT),
        "position": _or_null(WHOLE),
    }),
    "Begin": _event("begin", {}),
    "Lines": _event("lines", {**_PLACE, "lines": _list(_LINE)}),
    "Diff": _event("diff", {**_PLACE, "lines": WHOLE, "diff": TEXT}),
    "End": _event("end", {**_FACTS, "lines": WHOLE, "files": WHOLE}, optional=("lines", "files")),
    "Error": _event("error", {"problem": _named("Problem")}),
    "Count": _object({
        "id": TEXT, **_FACTS, "lines": WHOLE, "files": WHOLE, "by_file": _list(_object({**_PLACE, "lines": WHOLE})),
        "by_file_left_out": WHOLE,
    }),
    "Files": _object({"id": TEXT, **_FACTS, "files": WHOLE, "paths": _list(_object(_PLACE)), "left_out": WHOLE}),
    "File": _object({
        **_PLACE, "first": {**WHOLE, "minimum": 1}, "lines": _list(TEXT), "total_lines": WHOLE, "size_bytes": WHOLE,
        "language": _or_null(TEXT),
    }),
    "Tree": _object({
        "under": TEXT, "folders": _list(_object({**_PLACE, "files": WHOLE})), "files": _list(_object(_PLACE)),
        "cursor": _or_null(TEXT),
    }),
    "Skipped": _object({
        "counts": {"type": "object", "additionalProperties": WHOLE},
        "files": _list(_object({**_PLACE, "reason": TEXT, "detail": TEXT})), "left_out": WHOLE,
    }),
    "Health": _HEALTH,
    "Status": _object({
        "version": TEXT, "pid": WHOLE, "started": {**TEXT, "format": "date-time"}, "uptime_s": NUMBER,
        "roots": _list(TEXT), "health": _HEALTH, "draining": FLAG,
        "queries": _object({"running": WHOLE, "waiting": WHOLE, "most_running": WHOLE, "most_waiting": WHOLE}),
        "languages": _list(TEXT), "limits": _object(_LIMITS), "files": WHOLE, "skipped": WHOLE, "text_bytes": WHOLE,
        "memory_bytes": WHOLE, "indexed": {**NUMBER, "minimum": 0, "maximum": 1}, "watching": TEXT,
        "shards": _list(_SHARD),
    }),
}  # fmt: skip
