"""Arguments that make no sense are refused at once, by name; errors keep their facts over a pickle."""

from __future__ import annotations

import inspect
import math
import pickle
import queue
import sys

import numpy as np
import pytest

import manyhands as mh
from manyhands import byvalue, config, descriptors, errors
from manyhands.errors import DescriptorLostError, PicklingError, UsageError

ALL_ERRORS = [
    c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.ManyhandsError)
]


@pytest.mark.parametrize("kind", [mh.Queue, mh.JoinableQueue])
@pytest.mark.parametrize("maxsize", [-1, 1.5, "3", None, 1 << 31, 10**30, float("nan"), []], ids=repr)
def test_a_senseless_maxsize_is_refused(kind, maxsize):
    with pytest.raises(UsageError, match=r"maxsize (is|must be).*0"):
        kind(maxsize)


@pytest.mark.parametrize("maxsize", [True, np.int64(1)], ids=repr)
def test_whatever_counts_as_a_whole_number_is_a_maxsize(maxsize):
    q = mh.Queue(maxsize)
    q.put(1)
    assert q.full()


CALLS = {
    "put": lambda q, t: q.put(1, timeout=t), "put of a large item": lambda q, t: q.put([np.ones(100_000)], timeout=t),
    "get": lambda q, t: q.get(timeout=t), "join": lambda q, t: q.join(t), "get_many": lambda q, t: q.get_many(timeout=t),
    "put_many": lambda q, t: q.put_many([1], timeout=t),
}  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("timeout", [math.nan, "5", []], ids=repr)
def test_a_senseless_time_out_is_refused_by_name(call, timeout):
    q = mh.JoinableQueue(1)
    q.put(1) if "put" not in call else None
    with pytest.raises((TypeError, ValueError), match="timeout"):
        CALLS[call](q, timeout)
    assert q.qsize() == (0 if "put" in call else 1)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("timeout", [math.inf, 1e300, 10**9, np.float64(5)], ids=repr)
def test_a_very_long_time_out_is_one(call, timeout):
    q = mh.JoinableQueue(1)
    if "put" not in call:
        q.put(1)
    if call == "join":
        q.get()
        q.task_done()
    CALLS[call](q, timeout)


@pytest.mark.parametrize("timeout", [math.inf, 1e10], ids=repr)
def test_a_pipe_polls_with_a_very_long_time_out(timeout):
    a, b = mh.Pipe()
    with a, b:
        a.send(1)
        assert b.poll(timeout)


@pytest.mark.parametrize("timeout", [math.nan, "5"], ids=repr)
def test_a_pipe_refuses_a_senseless_time_out(timeout):
    a, b = mh.Pipe()
    with a, b, pytest.raises((TypeError, ValueError)):
        b.poll(timeout)


@pytest.mark.parametrize("most", [0, -1, -(10**30)], ids=repr)
def test_get_many_refuses_to_get_nothing(most):
    with pytest.raises(UsageError, match="max_items is"):
        mh.Queue().get_many(most)


@pytest.mark.parametrize("most", [2.5, "3"], ids=repr)
def test_get_many_refuses_what_is_no_number(most):
    with pytest.raises(TypeError):
        mh.Queue().get_many(most)


def test_get_many_takes_a_huge_limit():
    q = mh.Queue()
    q.put(1)
    assert q.get_many(10**30) == [1]


@pytest.mark.parametrize("iterable", [None, 5])
def test_put_many_refuses_what_is_not_iterable(iterable):
    with pytest.raises(TypeError, match="not iterable"):
        mh.Queue().put_many(iterable)


def test_an_unknown_start_method_lists_those_that_exist():
    with pytest.raises(UsageError, match=r"'thread'.*template, fork, spawn.*forkserver"):
        mh.get_context("thread")


