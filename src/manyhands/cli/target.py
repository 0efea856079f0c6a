"""``FILE.py:function`` or ``module:function``: which function is meant, and where it comes from.

The function itself never travels: this process and each worker import it by the same `Target`. So it may be anything
that can be called, and whatever it refers to is made anew in each worker.

A file is imported as ``python FILE.py`` would run it, with its folder first on ``sys.path``, but as a module named
like the file: what stands under ``if __name__ == "__main__"`` does not run. Where that name is taken (``json.py``)
it gets another, and where Python's own library has it the folder comes last.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.util
import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from manyhands.errors import UsageError


class Target(NamedTuple):
    """A function, by name."""

    module: str
    function: str  # dotted for what is inside a class
    path: str | None  # absolute, when it is in a file

    def __str__(self) -> str:
        return f"{self.path or self.module}:{self.function}"

    def load(self) -> Callable[..., Any]:
        """Import the module, if need be, and look the function up."""
        module = importlib.import_module(self.module) if self.path is None else _from_file(self)
        found: Any = module
        for name in self.function.split("."):
            found = getattr(found, name)
        function: Callable[..., Any] = found
        return function


def find(text: str) -> Target:
    """The target that the user means, imported and checked. Changes ``sys.path``. Raises `UsageError`."""
    place, colon, name = text.rpartition(":")
    if not (colon and place and name):
        raise UsageError(f"TARGET is FILE.py:function or module:function, not {text!r}")
    target = _in_file(place, name) if place.endswith(".py") or os.sep in place else _in_module(place, name)
    module = _imported(target, place)
    _check(target, module, place)
    return target


def _in_file(place: str, name: str) -> Target:
    path = os.path.abspath(place)
    if not os.path.isfile(path):
        kind = "a folder" if os.path.isdir(path) else "no such file"
        raise UsageError(f"{place!r} is {kind}{_near_file(place)}")
    if not sys.flags.safe_path:
        # Not even Python itself can do with a queue.py that is found before its own.
        at = len(sys.path) if Path(path).stem in sys.stdlib_module_names else 0
        sys.path.insert(at, os.path.dirname(path))
        importlib.invalidate_caches()
    return Target(_module_name(path), name, path)


def _in_module(place: str, name: str) -> Target:
    here = os.getcwd()
    if not sys.flags.safe_path and not {"", here} & set(sys.path):
        sys.path.insert(0, here)  # as ``python -m`` does
    return Target(place, name, None)


def _module_name(path: str) -> str:
    """The file's own name if an import of that name finds the file, else one that finds nothing."""
    name = re.sub(r"\W", "_", Path(path).stem)
    taken = name in sys.modules or name in sys.stdlib_module_names
    if not taken:
        with contextlib.suppress(ImportError, ValueError):
            spec = importlib.util.find_spec(name)
            taken = spec is not None and spec.origin != path
    return f"{name}_by_path" if taken else name


def _from_file(target: Target) -> ModuleType:
    module, path = sys.modules.get(target.module), target.path
    assert path is not None
    if module is not None and getattr(module, "__file__", None) == path:
        return module
    loader = SourceFileLoader(target.module, path)  # named, because a script may have any suffix
    spec = importlib.util.spec_from_file_location(target.module, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[target.module] = module  # first, as in every import: dataclasses look themselves up there
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[target.module]
        raise
    return module


def _imported(target: Target, place: str) -> ModuleType:
    """The module. What goes wrong in it is shown as it would be for the user's own import."""
    try:
        return importlib.import_module(target.module) if target.path is None else _from_file(target)
    except ModuleNotFoundError as error:
        if target.path is None and error.name and f"{target.module}.".startswith(f"{error.name}."):
            raise UsageError(f"there is no module {error.name!r}{_near_module(error.name)}") from None
        raise UsageError(_why(place, error)) from None
    except SystemExit as error:
        raise UsageError(
            f"{place} ran sys.exit({error.code!r}) while it was imported. What it does as a program belongs under "
            f'``if __name__ == "__main__":``, then its functions can be used from here'
        ) from None
    except Exception as error:
        raise UsageError(_why(place, error)) from None


def _why(place: str, error: BaseException) -> str:
    """The traceback of a failed import, without the frames that only import."""
    shown = traceback.TracebackException.from_exception(error)
    ours = {__file__, importlib.__file__}
    shown.stack = traceback.StackSummary.from_list(
        [f for f in shown.stack if f.filename not in ours and not f.filename.startswith("<frozen importlib")]
    )
    return f"{place} cannot be imported:\n{''.join(shown.format()).rstrip()}"


def _check(target: Target, module: ModuleType, place: str) -> None:
    found: Any = module
    for step in target.function.split("."):
        if not hasattr(found, step):
            where = place if found is module else f"{place}:{getattr(found, '__qualname__', '?')}"
            raise UsageError(f"there is no function {step!r} in {where}{_near_function(step, found)}")
        found = getattr(found, step)
    if not callable(found):
        raise UsageError(f"{target.function!r} in {place} is no function but a {type(found).__name__}")
    if inspect.iscoroutinefunction(found):
        raise UsageError(
            f"{target.function!r} in {place} is a coroutine function; give a plain one that calls asyncio.run()"
        )


# ---- near matches ----


def _near_file(place: str) -> str:
    folder = Path(place).parent
    with contextlib.suppress(OSError):
        names = [path.name for path in folder.iterdir() if path.suffix == ".py"]
        return _meant(Path(place).name, names, lambda name: str(folder / name))
    return ""


def _near_module(name: str) -> str:
    import pkgutil

    above, _, last = name.rpartition(".")
    folders = getattr(sys.modules.get(above), "__path__", None) if above else None
    names = {module.name for module in pkgutil.iter_modules(folders)} | set(
        () if above else sys.stdlib_module_names
    )
    return _meant(last, names, lambda near: f"{above}.{near}" if above else near)


def _near_function(name: str, home: Any) -> str:
    names = [name for name in dir(home) if not name.startswith("_") and callable(getattr(home, name, None))]
    return _meant(name, names, str)


def _meant(name: str, names: Iterable[str], full: Callable[[str], str]) -> str:
    """``; did you mean …?``, or nothing."""
    near = difflib.get_close_matches(name, sorted(names), n=3)
    return f"; did you mean {' or '.join(repr(full(one)) for one in near)}?" if near else ""
