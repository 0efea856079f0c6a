"""The one table of query parameters: what each is called, how it is read, and how it is described.

Always true: what is not in an endpoint's list is an error; nothing is ignored silently.
"""

from __future__ import annotations

import math
import string
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from manyhands.search.service.problem import Problem

#: More than anybody means.
_MOST = 999_999_999
_ID_MOST = 64
_ID_CHARACTERS = frozenset(string.ascii_letters + string.digits + "_.-")
ID_PATTERN = f"^[A-Za-z0-9_.-]{{1,{_ID_MOST}}}$"
_NUMBER_CHARACTERS = frozenset(string.digits + ".eE+-")
_FLAGS = {"true": True, "1": True, "": True, "false": False, "0": False}
#: Words for a flag, besides true and false.
WORDS = ("1", "0", "")


class Parameter(NamedTuple):
    """`kind`: text (which is UTF-8), pattern and path (any bytes), flag, number, seconds, id; `several`: may be
    repeated; `least` and `most` bound numbers."""

    name: str
    kind: str
    says: str
    several: bool = False
    choices: tuple[str, ...] = ()
    least: int = 0
    most: int = _MOST
    required: bool = False


def _several(name: str, says: str, kind: str = "text") -> Parameter:
    return Parameter(name, kind, says, several=True)


_QUESTION = (
    Parameter("q", "text", "the question, in the language of search boxes"),
    _several("pattern", "the question as text or regexes, any of which may match; in place of q", "pattern"),
    Parameter("regex", "flag", "pattern, all_of and none_of are regexes (RE2's syntax)"),
    Parameter(
        "case",
        "text",
        "smart: exact when a pattern has a capital letter",
        choices=("smart", "ignore", "exact"),
    ),
    Parameter("word", "flag", "matches are whole words"),
    Parameter("whole_line", "flag", "matches are whole lines"),
    _several("all_of", "further patterns that must match the same line (or file: scope)", "pattern"),
    _several("none_of", "patterns that must not", "pattern"),
    Parameter("scope", "text", "where all_of and none_of hold", choices=("line", "file")),
    Parameter("multiline", "flag", "a match may go over several lines"),
    Parameter("invert", "flag", "the lines that do not match"),
    _several("file", "only files whose path matches one of these globs"),
    _several("not_file", "no files whose path matches one of these globs"),
    _several("lang", "only files in these languages (/status lists them)"),
    _several("not_lang", "no files in these languages"),
    _several("under", "only files in these folders, or these files, as the tree names them", "path"),
)
_RUN = (
    Parameter("deadline_s", "seconds", "end after so many seconds with what was found by then"),
    Parameter("patient", "flag", "wait for a shard that is being rebuilt; else answer without it and say so"),
    Parameter("id", "id", "what the query is called, to cancel it: 1 to 64 of A-Z a-z 0-9 _ . -"),
)
_PER_FILE = Parameter("limit_per_file", "number", "at most so many matching lines of each file", least=1)
_CONTEXT = (
    Parameter("before", "number", "lines before each match"),
    Parameter("after", "number", "lines behind each match"),
    Parameter("context", "number", "lines before and behind each match"),
)
_COLUMNS = Parameter("max_columns", "number", "a longer line is cut around its first match", least=1)


def _limit(what: str) -> Parameter:
    return Parameter("limit", "number", f"at most so many {what}", least=1)


_PATH = Parameter("path", "path", "the file, as the tree names it", required=True)

#: Endpoint → what may be said.
ENDPOINTS: Mapping[str, tuple[Parameter, ...]] = {
    "/search": (*_QUESTION, _limit("matching lines"), _PER_FILE, *_CONTEXT, _COLUMNS, *_RUN),
    "/count": (*_QUESTION, _limit("files in by_file"), _PER_FILE, *_RUN),
    "/files": (
        *_QUESTION, Parameter("without", "flag", "the files without a matching line"), _limit("files"), *_RUN,
    ),
    "/preview": (
        *_QUESTION,
        Parameter("replacement", "pattern", "what stands in place of each match; $1 is a group", required=True),
        Parameter("context", "number", "lines around each change; 3 when nothing is said"), *_RUN,
    ),
    "/file": (
        _PATH, Parameter("line", "number", "the line to show", least=1),
        Parameter("before", "number", "lines before it"), Parameter("after", "number", "lines behind it"),
        _COLUMNS,
    ),
    "/tree": (
        Parameter("under", "path", "the folder; the roots when nothing is said"),
        Parameter("name", "text", "only files whose path matches this glob, at any depth"),
        Parameter("recursive", "flag", "all files below the folder"), _limit("files"),
        Parameter("cursor", "path", "where to go on: what the last answer gave"),
    ),
    "/skipped": (Parameter("under", "path", "only files in this folder"), _limit("files")),
    "/status": (), "/healthz": (), "/metrics": (), "/openapi.json": (), "/docs": (), "/": (),
}  # fmt: skip

