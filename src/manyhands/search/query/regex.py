"""A regex that a user gave: checked, parsed, and written out for RE2 as each use wants it.

The meaning is RE2's with UTF-8: a dot is a character, not a byte; ``\\w \\d \\s \\b`` are ASCII. On a line, ``^``
and ``\\A`` are its start, ``$`` and ``\\z`` its end.
"""

from __future__ import annotations

from manyhands.search.errors import QueryError
from manyhands.search.query import engines
from manyhands.search.query.parser import Malformed, parse
from manyhands.search.query.syntax import AnyByte, Char, Node, Place, walk

#: RE2 would take much longer to compile larger ones than anybody waits.
REGEX_BYTES_MOST = 64 << 10

_LINE_PLACES = {"^": "(?m:^)", "A": "(?m:^)", "$": "(?m:$)", "z": "(?m:$)"}

#: What is beside a word; see `words`.
NOT_WORD = b"[^\\pL\\pM\\p{Nd}\\p{Nl}\\p{Pc}\\x{200C}\\x{200D}]"


def tree_of(source: bytes) -> Node:
    """The tree of a checked regex."""
    return parse(source.decode())


def check(pattern: bytes, parameter: str, multiline: bool) -> None:
    """Raise `QueryError` unless `pattern` is a regex that can be searched for."""
    text = _decoded(pattern, parameter)
    if len(pattern) > REGEX_BYTES_MOST:
        raise QueryError(
            f"{parameter} is a regex of {len(pattern)} bytes; the most is {REGEX_BYTES_MOST}: "
            f"search for several smaller ones, or for a literal",
            parameter=parameter,
        )
    try:
        tree = parse(text)
        engines.compiled(pattern, not multiline)
    except Malformed as malformed:
        raise _refusal(text, parameter, malformed.message, malformed.position) from None
    except engines.Refused as refused:
        raise _refusal(text, parameter, *_fragment(text, str(refused))) from None
    if not multiline:
        _check_newlines(tree, text, parameter)


def _decoded(pattern: bytes, parameter: str) -> str:
    try:
        return pattern.decode()
    except UnicodeDecodeError as error:
        shown = pattern.decode("utf-8", "backslashreplace")
        raise QueryError(
            f"{parameter} is a regex that is not UTF-8; to find single bytes, search for a literal: regex=False",
            pattern=shown,
            position=len(pattern[: error.start].decode()),
            parameter=parameter,
        ) from None


def _fragment(text: str, refusal: str) -> tuple[str, int | None]:
    """What RE2 says, and where: its message names the fragment of the pattern that is wrong."""
    _, _, fragment = refusal.partition(": ")
    found = text.find(fragment) if fragment else -1
    if refusal.startswith("invalid repetition size"):
        refusal = "counts of repetitions within each other multiply to more than 1000"
    return refusal, found if found >= 0 else None


def _refusal(text: str, parameter: str, message: str, position: int | None) -> QueryError:
    where = "" if position is None else f" at character {position}"
    return QueryError(
        f"{parameter} is not a regex{where}: {message}; for the text itself, use regex=False",
        pattern=text,
        position=position,
        parameter=parameter,
        reason=message,
    )


def _check_newlines(tree: Node, text: str, parameter: str) -> None:
    for node in walk(tree):
        if isinstance(node, Char) and node.code == 10:
            raise QueryError(
                f"{parameter} has a newline, which no single line contains: use multiline=True",
                pattern=text,
                position=node.position,
                parameter=parameter,
            )


def closed(source: bytes) -> bytes:
    """`source` so that something may be written behind it: a quotation that its end closes is closed by \\E."""
    text = source.decode()
    try:
        if parse(text + "\\E") == parse(text):
            return source + b"\\E"
    except Malformed:
        pass  # \E stands for nothing outside of a quotation: none was open
    return source


def line_by_line(source: bytes) -> bytes | None:
    """`source` with the same meaning on many lines at once, when it is compiled to match no newline. None: it has
    none (``\\C`` would match the newline too)."""
    tree = tree_of(source)
    if any(isinstance(node, AnyByte) for node in walk(tree)):
        return None
    text = source.decode()
    for node in sorted(
        (node for node in walk(tree) if isinstance(node, Place)), key=lambda node: -node.position
    ):
        if node.kind in _LINE_PLACES:
            length = 1 if node.kind in "^$" else 2
            text = text[: node.position] + _LINE_PLACES[node.kind] + text[node.position + length :]
    return text.encode()


def escaped(literal: str) -> bytes:
    """The regex that matches just `literal`."""
    return "".join(_escaped(char) for char in literal).encode()


def _escaped(char: str) -> str:
    if char == "\0":
        return "\\x00"
    return "\\" + char if char.isascii() and not char.isalnum() and char not in " \n" else char
