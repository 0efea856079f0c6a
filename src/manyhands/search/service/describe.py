"""The OpenAPI description of the service, made from the table of parameters, and the documentation page made from that.

Always true: what is described is what `parameters` reads, within the limits of this service; the page needs no script
and nothing from elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, NamedTuple

import manyhands
from manyhands.search.service.parameters import ENDPOINTS, ID_PATTERN, WORDS, Parameter
from manyhands.search.service.problem import CONTENT_TYPE
from manyhands.search.service.schemas import FLAG, NUMBER, SCHEMAS, TEXT, WHOLE, Schema
from manyhands.search.service.settings import Limits

_OBJECT, _STREAM, _EVENTS = "application/json", "application/x-ndjson", "text/event-stream"


class _Says(NamedTuple):
    """What an endpoint says, in which content types, and how that looks: the name of a schema, or of events."""

    text: str
    types: tuple[str, ...] = (_OBJECT,)
    schema: str = ""
    events: tuple[str, ...] = ()


_SAYS: Mapping[str, _Says] = {
    "/search": _Says("The lines that match, as events: begin, lines (of one file), end", (_STREAM, _EVENTS),
                     events=("Begin", "Lines", "End", "Error")),
    "/count": _Says("How many lines match, in all and in each file", schema="Count"),
    "/files": _Says("The files that have a matching line, or have none", schema="Files"),
    "/preview": _Says("What a replacement would change, as events: begin, diff (of one file), end", (_STREAM, _EVENTS),
                      events=("Begin", "Diff", "End", "Error")),
    "/file": _Says("Lines of a file around a line, as it is held", schema="File"),
    "/tree": _Says("What lies in a folder; or all files below it", schema="Tree"),
    "/skipped": _Says("The files that are not searched, and why", schema="Skipped"),
    "/status": _Says("The trees, the shards, the queries under way, the limits", schema="Status"),
    "/healthz": _Says("200 when all is well; 503 when degraded or draining", schema="Health"),
    "/metrics": _Says("For Prometheus", ("text/plain",)),
    "/openapi.json": _Says("This description"),
    "/docs": _Says("This description as a page", ("text/html",)),
    "/": _Says("The page to search with", ("text/html",)),
}  # fmt: skip

_REFUSALS = {
    "400": "A parameter makes no sense: which, and where in it", "401": "The token is missing or wrong",
    "403": "The Host header, or another site's page", "404": "Nothing of that name is held", "405": "Not that method",
    "409": "The id is in use, or the query was cancelled", "413": "Requests have no body",
    "431": "The request's line and headers are too long", "503": "Too many queries wait, or the service ends",
}  # fmt: skip

#: What any endpoint may say; what those may that look into the tree; what those may that have a query's name.
_OF_ALL, _OF_TREE, _OF_QUERIES = ("400", "401", "403", "405", "413", "431"), ("404", "503"), ("409",)


def openapi(limits: Limits) -> dict[str, Any]:
    """The description, OpenAPI 3.1."""
    paths: dict[str, Any] = {path: {"get": _operation(path, limits)} for path in ENDPOINTS}
    paths["/search/{id}"] = {"delete": _cancelling()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "manyhands search", "version": manyhands.__version__,
            "description": "A tree of text files, held in memory and searched.",
        },
        "paths": paths,
        "components": {
            "schemas": dict(SCHEMAS),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }  # fmt: skip


def _operation(path: str, limits: Limits) -> dict[str, Any]:
    says, parameters = _SAYS[path], ENDPOINTS[path]
    content = {each: {"schema": _schema_of(says)} for each in says.types}
    answers: dict[str, Any] = {"200": {"description": says.text, "content": content}}
    statuses = [*_OF_ALL]
    if says.schema or says.events or path == "/metrics":
        statuses += _OF_TREE
    if any(each.name == "id" for each in parameters):
        statuses += _OF_QUERIES
    refusals = _refusals(*statuses)
    if path == "/healthz":
        refusals["503"]["content"] |= content
    return {
        "operationId": path.strip("/").replace(".", "_") or "page", "summary": says.text,
        "parameters": [_parameter(each, _most(path, each, limits)) for each in parameters],
        "responses": {**refusals, **answers},
    }  # fmt: skip


def _schema_of(says: _Says) -> Schema:
    if says.events:
        known = ", ".join(says.events)
        return {
            **TEXT,
            "description": f"events, one after the other, each an object: {known} (see the schemas)",
        }
    return {"$ref": f"#/components/schemas/{says.schema}"} if says.schema else {}


def _cancelling() -> dict[str, Any]:
    name = {"name": "id", "in": "path", "required": True, "schema": TEXT, "description": "the query's id"}
    return {
        "operationId": "cancel", "summary": "Cancel a query of any kind", "parameters": [name],
        "responses": {"204": {"description": "It is cancelled"}, **_refusals(*_OF_ALL, "404")},
    }  # fmt: skip


def _refusals(*statuses: str) -> dict[str, Any]:
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        status: {"description": _REFUSALS[status], "content": {CONTENT_TYPE: schema}}
        for status in sorted(statuses)
    }


# ---- parameters ----


def _parameter(parameter: Parameter, most: float) -> dict[str, Any]:
    schema = _schema(parameter, most)
    if parameter.several:
        schema = {"type": "array", "items": schema}
    return {
        "name": parameter.name, "in": "query", "required": parameter.required, "description": parameter.says,
        "schema": schema, **({"style": "form", "explode": True} if parameter.several else {}),
    }  # fmt: skip


def _most(path: str, parameter: Parameter, limits: Limits) -> float:
    """What the limits allow."""
    lines = limits.file_lines - 1 if path == "/file" else limits.context
    known = {
        "limit": limits.rows_most, "limit_per_file": limits.rows_most, "before": lines, "after": lines,
        "context": lines, "max_columns": limits.columns_most, "deadline_s": limits.deadline_most_s,
    }  # fmt: skip
    return min(parameter.most, known.get(parameter.name, math.inf))


def _schema(parameter: Parameter, most: float) -> Schema:
    if parameter.choices:
        return {**TEXT, "enum": list(parameter.choices)}
    if parameter.kind == "flag":
        return {"anyOf": [FLAG, {"enum": [*WORDS]}]}
    if parameter.kind == "number":
        return {**WHOLE, "minimum": parameter.least, "maximum": int(most)}
    if parameter.kind == "seconds":
        return {**NUMBER, "exclusiveMinimum": 0, "maximum": most}
    if parameter.kind == "id":
        return {**TEXT, "pattern": ID_PATTERN}
    return dict(TEXT)


# ---- the page ----


def docs(limits: Limits) -> bytes:
    """The description as HTML."""
    described = openapi(limits)
    parts = [
        _section(path, method, each)
        for path, ways in described["paths"].items()
        for method, each in ways.items()
    ]
    title = f"{escape(described['info']['title'])} {escape(described['info']['version'])}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}: HTTP API</title>'
        '<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/static/docs.css"></head>'
        f"<body><main><h1>{title}: HTTP API</h1><p>{escape(described['info']['description'])} "
        '<a href="/">Search</a> · <a href="/openapi.json">OpenAPI</a></p>'
        + "".join(parts)
        + "</main></body></html>"
    ).encode()


def _section(path: str, method: str, operation: Mapping[str, Any]) -> str:
    rows = "".join(map(_row, operation["parameters"]))
    table = f"<table><thead><tr><th>parameter</th><th>type</th><th>says</th></tr></thead><tbody>{rows}</tbody></table>"
    answers = "".join(
        f"<li><code>{status}</code> {escape(each['description'])} "
        f"<i>{escape(', '.join(each.get('content', ())))}</i></li>"
        for status, each in operation["responses"].items()
    )
    return (
        f'<section id="{escape(operation["operationId"])}"><h2><span>{method.upper()}</span> '
        f"<code>{escape(path)}</code></h2>"
        f"<p>{escape(operation['summary'])}.</p>{table if rows else ''}<details><summary>answers</summary>"
        f"<ul>{answers}</ul></details></section>"
    )


def _row(parameter: Mapping[str, Any]) -> str:
    name = escape(parameter["name"]) + (" *" if parameter["required"] else "")
    kind = escape(", ".join(_kinds(parameter["schema"])))
    return f"<tr><td><code>{name}</code></td><td>{kind}</td><td>{escape(parameter['description'])}</td></tr>"


def _kinds(schema: Mapping[str, Any]) -> Iterator[str]:
    if schema.get("type") == "array":
        yield f"repeated {next(_kinds(schema['items']))}"
    else:
        known = schema["anyOf"][0] if "anyOf" in schema else schema
        yield " | ".join(known["enum"]) if "enum" in known else known["type"]
