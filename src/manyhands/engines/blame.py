"""Errors of tasks: made ready to travel with what they are about, and rebuilt. Used by every engine.

Always true: an exception keeps its type, its notes and its cause; the traceback of where it was raised is its
``__cause__`` here; and a note says which task it was and what its input was, shortly.
"""

from __future__ import annotations

import _pickle as pickle

from manyhands.errors import RemoteTraceback
from manyhands.process import report
from manyhands.scheduler.brief import brief_call

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    from typing import Any


def add_input(error: BaseException, function: Any, form: int, item: Any, index: int | None) -> None:
    """Note on `error` which task of which input raised it."""
    where = "" if index is None else f"item {index}: "
    try:
        error.add_note(f"[{where}{brief_call(function, form, item)}]")
    except Exception:
        return


def pack(error: BaseException) -> bytes:
    """`error` as bytes, with its traceback and its cause, come what may."""
    import traceback

    text = "".join(traceback.format_exception(error))
    cause = error.__cause__
    failures = [tuple(report.describe(error, text, same_main=False))]
    if cause is not None:
        failures.append(tuple(report.describe(cause, "", same_main=False)))
    return pickle.dumps(failures)


def unpack(data: Any) -> BaseException:
    """The exception that `pack` was given; its ``__cause__`` is the traceback there, whose own is its cause there."""
    failures = pickle.loads(data)
    error = report.rebuild(pickle.dumps(failures[0]))
    assert error is not None
    if len(failures) > 1 and error.__cause__ is not None:
        error.__cause__.__cause__ = report.rebuild_bare(failures[1])
    return error


def as_remote(error: BaseException) -> BaseException:
    """For engines in this process: the same outcome, with the traceback as text, and the exception itself."""
    import traceback

    text = "".join(traceback.format_exception(error))
    before = error.__cause__
    error.__cause__ = RemoteTraceback(text)
    error.__cause__.__cause__ = before
    return error
