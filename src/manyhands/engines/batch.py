"""One task run, and a batch of them: what every worker does that is no process of ours.

A *carrier* is how functions, inputs and results get to where a batch is run, and back: as they are, where the memory
is the same, or as bytes.

Always true:

1. Nothing that a task raises leaves `attempt`, not even SystemExit: it is the task's error.
2. What cannot be unpickled or pickled is the error of its own item, never of the batch.
"""

from __future__ import annotations

import _pickle as pickle
import time
from functools import lru_cache
from types import TracebackType
from typing import Any, NamedTuple

from manyhands import byvalue
from manyhands.engines import blame
from manyhands.engines.task import call, unsendable
from manyhands.memory.serialize import Message

#: An exception object that tasks raise again and again is not noted on for ever.
_NOTES_MOST = 16

#: Functions that a foreign worker keeps, so that each is unpickled once.
_FUNCTIONS_MOST = 16


class Outcome(NamedTuple):
    """What came of some items: values, as the carrier dumps them; errors by place, likewise; how long they ran."""

    values: list[Any]
    errors: dict[int, Any]
    ns: int


def attempt(function: Any, form: int, item: Any, index: int | None) -> tuple[Any, BaseException | None]:
    """Run a task: its value, or what it raised, with a note of its input. `index`: its place in a map."""
    try:
        return call(function, form, item), None
    except BaseException as error:
        if len(getattr(error, "__notes__", ())) < _NOTES_MOST:
            blame.add_input(error, function, form, item, index)
        return None, error.with_traceback(_without_ours(error.__traceback__))


def _without_ours(traceback: TracebackType | None) -> TracebackType | None:
    """A traceback that begins where the user's code does; whole, when it never gets there."""
    inner = traceback
    while inner is not None and inner.tb_frame.f_code.co_filename == __file__:
        inner = inner.tb_next
    return inner or traceback


def run_batch(carrier: type[AsIs], function: Any, form: int, items: list[Any], first: int | None) -> Outcome:
    """Run all items, wherever this is. `first`: the index of the first one in its map, None for single calls."""
    began = time.monotonic_ns()
    values: list[Any] = []
    errors: dict[int, Any] = {}
    for place, sent in enumerate(items):
        value, error = _attempt_sent(carrier, function, form, sent, None if first is None else first + place)
        values.append(value)
        if error is not None:
            errors[place] = carrier.dump_error(error)
    return Outcome(values, errors, time.monotonic_ns() - began)


def _attempt_sent(
    carrier: type[AsIs], function: Any, form: int, sent: Any, index: int | None
) -> tuple[Any, BaseException | None]:
    try:
        task, item = carrier.load_function(function), carrier.load(sent)
    except BaseException as error:
        return None, error
    value, raised = attempt(task, form, item, index)
    if raised is not None:
        return None, raised
    try:
        return carrier.dump(value), None
    except BaseException as error:
        return None, unsendable(value, error)


class AsIs:
    """To a worker that shares this process's memory. The first half is the owner's, the second the worker's."""

    @staticmethod
    def prepare(function: Any) -> Any:
        """The function as `Source.function`."""
        return function

    @staticmethod
    def function_of(handle: Any) -> Any:
        """What `prepare` made, as it is sent."""
        return handle

    @staticmethod
    def encode(value: Any) -> Any:
        """An input as it is sent. Raises `PicklingError`."""
        return value

    @staticmethod
    def decode(sent: Any) -> Any:
        """A value, or an input, from what was sent."""
        return sent

    @staticmethod
    def error_of(sent: Any) -> BaseException:
        """The exception that `dump_error` was given."""
        error: BaseException = sent
        return error

    @staticmethod
    def load_function(sent: Any) -> Any:
        """The function."""
        return sent

    @staticmethod
    def load(sent: Any) -> Any:
        """An input."""
        return sent

    @staticmethod
    def dump(value: Any) -> Any:
        """A result as it is sent back."""
        return value

    @staticmethod
    def dump_error(error: BaseException) -> Any:
        """An exception as it is sent back; its traceback becomes text, so that no frames are kept alive by it."""
        return blame.as_remote(error).with_traceback(None)


class ByValue(AsIs):
    """To a worker anywhere: as bytes, by value what cannot be imported there."""

    @staticmethod
    def prepare(function: Any) -> Sent:
        """Pickle the function once."""
        data = byvalue.dumps(function)
        return Sent(function, Message(0, (data,), len(data)))

    @staticmethod
    def function_of(handle: Any) -> Any:
        """Its bytes."""
        return handle.message.parts[0]

    @staticmethod
    def encode(value: Any) -> Any:
        """Pickle it."""
        return byvalue.dumps(value)

    @staticmethod
    def decode(sent: Any) -> Any:
        """Unpickle it."""
        return pickle.loads(sent)

    load, dump = decode, encode

    @staticmethod
    def error_of(sent: Any) -> BaseException:
        """Rebuild it."""
        return blame.unpack(sent)

    @staticmethod
    def load_function(sent: Any) -> Any:
        """Unpickle it once, so that it keeps what it remembers from batch to batch."""
        return _load_function(sent)

    @staticmethod
    def dump_error(error: BaseException) -> Any:
        """With its traceback, come what may."""
        return blame.pack(error)


class Sent:
    """A callable and its pickle; `manyhands.pool.functions` compares pickles by `message`."""

    __slots__ = ("call", "message")

    def __init__(self, function: Any, message: Message) -> None:
        self.call, self.message = function, message


@lru_cache(maxsize=_FUNCTIONS_MOST)
def _load_function(data: bytes) -> Any:
    return pickle.loads(data)
