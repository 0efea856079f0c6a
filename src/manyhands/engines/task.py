"""One task: how an item becomes a call, and what its result is when it cannot be sent. Both ends of every engine.

A worker process loads this before its first task, so it imports little.
"""

from __future__ import annotations

from manyhands.errors import PicklingError
from manyhands.scheduler.brief import brief

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    from typing import Any

#: How an item becomes a call: f(item), f(*item), f(*item[0], **item[1]).
ONE, STAR, CALL = 0, 1, 2


class Large:
    """A single call's arguments that are too large to travel among others."""

    __slots__ = ("message",)

    def __init__(self, message: Any) -> None:
        self.message = message


def call(function: Any, form: int, item: Any) -> Any:
    """The task itself."""
    if form == ONE:
        return function(item)
    return function(*item) if form == STAR else function(*item[0], **item[1])


def unsendable(value: Any, error: BaseException) -> BaseException:
    """What a task has for its error when its result cannot be pickled."""
    if not isinstance(error, Exception):
        return error
    from manyhands.failures import ResultPicklingError

    reason = str(error) if isinstance(error, PicklingError) else f"{type(error).__name__}: {error}"
    text = brief(value)
    return ResultPicklingError(f"the result {text} cannot be sent back: {reason}", text, reason)
