"""The tools as they are described to the client: what each is for, what it is told, what it tells.

Always true: what a tool tells fits what is described here, except for a refusal, which is text alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mcp_types import Tool, ToolAnnotations

from manyhands.search.service.mcp.arguments import READ_MOST, schema_of

_SAYS = {
    "search": (
        "Search lines",
        "The lines that match, by file, with their numbers; in the order of paths. Exact: every file of the tree is"
        " searched, as it is now. For how many there are, or which files have them, count is shorter.",
    ),
    "count": ("Count lines", "How many lines match, in all and in each file."),
    "list_files": (
        "List files",
        "What is right in a folder (folders with the number of files in them, and files); or, with glob or recursive,"
        " all files below it.",
    ),
    "read_lines": ("Read lines", f"Lines of one file, with their numbers; at most {READ_MOST} at once."),
}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


_TEXT, _NUMBER, _FLAG = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
_NUMBER_OR_NULL, _TEXT_OR_NULL = {"type": ["integer", "null"]}, {"type": ["string", "null"]}

#: What every answer has.
_COMPLETENESS = {
    "complete": _FLAG,
    "truncated_by": _TEXT_OR_NULL,
    "timed_out": _FLAG,
    "missing": _list(_object(shard=_NUMBER, why=_TEXT)),
}


def _line(**more: Any) -> dict[str, Any]:
    """A line; one that was cut says how many characters are left out in front, and how many it had."""
    made = _object(number=_NUMBER, text=_TEXT, **more)
    made["properties"] |= {"from": _NUMBER, "length": _NUMBER}
    return made


_TELLS = {
    "search": _object(
        files=_list(_object(path=_TEXT, lines=_list(_line(match=_FLAG)))),
        lines=_NUMBER,
        skipped=_NUMBER,
        **_COMPLETENESS,
    ),
    "count": _object(
        lines=_NUMBER,
        files=_NUMBER,
        by_file=_list(_object(path=_TEXT, lines=_NUMBER)),
        by_file_left_out=_NUMBER,
        skipped=_NUMBER,
        **_COMPLETENESS,
    ),
    "list_files": _object(
        folders=_list(_object(path=_TEXT, files=_NUMBER)),
        files=_list(_TEXT),
        left_out=_NUMBER,
        next_after=_TEXT_OR_NULL,
        **_COMPLETENESS,
    ),
    "read_lines": _object(
        path=_TEXT,
        first=_NUMBER,
        lines=_list(_line()),
        total_lines=_NUMBER,
        size_bytes=_NUMBER,
        next_first=_NUMBER_OR_NULL,
        **_COMPLETENESS,
    ),
}


def tools() -> list[Tool]:
    """All of them."""
    return [
        Tool(
            name=name,
            title=title,
            description=says,
            input_schema=schema_of(name),
            output_schema=_TELLS[name],
            annotations=ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False),
        )
        for name, (title, says) in _SAYS.items()
    ]


def instructions(given: Sequence[str], is_one: bool) -> str:
    """What the client is told of this tree before it asks."""
    paths = "Paths are relative to it." if is_one else "Paths begin as these do."
    return (
        f"Exact search in the text files of {', '.join(given)}, held in memory and kept as they are on the disk."
        f" {paths} Every answer says whether it is complete. Binary files, and files that ignore rules or filters leave"
        " out, are not searched."
    )