@pytest.mark.parametrize("method", ["template", "fork", "spawn"])
def test_a_context_makes_everything(method):
    context = mh.get_context(method)
    assert context.get_start_method() == method
    assert context.get_context() is context
    with pytest.raises(UsageError, match=method):
        context.set_start_method("fork")
    for made in (context.Queue(2), context.JoinableQueue(2), context.SimpleQueue(), *context.Pipe(False)):
        made.close()
    assert mh.get_context("forkserver") is mh.get_context("template")


# ---- errors ----


@pytest.mark.parametrize("cls", ALL_ERRORS, ids=lambda c: c.__name__)
def test_an_error_keeps_its_facts_over_a_pickle(cls):
    error = cls("what was wrong; what to do")
    error.fact = [1, 2]
    error.add_note("a note")
    for _ in range(2):
        error = pickle.loads(pickle.dumps(error))
    assert (type(error), str(error), error.fact, error.__notes__) == (
        cls,
        "what was wrong; what to do",
        [1, 2],
        ["a note"],
    )


@pytest.mark.parametrize("cls", [c for c in ALL_ERRORS if issubclass(c, OSError)], ids=lambda c: c.__name__)
def test_a_system_error_keeps_its_number_over_a_pickle(cls):
    error = cls(24, "too many")
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.args, copy.errno, copy.strerror, str(copy)) == (
        error.args,
        error.errno,
        error.strerror,
        str(error),
    )


def test_the_pickling_error_keeps_its_path():
    error = pickle.loads(pickle.dumps(PicklingError("no", "Job.args[1]")))
    assert (error.path, str(error)) == ("Job.args[1]", "no")


@pytest.mark.parametrize(
    ("cls", "standard"),
    [
        (errors.PicklingError, (pickle.PicklingError, TypeError)), (errors.UnpicklingError, (pickle.UnpicklingError,)),
        (errors.ClosedResourceError, (ValueError, OSError)), (errors.BrokenResourceError, (OSError, EOFError)),
        (errors.OutOfMemoryError, (MemoryError,)), (errors.StartError, (RuntimeError,)), (errors.UsageError, (ValueError, TypeError)),
    ],
)  # fmt: skip
def test_existing_except_clauses_catch_ours(cls, standard):
    assert issubclass(cls, standard[0])
    assert all(issubclass(cls, one) for one in standard)


def test_a_remote_traceback_survives_a_pickle():
    copy = pickle.loads(pickle.dumps(errors.RemoteTraceback("line 1")))
    assert (copy.text, str(copy)) == ("line 1", '\n"""\nline 1"""')


def test_full_keeps_how_many_were_put_over_a_pickle():
    q = mh.Queue(1)
    with pytest.raises(queue.Full) as caught:
        q.put_many([1, 2], block=False)
    assert pickle.loads(pickle.dumps(caught.value)).items_put == 1


# ---- what cannot be pickled ----


class Job:
    def __init__(self, *args):
        self.args = args


class Refuses:
    def __init__(self, error):
        self.error = error

    def __reduce__(self):
        raise self.error("no")


@pytest.mark.parametrize("error", [RuntimeError, ValueError, KeyError, TypeError, OSError])
def test_what_raises_half_way_is_a_pickling_error_with_the_path(error):
    q = mh.Queue()
    with pytest.raises(PicklingError, match=r"Job\.args\[1\]\['k'\]") as caught:
        q.put(Job(np.ones(100), {"k": Refuses(error)}))
    assert caught.value.path.startswith("Job.args[1]['k']")
    assert (q.qsize(), q.put("fine"), q.get()) == (0, None, "fine")


def test_the_path_leads_through_a_closure():
    lock = (i for i in "generator")
    with pytest.raises(PicklingError, match="closing over lock"):
        mh.Queue().put(lambda: lock)


def test_put_many_says_how_many_were_put_before_what_cannot_be_pickled():
    q = mh.Queue()
    with pytest.raises(PicklingError) as caught:
        q.put_many([1, 2, (i for i in "x"), 3])
    assert q.qsize() == 2
    assert caught.value.items_put == 2


def test_a_very_deep_object_is_refused_and_harms_nothing():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    q = mh.Queue()
    with pytest.raises((PicklingError, RecursionError)):
        q.put(deep)
    q.put(1)
    assert q.get() == 1


