"""The contract of pools and executors: every method and its meaning, whatever the engine.

A new engine adds a line to `ENGINES`. What an engine cannot do is left out by name (`WORKERS`, `OWN`, `APART`), once,
here. Tasks that are to wait do so at a `Door`, which works between threads and between processes.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import gc
import itertools
import logging
import math
import multiprocessing
import operator
import os
import pickle
import threading
import warnings
import weakref
from concurrent.futures import CancelledError, ProcessPoolExecutor, ThreadPoolExecutor

import pytest

import manyhands as mh
from manyhands import process
from manyhands.errors import (
    PicklingError,
    PoolBrokenError,
    PoolClosedError,
    RemoteTraceback,
    ResultPicklingError,
    TaskTimeoutError,
    UsageError,
    WaitTimeoutError,
    WorkerLostError,
)

ENGINES = {
    "local": lambda _: "local",
    "threads": lambda _: "threads",
    "inline": lambda _: "inline",
    "thread executor": ThreadPoolExecutor,
    "process executor": lambda workers: ProcessPoolExecutor(workers, multiprocessing.get_context("fork")),
}

#: Engines whose workers run beside the caller.
WORKERS = [name for name in ENGINES if name != "inline"]

#: Engines that make their workers themselves.
OWN = ["local", "threads", "inline"]

#: Engines whose workers have a memory of their own; and those that share the caller's.
APART = ["local", "process executor"]
TOGETHER = [name for name in ENGINES if name not in APART]


#: What is begun, as far as the executor's futures say, besides what runs: a ProcessPoolExecutor takes one task more
#: than it has workers out of its queue.
TAKEN_EARLY = {"process executor": 1}


def only(*names):
    return pytest.mark.parametrize("engine", names, indirect=True)


# ---- what tasks are made of ----


class Door:
    """It is shut until somebody opens it, then it stays open. Pickles; no descriptor travels."""

    def __init__(self, path):
        self.path = str(path)

    def open(self):
        with self._fifo() as fd:
            with open(f"{self.path} is open", "w"):
                pass  # for those who come when nobody holds the pipe any more
            os.write(fd, b"x")

    def wait(self):
        with self._fifo() as fd:
            if not os.path.exists(f"{self.path} is open"):
                os.write(fd, os.read(fd, 1))  # for whoever else waits

    @contextlib.contextmanager
    def _fifo(self):
        fd = os.open(self.path, os.O_RDWR)
        try:
            yield fd
        finally:
            os.close(fd)


class Diary:
    """Tasks write lines into it, from wherever they are."""

    def __init__(self, path):
        self.path = str(path)

    def write(self, line):
        with open(self.path, "a") as file:
            file.write(f"{line}\n")

    @property
    def lines(self):
        with contextlib.suppress(FileNotFoundError), open(self.path) as file:
            return file.read().splitlines()
        return []


def same(x):
    return x


def square(x):
    return x * x


def both(*args, **kwds):
    return args, kwds


def written(diary, line):
    diary.write(line)
    return line


def wait_at(door, value=None):
    door.wait()
    return value


def begin_and_wait(began, door, value=None):
    began.open()
    door.wait()
    return value


def call_all(functions):
    for function in functions:
        function()
    return len(functions)


def write_and_wait(diary, door, line):
    diary.write(line)
    door.wait()
    return line


def square_of_even(x):
    if x % 2:
        raise ValueError(x)
    return x * x


def write_and_refuse_odd(diary, x):
    diary.write(x)
    return square_of_even(x)


def fail(error=ValueError, *args):
    raise error(*args)


def fail_with_a_story(_=None):
    try:
        raise KeyError("inner")
    except KeyError as inner:
        error = ValueError("outer", 7)
        error.add_note("a note of its own")
        raise error from inner


def fail_with_a_group(_=None):
    raise ExceptionGroup("several", [ValueError(1), ExceptionGroup("inside", [KeyError("k")])])


class TwoParts(Exception):
    """Pickles, and does not unpickle."""

    def __init__(self, one, two):
        super().__init__(f"{one}{two}")


class Locked:
    """Does not pickle."""

    def __init__(self, *_args):
        self.lock = threading.Lock()


class DoesNotUnpickle:
    def __reduce__(self):
        return int, ("no number",)


class Adder:
    def __init__(self, more):
        self.more = more

    def __call__(self, x):
        return x + self.more

    def method(self, x):
        return x + self.more


def remember(value):
    mh.worker_state()["value"] = value


def remembered(_=None):
    return mh.worker_state().get("value")


def count_calls(_=None):
    state = mh.worker_state()
    state["calls"] = state.get("calls", 0) + 1
    return state["calls"]


def nested_map(engine, n):
    with mh.Pool(1, engine=engine) as pool:
        return pool.map(square, range(n))


def half_way(n, error):
    yield from range(n)
    raise error


# ---- what tests are made of ----


@pytest.fixture(autouse=True, scope="module")
def _children_find_this_module_imported():
    process.preload(["pytest"])
    yield
    process.preload([])


@pytest.fixture(params=ENGINES)
def engine(request):
    return request.param


@pytest.fixture
def make(engine):
    """``make(2, …)``: a pool over the engine. It is terminated in the end, and the executor under it shut down."""
    with contextlib.ExitStack() as stack:

        def new(workers=2, kind=mh.Pool, **options):
            under = ENGINES[engine](workers)
            if not isinstance(under, str):
                stack.callback(under.shutdown)
            pool = kind(workers, engine=under, **options)
            if kind is mh.Pool:
                stack.callback(pool.terminate)
            else:
                stack.callback(pool.shutdown, cancel_futures=True)
            return pool

        yield new


@pytest.fixture
def pool(make):
    return make()


@pytest.fixture
def one(make):
    """A pool of one worker."""
    return make(1)


@pytest.fixture
def executor(make):
    return make(2, mh.Executor)


@pytest.fixture
def door(make, tmp_path):
    """``door()``: a shut door. It is opened in the end at the latest, before any executor waits for its tasks."""
    doors, held = [], []

    def new():
        path = tmp_path / f"door {len(doors)}"
        os.mkfifo(path)
        held.append(os.open(path, os.O_RDWR))
        doors.append(Door(path))
        return doors[-1]

    yield new
    for each in doors:
        each.open()
    for fd in held:
        os.close(fd)


@pytest.fixture
def diary(tmp_path):
    return Diary(tmp_path / "diary")


@pytest.fixture
def busy(one, door):
    """A pool of one worker, which runs a task that waits: (pool, the task's result, the door)."""
    began, exit_door = door(), door()
    result = one.apply_async(begin_and_wait, (began, exit_door, "done"))
    began.wait()
    return one, result, exit_door


class Heard:
    """A callback that keeps what it hears."""

    def __init__(self):
        self.values = []
        self._changed = threading.Condition()

    def __call__(self, value):
        with self._changed:
            self.values.append(value)
            self._changed.notify_all()

    def wait_for(self, count):
        with self._changed:
            self._changed.wait_for(lambda: len(self.values) >= count)
        return self.values


# ---- one call ----


def test_apply_returns_what_the_function_returns(pool):
    assert pool.apply(operator.sub, (5, 3)) == 2
    assert pool.apply(both, (1, "two"), {"three": 3}) == ((1, "two"), {"three": 3})
    assert pool.apply(both) == ((), {})


def test_arguments_may_be_any_iterable(pool):
    assert pool.apply(both, [1, 2]) == ((1, 2), {})
    assert pool.apply_async(both, (x for x in "ab"), {"c": None}).get() == (("a", "b"), {"c": None})


@pytest.mark.parametrize(
    "function",
    [lambda x: x + 3, Adder(3), Adder(3).method, functools.partial(operator.add, 3), functools.partial(lambda a, b: a + b, 3)],
    ids=["lambda", "object", "method", "partial", "partial of a lambda"],
)  # fmt: skip
def test_every_kind_of_callable_works(function, pool):
    assert pool.apply(function, (1,)) == 4
    assert pool.map(function, range(5)) == [3, 4, 5, 6, 7]


def test_a_closure_takes_along_what_it_refers_to(pool):
    offset = [10]
    assert pool.map(lambda x: x + offset[0], range(3)) == [10, 11, 12]
    offset[0] = 20
    assert pool.map(lambda x: x + offset[0], range(3)) == [20, 21, 22]


@pytest.mark.parametrize(
    "value", [None, True, 0, -1, 2**100, 0.5, "text", b"bytes", (1, [2, {3: {4}}]), range(3), ...]
)
def test_values_come_back_as_they_went(value, pool):
    came = pool.apply(same, (value,))
    assert came == value
    assert type(came) is type(value)


def test_large_values_go_and_come(pool):
    large = os.urandom(3 << 20)
    assert pool.apply(same, (large,)) == large
    assert pool.map(len, [large, large[1:], b""]) == [3 << 20, (3 << 20) - 1, 0]


@only(*WORKERS)
def test_apply_async_does_not_wait(make, door):
    exit_door = door()
    result = make(1).apply_async(wait_at, (exit_door, 7))
    assert not result.ready()
    exit_door.open()
    assert result.get() == 7


def test_a_result_tells_how_it_went(pool):
    good, bad = pool.apply_async(square, (3,)), pool.apply_async(fail)
    good.wait()
    bad.wait()
    assert (good.ready(), good.successful(), good.get(), good.exception()) == (True, True, 9, None)
    assert (bad.ready(), bad.successful(), type(bad.exception())) == (True, False, ValueError)
    with pytest.raises(ValueError):
        bad.get()


def test_a_result_becomes_ready_while_nobody_waits(pool, until):
    result = pool.apply_async(square, (3,))
    until(result.ready)
    assert result.get() == 9


def test_a_result_can_be_had_many_times(pool):
    result, failed = pool.apply_async(square, (3,)), pool.apply_async(fail)
    assert [result.get(), result.get(), result.result()] == [9, 9, 9]
    for _ in range(2):
        with pytest.raises(ValueError):
            failed.get()


def test_thousands_of_calls_each_get_their_own_result(pool):
    results = [pool.apply_async(square, (n,)) for n in range(3000)]
    assert [result.get() for result in reversed(results)] == [n * n for n in reversed(range(3000))]


def test_results_do_not_pickle(pool):
    with pytest.raises(TypeError, match="Result"):
        pickle.dumps(pool.apply_async(square, (3,)))


# ---- maps ----

INPUTS = {
    "list": lambda n: list(range(n)),
    "range": range,
    "generator": lambda n: (x for x in range(n)),
    "dict": lambda n: dict.fromkeys(range(n)),
    "iterator": lambda n: iter(range(n)),
}


@pytest.mark.parametrize("chunksize", [None, 1, 3, 1000])
@pytest.mark.parametrize("n", [0, 1, 2, 17, 700])
def test_map_gives_results_in_the_order_of_inputs(n, chunksize, pool):
    expected = [x * x for x in range(n)]
    assert pool.map(square, range(n), chunksize) == expected
    assert pool.map_async(square, range(n), chunksize).get() == expected
    assert list(pool.imap(square, range(n), chunksize or 1)) == expected
    assert sorted(pool.imap_unordered(square, range(n), chunksize or 1)) == expected
    assert pool.starmap(operator.mul, [(x, x) for x in range(n)], chunksize) == expected
    assert pool.starmap_async(operator.mul, ((x, x) for x in range(n)), chunksize).get() == expected


@pytest.mark.parametrize("kind", INPUTS)
def test_every_kind_of_input_is_mapped(kind, pool):
    expected = [x * x for x in range(50)]
    assert pool.map(square, INPUTS[kind](50)) == expected
    assert list(pool.imap(square, INPUTS[kind](50))) == expected
    assert sorted(pool.imap_unordered(square, INPUTS[kind](50))) == expected


def test_the_input_of_map_is_not_changed(pool):
    inputs = [[1], [2]]
    assert pool.map(len, inputs) == [1, 1]
    assert inputs == [[1], [2]]


def test_two_maps_go_on_at_once(pool):
    first, second = pool.map_async(square, range(500)), pool.imap(square, range(500))
    third = pool.map_async(abs, range(-500, 0))
    assert list(second) == first.get()
    assert third.get() == list(range(500, 0, -1))


@only("local", "threads", "thread executor")
def test_a_chunk_is_obeyed(engine, make, diary):
    """Items of one chunk run in one worker, one after the other: a single chunk uses a single worker."""
    pool = make(2)
    write = functools.partial(written, diary)
    pool.map(write, range(20), chunksize=20)
    assert diary.lines == [str(n) for n in range(20)]


def test_map_runs_everything_then_raises_the_first_error_in_input_order(pool, diary):
    with pytest.raises(ValueError) as caught:
        pool.map(functools.partial(write_and_refuse_odd, diary), range(30))
    assert caught.value.args == (1,)
    assert sorted(map(int, diary.lines)) == list(range(30))
    with pytest.raises(ValueError) as caught:
        pool.starmap_async(square_of_even, [(x,) for x in range(6, 12)], 2).get()
    assert caught.value.args == (7,)


def test_imap_goes_on_after_an_error(pool):
    stream, found = pool.imap(square_of_even, range(7)), []
    while True:
        try:
            found.append(next(stream))
        except StopIteration:
            break
        except ValueError as error:
            found.append(error.args)
    assert found == [0, (1,), 4, (3,), 16, (5,), 36]


def test_imap_unordered_goes_on_after_an_error(pool):
    stream, found = pool.imap_unordered(square_of_even, range(20)), []
    while len(found) < 20:
        try:
            found.append(next(stream))
        except ValueError as error:
            found.append(-error.args[0])
    assert sorted(found) == sorted([x * x for x in range(0, 20, 2)] + [-x for x in range(1, 20, 2)])
    with pytest.raises(StopIteration):
        next(stream)


def test_an_exhausted_stream_stays_exhausted(pool):
    stream = pool.imap(square, range(2))
    assert list(stream) == [0, 1]
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(stream)


def test_an_input_that_raises_half_way_raises_in_the_caller_of_map(pool):
    error = LookupError("half way")
    for run in (pool.map, pool.map_async, pool.starmap):
        with pytest.raises(LookupError) as caught:
            run(square, half_way(5, error))
        assert caught.value is error
    assert pool.map(square, range(3)) == [0, 1, 4]


@pytest.mark.parametrize("chunksize", [None, 1, 3])
def test_an_input_that_raises_half_way_raises_behind_all_results_of_imap(chunksize, pool):
    error = LookupError("half way")
    stream = pool.imap(square, half_way(10, error), chunksize)
    assert list(itertools.islice(stream, 10)) == [x * x for x in range(10)]
    with pytest.raises(LookupError) as caught:
        next(stream)
    assert caught.value is error
    with pytest.raises(StopIteration):
        next(stream)


def test_imap_of_an_endless_input_pulls_what_it_needs(pool):
    pulled = itertools.count()
    stream = pool.imap(square, pulled)
    assert list(itertools.islice(stream, 1000)) == [x * x for x in range(1000)]
    stream.close()
    least = next(pulled)
    assert 1000 <= least < 1000 + 8 * 2 * 16384  # batches a worker


@pytest.mark.parametrize("method", ["imap", "imap_unordered"])
@pytest.mark.parametrize("buffersize", [1, 2, 7])
@pytest.mark.parametrize("chunksize", [None, 2])
def test_a_buffersize_is_never_exceeded(chunksize, buffersize, method, pool):
    pulled = 0

    def inputs():
        nonlocal pulled
        while pulled < 200:
            pulled += 1
            yield pulled

    taken = 0
    for _ in getattr(pool, method)(square, inputs(), chunksize, buffersize=buffersize):
        assert pulled <= taken + buffersize
        taken += 1
    assert taken == 200


@only(*WORKERS)
def test_a_buffersize_is_made_full_use_of(make, door, background, until):
    pool, exit_door, pulled = make(2), door(), []

    def inputs():
        for n in itertools.count():
            pulled.append(n)
            yield n

    stream = pool.imap(functools.partial(wait_at, exit_door), inputs(), buffersize=5)
    first = background(next, stream)
    until(lambda: len(pulled) == 5)
    exit_door.open()
    assert first() == 0
    stream.close()


def test_nothing_is_pulled_before_imap_is_asked(pool):
    pulled = []
    stream = pool.imap(square, (pulled.append(n) or n for n in itertools.count()))
    assert pulled == []
    assert next(stream) == 0
    stream.close()


def test_a_stream_that_is_closed_ends(pool):
    stream = pool.imap(square, itertools.count())
    assert next(stream) == 0
    stream.close()
    with pytest.raises(StopIteration):
        next(stream)
    stream.close()
    assert pool.apply(square, (5,)) == 25


def test_a_stream_that_is_forgotten_is_given_up(pool):
    stream = pool.imap(square, itertools.count())
    assert next(stream) == 0
    del stream
    gc.collect()
    assert pool.map(square, range(3)) == [0, 1, 4]


@only(*WORKERS)
def test_the_next_result_can_be_waited_for_in_vain(make, door):
    exit_door = door()
    stream = make(1).imap(functools.partial(wait_at, exit_door), [0, 1])
    for kind in (TimeoutError, multiprocessing.TimeoutError, WaitTimeoutError):
        with pytest.raises(kind):
            stream.next(timeout=0.01)
    exit_door.open()
    assert list(stream) == [0, 1]


@only(*WORKERS)
def test_unordered_results_come_as_they_are_done(make, door):
    first, second = door(), door()
    second.open()
    stream = make(2).imap_unordered(lambda a_door: (a_door.wait(), a_door.path)[1], [first, second], 1)
    assert next(stream) == second.path
    first.open()
    assert next(stream) == first.path


@only(*WORKERS)
def test_ordered_results_wait_for_the_first(make, door):
    first, second = door(), door()
    second.open()
    stream = make(2).imap(lambda a_door: (a_door.wait(), a_door.path)[1], [first, second], 1)
    with pytest.raises(TimeoutError):
        stream.next(0.05)
    first.open()
    assert list(stream) == [first.path, second.path]


# ---- callbacks ----


def test_a_callback_is_called_once_with_the_value(pool):
    good, bad = Heard(), Heard()
    pool.apply_async(square, (3,), callback=good, error_callback=bad)
    pool.map_async(square, range(4), callback=good, error_callback=bad)
    pool.starmap_async(operator.mul, [(2, 3)], callback=good, error_callback=bad)
    pool.close()
    pool.join()
    good.wait_for(3)
    assert sorted(good.values, key=str) == [9, [0, 1, 4, 9], [6]]
    assert bad.values == []


def test_an_error_callback_is_called_once_with_the_error(pool):
    good, bad = Heard(), Heard()
    pool.apply_async(fail, callback=good, error_callback=bad)
    pool.map_async(square_of_even, range(4), callback=good, error_callback=bad)
    pool.close()
    pool.join()
    bad.wait_for(2)
    assert [type(error) for error in bad.values] == [ValueError, ValueError]
    assert good.values == []


def test_the_callback_of_an_empty_map_is_called(pool):
    heard = Heard()
    assert pool.map_async(square, [], callback=heard).get() == []
    assert heard.wait_for(1) == [[]]


def test_callbacks_come_in_the_order_of_results(one):
    heard = Heard()
    for n in range(300):
        one.apply_async(same, (n,), callback=heard)
    assert heard.wait_for(300) == list(range(300))


def test_a_callback_that_raises_hurts_nobody(pool, caplog):
    heard = Heard()

    def raises(value):
        raise RuntimeError("of a callback")

    with caplog.at_level(logging.ERROR, "manyhands"):
        result = pool.apply_async(square, (3,), callback=raises)
        pool.apply_async(square, (4,), callback=heard)
        assert result.get() == 9
        assert heard.wait_for(1) == [16]
        pool.close()
        pool.join()
    assert "of a callback" in caplog.text


def test_a_callback_may_submit_more_work(one):
    heard = Heard()

    def go_on(value):
        heard(value)
        if value < 1000:
            one.apply_async(operator.add, (value, value), callback=go_on)

    one.apply_async(operator.add, (1, 1), callback=go_on)
    assert heard.wait_for(10) == [2**n for n in range(1, 11)]


def test_a_callback_may_wait_for_other_results(pool):
    heard = Heard()
    pool.apply_async(square, (3,), callback=lambda value: heard(pool.apply(square, (value,))))
    pool.apply_async(square, (3,), callback=lambda value: heard(sum(pool.map(square, range(value)))))
    assert sorted(heard.wait_for(2)) == [81, 204]


def test_a_callback_may_close_the_pool(pool):
    closed = threading.Event()

    def close(_value):
        pool.close()
        closed.set()

    pool.apply_async(square, (3,), callback=close)
    closed.wait()
    pool.join()


# ---- errors ----


def causes(error):
    """The chain of causes, without the tracebacks that travelled."""
    while (error := error.__cause__) is not None:
        if not isinstance(error, RemoteTraceback):
            yield error


def test_an_exception_keeps_type_arguments_notes_and_cause(pool):
    for run in (lambda: pool.apply(fail_with_a_story), lambda: pool.map(fail_with_a_story, [0])):
        with pytest.raises(ValueError) as caught:
            run()
        error = caught.value
        assert type(error) is ValueError
        assert error.args == ("outer", 7)
        assert error.__notes__[0] == "a note of its own"
        assert [(type(cause), cause.args) for cause in causes(error)] == [(KeyError, ("inner",))]


def test_an_exception_names_the_input_in_a_note(pool):
    with pytest.raises(ValueError) as caught:
        pool.apply(fail, (ValueError, "a reason"))
    assert any("fail(" in note and "a reason" in note for note in caught.value.__notes__)
    with pytest.raises(ValueError) as caught:
        pool.map(square_of_even, [2, 4, 7, 8])
    assert any("item 2" in note and "square_of_even(7)" in note for note in caught.value.__notes__)


@only(*WORKERS)
def test_the_traceback_of_the_worker_is_the_cause(pool):
    with pytest.raises(ValueError) as caught:
        pool.apply(fail_with_a_story)
    cause = caught.value.__cause__
    assert isinstance(cause, RemoteTraceback)
    assert "in fail_with_a_story" in str(cause)
    assert "KeyError: 'inner'" in str(cause)


@only("inline")
def test_the_traceback_of_an_inline_task_leads_into_it(engine, pool):
    with pytest.raises(ValueError) as caught:
        pool.apply(fail_with_a_story)
    assert caught.traceback[-1].name == "fail_with_a_story"


def test_exception_groups_come_whole(pool):
    with pytest.raises(ExceptionGroup) as caught:
        pool.apply(fail_with_a_group)
    first, second = caught.value.exceptions
    assert (type(first), first.args) == (ValueError, (1,))
    assert isinstance(second, ExceptionGroup)
    assert second.exceptions[0].args == ("k",)


@pytest.mark.parametrize(
    "error", [SystemExit, GeneratorExit, StopIteration, StopAsyncIteration, asyncio.CancelledError]
)
def test_no_exception_ends_a_worker(error, pool):
    result = pool.apply_async(fail, (error, 3))
    assert type(result.exception()) is error
    assert result.exception().args == (3,)
    assert pool.map(square, range(5)) == [0, 1, 4, 9, 16]


@only(*WORKERS)
def test_an_interrupt_that_a_task_raises_is_its_error(pool):
    assert type(pool.apply_async(fail, (KeyboardInterrupt,)).exception()) is KeyboardInterrupt
    assert pool.apply(square, (3,)) == 9


@only("inline")
def test_an_interrupt_in_an_inline_task_ends_the_submitting_call(engine, pool, diary):
    with pytest.raises(KeyboardInterrupt):
        pool.map(lambda x: (diary.write(x), x == 2 and fail(KeyboardInterrupt)), range(100))
    assert diary.lines == ["0", "1", "2"]


@pytest.mark.parametrize("error", [SystemExit, GeneratorExit, StopIteration])
def test_odd_exceptions_in_a_map_do_not_end_it(error, pool):
    with pytest.raises(error):
        pool.map_async(functools.partial(fail, error), range(5)).get()
    assert pool.map(square, range(3)) == [0, 1, 4]


def test_an_exception_that_cannot_be_rebuilt_still_tells(pool):
    with pytest.raises(Exception, match="onetwo") as caught:
        pool.apply(fail, (TwoParts, "one", "two"))
    assert "TwoParts" in repr(caught.value)
    assert pool.apply(square, (3,)) == 9


@only(*APART)
def test_arguments_that_cannot_be_sent_raise_in_the_call(pool):
    with pytest.raises(PicklingError):
        pool.apply_async(same, (threading.Lock(),))
    lock = threading.Lock()
    with pytest.raises(PicklingError):
        pool.map(lambda x: (x, lock), [1])
    assert pool.apply(square, (3,)) == 9


@only(*APART)
def test_an_input_that_cannot_be_sent_fails_alone(pool):
    found = []
    stream = pool.imap(len, [b"a", Locked(), b"abc", DoesNotUnpickle(), "abcd"])
    for _ in range(5):
        try:
            found.append(next(stream))
        except Exception as error:
            found.append(type(error))
    assert found == [1, PicklingError, 3, ValueError, 4]


@only(*APART)
def test_a_result_that_cannot_be_sent_fails_alone(pool):
    with pytest.raises(ResultPicklingError):
        pool.apply(Locked)
    stream = pool.imap(lambda x: Locked() if x == 1 else x, range(3))
    assert next(stream) == 0
    with pytest.raises(ResultPicklingError):
        next(stream)
    assert next(stream) == 2


@only(*APART)
def test_a_result_that_does_not_unpickle_fails_alone(pool):
    stream = pool.imap(lambda x: DoesNotUnpickle() if x == 1 else x, range(3))
    assert next(stream) == 0
    with pytest.raises(ValueError, match="no number"):
        next(stream)
    assert next(stream) == 2


@only(*TOGETHER)
def test_where_memory_is_shared_the_objects_themselves_go_and_come(pool):
    thing = Locked()
    assert pool.apply(same, (thing,)) is thing
    assert pool.map(same, [thing])[0] is thing
    assert next(pool.imap(same, [thing])) is thing


@only(*TOGETHER)
def test_where_memory_is_shared_large_inputs_are_not_replaced(pool):
    large = bytearray(1 << 20)
    came = pool.map(same, [large] * 3)
    assert all(each is large for each in came)


@only(*TOGETHER)
def test_where_memory_is_shared_an_assignment_is_no_lost_write(pool):
    total = 0

    def add(n):
        nonlocal total
        total += n

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for n in range(5):
            pool.apply(add, (n,))
    assert total == 10
    assert [str(warning.message) for warning in warned] == []


# ---- waiting, and not waiting any more ----


@only(*WORKERS)
@pytest.mark.parametrize(
    "kind", [TimeoutError, multiprocessing.TimeoutError, concurrent.futures.TimeoutError, WaitTimeoutError]
)
@pytest.mark.parametrize("timeout", [0, 0.01, -1])
def test_a_wait_in_vain_raises_every_kind_of_timeout(timeout, kind, busy):
    _, result, exit_door = busy
    for wait in (result.get, result.result, result.exception):
        with pytest.raises(kind):
            wait(timeout)
    assert result.wait(timeout) is None
    assert not result.ready()
    with pytest.raises(ValueError, match="not ready"):
        result.successful()
    exit_door.open()
    assert result.get(timeout=60) == "done"


@pytest.mark.parametrize("timeout", [0, 1e-9, 1, 10**9, 1e300, math.inf])
def test_any_timeout_will_do_for_what_is_there(timeout, pool):
    result = pool.apply_async(square, (3,))
    result.wait()
    assert result.get(timeout) == 9


@pytest.mark.parametrize("timeout", [10**9, 1e300, math.inf])
def test_a_very_long_timeout_is_no_error(timeout, pool):
    assert pool.apply_async(square, (3,)).get(timeout) == 9
    assert pool.imap(square, [3]).next(timeout) == 9


@only(*WORKERS)
def test_a_task_that_runs_too_long_is_given_up_and_the_pool_goes_on(make, door):
    pool, exit_door = make(2), door()
    slow = pool.apply_async(wait_at, (exit_door,), task_timeout=0.1)
    others = pool.map_async(square, range(100))
    for kind in (TaskTimeoutError, TimeoutError, multiprocessing.TimeoutError):
        with pytest.raises(kind, match=r"0\.1"):
            slow.get()
    assert others.get() == [x * x for x in range(100)]


@only("local", "threads")
@pytest.mark.parametrize("chunksize", [None, 4])
def test_only_the_slow_items_of_a_map_are_given_up(chunksize, make, door):
    """Also when they are in the middle of a batch: what was finished before is not lost, what comes behind is run."""
    pool, exit_door, open_door = make(2), door(), door()
    open_door.open()
    doors = [open_door, open_door, exit_door, open_door]
    stream, found = pool.imap(wait_at, doors, chunksize, task_timeout=0.5), []
    for _ in doors:
        try:
            found.append(next(stream))
        except TaskTimeoutError as error:
            found.append(type(error))
    assert found == [None, None, TaskTimeoutError, None]


def test_a_task_timeout_leaves_quick_tasks_alone(make):
    pool = make(2, task_timeout=100)
    assert pool.map(square, range(50)) == [x * x for x in range(50)]
    assert pool.apply(square, (3,)) == 9


# ---- cancelling ----


@only(*WORKERS)
def test_a_queued_task_that_is_cancelled_is_never_run(busy, diary):
    pool, running, exit_door = busy
    queued = [pool.apply_async(written, (diary, n)) for n in range(4)]
    assert queued[1].cancel()
    assert queued[3].cancel()
    exit_door.open()
    assert running.get() == "done"
    assert [queued[0].get(), queued[2].get()] == [0, 2]
    for result in (queued[1], queued[3]):
        assert result.cancelled()
        assert result.done()
        for get in (result.get, result.result, result.exception):
            with pytest.raises(CancelledError):
                get()
    assert diary.lines == ["0", "2"]


@only(*WORKERS)
def test_a_running_task_can_be_cancelled_and_the_pool_goes_on(busy):
    pool, result, exit_door = busy
    queued = pool.apply_async(square, (3,))
    assert result.running()
    assert result.cancel()
    assert result.cancelled()
    assert not result.running()
    with pytest.raises(CancelledError):
        result.get()
    exit_door.open()  # an executor cannot run anything else before
    assert queued.get() == 9
    assert pool.map(square, range(5)) == [0, 1, 4, 9, 16]


@only("local", "threads")
def test_a_cancelled_task_does_not_keep_its_worker(busy):
    pool, result, _shut_door = busy
    assert result.cancel()
    assert pool.apply(square, (3,)) == 9


@only("local", "threads")
def test_what_is_finished_in_a_batch_is_not_lost_with_the_task_that_is_cancelled(busy, door):
    """Calls of one function travel together once they are known to be quick: one that hangs is cancelled behind them."""
    pool, first, exit_door = busy
    exit_door.open()
    for _ in range(200):
        pool.apply(call_all, ([],))
    began, gate, shut_door = door(), door(), door()
    blocker = pool.apply_async(begin_and_wait, (began, gate))
    began.wait()
    began = door()
    quick = [pool.apply_async(call_all, ([],)) for _ in range(5)]
    slow = pool.apply_async(call_all, ([began.open, shut_door.wait],))
    behind = [pool.apply_async(call_all, ([],)) for _ in range(5)]
    gate.open()
    began.wait()
    assert slow.cancel()
    assert [result.get() for result in (*quick, *behind)] == [0] * 10
    assert (first.get(), blocker.get()) == ("done", None)


def test_what_is_done_cannot_be_cancelled(pool):
    result = pool.apply_async(square, (3,))
    assert result.get() == 9
    assert not result.cancel()
    assert not result.cancelled()
    assert result.get() == 9


@only(*WORKERS)
def test_a_cancelled_map_begins_nothing_more(engine, make, door, diary):
    pool, exit_door = make(1), door()
    result = pool.map_async(functools.partial(write_and_wait, diary, exit_door), range(50), chunksize=1)
    while not diary.lines:
        threading.Event().wait(0.001)
    assert result.cancel()
    with pytest.raises(CancelledError):
        result.get()
    exit_door.open()
    assert pool.apply(square, (3,)) == 9
    assert len(diary.lines) <= 1 + TAKEN_EARLY.get(engine, 0)


@only(*WORKERS)
def test_callbacks_of_a_cancelled_task_are_not_called_but_done_callbacks_are(busy):
    pool, _, exit_door = busy
    heard, done = Heard(), Heard()
    result = pool.apply_async(square, (3,), callback=heard, error_callback=heard)
    result.add_done_callback(done)
    assert result.cancel()
    assert done.wait_for(1) == [result]
    exit_door.open()
    assert pool.apply(square, (4,)) == 16
    assert heard.values == []


# ---- a result is a future ----


def test_the_standard_wait_waits_for_results(pool):
    results = {pool.apply_async(square, (n,)) for n in range(20)} | {pool.apply_async(fail)}
    done, pending = concurrent.futures.wait(results)
    assert done == results
    assert not pending
    done, _ = concurrent.futures.wait(
        [pool.apply_async(fail)], return_when=concurrent.futures.FIRST_EXCEPTION
    )
    assert len(done) == 1


def test_as_completed_yields_each_result(pool):
    results = [pool.apply_async(square, (n,)) for n in range(20)]
    assert sorted(r.result() for r in concurrent.futures.as_completed(results)) == [n * n for n in range(20)]


@only(*WORKERS)
def test_as_completed_yields_what_is_done_first(make, door):
    pool, exit_door = make(2), door()
    slow, quick = pool.apply_async(wait_at, (exit_door, 1)), pool.apply_async(square, (3,))
    stream = concurrent.futures.as_completed([slow, quick])
    assert next(stream) is quick
    exit_door.open()
    assert next(stream) is slow


def test_done_callbacks_are_called_with_the_result(pool):
    heard = Heard()
    result = pool.apply_async(square, (3,))
    result.add_done_callback(heard)
    assert heard.wait_for(1) == [result]
    result.add_done_callback(heard)  # it is there: at once
    assert heard.values == [result, result]


def test_a_map_is_a_future_too(pool):
    result, heard = pool.map_async(square, range(5)), Heard()
    result.add_done_callback(heard)
    concurrent.futures.wait([result])
    assert heard.wait_for(1)[0].result() == [0, 1, 4, 9, 16]


def test_results_can_be_awaited(pool):
    async def main():
        single = await pool.apply_async(square, (3,))
        several = await asyncio.gather(*[pool.apply_async(square, (n,)) for n in range(50)])
        with pytest.raises(ValueError):
            await pool.apply_async(fail)
        return single, several, await pool.map_async(square, range(3))

    assert asyncio.run(main()) == (9, [n * n for n in range(50)], [0, 1, 4])


@only(*WORKERS)
def test_cancelling_in_asyncio_cancels_the_task(make, door):
    pool, began, exit_door = make(1), door(), door()

    async def main():
        result = pool.apply_async(begin_and_wait, (began, exit_door))

        async def waiter():
            await result

        task = asyncio.ensure_future(waiter())
        await asyncio.get_running_loop().run_in_executor(None, began.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return result

    result = asyncio.run(main())
    assert result.cancelled()
    exit_door.open()
    assert pool.apply(square, (3,)) == 9


@only(*WORKERS)
def test_a_wait_in_asyncio_can_time_out(make, door):
    pool, exit_door = make(1), door()

    async def main():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(pool.apply_async(wait_at, (exit_door,)), 0.05)

    asyncio.run(main())
    exit_door.open()
    assert pool.apply(square, (3,)) == 9


# ---- the end ----


def use(pool):
    """Every way to give work to a pool."""
    return {
        "apply": lambda: pool.apply(square, (1,)),
        "apply_async": lambda: pool.apply_async(square, (1,)),
        "map": lambda: pool.map(square, [1]),
        "map_async": lambda: pool.map_async(square, []),
        "starmap": lambda: pool.starmap(square, [(1,)]),
        "starmap_async": lambda: pool.starmap_async(square, [(1,)]),
        "imap": lambda: pool.imap(square, [1]),
        "imap_unordered": lambda: pool.imap_unordered(square, [1]),
        "with": pool.__enter__,
    }


@pytest.mark.parametrize("end", ["close", "terminate"])
def test_a_pool_that_has_ended_takes_nothing_and_says_so_to_both_families(end, pool):
    pool.map(square, range(3))
    getattr(pool, end)()
    for kind in (ValueError, RuntimeError, PoolClosedError):
        for way in use(pool).values():
            with pytest.raises(kind, match="Pool not running: cannot schedule new futures after shutdown"):
                way()
    pool.join()


def test_close_and_join_let_everything_be_done(pool, diary):
    results = [pool.apply_async(written, (diary, n)) for n in range(50)]
    pool.close()
    pool.join()
    assert [result.get(timeout=0) for result in results] == list(range(50))
    assert len(diary.lines) == 50


def test_to_end_a_pool_again_does_nothing(pool):
    pool.close()
    pool.close()
    assert pool.join()
    assert pool.join()
    pool.terminate()
    pool.terminate()
    pool.close()


def test_join_before_close_is_an_error(pool):
    with pytest.raises(ValueError, match=r"still running.*close\(\) or terminate\(\)"):
        pool.join()


@only(*WORKERS)
def test_join_can_time_out(busy):
    pool, result, exit_door = busy
    pool.close()
    assert pool.join(0.01) is False
    exit_door.open()
    assert pool.join() is True
    assert result.get() == "done"


@only(*WORKERS)
def test_terminate_cancels_what_is_not_done(busy, diary):
    pool, running, _shut_door = busy
    queued = [pool.apply_async(written, (diary, n)) for n in range(10)]
    mapped = pool.map_async(functools.partial(written, diary), range(10))
    pool.terminate()
    for result in (running, *queued, mapped):
        assert result.cancelled()
        with pytest.raises(CancelledError):
            result.get()
    assert diary.lines == []


@only(*WORKERS)
def test_terminate_ends_a_stream_that_somebody_waits_for(make, door, background):
    pool, began, exit_door = make(1), door(), door()
    stream = pool.imap(functools.partial(begin_and_wait, began), [exit_door])
    waiting = background(next, stream)
    began.wait()
    pool.terminate()
    with pytest.raises(PoolClosedError):
        waiting()


@only(*WORKERS)
def test_terminate_without_grace_limit_lets_running_tasks_complete(engine, busy, diary):
    pool, running, exit_door = busy
    queued = [pool.apply_async(written, (diary, n)) for n in range(10)]
    pool.terminate(grace=None)
    begun = TAKEN_EARLY.get(engine, 0)
    assert all(result.cancelled() for result in queued[begun:])
    assert not running.done()
    exit_door.open()
    pool.join()
    assert running.get() == "done"
    assert diary.lines == [str(n) for n in range(len(diary.lines))]
    assert len(diary.lines) <= begun


@only(*WORKERS)
def test_terminate_with_grace_waits_so_long(busy):
    pool, running, exit_door = busy
    opener = threading.Timer(0.05, exit_door.open)
    opener.start()
    pool.terminate(grace=60)
    opener.join()
    assert running.get() == "done"


@only(*WORKERS)
def test_terminate_with_grace_stops_what_takes_longer(busy):
    pool, running, _shut_door = busy
    pool.terminate(grace=0.05)
    with pytest.raises(CancelledError):
        running.get()


def test_the_with_statement_ends_the_pool(make):
    with make() as pool:
        assert pool.map(square, range(3)) == [0, 1, 4]
    with pytest.raises(ValueError, match="not running"):
        pool.apply(square, (1,))


def test_the_with_statement_ends_the_pool_after_an_error(make):
    with pytest.raises(LookupError), make() as pool:
        raise LookupError
    with pytest.raises(ValueError, match="not running"):
        pool.map(square, [1])


@only(*OWN)
def test_a_pool_that_is_forgotten_says_so_and_leaves_nothing(engine, until):
    before = set(threading.enumerate())
    pool = mh.Pool(2, engine=engine)
    pids = set(pool.map(lambda _: os.getpid(), range(20))) - {os.getpid()}
    ghost, held = weakref.ref(pool), [pool]
    del pool
    with pytest.warns(ResourceWarning, match="forgotten"):
        held.clear()
    gc.collect()
    assert ghost() is None
    until(lambda: set(threading.enumerate()) <= before)
    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))


