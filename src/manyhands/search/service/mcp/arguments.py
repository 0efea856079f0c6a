"""What each tool is told: the one table of arguments, from which they are described and checked.

Always true:

1. An argument that there is not, or that makes no sense, is refused by name, with what would do: nothing is ignored.
2. What was read has every argument that was given or has a default; ``null`` counts as left out, as some clients mean
   it.

Threads: any.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from manyhands.search import QueryError
from manyhands.search.query.parse import joined
from manyhands.search.service.mcp.argument import Argument, short

LINES_MOST, COUNTS_MOST, NAMES_MOST, READ_MOST, COLUMNS_MOST, DEADLINE_MOST_S = (
    500,
    1000,
    1000,
    2000,
    2000,
    120.0,
)
#: A line of a file is a number below this.
_LINE_MOST = 2**31 - 1

_DEADLINE = Argument(
    "seconds", "Seconds after which what was found by then is told.", 30.0, 0.01, DEADLINE_MOST_S
)
_COLUMNS = Argument(
    "number", "Longer lines are cut to so many characters, around the first match.", 500, 20, COLUMNS_MOST
)

_QUESTION = {
    "query": Argument(
        "text",
        'In the language of search boxes: `mutex lock` (lines with both), `"mutex lock"` (just this text), `a OR b`,'
        " `a -b` (without b), `/mutex_(un)?lock/` (a regex), `file:*.c`, `lang:c`, `case:yes`, `word:yes`."
        " Give either query or pattern.",
    ),
    "pattern": Argument(
        "text", "The exact text to find in a line, or with regex a regex. Nothing in it is special otherwise."
    ),
    "regex": Argument("flag", "pattern, all_of and none_of are regexes in RE2's syntax (no look-around)."),
    "case": Argument(
        "text",
        "smart: any case unless there is a capital letter.",
        choices=("smart", "ignore", "exact"),
    ),
    "word": Argument("flag", "Only whole words."),
    "multiline": Argument("flag", "The pattern may go over several lines."),
    "all_of": Argument("texts", "More patterns that must be in the same line (or file, see scope)."),
    "none_of": Argument("texts", "Patterns that must not be in the same line (or file, see scope)."),
    "scope": Argument("text", "Where all_of and none_of are looked for.", choices=("line", "file")),
    "file": Argument("globs", "Only files that match one of these globs: `*.{c,h}`, `src/**/test_*`."),
    "not_file": Argument("globs", "No files that match one of these globs."),
    "lang": Argument("texts", "Only files in these languages: python, c, cpp, rust, js, ts, ..."),
    "not_lang": Argument("texts", "No files in these languages."),
    "under": Argument("texts", "Only in these folders or files, by their paths."),
    "limit_per_file": Argument("number", "So many matching lines of each file at most.", None, 1, 10**9),
}

SEARCH = _QUESTION | {
    "limit": Argument("number", "So many matching lines at most.", 50, 1, LINES_MOST),
    "context": Argument("number", "Lines to show before and after each match.", 0, 0, 20),
    "max_columns": _COLUMNS,
    "deadline_s": _DEADLINE,
}

COUNT = _QUESTION | {
    "limit": Argument("number", "Name the counts of so many files at most.", 100, 1, COUNTS_MOST),
    "deadline_s": _DEADLINE,
}

LIST_FILES = {
    "glob": Argument(
        "globs", "Only files that match one of these globs: `*.py`, `docs/**`. Goes into all folders."
    ),
    "under": Argument("text", "The folder to look in; without it, all of the tree."),
    "recursive": Argument("flag", "All files below, not only what is right there (with glob: always)."),
    "after": Argument("text", "Go on behind this path: next_after of the answer before."),
    "limit": Argument("number", "So many paths at most.", 200, 1, NAMES_MOST),
}

READ_LINES = {
    "path": Argument("text", "The file, as the other tools name it."),
    "first": Argument("number", "The number of the first line.", 1, 1, _LINE_MOST),
    "last": Argument(
        "number",
        f"The number of the last line; at most {READ_MOST} lines are told at once.",
        None,
        1,
        _LINE_MOST,
    ),
    "max_columns": Argument("number", "Longer lines are cut to so many characters.", 1000, 20, COLUMNS_MOST),
}


TOOLS = {"search": SEARCH, "count": COUNT, "list_files": LIST_FILES, "read_lines": READ_LINES}
_REQUIRED = {"read_lines": ("path",)}


def schema_of(tool: str) -> dict[str, Any]:
    """The arguments of a tool, as JSON Schema."""
    return {
        "type": "object",
        "properties": {name: argument.schema() for name, argument in TOOLS[tool].items()},
        "required": list(_REQUIRED.get(tool, ())),
        "additionalProperties": False,
    }


def read(tool: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What was given, checked, and the defaults of the rest. Raises `QueryError`."""
    arguments = TOOLS[tool]
    for name in given:
        if name not in arguments:
            raise QueryError(f"there is no argument {short(name)}{_near(name, arguments)}", parameter=name)
    said = {name: value for name, value in given.items() if value is not None}
    for name in _REQUIRED.get(tool, ()):
        if name not in said:
            raise QueryError(f"{tool} needs {name}: {arguments[name].says}", parameter=name)
    found = {name: one.default for name, one in arguments.items() if one.default is not None}
    return found | {name: arguments[name].read(name, value) for name, value in said.items()}


def question(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `manyhands.search.Tree.search` that say what is looked for. Raises `QueryError`."""
    asked = {name: given[name] for name in _QUESTION if name in given}
    query = asked.pop("query", None)
    if (query is None) == ("pattern" not in asked):
        raise QueryError(
            "give query (the language of search boxes) or pattern (the exact text, or a regex), one of them",
            parameter="query",
        )
    return asked if query is None else joined(query, asked)


def _near(name: str, arguments: Mapping[str, Argument]) -> str:
    near = difflib.get_close_matches(name, arguments, 1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(arguments)}"
