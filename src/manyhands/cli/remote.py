"""What runs in a worker of ``manyhands map``: a line comes in, the line to print goes out.

Reading an input, calling and writing the result are all done here, so that they use every core, and so that only texts
travel: inputs, results and exceptions need not be fit for pickling.

Always true: what the function raises is an outcome like any other; only the end of the worker process is not.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

from manyhands.cli.target import Target


class Form(NamedTuple):
    """How a line becomes arguments, and a result becomes a line."""

    json: bool
    star: bool


class Trouble(NamedTuple):
    """An input that failed."""

    kind: str  # the name of the error's class
    message: str
    details: str  # the traceback, when there is one
    is_usage: bool  # the input makes no sense: it was not even tried


#: The line to print, in UTF-8 and without its end, or what went wrong.
Outcome = bytes | Trouble


class BadInputError(Exception):
    """A line that cannot be turned into arguments."""


class BadResultError(Exception):
    """A result that cannot be written as a line."""


class _Work:
    """What this process does for the command. Set once, before the first line comes."""

    function: Callable[..., Any]
    form: Form


def begin(target: Target, form: Form, is_apart: bool) -> None:
    """Make this process ready. `is_apart`: it is a worker's own process."""
    if is_apart:
        _print_on_stderr()
    _Work.form, _Work.function = form, target.load()


def _print_on_stderr() -> None:
    """What the function prints, and what programs print that it starts, is not to mix with the results."""
    os.dup2(2, 1)
    sys.stdout = sys.stderr


def call(*lines: str) -> list[Outcome]:
    """The outcome of each line."""
    return [_outcome(line) for line in lines]


def _outcome(line: str) -> Outcome:
    work = _Work
    try:
        if not work.form.json:
            return as_text(work.function(line))
        positional, named = arguments(line, work.form.star)
        return as_json(work.function(*positional, **named))
    except BadInputError as error:
        return Trouble("bad input", str(error), "", True)
    except BadResultError as error:
        return Trouble("bad result", str(error), "", False)
    except KeyboardInterrupt:  # without worker processes, Ctrl-C comes here
        raise
    except BaseException as error:
        return describe(error)


def arguments(line: str, star: bool) -> tuple[list[Any], dict[str, Any]]:
    """What a line of JSON says. Raises `BadInputError`.

    >>> arguments("[1, 2]", star=False), arguments("[1, 2]", star=True), arguments('{"a": 1}', star=True)
    (([[1, 2]], {}), ([1, 2], {}), ([], {'a': 1}))
    """
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise BadInputError(f"this is not JSON: {error.msg} at column {error.colno}") from None
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"this JSON cannot be read: {error}") from None
    if not star:
        return [value], {}
    if isinstance(value, list):
        return value, {}
    if isinstance(value, dict):
        return [], value
    raise BadInputError("with --star a line must be a JSON array or a JSON object")


def as_text(value: Any) -> bytes:
    """A result in text mode. Bytes that came in as no UTF-8 go out as they were."""
    return b"" if value is None else str(value).encode("utf-8", "surrogateescape")


def as_json(value: Any) -> bytes:
    """A result as one line of JSON."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadResultError(f"JSON cannot express it: {error}") from None
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half a surrogate pair, which JSON has an escape for
        return json.dumps(value, allow_nan=False).encode()


def describe(error: BaseException) -> Trouble:
    """An exception as texts; the traceback begins in the function, not here."""
    inside = error.__traceback__
    while inside is not None and inside.tb_frame.f_code.co_filename == __file__:
        inside = inside.tb_next
    details = "".join(traceback.format_exception(type(error), error, inside))
    try:
        message = str(error)
    except Exception:
        message = "(its text cannot be had)"
    return Trouble(type(error).__qualname__, message, details.rstrip(), False)