def test_an_item_whose_unpickling_raises_is_taken_and_the_next_works():
    q = mh.Queue()
    q.put(Explodes())
    q.put([np.ones(100_000), Explodes()])
    q.put("fine")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            q.get()
    assert q.get() == "fine"


class Explodes:
    def __reduce__(self):
        return divmod, (1, 0)


def test_a_large_item_whose_unpickling_raises_frees_its_block(statistics):
    before = statistics()["blocks"]
    q = mh.Queue()
    q.put([np.ones(1_000_000), Explodes()])
    with pytest.raises(ZeroDivisionError):
        q.get()
    assert statistics()["blocks"] == before


@pytest.mark.parametrize("close", [lambda q: q.close()])
def test_a_closed_queue_refuses_to_travel(close):
    q = mh.Queue()
    close(q)
    with pytest.raises(pickle.PicklingError, match="closed"):
        pickle.dumps(q)
    with pytest.raises(pickle.PicklingError, match="closed"):
        mh.Queue().put(q)
    a, b = mh.Pipe()
    a.close()
    b.close()
    with pytest.raises(pickle.PicklingError, match="closed"):
        pickle.dumps(a)


def test_the_standard_pickler_is_enough_for_what_can_be_imported():
    assert byvalue.dumps([1, "x", len]) == pickle.dumps([1, "x", len], 5)


# ---- the environment, descriptors ----


@pytest.mark.parametrize("value", ["-1", "x", "1.5", "1e6"])
@pytest.mark.parametrize("read", [config.spin_ns, config.arena_budget_bytes])
def test_a_senseless_setting_is_refused_by_name(monkeypatch, value, read):
    for name in ("MANYHANDS_SPIN_US", "MANYHANDS_ARENA_BUDGET"):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1})
    with pytest.raises(UsageError, match=f"MANYHANDS_.*{value}.*whole number"):
        read()


@pytest.mark.parametrize(("value", "expected"), [("", 1 << 30), (" ", 1 << 30), ("0", 0), (" 7 ", 7)])
def test_a_setting_is_read(monkeypatch, value, expected):
    monkeypatch.setenv("MANYHANDS_ARENA_BUDGET", value)
    assert config.arena_budget_bytes() == min(expected, config.memory_bytes() // 8)


def test_a_descriptor_travels_by_path_and_stays_the_senders():
    import os

    read, write = os.pipe()
    new = descriptors.unpack(descriptors.pack(read), os.O_RDONLY)
    os.write(write, b"!")
    assert os.read(new, 1) == b"!"
    assert not os.get_inheritable(new)
    for fd in (read, write, new):
        os.close(fd)


def test_a_descriptor_that_became_another_file_is_lost():
    import os

    one, other = os.memfd_create("one"), os.memfd_create("other")
    token = descriptors.pack(one)
    kept = token[1]
    os.dup2(other, kept)
    with pytest.raises(DescriptorLostError, match="something else"):
        descriptors.unpack(token, os.O_RDWR)
    descriptors._kept.forget()
    os.close(one)
    with pytest.raises(DescriptorLostError, match="keep the sender alive"):
        descriptors.unpack(token, os.O_RDWR)
    os.close(other)


def test_luggage_is_opened_only_where_it_was_packed_for():
    import os

    fd = os.memfd_create("x")
    with descriptors.packing(descriptors.Luggage()):
        token = descriptors.pack(fd)
    with pytest.raises(DescriptorLostError, match="pickle it anew"):
        descriptors.unpack(token, os.O_RDWR)
    with descriptors.unpacking(descriptors.Luggage([fd])):
        os.close(descriptors.unpack(token, os.O_RDWR))
    os.close(fd)


def test_a_closed_queue_still_has_a_repr():
    q = mh.Queue()
    assert "0 waiting" in repr(q)
    q.close()
    assert "closed" in repr(q)
    assert sys.getrefcount(q)