#: What the form of columns knows besides.
SPANS = Parameter("spans", "flag", "tell where in each line the matches are")


def read(query_string: bytes, known: Sequence[Parameter]) -> dict[str, Any]:
    """What was said, by name; what was not said is not there. Raises `Problem`."""
    table = {parameter.name: parameter for parameter in known}
    said: dict[str, Any] = {}
    for name, value in _pairs(query_string):
        parameter = table.get(name)
        if parameter is None:
            raise _unknown(name, list(table))
        if parameter.several:
            said.setdefault(name, []).append(_read(parameter, value))
        elif name in said:
            raise Problem(400, f"{name} was said twice", parameter=name)
        else:
            said[name] = _read(parameter, value)
    for parameter in known:
        if parameter.required and parameter.name not in said:
            raise Problem(400, f"{parameter.name} is missing: {parameter.says}", parameter=parameter.name)
    return said


def _pairs(query_string: bytes) -> Iterator[tuple[str, bytes]]:
    for piece in query_string.split(b"&"):
        if piece:
            name, _, value = piece.replace(b"+", b" ").partition(b"=")
            yield unquote_to_bytes(name).decode("utf-8", "replace"), unquote_to_bytes(value)


def _unknown(name: str, known: list[str]) -> Problem:
    from difflib import get_close_matches

    near = get_close_matches(name, known, 1)
    hint = (
        f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}" if known else "it takes none"
    )
    return Problem(400, f"there is no parameter {name[:_ID_MOST]!r} here; {hint}", parameter=name[:_ID_MOST])


def _read(parameter: Parameter, value: bytes) -> Any:
    name = parameter.name
    if parameter.kind == "path":
        return value
    if parameter.kind == "pattern":
        return value.decode("utf-8", "surrogateescape")
    text = _text(name, value)
    if parameter.choices and text not in parameter.choices:
        raise Problem(400, f"{name} must be one of {', '.join(parameter.choices)}", parameter=name)
    return _READERS[parameter.kind](parameter, text)


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        place = len(value[: error.start].decode())
        raise Problem(
            400, f"{name} is not UTF-8 at character {place}", parameter=name, position=place
        ) from None


def _flag(parameter: Parameter, text: str) -> bool:
    if text not in _FLAGS:
        raise Problem(400, f"{parameter.name} must be true or false", parameter=parameter.name)
    return _FLAGS[text]


def _number(parameter: Parameter, text: str) -> int:
    is_whole = text.isascii() and text.isdecimal() and len(text) <= len(str(_MOST))
    if not is_whole or not parameter.least <= int(text) <= parameter.most:
        bounds = f"from {parameter.least} to {parameter.most:,}"
        raise Problem(400, f"{parameter.name} must be a whole number {bounds}", parameter=parameter.name)
    return int(text)


def _seconds(parameter: Parameter, text: str) -> float:
    try:
        found = float(text) if _NUMBER_CHARACTERS.issuperset(text) else 0.0
    except ValueError:
        found = 0.0
    if not 0 < found < math.inf:
        raise Problem(400, f"{parameter.name} must be a number of seconds above 0", parameter=parameter.name)
    return found


def _id(parameter: Parameter, text: str) -> str:
    if not 1 <= len(text) <= _ID_MOST or not _ID_CHARACTERS.issuperset(text):
        raise Problem(400, f"id must be {parameter.says.partition(': ')[2]}", parameter="id")
    return text


_READERS = {
    "text": lambda _, text: text,
    "flag": _flag,
    "number": _number,
    "seconds": _seconds,
    "id": _id,
}
