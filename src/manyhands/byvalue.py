"""Pickling of what a plain pickle cannot name: ``__main__``, lambdas, closures. Floor 0.

Everything that another process can import travels by reference; what lives in ``__main__`` or in a function body
travels by value, through cloudpickle. cloudpickle is imported at the first need only (it costs 20 ms).

The standard pickler runs first, because it is several times faster. Its output is trusted unless it names
``__main__``: the other process has another ``__main__`` or none.

Always true:

1. What the standard pickler writes and another process can read is written by the standard pickler.
2. What cannot be pickled raises here, in the caller, as `manyhands.errors.PicklingError` with the path to the
   part that is to blame.
"""

from __future__ import annotations

import _pickle as pickle  # the same objects, without the import of re
import sys

from manyhands import descriptors
from manyhands.errors import PicklingError

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

PROTOCOL = 5

#: In a pickle that names ``__main__`` or ``__mp_main__``, which another process does not share with this one.
_OWN_MODULES = b"_main__"

#: How deep `blame` looks for the part that cannot be pickled, and how many parts it looks at.
_BLAME_DEPTH, _BLAME_PARTS = 12, 2000


def dumps(
    obj: Any,
    buffers: list[pickle.PickleBuffer] | None = None,
    keep: Callable[[pickle.PickleBuffer], Any] | None = None,
) -> bytes:
    """Pickle `obj`, by reference where the other side can import it and by value where not.

    With a list, large buffers (numpy arrays, Arrow columns, `pickle.PickleBuffer`) are appended to it in their
    order, and are not part of the pickle. Instead of a list, `keep` may be a pickler's own buffer callback.
    """
    if buffers is not None:
        keep = buffers.append
    data = _dumps_by_reference(obj, keep)
    if data is None:
        if buffers is not None:
            buffers.clear()
        data = _dumps_by_value(obj, keep)
    return data


def _dumps_by_reference(obj: Any, keep: Callable[[pickle.PickleBuffer], Any] | None) -> bytes | None:
    """The standard pickle; None when it would not do, or the other side could not read it. What the pickler raised is
    forgotten: a second try that is interrupted, or fails, has a story of its own."""
    try:
        with descriptors.shipment():
            data = pickle.dumps(obj, PROTOCOL, buffer_callback=keep)
            if _OWN_MODULES in data or _names_a_registered_module(data):
                raise _NotToBeSent
    except Stop:
        raise
    except (
        Exception
    ):  # whatever a __reduce__ raises; by value it may still go, or it is said which part is to blame
        return None
    return data


def _names_a_registered_module(data: bytes) -> bool:
    """Has the user told cloudpickle to send one of these modules by value (``register_pickle_by_value``)?"""
    cloudpickle = sys.modules.get("cloudpickle")
    if cloudpickle is None:
        return False
    return any(name.encode() in data for name in cloudpickle.list_registry_pickle_by_value())


class Stop(Exception):
    """Raised by a buffer callback to give up the pickling; it passes through."""


class _NotToBeSent(Exception):
    """This pickle is not to be sent: it names a module that the other process has not got, or was only tried."""


def _dumps_by_value(obj: Any, buffer_callback: Callable[[pickle.PickleBuffer], Any] | None) -> bytes:
    import cloudpickle  # 20 ms: only when something needs it

    try:
        with descriptors.shipment():
            data: bytes = cloudpickle.dumps(obj, PROTOCOL, buffer_callback)
    except Stop:
        raise
    except Exception as error:
        path = blame(obj)
        raise PicklingError(
            f"cannot pickle {path or 'this ' + type(obj).__qualname__}: {type(error).__name__}: {error}. "
            f"Leave it out (give the class a __getstate__, or pass what it was made from) and make it anew on "
            f"the other side",
            path,
        ) from error
    return data


def blame(obj: Any) -> str:
    """The path from `obj` to the deepest part that cannot be pickled, such as ``Job.args[1]['lock']``."""
    name = type(obj).__qualname__
    path, part = name, obj
    seen = {id(obj)}
    for _ in range(_BLAME_DEPTH):
        guilty = next(
            ((step, sub) for step, sub in _parts(part) if id(sub) not in seen and not _pickles(sub)), None
        )
        if guilty is None:
            break
        step, part = guilty
        seen.add(id(part))
        path += step
    return f"{path} (a {type(part).__qualname__})" if path != name else ""


def _pickles(obj: Any) -> bool:
    import cloudpickle

    try:
        with descriptors.shipment():
            cloudpickle.dumps(obj, PROTOCOL)
            raise _NotToBeSent  # only tried: nothing is sent
    except _NotToBeSent:
        return True
    except Exception:
        return False


def _parts(obj: Any) -> Iterator[tuple[str, Any]]:
    """What `obj` is made of, each with the step that leads to it, at most `_BLAME_PARTS`."""
    for count, item in enumerate(_all_parts(obj)):
        if count >= _BLAME_PARTS:
            return
        yield item


def _all_parts(obj: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(obj, dict):
        for key, value in list(obj.items()):
            yield f"[{key!r:.40}]", value
        for key in list(obj):
            yield f" key {key!r:.40}", key
    elif isinstance(obj, (list, tuple, set, frozenset)):
        for index, value in enumerate(obj):
            yield f"[{index}]", value
    yield from _function_parts(obj)
    for name, value in list(getattr(obj, "__dict__", {}).items()) if not isinstance(obj, type) else ():
        yield f".{name}", value
    for slot in getattr(type(obj), "__slots__", ()):
        if isinstance(slot, str) and hasattr(obj, slot):
            yield f".{slot}", getattr(obj, slot)


def _function_parts(obj: Any) -> Iterator[tuple[str, Any]]:
    """The closed-over variables, the globals it uses and the instance of a function, method or partial."""
    code = getattr(obj, "__code__", None)
    for name, cell in zip(
        getattr(code, "co_freevars", ()), getattr(obj, "__closure__", None) or (), strict=False
    ):
        try:
            yield f" closing over {name}", cell.cell_contents
        except ValueError:  # the variable is not bound yet
            continue
    if getattr(obj, "__module__", None) in ("__main__", "__mp_main__"):
        namespace = getattr(obj, "__globals__", {})
        for name in getattr(code, "co_names", ()):
            if name in namespace:
                yield f" using global {name}", namespace[name]
    for attribute in ("__self__", "func", "args", "keywords"):
        if callable(obj) and not isinstance(obj, type) and hasattr(obj, attribute):
            yield f".{attribute}", getattr(obj, attribute)
