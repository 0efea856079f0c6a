"""`share` and `empty`: objects that live in shared memory, so that sending them copies nothing."""

from __future__ import annotations

import math
import operator
import pickle
import sys

from manyhands import _native, byvalue
from manyhands.errors import OutOfMemoryError, UsageError
from manyhands.memory import arena, serialize

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    from typing import Any

    import numpy as np


def share(obj: Any) -> Any:
    """An equal object whose large buffers lie in shared memory, read-only, put there once.

    Whatever process receives it afterwards, in a queue item or as an argument, reads the same memory: numpy arrays,
    Arrow tables, and objects made of them come back as themselves; ``bytes``, ``bytearray`` and ``memoryview`` come
    back as a read-only ``memoryview``. An object without buffers is returned as it is: there is nothing to share.

    The memory is free when no process has a view of it any more. Raises `OutOfMemoryError` when the system refuses
    it and `PicklingError` when `obj` cannot be pickled.

    >>> import manyhands
    >>> words = manyhands.share(b"read by all")
    >>> bytes(words[:4])
    b'read'
    """
    if isinstance(obj, (bytes, bytearray, memoryview)):
        obj = serialize.View(memoryview(obj))
    buffers: list[pickle.PickleBuffer] = []
    data = byvalue.dumps(obj, buffers)
    if not buffers:
        return obj
    return pickle.loads(data, buffers=_place(tuple(buffer.raw() for buffer in buffers)))


def _place(parts: tuple[memoryview, ...]) -> list[memoryview]:
    """Read-only views of copies of `parts` in one shared block."""
    ends = [0]
    for part in parts:
        ends.append((ends[-1] + part.nbytes + 63) // 64 * 64)
    block = new_block(ends[-1])
    block.fill(parts)
    view = memoryview(block).toreadonly()
    return [view[start : start + part.nbytes] for start, part in zip(ends, parts, strict=False)]


def new_block(size_bytes: int) -> _native.Block:
    """A fresh shared block with room for so many bytes."""
    block = arena.alloc(size_bytes + _native.SHARED_PREFIX)
    block.share()
    return block


def empty(shape: int | tuple[int, ...], dtype: Any = float) -> np.ndarray[Any, Any]:
    """A numpy array born in shared memory, not initialised, as `numpy.empty`: sending it copies nothing.

    Every process that receives it reads and writes the same memory; what one writes the others see at once, so take
    care that not two write the same element at a time (`manyhands.Lock`). The memory is free when no process has
    the array or a view of it any more.

    >>> import manyhands
    >>> image = manyhands.empty((480, 640), "uint8")
    >>> image[:] = 0
    """
    import numpy as np

    kind = np.dtype(dtype)
    if kind.hasobject:
        raise UsageError(
            f"dtype {kind} holds Python objects, which cannot lie in shared memory; use a numeric dtype"
        )
    sides = tuple(map(operator.index, shape if isinstance(shape, (tuple, list)) else (shape,)))
    if any(side < 0 for side in sides):
        raise UsageError(f"shape {sides} has a negative side")
    count = math.prod(sides)
    if count * kind.itemsize > sys.maxsize // 2:
        raise OutOfMemoryError(f"an array of shape {sides} and dtype {kind} is larger than any memory")
    return np.ndarray(sides, kind, buffer=memoryview(new_block(max(1, count * kind.itemsize))))


__all__ = ["empty", "new_block", "share"]