@only(*OWN)
def test_a_result_outlives_its_forgotten_pool(engine, until):
    before = set(threading.enumerate())
    with pytest.warns(ResourceWarning, match="forgotten"):
        result = mh.Pool(1, engine=engine).apply_async(square, (3,))
    with contextlib.suppress(CancelledError):
        assert result.get() == 9
    del result
    until(lambda: set(threading.enumerate()) <= before)


def test_an_executor_under_a_pool_stays_open():
    with ThreadPoolExecutor(1) as under:
        for _ in range(2):
            with mh.Pool(1, engine=under) as pool:
                assert pool.map(square, range(3)) == [0, 1, 4]
        assert under.submit(square, 3).result() == 9


# ---- Executor ----


def test_submit_returns_a_future(executor):
    future = executor.submit(both, 1, two=2)
    assert isinstance(future, concurrent.futures.Future)
    assert future.result() == ((1,), {"two": 2})
    assert type(executor.submit(fail).exception()) is ValueError


def test_it_is_an_executor(executor):
    assert isinstance(executor, concurrent.futures.Executor)


def test_submit_passes_every_keyword_on(executor):
    assert executor.submit(both, self=1, fn=2, callback=3, timeout=4).result() == (
        (), {"self": 1, "fn": 2, "callback": 3, "timeout": 4},
    )  # fmt: skip


