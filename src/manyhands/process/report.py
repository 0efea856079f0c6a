"""What a child tells its owner at its end: exit code, and the exception if there was one. Part of the process
room.

The report is written into the memfd that brought the child's payload (a forked child gets an empty one), so
it may have any size, nobody need be reading, and it is there whole after the child's death.

Always true:

1. The child's own exception never prevents a report: what will not pickle goes as its type's name and its
   text.
2. The owner gets an exception object: the child's own, or a `RemoteError` that tells of it. Its ``__cause__``
   is a `manyhands.errors.RemoteTraceback`.
3. A payload that the child did not live to read is never taken for a report.
"""

from __future__ import annotations

import _pickle as pickle  # the same objects, without the import of re
import contextlib
import os
import struct

from manyhands import byvalue
from manyhands.errors import ManyhandsError, RemoteTraceback
from manyhands.process.record import Record

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    from typing import Any

_MAGIC = b"MHREPORT"
_HEADER = struct.Struct("=8siQ")


class RemoteError(ManyhandsError):
    """Stands for an exception elsewhere that could not be brought here. `type_name` says what it was."""

    def __init__(self, message: str, type_name: str = "", text: str = "") -> None:
        super().__init__(message)
        self.type_name = type_name
        self.text = text


class Failure(Record):
    """An exception, ready to travel."""

    FIELDS = "type_name text traceback pickled trouble"

    type_name: str
    text: str
    traceback: str
    pickled: bytes | None
    trouble: str  # why `pickled` is None


def describe(error: BaseException, traceback_text: str, same_main: bool) -> Failure:
    """Make `error` ready to travel, come what may. `same_main`: the owner has the same one (fork)."""
    pickled, trouble = None, ""
    for dumps in (pickle.dumps, byvalue.dumps) if same_main else (byvalue.dumps,):
        try:
            pickled = dumps(error)
            break
        except Exception as reason:  # its __reduce__ may do anything
            trouble = f"{type(reason).__name__}: {_text(reason)}"
    return Failure(type(error).__qualname__, _text(error), traceback_text, pickled, trouble)


def write(fd: int, code: int, failure: Failure | None) -> None:
    """In the child: leave the report in the memfd `fd`, in place of whatever it held."""
    with contextlib.suppress(OSError):
        os.ftruncate(fd, 0)
        body = pickle.dumps(tuple(failure)) if failure else b""
        try:
            write_all(fd, body, _HEADER.size)
        except OSError:  # no memory for that much: at least say so
            short = (
                Failure(failure.type_name, failure.text[:1000], "", None, "no memory") if failure else None
            )
            os.ftruncate(fd, 0)
            body = pickle.dumps(tuple(short)) if short else b""
            write_all(fd, body, _HEADER.size)
        write_all(fd, _HEADER.pack(_MAGIC, code, len(body)), 0)  # last: it makes the report valid


def read(fd: int) -> tuple[int, bytes] | None:
    """In the owner: the exit code and failure (for `rebuild`) that the child left, or None."""
    head = os.pread(fd, _HEADER.size, 0)
    if len(head) < _HEADER.size:
        return None
    magic, code, size = _HEADER.unpack(head)
    if magic != _MAGIC:
        return None
    return code, bytes(read_all(fd, size, _HEADER.size))


def rebuild(body: bytes) -> BaseException | None:
    """The exception that `body` tells of, with the remote traceback as its cause."""
    if not body:
        return None
    failure = Failure(*pickle.loads(body))
    error = _unpickle(failure)
    error.__cause__ = RemoteTraceback(failure.traceback)
    return error


def rebuild_bare(failure: tuple[Any, ...]) -> BaseException:
    """An exception from the fields of its `Failure`, without a cause."""
    return _unpickle(Failure(*failure))


def _unpickle(failure: Failure) -> BaseException:
    if failure.pickled is None:
        return _stand_in(failure, f"could not be pickled there ({failure.trouble})")
    try:
        error = pickle.loads(failure.pickled)
    except Exception as reason:  # its constructor may do anything
        return _stand_in(failure, f"could not be unpickled here ({type(reason).__name__}: {_text(reason)})")
    if isinstance(error, BaseException):
        return error
    return _stand_in(failure, f"unpickled as a {type(error).__qualname__}")


def _stand_in(failure: Failure, trouble: str) -> RemoteError:
    name, text = failure.type_name, failure.text
    return RemoteError(
        f"{name}: {text} [the {name} itself {trouble}; give the class a __reduce__ that can rebuild it]",
        name,
        text,
    )


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # its __str__ may do anything
        return "(its text cannot be had)"


def read_all(fd: int, size: int, offset: int) -> bytearray:
    """`size` bytes at `offset`; one read does at most 2 GiB."""
    data = bytearray(size)
    view = memoryview(data)
    while view:
        done = os.preadv(fd, [view], offset)
        if not done:
            raise EOFError("the memory file of a process start is shorter than it says")
        view, offset = view[done:], offset + done
    return data


def write_all(fd: int, data: Any, offset: int) -> int:
    """Write all of the buffer at `offset`; return where it ends. Raises OSError (ENOMEM, ENOSPC) without memory."""
    view = memoryview(data).cast("B")
    while view:
        done = os.pwrite(fd, view, offset)
        view, offset = view[done:], offset + done
    return offset
