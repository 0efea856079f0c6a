"""The same large buffer sent to many tasks of one call is placed in shared memory once.

Arrays, bytes and the like that occur several times among the inputs of a map (or in the tuples of a starmap) are
replaced by shared, read-only copies: however many tasks get it, it is copied once. What occurs once stays as it is:
its task gets a copy of its own that it may write to.
"""

from __future__ import annotations

import sys
from typing import Any

from manyhands.memory.share import share

#: Smaller ones are not worth a block of their own.
LARGE_BYTES = 256 << 10

_PLAIN = frozenset((int, float, bool, type(None), complex))
_FLAT = frozenset((bytes, bytearray))


def share_repeated(items: list[Any]) -> list[Any]:
    """The items, with what is large and occurs more than once shared. The list itself when nothing is."""
    if not items or type(items[0]) in _PLAIN:
        return items
    seen: dict[int, Any] = {}
    repeated: set[int] = set()
    for item in items:
        for part in item if type(item) is tuple else (item,):
            if _is_large(part):
                if id(part) in seen:
                    repeated.add(id(part))
                seen[id(part)] = part
    shared = {key: share(seen[key]) for key in repeated}
    return [_with(item, shared) for item in items] if shared else items


def _is_large(value: Any) -> bool:
    kind = type(value)
    if kind in _PLAIN or kind is str:
        return False
    if kind in _FLAT:
        return len(value) >= LARGE_BYTES
    numpy = sys.modules.get("numpy")
    if numpy is None or kind is not numpy.ndarray:
        return False
    return bool(value.nbytes >= LARGE_BYTES and not value.dtype.hasobject)


def _with(item: Any, shared: dict[int, Any]) -> Any:
    if type(item) is tuple:
        return tuple(shared.get(id(part), part) for part in item)
    return shared.get(id(item), item)