@pytest.mark.parametrize(
    "options", [{}, {"chunksize": 3}, {"buffersize": 2}, {"buffersize": 2, "chunksize": 3}, {"timeout": 100}]
)
def test_executor_map_zips_its_inputs(options, executor):
    assert list(executor.map(pow, range(20), itertools.repeat(2), **options)) == [n * n for n in range(20)]
    assert list(executor.map(both, "ab", [1, 2, 3], **options)) == [(("a", 1), {}), (("b", 2), {})]
    assert list(executor.map(square, [], **options)) == []
    assert list(executor.map(square, **options)) == []


def test_executor_map_reads_its_input_at_once_and_runs_without_being_asked(executor, diary, until):
    inputs = iter(range(10))
    stream = executor.map(functools.partial(written, diary), inputs)
    assert list(inputs) == []
    until(lambda: len(diary.lines) == 10)
    assert list(stream) == list(range(10))


def test_executor_map_with_a_buffersize_takes_an_endless_input(executor):
    stream = executor.map(square, itertools.count(), buffersize=4)
    assert list(itertools.islice(stream, 100)) == [n * n for n in range(100)]
    stream.close()


def test_executor_map_raises_where_its_result_would_be(executor):
    stream = executor.map(square_of_even, [0, 2, 3, 4])
    assert [next(stream), next(stream)] == [0, 4]
    with pytest.raises(ValueError) as caught:
        next(stream)
    assert caught.value.args == (3,)


