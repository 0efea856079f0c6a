"""The functions that a pool knows: each is looked at, pickled and measured once, not once a task.

A function that travels by reference (one that workers can import) never changes on its way. One that travels by value
carries what it refers to, as it was when it was pickled. So before each use it is checked whether it still refers to
the same things; when those can change inside (a list, an object) it is pickled anew, and only sent anew when that came
out differently.

Threads: any.
"""

from __future__ import annotations

import sys
import types
from typing import Any

from manyhands.engines.protocol import Engine
from manyhands.scheduler.pace import Pace
from manyhands.scheduler.stores import may_store
from manyhands.scheduler.work import DEFAULT, Calls, Options

_KNOWN_MOST = 256

_FIXED = (
    int,
    float,
    complex,
    str,
    bytes,
    bool,
    type(None),
    type,
    types.ModuleType,
    types.BuiltinFunctionType,
)

_MISSING = object()


class Known:
    """One function, as the engine has it, and how long its items take."""

    __slots__ = ("calls", "captured", "handle", "is_fixed", "pace")

    def __init__(self, handle: Any, captured: list[tuple[Any, str, Any]] | None) -> None:
        self.handle = handle
        self.captured = captured  # None: may change unseen
        self.is_fixed = captured is not None and not captured
        self.pace = Pace()
        self.calls: dict[tuple[int, Options], Calls] = {}

    def calls_of(self, form: int, options: Options = DEFAULT) -> Calls:
        """The source of its single calls in that form."""
        key = (form, options)
        found = self.calls.get(key)
        if found is None:
            found = self.calls.setdefault(key, Calls(self.handle, form, self.pace, options))
        return found

    @property
    def is_fresh(self) -> bool:
        """Does it refer to what it referred to when it was pickled?"""
        if self.captured is None:
            return False
        for home, name, value in self.captured:
            if (home.get(name, _MISSING) if type(home) is dict else _content(home)) is not value:
                return False
        return True


class Functions:
    """All functions of one pool, the latest used kept."""

    def __init__(self, engine: Engine, strict: bool) -> None:
        self._engine, self._strict = engine, strict
        self._known: dict[Any, Known] = {}

    def know(self, function: Any) -> Known:
        """The function's entry. Raises `PicklingError` when it cannot be sent, `UsageError` when it is no function."""
        try:
            known = self._known.get(function)
        except TypeError:  # not hashable
            return self._meet(function)
        if known is not None and (known.is_fixed or known.is_fresh):
            return known
        met = self._meet(function)
        if known is not None and _same(known.handle, met.handle):
            return known
        self._known[function] = met
        while len(self._known) > _KNOWN_MOST:
            self._known.pop(next(iter(self._known)), None)
        return met

    def _meet(self, function: Any) -> Known:
        if not callable(function):
            from manyhands.errors import UsageError

            raise UsageError(f"the first argument must be a function or another callable, not {function!r}")
        if not self._engine.shares_memory and may_store(function):
            from manyhands.scheduler import lost_writes  # takes long to import

            lost_writes.check(function, strict=self._strict, stacklevel=_depth_of_the_user() + 1)
        return Known(self._engine.prepare(function), captured(function))


def _depth_of_the_user() -> int:
    """How many calls up the first one is that is not ours, for a warning to point at."""
    frame, depth = sys._getframe(1), 1
    while frame is not None and str(frame.f_globals.get("__name__", "")).startswith("manyhands."):
        frame, depth = frame.f_back, depth + 1  # type: ignore[assignment]
    return depth


def _same(old: Any, new: Any) -> bool:
    """Two handles of one callable, pickled at different times: are they the same?"""
    old_message, new_message = getattr(old, "message", None), getattr(new, "message", None)
    if old_message is None or new_message is None:
        return old is new
    return bool(
        old_message.kind == new_message.kind
        and len(old_message.parts) == 1
        and old_message.parts == new_message.parts
    )


def captured(function: Any) -> list[tuple[Any, str, Any]] | None:
    """What the function's pickle depends on: (namespace or cell, name, value) each; None: on what may change unseen."""
    found: list[tuple[Any, str, Any]] = []
    return found if _capture(function, found, set()) else None


def _capture(value: Any, found: list[tuple[Any, str, Any]], seen: set[int]) -> bool:
    """Can a change be seen by looking at identities alone?"""
    if isinstance(value, _FIXED) or id(value) in seen:
        return not isinstance(value, type) or _is_importable(value)
    if type(value) is tuple:
        return all(_capture(part, found, seen) for part in value)
    if not isinstance(value, types.FunctionType):
        return False
    seen.add(id(value))
    if _is_importable(value):
        return True
    space = value.__globals__
    homes: list[tuple[Any, str]] = [(space, name) for name in _names(value.__code__) if name in space]
    homes += [(cell, "") for cell in value.__closure__ or ()]
    for home, name in homes:
        content = home[name] if type(home) is dict else _content(home)
        found.append((home, name, content))
        if not _capture(content, found, seen):
            return False
    return _capture(value.__defaults__ or (), found, seen) and not value.__kwdefaults__ and not value.__dict__


def _names(code: types.CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names(constant)
    return names


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet
        return _MISSING


def _is_importable(value: Any) -> bool:
    """Will a worker find the same by its name? (What is of ``__main__`` travels by value.)"""
    module = getattr(value, "__module__", None)
    if module in (None, "__main__", "__mp_main__"):
        return False
    found: Any = sys.modules.get(module)
    for name in value.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is value
