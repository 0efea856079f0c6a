"""What a user asks, checked: the one place that refuses a query, and names the argument that is wrong.

Always true of a `Request`: its values make sense together, its regexes compile, and smart case is decided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

from manyhands.search.errors import QueryError
from manyhands.search.query import checks
from manyhands.search.query.pattern import has_wide_cases
from manyhands.search.query.regex import REGEX_BYTES_MOST, check, tree_of
from manyhands.search.query.syntax import has_capital

Words = str | bytes | Iterable[str | bytes]
Names = str | Iterable[str]


class Request(NamedTuple):
    """A query. `patterns`: any of them; `all_of`, `none_of`: further conditions on the same line, or with
    ``scope="file"`` somewhere in the same file. `ignore_case` is what `case` came to."""

    patterns: tuple[bytes, ...]
    regex: bool
    case: str
    ignore_case: bool
    word: bool
    whole_line: bool
    all_of: tuple[bytes, ...]
    none_of: tuple[bytes, ...]
    scope: str
    multiline: bool
    invert: bool
    file: tuple[str, ...]
    not_file: tuple[str, ...]
    lang: tuple[str, ...]
    not_lang: tuple[str, ...]
    under: tuple[bytes, ...]
    limit: int | None
    limit_per_file: int | None
    before: int
    after: int


#: What checks each argument that a request keeps under its own name.
_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "regex": checks.flag,
    "case": partial(checks.one_of, choices=("smart", "exact", "ignore")),
    "word": checks.flag,
    "whole_line": checks.flag,
    "all_of": checks.words,
    "none_of": checks.words,
    "scope": partial(checks.one_of, choices=("line", "file")),
    "multiline": checks.flag,
    "invert": checks.flag,
    "file": checks.globs,
    "not_file": checks.globs,
    "lang": checks.languages,
    "not_lang": checks.languages,
    "under": checks.paths,
    "limit": checks.at_least_one,
    "limit_per_file": checks.at_least_one,
}


def make_request(
    pattern: Words,
    *,
    regex: bool = False,
    case: str = "smart",
    word: bool = False,
    all_of: Words = (),
    none_of: Words = (),
    scope: str = "line",
    multiline: bool = False,
    invert: bool = False,
    file: Names = (),
    not_file: Names = (),
    lang: Names = (),
    not_lang: Names = (),
    limit: int | None = None,
    limit_per_file: int | None = None,
    before: int = 0,
    after: int = 0,
    context: int | None = None,
    whole_line: bool = False,
    under: Any = (),
) -> Request:
    """A checked query. Raises `QueryError`; `MissingExtraError` for a regex without RE2.

    `pattern` is a literal, or with `regex` a regex in RE2's syntax (its ``\\w``, ``\\d``, ``\\s`` and ``\\b`` are
    ASCII); several of them: any. It is looked for in each line, or with `multiline` in the file as one text, where
    ``^`` and ``$`` are still at lines. ``case="smart"`` ignores case unless a pattern has a capital letter. `word`:
    no letter, digit or underscore before or behind the match; `whole_line`: the match is the whole line, and `word`
    says nothing more. `invert`: the lines for which the rest of the query is false; with ``scope="file"``, the
    lines without `pattern` in the files for which `all_of` and `none_of` hold. `under`: only files
    in these folders, or these files, as the tree names them. `limit` is a number of lines over all files.
    """
    given = dict(locals())
    lines_before, lines_after = checks.context(before, after, context)
    made = Request(
        patterns=checks.words("pattern", pattern),
        ignore_case=False,
        before=lines_before,
        after=lines_after,
        **{name: checked(name, given[name]) for name, checked in _CHECKS.items()},
    )
    _check_together(made)
    for name, text in _texts(made):
        _check_text(made, name, text)
    ignore_case = _ignores_case(made)
    if ignore_case:
        _check_wide_cases(made)
    return made._replace(ignore_case=ignore_case)


def _texts(request: Request) -> list[tuple[str, bytes]]:
    """All patterns with their argument's name."""
    groups = (("pattern", request.patterns), ("all_of", request.all_of), ("none_of", request.none_of))
    return [(name, text) for name, texts in groups for text in texts]


def _check_together(request: Request) -> None:
    """What makes no sense only in combination."""
    if not request.patterns:
        raise QueryError(
            'pattern is empty: give at least one text ("" is in every line)', parameter="pattern"
        )
    if request.multiline and request.invert:
        raise QueryError(
            "invert is about lines, and multiline about whole files: use one of them", parameter="invert"
        )
    if request.multiline and (request.all_of or request.none_of) and request.scope == "line":
        name = "all_of" if request.all_of else "none_of"
        raise QueryError(
            f'{name} with multiline is about the whole file: say so with scope="file"', parameter=name
        )


def _check_text(request: Request, name: str, text: bytes) -> None:
    if request.regex:
        check(text, name, request.multiline)
        return
    if len(text) > checks.LITERAL_BYTES_MOST:
        raise QueryError(
            f"{name} has {len(text)} bytes; the most is {checks.LITERAL_BYTES_MOST}: search for a part of it",
            parameter=name,
        )
    at = -1 if request.multiline else text.find(b"\n")
    if at >= 0:
        raise QueryError(
            f"{name} has a newline, which no single line contains: use multiline=True",
            pattern=text.decode(errors="backslashreplace"),
            position=len(text[:at].decode(errors="backslashreplace")),
            parameter=name,
        )


def _ignores_case(request: Request) -> bool:
    """Smart case: one capital letter in any of the patterns makes all of them exact."""
    if request.case != "smart":
        return request.case == "ignore"
    return not any(_has_capital(text, request.regex) for _, text in _texts(request))


def _has_capital(text: bytes, is_regex: bool) -> bool:
    if is_regex:
        return has_capital(tree_of(text))
    return any(char.isupper() for char in text.decode(errors="replace"))


def _check_wide_cases(request: Request) -> None:
    """Letters beyond ASCII in any case are RE2's work even in a literal, so the limit and the need of regexes
    hold."""
    for name, text in () if request.regex else _texts(request):
        if len(text) > REGEX_BYTES_MOST and has_wide_cases(text.decode(errors="ignore")):
            raise QueryError(
                f"{name} has {len(text)} bytes with letters beyond ASCII; in any case the most is "
                f'{REGEX_BYTES_MOST}: use case="exact"',
                parameter=name,
            )