@only(*WORKERS)
def test_executor_map_times_out(make, door):
    executor, exit_door = make(1, mh.Executor), door()
    stream = executor.map(wait_at, [exit_door], timeout=0.05)
    with pytest.raises(TimeoutError):
        next(stream)
    exit_door.open()


def test_shutdown_waits_for_the_work(executor):
    futures = [executor.submit(square, n) for n in range(50)]
    executor.shutdown()
    assert all(future.done() for future in futures)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        executor.submit(square, 1)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        executor.map(square, [1])


def test_leaving_the_with_statement_waits_for_the_work(make):
    with make(2, mh.Executor) as executor:
        futures = [executor.submit(square, n) for n in range(50)]
    assert [future.result(timeout=0) for future in futures] == [n * n for n in range(50)]


@only(*WORKERS)
def test_shutdown_can_cancel_what_is_queued(engine, make, door):
    executor, began, exit_door = make(1, mh.Executor), door(), door()
    running = executor.submit(begin_and_wait, began, exit_door, "done")
    began.wait()
    queued = [executor.submit(square, n) for n in range(10)]
    executor.shutdown(wait=False, cancel_futures=True)
    assert all(future.cancelled() for future in queued[TAKEN_EARLY.get(engine, 0) :])
    exit_door.open()
    assert running.result() == "done"
    executor.shutdown()


