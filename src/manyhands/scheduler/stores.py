"""Might a function assign to what is not its own? A quick look, that most functions do not get beyond.

What looks suspicious here is looked at properly by `lost_writes`, whose import takes as long as a worker's start. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from opcode import opmap
from types import BuiltinFunctionType, CodeType, FunctionType
from typing import Any

_STORES = frozenset(opmap[name] for name in ("STORE_GLOBAL", "DELETE_GLOBAL", "STORE_DEREF", "DELETE_DEREF"))

#: More functions than this are too many for a quick look.
_MOST = 200


def may_store(function: Any) -> bool:
    """False: it does not assign to a global or to a variable of an outer function, nor do those that it calls."""
    kind = type(function)
    if kind is BuiltinFunctionType or kind is type:
        return False
    if kind is not FunctionType or "__wrapped__" in function.__dict__:
        return True  # a method, a partial, a decorated one
    seen, todo = {id(function)}, [function]
    while todo and len(seen) < _MOST:
        for callee in _callees(todo.pop()):
            if callee is None:
                return True
            if id(callee) not in seen:
                seen.add(id(callee))
                todo.append(callee)
    return bool(todo)


def _callees(function: FunctionType) -> Iterator[FunctionType | None]:
    """The functions of its module that it names; None: it stores."""
    space = function.__globals__
    named = [cell.cell_contents for cell in function.__closure__ or () if _is_bound(cell)]
    for code in _codes(function.__code__):
        if not _STORES.isdisjoint(code.co_code[::2]):
            yield None
            return
        named += [space[name] for name in code.co_names if name in space]
    for value in named:
        if type(value) is FunctionType and value.__globals__ is space:
            yield value


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if type(constant) is CodeType:
            yield from _codes(constant)


def _is_bound(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False
