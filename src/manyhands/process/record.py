"""Records: a few named values that travel as a tuple. Part of the process room.

As ``typing.NamedTuple``, without the import of `typing`, which would cost each first start of a process some
milliseconds.
"""

from __future__ import annotations

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


class Record:
    """Named values, in the order of `FIELDS`; ``tuple(record)`` is what travels, ``Kind(*values)`` its return."""

    FIELDS = ""

    def __init__(self, *values: Any) -> None:
        for name, value in zip(self.FIELDS.split(), values, strict=True):
            setattr(self, name, value)

    def __iter__(self) -> Iterator[Any]:
        return (getattr(self, name) for name in self.FIELDS.split())