@only(*WORKERS)
def test_shutdown_need_not_wait(make, door):
    executor, exit_door = make(1, mh.Executor), door()
    future = executor.submit(wait_at, exit_door, 7)
    executor.shutdown(wait=False)
    assert not future.done()
    exit_door.open()
    assert future.result() == 7
    executor.shutdown()


def test_asyncio_runs_functions_in_an_executor(executor):
    async def main():
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*[loop.run_in_executor(executor, square, n) for n in range(20)])

    assert asyncio.run(main()) == [n * n for n in range(20)]


def test_an_executor_may_be_an_engine_of_a_pool():
    with mh.Executor(1, engine="threads") as under, mh.Pool(1, engine=under) as pool:
        assert pool.map(lambda x: x + 1, range(5)) == [1, 2, 3, 4, 5]


# ---- several threads ----


def test_eight_threads_use_one_pool(pool, background):
    def work(n):
        assert pool.map(square, range(n, n + 100)) == [x * x for x in range(n, n + 100)]
        assert [pool.apply(operator.add, (n, k)) for k in range(20)] == [n + k for k in range(20)]
        results = [pool.apply_async(operator.mul, (n, k)) for k in range(100)]
        assert [result.get() for result in results] == [n * k for k in range(100)]
        assert list(pool.imap(square, range(n))) == [x * x for x in range(n)]
        with pytest.raises(ValueError):
            pool.map(square_of_even, range(n, n + 5))
        return n

    running = [background(work, n) for n in range(8)]
    assert [result() for result in running] == list(range(8))


