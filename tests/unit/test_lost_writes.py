"""Assignments that a task makes for nobody: which are found, and which are meant for the worker alone."""

from __future__ import annotations

import doctest
import functools
import gc
import importlib
import json
import linecache
import operator
import pickle
import random
import threading
import types
import unittest.mock
import warnings
import weakref

import pytest

from manyhands.errors import UsageError
from manyhands.scheduler import lost_writes
from manyhands.scheduler.lost_writes import LostWrite, LostWriteError, LostWriteWarning, check, find

total = 0


def add(x):
    global total
    total += x


def add_elsewhere(x):
    add(x)


@pytest.fixture
def module(tmp_path):
    """``module(source)``: the names of a module of that source, which can be read again, or not."""

    def load(source: str, with_source: bool = True) -> dict[str, object]:
        path = tmp_path / "jobs.py"
        if with_source:
            path.write_text(source)
        namespace: dict[str, object] = {"__name__": "jobs"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an escape in one of the sources
            exec(compile(source, str(path) if with_source else "<string>", "exec"), namespace)
        return namespace

    yield load
    linecache.checkcache()


@pytest.fixture
def load(module):
    """``load(source)``: its function `task`."""
    return lambda source, with_source=True: module(source, with_source)["task"]


def names(found: tuple[LostWrite, ...]) -> list[str]:
    return [write.name for write in found]


def cases(table: dict[str, str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("source", [pytest.param(text, id=name) for name, text in table.items()])


with_and_without_source = pytest.mark.parametrize("with_source", [True, False], ids=["source", "bytecode"])


# What is lost.

LOST = {
    "assignment": """
def task(x):
    global V
    V = x
""",
    "augmented assignment": """
def task(x):
    global V
    V += x
""",
    "counter": """
def task(x):
    global V
    V = V + 1
""",
    "sum by way of a local variable": """
def task(x):
    global V
    new = V + x
    V = new
""",
    "maximum in a branch": """
def task(x):
    global V
    if x > V:
        V = x
""",
    "maximum in an expression": """
def task(x):
    global V
    V = x if x > V else V
""",
    "maximum by max": """
def task(x):
    global V
    V = max(V, x)
""",
    "maximum or the first": """
def task(x):
    global V, WHERE
    score = rate(x)
    if V is None or score > V:
        V = score
        WHERE = x
""",
    "the first, else the maximum": """
def task(x):
    global V
    if V is None:
        V = x
    elif x > V:
        V = x
""",
    "the first, else leave unless greater": """
def task(x):
    global V
    if V is None:
        V = x
        return
    if x <= V:
        return
    V = x
""",
    "maximum of an attribute": """
def task(x):
    global V
    if V is None or x.score > V.score:
        V = x
""",
    "maximum set by another function": """
def task(x):
    if V is None or x > V:
        keep(x)
def keep(x):
    global V
    V = x
""",
    "longest, measured twice": """
def task(x):
    global V
    n = len(x)
    if n > V:
        V = len(x)
""",
    "sum with a lazy start": """
def task(x):
    global V
    if V is None:
        V = 0
    V += x
""",
    "sum in the other branch": """
def task(x):
    global V
    if V is None:
        V = x
    else:
        V = V + x
""",
    "sum in an expression with a lazy start": """
def task(x):
    global V
    V = x if V is None else V + x
""",
    "in a branch that asks for something else": """
def task(x):
    global V
    if not DEBUG and x is not None:
        V = rate(x)
""",
    "counter of what was not seen before": """
def task(x):
    global V
    if x not in SEEN:
        SEEN.add(x)
        V += 1
""",
    "set that grows by assignment": """
def task(x):
    global V
    if x not in V:
        V = V | {x}
""",
    "counter of changes": """
def task(x):
    global V, LAST
    if LAST != x:
        LAST = x
        V += 1
""",
    "next to a log": """
def task(x):
    global V
    if log.isEnabledFor(10):
        log.debug("x")
        V = x
""",
    "asked for is a local variable of the same name": """
def task(V):
    if V is None:
        keep(V)
def keep(x):
    global V
    V = x
""",
    "loop variable": """
def task(x):
    global V
    for V in range(x):
        pass
""",
    "import": """
def task(x):
    global V
    import json as V
""",
    "import from": """
def task(x):
    global dumps
    from json import (
        loads,
        dumps,
    )
""",
    "deletion": """
def task(x):
    global V
    del V
""",
    "with": """
def task(x):
    global V
    with x as V:
        pass
""",
    "except": """
def task(x):
    global V
    try:
        x()
    except OSError as V:
        pass
""",
    "def": """
def task(x):
    global V
    @x
    def V():
        pass
""",
    "class": """
def task(x):
    global V
    class V:
        pass
""",
    "assignment expression": """
def task(x):
    global V
    return (V := x)
""",
    "assignment expression in a comprehension": """
def task(x):
    global V
    return [V := y for y in x]
""",
    "pattern": """
def task(x):
    global V
    match x:
        case [V, *_]:
            pass
""",
    "one of several targets": """
def task(x):
    global V
    a, (b, *V) = x
""",
    "coroutine": """
async def task(x):
    global V
    V += await x
""",
    "generator": """
def task(x):
    global V
    V = yield x
""",
    "method of a class in the function": """
def task(x):
    class Inner:
        def run(self):
            global V
            V = x
    Inner().run()
""",
    "body of a class in the function": """
def task(x):
    class Inner:
        global V
        V = x
""",
    "variable of the function around": """
def make():
    V = 0
    def task(x):
        nonlocal V
        V += x
    return task
task = make()
""",
    "variable of the function around, from deep within": """
def make():
    V = 0
    def task(x):
        def inner():
            nonlocal V
            V += x
        inner()
    return task
task = make()
""",
    "variable of a class's private name": """
class Task:
    def run(self, x):
        global __V
        __V = x
task = Task().run
""",
}


@with_and_without_source
@cases(LOST)
def test_what_only_the_worker_would_see_is_found(load, source, with_source):
    found = find(load(source, with_source))
    assert len({write.name for write in found}) == len(found) >= 1


@pytest.mark.parametrize(
    "source",
    [
        "def task(x):\n    global V\n    V = V and rate(x)",
        "def task(x):\n    global V\n    spent = time.time() - x\n    if spent > V:\n        V = spent",
    ],
    ids=["conjunction", "longest time"],
)
def test_the_source_tells_more_than_bytecode(load, source):
    assert names(find(load(source))) == ["V"]


@pytest.mark.parametrize(
    "text", [r"'\d'", r"b'\N'", r"f'\d{x}\N{BULLET}'", r"'\\d\'\d'", "'\\\n'", r"r'\\\d'", r"r'\''"]
)
def test_an_escape_that_the_parser_would_warn_of_is_no_obstacle(load, text):
    source = f"def task(x):\n    global V\n    spent = time.time() - x, {text}\n    if spent > V:\n        V = spent"
    task = load(source)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert names(find(task)) == ["V"]


# What is meant for the worker.

MEANT = {
    "asked for None": """
def task(x):
    global V
    if V is None:
        V = connect(x)
    return V
""",
    "asked for equality with None": """
def task(x):
    global V
    if V == None:
        V = connect(x)
    return V
""",
    "asked for truth": """
def task(x):
    global V
    if not V:
        V = connect(x)
    return V
""",
    "asked for NameError": """
def task(x):
    global V
    try:
        V
    except NameError:
        V = connect(x)
    return V
""",
    "asked for NameError among others": """
def task(x):
    global V
    try:
        V.ping()
    except (NameError, OSError):
        V = connect(x)
    return V
""",
    "asked for in globals()": """
def task(x):
    global V
    if "V" not in globals():
        V = connect(x)
    return V
""",
    "asked for by hasattr": """
def task(x):
    global V
    if not hasattr(sys.modules[__name__], "V"):
        V = connect(x)
    return V
""",
    "asked for as a key": """
def task(x):
    global V
    if x not in V:
        V = load(x)
    return V[x]
""",
    "asked for a sentinel": """
def task(x):
    global V
    if V is MISSING or isinstance(V, Exception):
        V = connect(x)
    return V
""",
    "returned early when there": """
def task(x):
    global V
    if V is not None:
        return V
    V = connect(x)
    return V
""",
    "returned early under a lock": """
def task(x):
    global V
    if V is not None:
        with LOCK:
            return V
    V = connect(x)
    return V
""",
    "returned early unless NameError": """
def task(x):
    global V
    try:
        return V
    except NameError:
        pass
    V = connect(x)
    return V
""",
    "returned early, NameError suppressed": """
def task(x):
    global V
    with contextlib.suppress(NameError):
        return V
    V = connect(x)
    return V
""",
    "asked for twice, around a lock": """
def task(x):
    global V
    if V is None:
        with LOCK:
            if V is None:
                V = connect(x)
    return V
""",
    "by or": """
def task(x):
    global V
    V = V or connect(x)
    return V
""",
    "by or on globals()": """
def task(x):
    global V
    V = globals().get("V") or connect(x)
    return V
""",
    "by an expression with if": """
def task(x):
    global V
    V = connect(x) if V is None else V
    return V
""",
    "by a loop": """
def task(x):
    global V
    while V is None:
        V = connect(x)
    return V
""",
    "by match": """
def task(x):
    global V
    match V:
        case None:
            V = connect(x)
    return V
""",
    "in a loop, in an elif": """
def task(x):
    global V
    for y in x:
        if y:
            continue
        elif V is None:
            V = connect(y)
    return V
""",
    "asked for through a local variable": """
def task(x):
    global V
    v = V
    if v is None:
        v = V = connect(x)
    return v
""",
    "asked for in an assignment expression": """
def task(x):
    global V
    if (v := V) is None:
        v = V = connect(x)
    return v
""",
    "several at once": """
def task(x):
    global V, W
    if V is None or W is None:
        V, W = connect(x)
    return V
""",
    "along with a flag": """
def task(x):
    global V, READY
    if not READY:
        V = connect(x)
        READY = True
    return V
""",
    "along with a flag, early": """
def task(x):
    global V, READY
    if READY:
        return V
    V = connect(x)
    READY = True
    return V
""",
    "along with an event": """
def task(x):
    global V
    if not READY.is_set():
        V = connect(x)
        READY.set()
    return V
""",
    "only the first time": """
def task(x):
    global FIRST
    if FIRST:
        FIRST = False
        log(x)
""",
    "once in each process": """
def task(x):
    global V, PID
    if V is None or PID != os.getpid():
        V = connect(x)
        PID = os.getpid()
    return V
""",
    "only in the parent": """
def task(x):
    global V
    if multiprocessing.parent_process() is None:
        V += 1
""",
    "the last one loaded": """
def task(x):
    global V, PATH
    if PATH != x:
        V = load(x)
        PATH = x
    return V
""",
    "the last one loaded, at first none": """
def task(x):
    global V, PATH
    if V is None or PATH != x:
        V = load(x)
        PATH = x
    return V
""",
    "loaded again when old": """
def task(x):
    global V, WHEN
    if V is None or time.time() - WHEN > 60:
        V = load(x)
        WHEN = time.time()
    return V
""",
    "loaded again when old, by a local clock": """
def task(x):
    global V, WHEN
    now = time.monotonic()
    if now - WHEN > 60:
        V = load(x)
        WHEN = now
    return V
""",
    "loaded again when expired": """
def task(x):
    global V, EXPIRES
    if EXPIRES < time.time():
        V = load(x)
        EXPIRES = time.time() + 5
    return V
""",
    "cleared when full": """
def task(x):
    global V
    if len(V) > 1000:
        V = {}
    V[x] = 1
""",
    "dropped after a failure": """
def task(x):
    global V
    if V is None:
        V = connect(x)
    try:
        return V.ask(x)
    except OSError:
        V = None
        raise
""",
    "dropped by another function": """
def task(x):
    global V
    if V is None:
        V = connect(x)
    if V.ask(x):
        close()
def close():
    global V
    V.close()
    V = None
""",
    "deleted by another function": """
def task(x):
    global V
    if V is None:
        V = connect(x)
    if V.ask(x):
        close()
def close():
    global V
    V.close(), V
    del V
""",
    "cleared by another function when full": """
def task(x):
    if len(V) > 1000:
        clear()
def clear():
    global V
    V = {}
""",
    "kept elsewhere before another is loaded": """
def task(x):
    global V, OLD
    if V is None or not V.fits(x):
        OLD = V
        V = load(x)
""",
    "set by another function, asked for in one of two places": """
def task(x):
    first(x)
    second(x)
def first(x):
    if x:
        connect()
def second(x):
    if V is None:
        connect()
def connect():
    global V
    V = object()
""",
    "deleted in the end": """
def task(x):
    global V
    if V is None:
        V = connect(x)
    V.ask(x)
    del V
""",
    "closed when there": """
def task(x):
    global V
    if V is not None:
        V.close()
        V = None
""",
    "connected again after a failure": """
def task(x):
    global V
    try:
        return V.ask(x)
    except OSError:
        V = connect(x)
        return V.ask(x)
""",
    "imported once": """
def task(x):
    global np
    if np is None:
        import numpy as np
    return np
""",
    "imported at a NameError": """
def task(x):
    global np
    try:
        np
    except NameError:
        import numpy as np
    return np
""",
    "set by another function, asked for here": """
def task(x):
    if V is None:
        connect()
    return V
def connect():
    global V
    V = object()
""",
    "set by another function, far away": """
def task(x):
    prepare()
    return V
def prepare():
    if V is None:
        load()
def load():
    load_both()
def load_both():
    global V, W
    V = 1
    W = 2
""",
    "set by another function, by or": """
def task(x):
    return (V or connect()).ask(x)
def connect():
    global V
    V = object()
    return V
""",
    "set by another function, by or in a lambda": """
def connect():
    global V
    V = object()
    return V
task = lambda x: V or connect()
""",
    "set and asked for by another function": """
def task(x):
    return connection().ask(x)
def connection():
    global V
    if V is None:
        V = connect()
    return V
""",
    "set by a function within": """
def task(x):
    def connect():
        global V
        V = object()
    if V is None:
        connect()
    return V
""",
    "set by a function that runs once": """
import functools
@functools.cache
def connect():
    global V
    V = object()
def task(x):
    connect()
    return V
""",
    "set by a function with a decorator for that": """
import functools
def run_once(function):
    @functools.wraps(function)
    def wrapper():
        if function not in DONE:
            DONE[function] = function()
        return DONE[function]
    return wrapper
@run_once
def connect():
    global V
    V = object()
def task(x):
    connect()
    return V
""",
    "in the function around": """
def make():
    V = None
    def task(x):
        nonlocal V
        if V is None:
            V = connect(x)
        return V
    return task
task = make()
""",
    "in the function around, by its neighbour": """
def make():
    V = None
    def connect():
        nonlocal V
        V = object()
    def task(x):
        if V is None:
            connect()
        return V
    return task
task = make()
""",
    "in a coroutine": """
async def task(x):
    global V
    if V is None:
        V = await connect(x)
    return V
""",
    "next to an escape that the parser would warn of": """
def task(x):
    global V
    if V is None:
        V = b'\\d\\'', f'\\d\\N{BULLET}{x}', "\\""
    return V
""",
    "next to lines that begin further left": '''
if True:
    def task(x):
        global V
        if V is None:
            V = connect("""
left
""")
        return V
''',
}


@with_and_without_source
@cases(MEANT)
def test_what_is_made_once_in_each_worker_is_no_alarm(load, source, with_source):
    assert find(load(source, with_source)) == ()


ONLY_FROM_SOURCE = {
    "put back in the end": """
def task(x):
    global V
    old = V
    V = False
    try:
        return work(x)
    finally:
        V = old
""",
    "put back in the end, in a method": """
class Task:
    @staticmethod
    def run(x):
        global V
        old = V
        V = False
        try:
            return work(x)
        finally:
            V = old
task = Task.run
""",
    "put back in the end by a function within": """
def task(x):
    def quiet():
        global V
        old = V
        V = False
        work(x)
        V = old
    quiet()
""",
    "set by another function, by way of itself": """
def task(x):
    if V is None:
        connect()
    return V
def connect(again=False):
    global V
    if V is None or again:
        v = object()
    else:
        v = V
    V = v
""",
}


@cases(ONLY_FROM_SOURCE)
def test_with_its_source_this_is_no_alarm_either(load, source):
    assert find(load(source)) == ()


def test_the_source_is_read_past_statements_that_store_a_name_of_their_own(load):
    source = """
def task(x):
    global V, np
    import numpy as np
    old = V
    V = False
    work(x)
    V = old
"""
    assert names(find(load(source))) == ["np"]


HARMLESS = {
    "nothing is stored": """
def task(x):
    y = x * x
    return [y for _ in range(3)]
""",
    "objects are changed, not variables": """
def task(x):
    os.environ["A"] = "b"
    CACHE[x] = 1
    SEEN.append(x)
    STATE.total += 3
    COUNTS[x] += 1
    del CACHE[x]
""",
    "the variable belongs to the task": """
def task(x):
    n = 0
    def up():
        nonlocal n
        n += 1
    up()
    return n
""",
    "the variable belongs to a function within the task": """
def task(x):
    def middle():
        n = 0
        def up():
            nonlocal n
            n += 1
        up()
        return n
    return middle()
""",
    "the variable belongs to another function that is called": """
def counter():
    n = 0
    def up():
        nonlocal n
        n += 1
        return n
    return up
def task(x):
    return counter()()
""",
    "a comprehension has a variable of the same name": """
def make():
    V = 1
    def task(x):
        nonlocal V
        return [lambda: V for V in range(3)], V
    return task
task = make()
""",
    "a method has the name of a function": """
def connect():
    global V
    V = 1
def task(x):
    return x.connect()
""",
    "a local variable has the name of a function": """
def connect():
    global V
    V = 1
def task(x):
    connect = x.connect
    return connect(), (lambda connect: connect())(x)
""",
    "super() has a cell of its own": """
class Task:
    def run(self, x):
        return super().__init__()
task = Task().run
""",
}


@with_and_without_source
@cases(HARMLESS)
def test_what_stays_within_the_task_is_no_alarm(load, source, with_source):
    assert find(load(source, with_source)) == ()


# Where the search goes.

LEADS = {
    "a function that it calls": """
def task(x):
    add(x)
def add(x):
    global V
    V += x
""",
    "a function that is called by one that it calls, in a circle": """
def task(x):
    first(x)
def first(x):
    task(x)
    second(x)
def second(x):
    global V
    V = x
""",
    "a function that it passes on": """
def task(x):
    return sorted(x, key=key)
def key(x):
    global V
    V += 1
""",
    "a function of the function around": """
def make():
    V = 0
    def add():
        nonlocal V
        V += 1
    def task(x):
        add()
    return task
task = make()
""",
    "a function in a default or a decorator of one within": """
def task(x):
    @decorate
    def inner(y=add(x)):
        pass
    inner()
def add(x):
    global V
    V += x
""",
    "a lambda": """
def add(x):
    global V
    V += x
task = lambda x: add(x)
""",
    "what a decorator wraps": """
import functools
def decorate(function):
    @functools.wraps(function)
    def wrapper(x):
        return function(x)
    return wrapper
@decorate
def task(x):
    global V
    V = 1
""",
    "what a decorator does": """
import functools
def decorate(function):
    V = 0
    @functools.wraps(function)
    def wrapper(x):
        nonlocal V
        V += 1
        return function(x)
    return wrapper
@decorate
def task(x):
    return x
""",
    "what a decorator without functools.wraps wraps": """
def decorate(function):
    def wrapper(x):
        return function(x)
    return wrapper
@decorate
def task(x):
    global V
    V = 1
""",
    "what functools.lru_cache wraps": """
import functools
@functools.lru_cache
def task(x):
    global V
    V = 1
""",
    "what an object wraps": """
import functools
class Decorated:
    def __init__(self, function):
        functools.update_wrapper(self, function)
    def __call__(self, x):
        return self.__wrapped__(x)
@Decorated
def task(x):
    global V
    V = 1
""",
    "a partial of a partial": """
import functools
def run(x, y):
    global V
    V = 1
task = functools.partial(functools.partial(run, 1))
""",
    "a method": """
class Task:
    def run(self, x):
        global V
        V = 1
task = Task().run
""",
    "a static method": """
class Task:
    @staticmethod
    def run(x):
        global V
        V = 1
task = Task.run
""",
    "a static method as the class has it": """
class Task:
    @staticmethod
    def run(x):
        global V
        V = 1
task = vars(Task)["run"]
""",
    "a class method": """
class Task:
    @classmethod
    def run(cls, x):
        global V
        V = 1
task = Task.run
""",
    "an object that can be called": """
class Base:
    def __call__(self, x):
        global V
        V = 1
class Task(Base):
    pass
task = Task()
""",
}


@with_and_without_source
@cases(LEADS)
def test_the_search_follows(load, source, with_source):
    assert names(find(load(source, with_source))) == ["V"]


def test_functions_of_other_modules_are_not_followed(load):
    task = load("def task(x):\n    return add(x)")
    task.__globals__["add"] = add
    assert find(task) == ()


def test_the_wrapper_of_another_module_is_not_looked_at(load):
    decorate = load(
        "def task(function):\n    n = 0\n    def wrapper():\n        nonlocal n\n        n += 1\n    return wrapper"
    )
    wrapper = functools.update_wrapper(decorate(len), harmless)
    assert find(wrapper) == ()


def harmless(x):
    return x


def test_a_cell_that_is_still_empty_is_no_obstacle(load):
    source = """
def make():
    def task(x):
        nonlocal V
        later()
        V = 1
    return task
    V = later = None
task = make()
"""
    assert names(find(load(source))) == ["V"]


def test_no_more_than_so_many_functions_are_followed(load):
    chain = "\n".join(f"def f{n}(x):\n    f{n + 1}(x)" for n in range(300))
    source = chain + "\ndef f300(x):\n    global V\n    V = 1\n"
    assert names(find(load(source + "task = f290"))) == ["V"]
    assert find(load(source + "task = f0")) == ()


def test_a_module_too_entangled_to_tell_passes_in_silence(load, monkeypatch):
    task = load(LEADS["a function that is called by one that it calls, in a circle"])
    assert names(find(task)) == ["V"]
    monkeypatch.setattr(lost_writes, "_MOST_VISITS", 2)
    assert find(task) == ()


def test_a_file_that_has_changed_since_is_not_believed(load, tmp_path):
    task = load("def task(x):\n    global V\n    if V is None:\n        V = 1\n")
    (tmp_path / "jobs.py").write_text("def other(x):\n    return 0\n\n\n\n")
    assert find(task) == ()
    (tmp_path / "jobs.py").write_text("def task(x):\n    return 0\n")
    linecache.checkcache()
    assert find(task) == ()


def test_a_notebook_has_a_source_too():
    source = "def task(x):\n    global V\n    spent = time.time() - x\n    if spent > V:\n        V = spent\n"
    filename = "<ipython-input-1-0123456789ab>"
    namespace: dict[str, object] = {"__name__": "__main__"}
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    try:
        exec(compile(source, filename, "exec"), namespace)
        (write,) = find(namespace["task"])
    finally:
        del linecache.cache[filename]
    assert (write.filename, write.line) == (filename, 5)


# What is said.


def test_a_find_says_what_where():
    assert find(add) == (LostWrite("total", "global", "add", __file__, find(add)[0].line),)
    assert linecache.getline(__file__, find(add)[0].line).strip() == "total += x"
    assert (
        str(find(add)[0])
        == f"add() assigns to the global 'total' (test_lost_writes.py, line {find(add)[0].line})"
    )


def test_a_find_cannot_be_changed_and_travels():
    (write,) = find(add)
    with pytest.raises(AttributeError):
        write.name = "other"
    assert pickle.loads(pickle.dumps(write)) == write
    assert hash(write) == hash(find(add)[0])


def test_a_nonlocal_is_called_one():
    n = 0

    def task():
        nonlocal n
        n += 1

    (write,) = find(task)
    assert (write.name, write.kind) == ("n", "nonlocal")
    assert write.function == "test_a_nonlocal_is_called_one.<locals>.task"
    assert str(write).startswith("test_a_nonlocal_is_called_one.task() assigns to the nonlocal 'n' (")


def test_each_variable_is_told_once_where_it_is_first_assigned_to(load):
    task = load("def task(x):\n    global A, B\n    A = 1\n    B = 2\n    A += 1\n")
    assert [(write.name, write.line) for write in find(task)] == [("A", 3), ("B", 4)]


def test_the_example_of_the_documentation_runs():
    assert doctest.testmod(lost_writes, raise_on_error=True).attempted > 0


def test_the_warning_says_what_to_do_and_points_at_the_caller(load):
    task = load("def count(words):\n    global total\n    total += len(words)\ntask = count\n")
    with pytest.warns(LostWriteWarning) as caught:
        check(task)
    (warning,) = caught
    assert warning.filename == __file__
    text = str(warning.message)
    assert text.startswith(
        "count() assigns to the global 'total' (jobs.py, line 3). Each worker process has its own"
    )
    for word in ("Return the value", "manyhands.Value", "Manager", "actor", "manyhands.worker_state()"):
        assert word in text
    assert 'warnings.filterwarnings("ignore", category=manyhands.LostWriteWarning)' in text


def test_the_stack_level_is_that_of_warnings_warn(load):
    def submit(task):
        check(task, stacklevel=3)

    with pytest.warns(LostWriteWarning) as caught:
        submit(load(LOST["assignment"]))
    assert linecache.getline(__file__, caught[0].lineno).strip() == 'submit(load(LOST["assignment"]))'


def test_several_finds_make_one_warning(load):
    with pytest.warns(LostWriteWarning) as caught:
        check(load("def task(x):\n    global A, B\n    A = 1\n    B = 2\n"))
    assert len(caught) == 1
    assert "'A'" in str(caught[0].message)
    assert "'B'" in str(caught[0].message)


def test_strict_raises_each_time(load):
    task = load(LOST["counter"])
    for _ in range(2):
        with pytest.raises(LostWriteError, match="assigns to the global 'V'") as caught:
            check(task, strict=True)
        assert caught.value.writes == find(task)
    assert issubclass(LostWriteError, UsageError)


def test_the_error_survives_a_pickle(load):
    with pytest.raises(LostWriteError) as caught:
        check(load(LOST["counter"]), strict=True)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.writes) == (str(caught.value), caught.value.writes)


def test_nothing_is_said_of_what_is_fine(load):
    for source in (HARMLESS["nothing is stored"], MEANT["asked for None"]):
        check(load(source))
        check(load(source), strict=True)


# Once.


@pytest.fixture
def recorded():
    """All warnings, even those that were shown before."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


def test_a_function_is_warned_of_once(load, recorded):
    task = load(LOST["counter"])
    for _ in range(3):
        check(task)
    assert len(recorded) == 1


def test_functions_and_methods_made_anew_of_the_same_code_are_warned_of_once(module, recorded):
    make = module(
        "def task():\n    n = 0\n    def inner():\n        nonlocal n\n        n += 1\n    return inner"
    )["task"]
    for _ in range(3):
        check(make())
        check(functools.partial(make()))
    assert len(recorded) == 1
    Task = module("class Task:\n    def run(self):\n        global V\n        V = 1\n")["Task"]
    for _ in range(3):
        check(Task().run)
    assert len(recorded) == 2


def test_two_functions_in_the_same_wrapper_are_warned_of_each(module, recorded):
    source = LEADS["what a decorator wraps"] + "@decorate\ndef other(x):\n    global W\n    W = 1\n"
    namespace = module(source)
    check(namespace["task"])
    check(namespace["other"])
    assert ["'V'" in str(w.message) for w in recorded] == [True, False]
    assert len(recorded) == 2


def test_a_wrapper_around_a_function_of_python_says_nothing_of_that_function(load):
    task = load(
        "import functools, json\n@functools.wraps(json.dumps)\ndef task(x):\n    global V\n    V = 1\n"
    )
    assert names(find(task)) == ["V"]
    with pytest.raises(LostWriteError):
        check(task, strict=True)
    check(json.dumps, strict=True)


def test_a_function_is_looked_at_once(load, monkeypatch):
    looks = []
    monkeypatch.setattr(lost_writes, "find", lambda function: looks.append(function) or ())
    task = load(HARMLESS["nothing is stored"])
    for _ in range(3):
        check(task)
    assert looks == [task]


def test_as_an_error_the_warning_is_raised_each_time(load):
    task = load(LOST["counter"])
    with warnings.catch_warnings():
        warnings.simplefilter("error", LostWriteWarning)
        for _ in range(2):
            with pytest.raises(LostWriteWarning):
                check(task)


def test_the_warning_can_be_silenced(load):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=LostWriteWarning)
        check(load(LOST["counter"]))


def test_no_function_is_kept_alive(load):
    gc.collect()
    before = len(lost_writes._verdicts)
    task = load(HARMLESS["nothing is stored"])
    check(task)
    code = weakref.ref(task.__code__)
    assert len(lost_writes._verdicts) == before + 1
    del task
    gc.collect()
    assert code() is None
    assert len(lost_writes._verdicts) == before


def test_many_threads_may_check_at_once(load, recorded):
    tasks = [load(source) for source in LOST.values() for _ in range(3)]
    start, errors = threading.Barrier(8), []

    def run():
        start.wait()
        try:
            for task in tasks:
                check(task)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(recorded) >= len(tasks)
    recorded.clear()
    for task in tasks:
        check(task)
    assert recorded == []


# What is none of the user's.

MODULES = [
    "abc",
    "argparse",
    "ast",
    "asyncio",
    "base64",
    "bisect",
    "calendar",
    "cmd",
    "codecs",
    "collections",
    "concurrent.futures",
    "configparser",
    "contextlib",
    "copy",
    "csv",
    "dataclasses",
    "datetime",
    "decimal",
    "difflib",
    "dis",
    "email",
    "enum",
    "fileinput",
    "fnmatch",
    "fractions",
    "functools",
    "getpass",
    "gettext",
    "glob",
    "gzip",
    "hashlib",
    "heapq",
    "html",
    "http.client",
    "http.server",
    "inspect",
    "io",
    "ipaddress",
    "itertools",
    "json",
    "linecache",
    "locale",
    "logging",
    "logging.handlers",
    "math",
    "mimetypes",
    "multiprocessing.pool",
    "multiprocessing.queues",
    "operator",
    "os",
    "pathlib",
    "pickle",
    "platform",
    "pprint",
    "queue",
    "random",
    "re",
    "sched",
    "secrets",
    "selectors",
    "shelve",
    "shutil",
    "signal",
    "socket",
    "sqlite3",
    "ssl",
    "statistics",
    "string",
    "struct",
    "subprocess",
    "sysconfig",
    "tarfile",
    "tempfile",
    "textwrap",
    "threading",
    "timeit",
    "tokenize",
    "trace",
    "traceback",
    "types",
    "typing",
    "unittest",
    "unittest.mock",
    "urllib.request",
    "uuid",
    "warnings",
    "weakref",
    "webbrowser",
    "xml.dom.minidom",
    "xml.etree.ElementTree",
    "zipfile",
    "zoneinfo",
]


def callables() -> list[object]:
    found: list[object] = []
    for name in MODULES:
        for value in list(vars(importlib.import_module(name)).values()):
            inner = list(vars(value).values()) if isinstance(value, type) else []
            found += [one for one in (value, *inner) if callable(one) or isinstance(one, classmethod)]
    return found


def test_no_function_of_python_raises_or_alarms():
    found = callables()
    assert len(found) > 10_000
    assert [function for function in found if find(function)] == []
    for function in found:
        check(function, strict=True)


def test_no_function_of_python_would_raise_if_it_were_the_users(monkeypatch):
    """With the net of `find` taken away."""
    monkeypatch.setattr(lost_writes, "_is_library", lambda function: False)
    finds = set()
    for layers in filter(None, map(lost_writes._layers, callables())):
        roots = [layer for layer in layers if layer.__globals__ is layers[-1].__globals__]
        leading = lost_writes._leading_to_stores(roots)
        finds.update(lost_writes._Search(roots, leading).judge())
    assert "_USE_CP_SENDFILE" in {write.name for write in finds}  # it did look
    lazy = {"_cache", "_parser", "_opener", "_db", "_console_browser", "_TimeRE_cache", "_uname_cache"}
    deliberate = {"install_opener", "init"}
    assert [write for write in finds if write.name in lazy and write.function not in deliberate] == []


@pytest.mark.parametrize(
    "function",
    [
        len, print, dict, int, random.random, json.dumps, operator.itemgetter(1), "".join, [].append, int.__add__,
        dict.fromkeys, functools.partial(len), functools.cache(len), types.SimpleNamespace, type, object(), None, 3,
        unittest.mock.Mock(), unittest.mock.MagicMock(), weakref.proxy(harmless), weakref.ref(harmless), find, check,
    ],
    ids=repr,
)  # fmt: skip
def test_whatever_is_no_function_of_the_users_passes(function):
    assert find(function) == ()
    check(function, strict=True)


@pytest.mark.parametrize("folder", ["lib/python3.11/site-packages", "lib/python3/dist-packages"])
def test_installed_packages_are_not_looked_at(folder, tmp_path):
    path = tmp_path / folder / "package.py"
    namespace: dict[str, object] = {"__name__": "package"}
    exec(compile(LOST["counter"], str(path), "exec"), namespace)
    assert find(namespace["task"]) == ()


def test_frozen_modules_and_manyhands_itself_are_not_looked_at():
    for filename, name in [("<frozen zipimport>", "zipimport"), ("pool.py", "manyhands.pool")]:
        namespace: dict[str, object] = {"__name__": name}
        exec(compile(LOST["counter"], filename, "exec"), namespace)
        assert find(namespace["task"]) == ()


class Nosy:
    """Tells when anything of it is called."""

    def __init__(self):
        object.__setattr__(self, "asked", [])

    def __getattribute__(self, name):
        object.__getattribute__(self, "asked").append(name)
        raise RuntimeError(name)

    __repr__ = __hash__ = __eq__ = __bool__ = __len__ = lambda *_: 1 / 0

    def __call__(self):
        raise AssertionError


def test_nothing_of_the_users_is_called():
    nosy = Nosy()
    check(nosy, strict=True)
    check(functools.partial(nosy), strict=True)
    check(types.MethodType(nosy, nosy), strict=True)
    assert object.__getattribute__(nosy, "asked") == []


def test_wrappers_in_a_circle_come_to_an_end(load):
    task = load(LOST["counter"])
    task.__wrapped__ = task
    assert names(find(task)) == ["V"]


def test_an_unknown_bytecode_is_no_error(load, monkeypatch):
    def fail(*_):
        raise KeyError("NEW_OPCODE")

    monkeypatch.setattr(lost_writes, "_leading_to_stores", fail)
    assert find(load(LOST["counter"])) == ()


# Whole programs.


def test_main_is_looked_at(script):
    out = script(
        """
        import warnings
        from manyhands.scheduler.lost_writes import check

        total = 0
        model = None

        def lazy(x):
            global model
            if model is None:
                model = object()
            return model

        def count(x):
            global total
            total += x

        if __name__ == "__main__":
            warnings.simplefilter("error")
            check(lazy)
            try:
                check(count)
            except Warning as warning:
                print(warning)
        """
    )
    assert out.startswith("count() assigns to the global 'total' (program.py, line 16).")
