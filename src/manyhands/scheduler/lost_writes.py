"""Assignments in a task that nobody outside its worker process will ever see. Part of the scheduler room; pure.

A task that assigns to a global, or to a variable of the function around it, changes the copy of its worker; the
caller's stays as it was, and no error says so. A pool shows each function to `check` when it is submitted.

Three steps. Bytecode says what is stored outside (`_stored`); most functions end here. The source says on what
each store depends (`_Reading`), or bytecode again without one (`_read_code`). `_Search.judge` lets go of what is
meant for the worker alone: a variable that is asked for before it is set (``if _db is None: _db = connect()``)
is made once in each worker, and so is what is set along with it.

Always true:

1. What is in doubt passes in silence: a false alarm is worse than none. So does the code of Python, of installed
   packages and of manyhands.
2. No callable makes this raise, but for the warning and the error that were asked for. The function is only
   looked at: nothing of the user's is called, not even a ``__getattr__``.
3. `check` looks at a function once for as long as its code lives.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import linecache
import re
import warnings
import weakref
from collections import namedtuple
from dataclasses import dataclass
from dis import get_instructions
from functools import cache, partial
from itertools import pairwise
from opcode import opmap
from types import CodeType, FunctionType, MethodType

from manyhands.errors import UsageError

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, TypeAlias

    Names: TypeAlias = frozenset[str]
    Guards: TypeAlias = "frozenset[_Guard]"

_GLOBAL_STORES = frozenset({opmap["STORE_GLOBAL"], opmap["DELETE_GLOBAL"]})
_CELL_STORES = frozenset({opmap["STORE_DEREF"], opmap["DELETE_DEREF"]})
_ORDERS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_LEAVES = (ast.Return, ast.Raise, ast.Continue, ast.Break)
#: How many functions are followed from one task, how often in all, and how many wrappers around a function.
_MOST_FUNCTIONS, _MOST_VISITS, _MOST_LAYERS = 200, 1000, 20
#: Whoever asks one of these means this process, or something done once in it (an Event).
_ABOUT_THE_WORKER = frozenset({"getpid", "getppid", "parent_process", "current_process", "is_set"})
#: Older than some time is no order among results: ``if time() - _loaded_at > 60: _loaded_at = time()``.
_CLOCKS = frozenset({"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "now", "utcnow"})
#: A function in a decorator of such a name runs less often than it is called.
_ONCE = ("cache", "memo", "once", "lazy", "singleton")
#: Where bytecode reads variables, and after what it has no use any more for what it read.
_LOADS = frozenset({"LOAD_GLOBAL", "LOAD_DEREF"})
_ENDS = frozenset({"POP_TOP", "RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "JUMP_FORWARD"})
#: A backslash that the parser might warn of, after those that it needs; what it stands for does not matter here.
_ESCAPE = re.compile(r"""(\\(?:[\\'"\n]|N\{))|\\(.)""")

_ADVICE = """\
Each worker process has its own copy of such a variable, so the caller never sees the change. Return the value \
from the function; or share it between processes with manyhands.Value, a Manager or an actor; or, when a cache or \
a state of each worker is what you want, keep it in manyhands.worker_state(). To silence this: \
warnings.filterwarnings("ignore", category=manyhands.LostWriteWarning)"""


class LostWriteWarning(UserWarning):
    """A function given to worker processes assigns to a variable that the caller will not see change."""


class LostWriteError(UsageError):
    """The same, where it was asked to be an error. `writes` are all that were found."""

    def __init__(self, message: str, writes: tuple[LostWrite, ...] = ()) -> None:
        super().__init__(message)
        self.writes = writes


@dataclass(frozen=True)
class LostWrite:
    """`function` (its qualified name) assigns to the variable `name` or deletes it; `kind` is global or nonlocal."""

    name: str
    kind: str
    function: str
    filename: str
    line: int

    def __str__(self) -> str:
        function = self.function.replace("<locals>.", "")
        file = self.filename.rpartition("/")[2]
        return f"{function}() assigns to the {self.kind} {self.name!r} ({file}, line {self.line})"


class _Verdict:
    """What was found in a function: kept in `_verdicts` for as long as its code lives."""

    def __init__(self, writes: tuple[LostWrite, ...], key: tuple[int, int], *codes: CodeType) -> None:
        self.writes, self.warned = writes, False
        self.codes = [weakref.ref(code, lambda _: _verdicts.pop(key, None)) for code in codes]


#: By the identities of the outermost and the innermost code: a wrapper may be shared, and to hash code is slow.
_verdicts: dict[tuple[int, int], _Verdict] = {}


def check(function: Callable[..., object], *, strict: bool = False, stacklevel: int = 2) -> None:
    """Warn (`LostWriteWarning`), once a function, of what `find` finds; with `strict` raise, each time.

    *Threads: any.* `stacklevel` is that of `warnings.warn`. Raises `LostWriteError` when `strict`.
    """
    verdict = _verdict(function)
    if verdict is None or not verdict.writes or (verdict.warned and not strict):
        return
    message = f"{'; '.join(map(str, verdict.writes))}. {_ADVICE}"
    if strict:
        raise LostWriteError(message, verdict.writes)
    verdict.warned = True
    try:
        warnings.warn(message, LostWriteWarning, stacklevel=stacklevel)
    except LostWriteWarning:  # the user's filters make it an error: then it is one each time
        verdict.warned = False
        raise


def _verdict(function: Callable[..., object]) -> _Verdict | None:
    try:
        layers = _layers(function)
        outer, inner = layers[0].__code__, layers[-1].__code__
    except Exception:  # no Python function in there, or exotic, see `find`
        return None
    key = id(outer), id(inner)
    return _verdicts.get(key) or _verdicts.setdefault(key, _Verdict(find(function), key, outer, inner))


def find(function: Callable[..., object]) -> tuple[LostWrite, ...]:
    """What `function`, and the functions of its module that it calls, assign to outside of themselves.

    One for each variable of each function: where it is first assigned to. Does not raise.

    >>> exec("def count(words):\\n    global total\\n    total += len(words)", namespace := {})
    >>> print(*find(namespace["count"]))
    count() assigns to the global 'total' (<string>, line 3)
    """
    try:
        layers = [layer for layer in _layers(function) if not _is_library(layer)]
        roots = [layer for layer in layers if layer.__globals__ is layers[-1].__globals__]
        leading = _leading_to_stores(roots)
        return _Search(roots, leading).judge() if leading else ()
    except Exception:  # an exotic callable, or a Python that we do not know: a hint is not worth an error
        return ()


def _layers(task: Any) -> list[FunctionType]:
    """The Python functions that a call of `task` is known to run, from the outermost wrapper inwards."""
    found: list[FunctionType] = []
    for _ in range(_MOST_LAYERS):
        kind = type(task)  # an object may lie about its __class__
        if kind is FunctionType:
            found.append(task)
            task = task.__dict__.get("__wrapped__")
        elif kind in (MethodType, staticmethod, classmethod):
            task = task.__func__
        elif issubclass(kind, partial):
            task = vars(partial)["func"].__get__(task)
        else:
            task = _inner(task, kind)
        if task is None:
            break
    return found


def _inner(task: object, kind: type) -> object:
    """What `functools.lru_cache`, or an object that decorates, has around itself; or the ``__call__`` of a class."""
    with contextlib.suppress(AttributeError, TypeError):
        own = object.__getattribute__(task, "__dict__")  # its own __getattr__ may do anything
        if type(own) is dict and "__wrapped__" in own:
            return own["__wrapped__"]
    method = next((vars(base)["__call__"] for base in kind.__mro__ if "__call__" in vars(base)), None)
    return method if type(method) is FunctionType else None


def _is_library(function: FunctionType) -> bool:
    """Is it Python's, an installed package's or ours, and so not the user's to change?"""
    name, file = function.__globals__.get("__name__"), function.__code__.co_filename
    ours = isinstance(name, str) and name.partition(".")[0] == "manyhands"
    inside = file.startswith(("<frozen", *_library_folders()))
    return ours or inside or "/site-packages/" in file or "/dist-packages/" in file


@cache
def _library_folders() -> tuple[str, ...]:
    from sysconfig import get_paths

    return tuple(f"{get_paths()[key]}/" for key in ("stdlib", "platstdlib", "purelib", "platlib"))


def _leading_to_stores(roots: list[FunctionType]) -> set[int]:
    """The ids of functions that store something or lead there. A quick look: to name one is to call it."""
    found, callers = list(roots), {id(root): set[int]() for root in roots}
    for function in found:
        names = {name for code, _ in _codes(function.__code__) for name in code.co_names + code.co_freevars}
        for callee in (callee for name in names for callee in _callees(function, name)):
            if id(callee) not in callers and len(found) < _MOST_FUNCTIONS:
                found.append(callee)
            callers.setdefault(id(callee), set()).add(id(function))
    leading = [id(function) for function in found if _is_suspect(function)]
    for one in leading:
        leading.extend(callers[one].difference(leading))
    return set(leading)


def _callees(function: FunctionType, name: str) -> list[FunctionType]:
    """The functions of the same module that `name` means in `function`: one, none, or a few wrappers."""
    code, value = function.__code__, function.__globals__.get(name)
    if name in code.co_freevars:
        value = None
        with contextlib.suppress(ValueError):  # still empty
            value = (function.__closure__ or ())[code.co_freevars.index(name)].cell_contents
    # A functools.cache runs once in each worker, and is meant for it: no function, and not followed.
    layers = _layers(value) if type(value) is FunctionType else []
    if len(layers) > 1 and any(word in layers[0].__code__.co_qualname.lower() for word in _ONCE):
        return []
    return [layer for layer in layers if layer.__globals__ is function.__globals__]


def _codes(code: CodeType, outside: Names | None = None) -> Iterator[tuple[CodeType, Names]]:
    """`code` and all code within, each with its variables that belong to a function around the outermost."""
    # A comprehension of Python 3.12 can give a function a variable of its own beside a free one of that name.
    free = frozenset(code.co_freevars).difference(code.co_cellvars)
    outside = free if outside is None else free & outside
    yield code, outside
    for inner in code.co_consts:
        if type(inner) is CodeType:
            yield from _codes(inner, outside)


def _is_suspect(function: FunctionType) -> bool:
    """Does it store anything outside? Far quicker than to disassemble; a cell may turn out to be its own."""
    # Each second byte is an opcode, and 0 in an inline cache.
    units = ((code.co_code[::2], outside) for code, outside in _codes(function.__code__))
    both = _GLOBAL_STORES | _CELL_STORES
    return any(not (both if outside else _GLOBAL_STORES).isdisjoint(opcodes) for opcodes, outside in units)


def _stored(code: CodeType) -> dict[tuple[str, int], LostWrite]:
    """Each store outside of the function of that code, by name and line."""
    found: dict[tuple[str, int], LostWrite] = {}
    for inner, outside in _codes(code):
        step: Any
        for step in get_instructions(inner):
            is_global, name = step.opcode in _GLOBAL_STORES, step.argval
            if is_global or (step.opcode in _CELL_STORES and name in outside):
                line, kind = step.positions.lineno or 0, "global" if is_global else "nonlocal"
                found[name, line] = LostWrite(name, kind, inner.co_qualname, inner.co_filename, line)
    return found


class _Guard:
    """A test, and the code that runs or not by its answer. `ranked` names are put in an order with something."""

    def __init__(self, asked: set[str], ranked: set[str], about_the_worker: bool = False) -> None:
        self.asked, self.ranked, self.about_the_worker = asked, ranked, about_the_worker


#: `plain`: the new value is not made from the old one; `reset`: it is no value (None, empty, deleted).
_Store = namedtuple("_Store", "name line guards plain reset")


class _Reading:
    """What a function and those in it do to variables; filled by `read` from the source, or by `_read_code`."""

    def __init__(self, local: Names = frozenset()) -> None:
        self.stores: list[_Store] = []
        self.uses: dict[str, Guards] = {}
        self.local = local
        self.sources: dict[str, ast.AST] = {}  # of a local variable: what it was made from
        self.value: Any = None  # what is being assigned
        self.inner: list[tuple[Any, Guards]] = []

    def read(self, function: Any) -> None:
        self.block(function.body if isinstance(function.body, list) else [function.body], frozenset())
        for nested, site in self.inner:  # runs where it is named; where it is defined, if it never is
            self.block(nested.body, site | self.uses.get(nested.name, frozenset()))
        self.uses = {name: guards for name, guards in self.uses.items() if name not in self.local}

    def block(self, nodes: Iterable[Any], guards: Guards) -> None:
        """Statements in their order: after one that may leave, the rest depends on its test."""
        for node in nodes:
            self.visit(node, guards)
            if test := _test_to_leave(node):
                guards |= self.guard(*test)

    def visit(self, node: ast.AST, guards: Guards) -> None:
        match node:
            case ast.If() | ast.While() | ast.IfExp():
                self.visit(node.test, guards)
                for part in (node.body, node.orelse):
                    self.block(part if isinstance(part, list) else [part], guards | self.guard(node.test))
            case ast.BoolOp():  # _db or connect()
                for value in node.values:
                    self.visit(value, guards)
                    guards |= self.guard(value)
            case ast.Match():
                self.visit(node.subject, guards)
                self.block(node.cases, guards | self.guard(node.subject))
            case ast.Try() | ast.TryStar():  # what is done about an error depends on what was tried
                self.block(node.body, guards)
                self.block(node.handlers, guards | self.guard(*node.body))
                self.block([*node.orelse, *node.finalbody], guards)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self.store(node.name, node.lineno, guards)
                self.block([*node.decorator_list, node.args], guards)
                self.inner.append((node, guards))
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign() | ast.NamedExpr():
                self.assign(node, guards)
            case ast.Name(ctx=ast.Load()):
                self.uses[node.id] = guards.union(self.uses.get(node.id, ()))
            case ast.Name():
                self.store(node.id, node.lineno, guards, deleted=isinstance(node.ctx, ast.Del))
            case _:
                self.parts(node, guards)

    def parts(self, node: Any, guards: Guards) -> None:
        name = getattr(node, "asname", None) or getattr(node, "name", None)
        if isinstance(name, str):  # an import, a class, a caught exception, a pattern
            self.store(name.partition(".")[0], node.lineno, guards)
        self.block(ast.iter_child_nodes(node), guards)

    def assign(self, node: Any, guards: Guards) -> None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if node.value is not None:
            self.visit(node.value, guards)
            self.sources[_label(targets[0])] = node.value
        self.value = node if isinstance(node, ast.AugAssign) else node.value
        self.block(targets, guards)
        self.value = None

    def store(self, name: str, line: int, guards: Guards, deleted: bool = False) -> None:
        parts: list[Any] = [] if self.value is None else [self.value]
        match self.value:
            case ast.BoolOp(ast.Or(), [first, *parts]):  # _db = _db or connect()
                guards |= self.guard(first)
            case ast.IfExp(test, body, orelse):  # _db = connect() if _db is None else _db
                guards |= self.guard(test)
                parts = [part for part in (body, orelse) if _label(part) != name]
            case ast.Name(old) if isinstance(was := self.sources.get(old), ast.Name) and was.id == name:
                guards, parts = guards | {_Guard(set(), set(), about_the_worker=True)}, []
        made_from = self.made_from(*parts)
        ranked = any(name in guard.ranked and made_from & guard.ranked for guard in guards)
        reset = deleted or (self.value is not None and not made_from)
        self.stores.append(_Store(name, line, guards, not ranked and name not in made_from, reset))

    def made_from(self, *nodes: ast.AST) -> set[str]:
        """The variables in there, and what the local ones among them were made from, one step back."""
        names = _names(*nodes)
        return names | _names(*(self.sources[name] for name in names & self.local & self.sources.keys()))

    def guard(self, *test: ast.AST) -> Guards:
        nodes: list[Any] = [node for root in test for node in ast.walk(root)]
        words = {node.value for node in nodes if isinstance(getattr(node, "value", None), str)}
        asked = (self.made_from(*test) | words) - self.local
        ranked = {name for node in nodes if self.is_order(node) for name in self.made_from(node)}
        about_the_worker = any(_label(node) in _ABOUT_THE_WORKER for node in nodes)
        return frozenset({_Guard(asked, ranked, about_the_worker)} if asked or about_the_worker else ())

    def is_order(self, node: ast.AST) -> bool:
        """``x > best``, but not ``now - _loaded_at > 60``."""
        if not isinstance(node, ast.Compare) or not any(isinstance(sign, _ORDERS) for sign in node.ops):
            return False
        parts = (self.sources.get(_label(part), part) for part in ast.walk(node))
        return all(_label(getattr(part, "func", None)) not in _CLOCKS for part in parts)


def _names(*nodes: ast.AST) -> set[str]:
    return {part.id for node in nodes for part in ast.walk(node) if isinstance(part, ast.Name)}


def _label(node: Any) -> str:
    return getattr(node, "id", None) or getattr(node, "attr", None) or ""


def _test_to_leave(node: ast.AST) -> list[Any]:
    """What decides whether this statement ends its block: ``if _db: return _db``, ``try: return _db``."""
    if isinstance(node, ast.If) and (_leaves(node.body) or _leaves(node.orelse)):
        return [node.test]
    return node.body if isinstance(node, ast.Try | ast.With) and _leaves(node.body) else []


def _leaves(body: list[ast.stmt]) -> bool:
    last = body[-1] if body else None
    return isinstance(last, _LEAVES) or (isinstance(last, ast.With) and _leaves(last.body))


def _parse(code: CodeType, module: dict[str, Any]) -> ast.AST | None:
    """The function that begins on the first line of `code`, if it can be had and is the only one of its name."""
    is_lambda = code.co_name == "<lambda>"
    kinds = (ast.Lambda,) if is_lambda else (ast.FunctionDef, ast.AsyncFunctionDef)
    try:
        lines = linecache.getlines(code.co_filename, module)[code.co_firstlineno - 1 :]
        text = _ESCAPE.sub(lambda pair: pair[1] or f"/{pair[2]}", "".join(inspect.getblock(lines)))
        above = "if 1:\n" if text[0].isspace() else ""
        tree = ast.increment_lineno(ast.parse(above + text), code.co_firstlineno - 1 - bool(above))
        found: list[Any] = [node for node in ast.walk(tree) if isinstance(node, kinds)]
        is_it = len(found) == 1 if is_lambda else found[0].name == code.co_name
    except Exception:  # there is none; or it is a lambda, cut out of the middle of a statement
        return None
    return found[0] if is_it else None


def _read_code(code: CodeType) -> _Reading:
    """Without the source: what is read before a jump is a test, what is read before a store makes its value."""
    codes = [inner for inner, _ in _codes(code)]
    names = {name for inner in codes for name in inner.co_names + inner.co_freevars}
    asked = names if "NameError" in names else set()
    guards = frozenset({_Guard(asked, set(), about_the_worker=bool(names & _ABOUT_THE_WORKER))})
    reading, read, ordered = _Reading(), set[str](), False
    steps: list[Any] = [step for inner in codes for step in get_instructions(inner)]
    for last, step in pairwise(steps):
        kind, name = step.opname, step.argval
        if kind in _LOADS:
            reading.uses[name] = guards.union(reading.uses.get(name, ()))
        if kind in _LOADS or (kind == "LOAD_CONST" and isinstance(name, str)):
            read.add(name)
        elif kind == "COMPARE_OP":
            ordered = not {"<", ">"}.isdisjoint(step.argrepr) and not names & _CLOCKS
        elif "_IF_" in kind or kind == "CHECK_EXC_MATCH":
            asked = read if "_IF_" in kind else set(reading.uses)
            guards |= {_Guard(asked, asked if ordered else set())}
            read, ordered = set(), False
        elif step.opcode in _GLOBAL_STORES | _CELL_STORES:
            reset = not last.argval and last.opname.startswith(("LOAD_CONST", "BUILD_"))
            old = (name in read and last.argval != name) or any(name in guard.ranked for guard in guards)
            reading.stores.append(_Store(name, step.positions.lineno or 0, guards, reset or not old, reset))
            read = set()
        elif kind in _ENDS:
            read = set()
    return reading


class _Search:
    """The stores that a task can reach, with all that each depends on."""

    def __init__(self, roots: list[FunctionType], leading: set[int]) -> None:
        self.stored: dict[int, dict[tuple[str, int], LostWrite]] = {}
        self.readings: dict[int, _Reading] = {}
        self.inherited: dict[int, Guards] = {}  # what decides whether a function is called at all
        queue = [root for root in roots if id(root) in leading]
        self.inherited.update((id(root), frozenset()) for root in queue)
        for function in queue:
            for name, guards in self.read(function).uses.items():
                total = guards | self.inherited[id(function)]
                for callee in _callees(function, name):
                    known = self.inherited.get(id(callee))
                    if id(callee) in leading and (known is None or not total <= known):
                        self.inherited[id(callee)] = total.union(known or ())
                        queue.append(callee)
            if len(queue) > _MOST_VISITS:
                raise RecursionError("too entangled to tell")

    def read(self, function: FunctionType) -> _Reading:
        """From its source, if that knows of all stores."""
        key, code = id(function), function.__code__
        if key not in self.readings:
            stored = self.stored[key] = _stored(code)
            own = {name for inner, _ in _codes(code) for name in inner.co_varnames + inner.co_cellvars}
            reading = _Reading(frozenset(own).difference(name for name, _ in stored))
            if node := _parse(code, function.__globals__):
                reading.read(node)
            known = node and stored.keys() <= {(store.name, store.line) for store in reading.stores}
            self.readings[key] = reading if known else _read_code(code)
        return self.readings[key]

    def judge(self) -> tuple[LostWrite, ...]:
        """Let go of what each worker makes once for itself, and of what unmakes it."""
        stores = [store for key in self.inherited for store in self.stores(key)]
        plainly = [(write.name, guards) for write, plain, _, guards in stores if plain]
        made = {g for name, guards in plainly for g in guards if name in g.asked or g.about_the_worker}
        kept = {write.name for write, plain, _, guards in stores if plain and guards & made}
        first: dict[tuple[str, str], LostWrite] = {}
        for write, plain, reset, guards in stores:
            if not (plain and guards & made) and not (reset and write.name in kept):
                first.setdefault((write.name, write.function), write)
        return tuple(first.values())

    def stores(self, key: int) -> Iterator[tuple[LostWrite, bool, bool, Guards]]:
        """Those of one function: plain, reset, and what they depend on from the task on."""
        ranked = {name for guard in self.inherited[key] for name in guard.ranked}
        for name, line, own, plain, reset in self.readings[key].stores:
            if write := self.stored[key].get((name, line)):
                guards = own | self.inherited[key]
                about_the_worker = any(guard.about_the_worker for guard in guards)
                yield write, about_the_worker or (plain and (reset or name not in ranked)), reset, guards