def test_several_threads_wait_for_one_result(pool, background):
    for _ in range(20):
        result = pool.apply_async(square, (3,))
        assert [wait() for wait in [background(result.get) for _ in range(4)]] == [9] * 4


@only(*WORKERS)
def test_whoever_waits_for_a_quick_task_need_not_wait_for_a_slow_one(make, door, background):
    pool, exit_door = make(2), door()
    slow = pool.apply_async(wait_at, (exit_door, "slow"))
    waiting = background(slow.get)
    assert pool.map(square, range(100)) == [x * x for x in range(100)]
    exit_door.open()
    assert waiting() == "slow"


# ---- workers ----


@pytest.mark.parametrize("argument", ["processes", "max_workers", "n_jobs"])
@only("local", "threads")
def test_workers_are_counted_by_any_name(engine, argument):
    with mh.Pool(**{argument: 3}, engine=engine) as pool:
        assert "3 workers" in repr(pool)
        assert pool.map(square, range(5)) == [0, 1, 4, 9, 16]


def test_n_jobs_counts_down_from_all_cores():
    with mh.Pool(n_jobs=-1, engine="threads") as pool:
        assert f"{mh.cpu_count()} workers" in repr(pool)
    with mh.Pool(n_jobs=-1000, engine="threads") as pool:
        assert "1 workers" in repr(pool)


@only(*WORKERS)
def test_so_many_tasks_run_at_once_as_there_are_workers(make, door):
    pool, exit_door = make(3), door()
    began = [door() for _ in range(3)]
    results = [pool.apply_async(begin_and_wait, (each, exit_door)) for each in began]
    for each in began:
        each.wait()
    exit_door.open()
    for result in results:
        result.get()


@only(*OWN)
def test_the_initializer_runs_in_each_worker_before_its_tasks(make):
    pool = make(2, initializer=remember, initargs=("hello",))
    assert set(pool.map(remembered, range(50))) == {"hello"}


@only(*OWN)
def test_worker_states_are_apart(make):
    mh.worker_state().pop("value", None)
    first, second = make(1, initializer=remember, initargs=(1,)), make(1, initializer=remember, initargs=(2,))
    assert (first.apply(remembered), second.apply(remembered), remembered()) == (1, 2, None)


@only(*OWN)
def test_an_initializer_that_raises_breaks_the_pool_once_with_that_error(make):
    pool = make(2, initializer=fail, initargs=(LookupError, "no such place"))
    for kind in (PoolBrokenError, concurrent.futures.process.BrokenProcessPool):
        with pytest.raises(kind, match="no such place") as caught:
            pool.apply(square, (3,))
        assert type(caught.value.__cause__) is LookupError
    assert "broken" in repr(pool)


@only("local", "threads")
def test_what_was_queued_behind_an_initializer_that_raises_fails(make, door):
    began, exit_door = door(), door()

    def initialize():
        began.open()
        exit_door.wait()
        raise LookupError("too late")

    pool = make(1, initializer=initialize)
    results = [pool.apply_async(square, (n,)) for n in range(5)]
    mapped = pool.map_async(square, range(5))
    began.wait()
    exit_door.open()
    for result in (*results, mapped):
        with pytest.raises(PoolBrokenError, match="too late"):
            result.get()


@only(*OWN)
def test_the_finalizer_runs_in_each_worker_that_leaves(make, diary):
    pool = make(2, finalizer=lambda: diary.write("bye"))
    pool.map(square, range(10))
    pool.close()
    pool.join()
    assert set(diary.lines) == {"bye"}
    assert len(diary.lines) == (1 if "inline" in repr(pool) else 2)


@only(*OWN)
def test_a_finalizer_that_raises_is_told_and_hurts_nobody(make, capfd):
    pool = make(1, finalizer=functools.partial(fail, ValueError, "at the end"))
    assert pool.apply(square, (3,)) == 9
    pool.close()
    pool.join()
    assert "at the end" in capfd.readouterr().err


@only(*OWN)
@pytest.mark.parametrize("most", [1, 3])
def test_a_worker_is_replaced_after_so_many_tasks(most, make, diary):
    pool = make(2, maxtasksperchild=most, finalizer=lambda: diary.write("bye"))
    counts = pool.map(count_calls, range(20)) + [pool.apply(count_calls) for _ in range(5)]
    assert max(counts) <= most
    pool.close()
    pool.join()
    assert len(diary.lines) >= 25 // most


@pytest.mark.parametrize("argument", ["initializer", "finalizer"])
def test_an_initializer_is_for_the_executor_to_run(argument):
    with ThreadPoolExecutor(1) as under, pytest.raises(UsageError, match=f"{argument}.*ThreadPoolExecutor"):
        mh.Pool(1, engine=under, **{argument: print})


def test_an_executor_that_breaks_breaks_the_pool_and_fails_its_tasks():
    with (
        ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as under,
        mh.Pool(1, engine=under) as pool,
    ):
        with pytest.raises(WorkerLostError):
            pool.apply(os._exit, (3,))
        with pytest.raises(PoolBrokenError) as caught:
            pool.apply(square, (3,))
        assert isinstance(caught.value.__cause__, concurrent.futures.process.BrokenProcessPool)
        assert "broken" in repr(pool)


def test_an_executor_that_was_shut_down_makes_a_broken_pool():
    under = ThreadPoolExecutor(1)
    under.shutdown()
    with contextlib.closing(mh.Pool(1, engine=under)) as pool:
        with pytest.raises(PoolBrokenError, match="takes no work"):
            pool.apply(square, (3,))
        pool.terminate()


def test_an_executor_that_is_shut_down_meanwhile_fails_what_is_left(tmp_path):
    path = tmp_path / "door"
    os.mkfifo(path)
    fd = os.open(path, os.O_RDWR)
    under = ThreadPoolExecutor(1)
    with mh.Pool(1, engine=under) as pool:
        running = pool.apply_async(wait_at, (Door(path), 7))
        while not running.running():
            threading.Event().wait(0.001)
        queued = [pool.apply_async(square, (n,)) for n in range(10)]
        under.shutdown(wait=False, cancel_futures=True)
        os.write(fd, b"x")
        assert running.get() == 7
        for result in queued:
            with pytest.raises(PoolBrokenError):
                result.get()
    under.shutdown()
    os.close(fd)


# ---- pools in pools ----


@pytest.mark.parametrize("inner", ["inline", "threads", "local"])
def test_a_task_may_have_a_pool_of_its_own(inner, pool):
    assert pool.apply(nested_map, (inner, 3)) == [0, 1, 4]
    assert pool.starmap(nested_map, [(inner, 2), (inner, 3)]) == [[0, 1], [0, 1, 4]]


@only("threads", "thread executor", "inline")
def test_a_task_may_use_the_pool_that_runs_it_while_a_worker_is_free(make):
    pool = make(2)
    assert pool.apply(lambda: pool.apply(square, (3,)) + 1) == 10
    assert pool.apply(lambda: sum(pool.map(square, range(10)))) == 285
    assert pool.apply(lambda: list(pool.imap(square, range(10)))) == [n * n for n in range(10)]


@only("inline")
def test_an_inline_task_may_use_its_pool_however_deep(engine, pool):
    def factorial(n):
        return n * pool.apply(factorial, (n - 1,)) if n else 1

    assert pool.apply(factorial, (30,)) == math.factorial(30)
    assert pool.map(lambda n: sum(pool.map(square, range(n))), range(30)) == [
        sum(k * k for k in range(n)) for n in range(30)
    ]
    assert pool.map(factorial, range(10)) == [math.factorial(n) for n in range(10)]


@only("inline")
def test_an_inline_task_that_waits_for_its_own_pool_to_end_is_told(engine, pool):
    def wait_for_the_end():
        pool.close()
        pool.join()

    with pytest.raises(RuntimeError, match="for ever"):
        pool.apply(wait_for_the_end)


@only("inline")
def test_inline_tasks_run_here_in_order_when_they_are_submitted(engine, make):
    pool, ran = make(4), []

    def run(n):
        ran.append((n, threading.get_ident()))

    results = [pool.apply_async(run, (n,)) for n in range(5)]
    assert ran == [(n, threading.get_ident()) for n in range(5)]
    assert all(result.ready() for result in results)
    ran.clear()
    pool.map_async(run, range(300))
    assert [n for n, _ in ran] == list(range(300))


@only("threads", "inline")
def test_a_task_may_terminate_the_pool_that_runs_it(engine, pool):
    result = pool.apply_async(pool.terminate)
    with contextlib.suppress(CancelledError):
        result.get()
    with pytest.raises(ValueError, match="not running"):
        pool.apply(square, (1,))


def test_pools_do_not_pickle(pool, executor):
    for each in (pool, executor):
        with pytest.raises(NotImplementedError, match="cannot be passed between processes"):
            pickle.dumps(each)


# ---- arguments that make no sense ----

BAD_POOLS = {
    "processes": [0, -1, 1.5, "2", 10**9],
    "max_workers": [0, -3, "many"],
    "n_jobs": [0, 0.5],
    "maxtasksperchild": [0, -1, 2.5, "1"],
    "task_timeout": [0, -1, "1", math.nan, True],
    "retries": [-1, 1.5, "1"],
    "initializer": [3, "f"],
    "finalizer": [3, "f"],
    "engine": ["nowhere", None, 3],
    "context": ["nowhere"],
}


@pytest.mark.parametrize(
    ("argument", "value"), [(name, value) for name in BAD_POOLS for value in BAD_POOLS[name]]
)
def test_a_pool_refuses_arguments_that_make_no_sense(argument, value):
    with pytest.raises(UsageError) as caught:
        mh.Pool(**{argument: value})
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, TypeError)
    assert argument in str(caught.value) or "start method" in str(caught.value)


def test_a_pool_refuses_two_numbers_of_workers():
    with pytest.raises(UsageError, match="processes and max_workers"):
        mh.Pool(2, max_workers=2)


BAD_CALLS = {
    "not a function": ("function", lambda pool: pool.apply(3)),
    "no function in a map": ("function", lambda pool: pool.map(None, [1])),
    "args that are no iterable": ("args", lambda pool: pool.apply(square, 3)),
    "kwds that are no mapping": ("kwds", lambda pool: pool.apply(both, (), [1])),
    "input that is no iterable": ("iterable", lambda pool: pool.map(square, 3)),
    "input of imap that is no iterable": ("iterable", lambda pool: pool.imap(square, 3)),
    "chunksize 0": ("chunksize", lambda pool: pool.map(square, [1], 0)),
    "chunksize a text": ("chunksize", lambda pool: pool.imap(square, [1], "3")),
    "chunksize below 0": ("chunksize", lambda pool: pool.map_async(square, [1], -1)),
    "buffersize 0": ("buffersize", lambda pool: pool.imap(square, [1], buffersize=0)),
    "buffersize a fraction": ("buffersize", lambda pool: pool.imap_unordered(square, [1], buffersize=1.5)),
    "task_timeout 0": ("task_timeout", lambda pool: pool.apply_async(square, (1,), task_timeout=0)),
    "retries below 0": ("retries", lambda pool: pool.apply_async(square, (1,), retries=-1)),
    "callback no function": ("callback", lambda pool: pool.apply_async(square, (1,), callback=3)),
    "error_callback no function": ("error_callback", lambda pool: pool.map_async(square, [1], error_callback=3)),
    "a timeout of get that is a text": ("timeout", lambda pool: pool.apply_async(square, (1,)).get("3")),
    "a timeout of wait that is a text": ("timeout", lambda pool: pool.apply_async(square, (1,)).wait("3")),
    "grace below 0": ("grace", lambda pool: pool.terminate(-1)),
    "grace a text": ("grace", lambda pool: pool.terminate("3")),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_CALLS)
def test_a_call_refuses_arguments_that_make_no_sense(what, pool):
    argument, call = BAD_CALLS[what]
    if argument == "timeout" and pool._core.engine.name == "inline":
        pytest.skip("there is no waiting: the result is there")
    with pytest.raises((UsageError, TypeError), match=argument):
        call(pool)
    assert pool.apply(square, (3,)) == 9


def test_an_item_of_starmap_that_is_no_iterable_is_that_items_error(pool):
    with pytest.raises(TypeError):
        pool.starmap(square, [(1,), 2])


# ---- looks ----


def test_repr_says_what_it_is(make):
    pool = make(2)
    assert "Pool" in repr(pool)
    assert "running" in repr(pool)
    assert pool._core.engine.name in repr(pool)
    pool.terminate()
    assert "closed" in repr(pool)


def test_repr_of_a_result_says_how_it_is(pool):
    result = pool.apply_async(square, (3,))
    result.wait()
    assert "finished" in repr(result)
