"""Signals, closing and odd callbacks while a queue is in use: nothing hangs, nothing is lost."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
import weakref

import numpy as np
import pytest

import manyhands as mh
from manyhands.errors import ClosedResourceError


class Interrupted(Exception):
    pass


WAITS = {
    "get": (lambda q: q.get(), 0), "put": (lambda q: q.put(2), 1), "join": (lambda q: q.join(), 1),
    "get_many": (lambda q: q.get_many(), 0), "put_large": (lambda q: q.put([np.ones(100_000)]), 1),
    "put_many": (lambda q: q.put_many([2]), 1), "get with time-out": (lambda q: q.get(timeout=1000), 0),
}  # fmt: skip
RELEASES = {"get": lambda q: q.put("x"), "put": lambda q: q.get(), "join": lambda q: q.task_done()}


@pytest.fixture(params=WAITS)
def waiting(request):
    wait, items = WAITS[request.param]
    q = mh.JoinableQueue(1)
    q.put_many(range(items))
    yield q, wait, items, RELEASES[request.param.split("_")[0].split()[0]]
    q.close()


@pytest.fixture
def when_asleep():
    """Call something in a thread once the main thread sleeps in the kernel."""
    threads = []
    main = threading.main_thread().native_id

    def state():
        with open(f"/proc/self/task/{main}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]

    def start(call):
        def run():
            asleep = 0
            while asleep < 20:
                asleep = asleep + 1 if state() == "S" else 0
                time.sleep(
                    0.001
                )  # not to synchronise: only not to take the core from the one that is looked at
            call()

        threads.append(threading.Thread(target=run))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join()


@pytest.fixture
def handler():
    """Set a handler for SIGUSR1."""
    old = signal.getsignal(signal.SIGUSR1)
    yield lambda function: signal.signal(signal.SIGUSR1, lambda *_: function())
    signal.signal(signal.SIGUSR1, old)


def knock():
    os.kill(os.getpid(), signal.SIGUSR1)


def test_an_exception_of_a_handler_comes_out_and_nothing_is_consumed(waiting, when_asleep, handler):
    q, wait, items, _ = waiting

    def fail():
        raise Interrupted

    handler(fail)
    when_asleep(knock)
    with pytest.raises(Interrupted):
        wait(q)
    assert q.qsize() == items


def test_a_wait_goes_on_after_a_handler_that_returns(waiting, when_asleep, handler):
    q, wait, _, release = waiting
    calls = []
    handler(lambda: (calls.append(1), when_asleep(lambda: release(q))))
    when_asleep(knock)
    wait(q)
    assert calls == [1]


def test_a_handler_may_close_the_queue(waiting, when_asleep, handler):
    q, wait, _, _ = waiting
    handler(q.close)
    when_asleep(knock)
    with pytest.raises(ClosedResourceError):
        wait(q)


def test_a_handler_may_release_its_own_wait(waiting, when_asleep, handler):
    q, wait, _, release = waiting
    handler(lambda: release(q))
    when_asleep(knock)
    wait(q)


def test_ctrl_c_comes_out_of_a_wait(waiting, when_asleep):
    q, wait, items, _ = waiting
    when_asleep(lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        wait(q)
    assert q.qsize() == items


def test_another_thread_may_close_the_queue(waiting, when_asleep):
    q, wait, _, _ = waiting
    when_asleep(q.close)
    with pytest.raises(ClosedResourceError):
        wait(q)


def test_handlers_may_use_queues_while_the_main_thread_does(handler):
    """A storm of signals whose handler puts and gets large items."""
    q, other = mh.Queue(), mh.Queue()
    array = np.ones(30_000)
    handled = []

    def use():
        other.put(array)
        assert other.get().sum() == 30_000
        handled.append(1)

    handler(use)
    stop = threading.Event()

    def storm():
        while not stop.is_set():
            knock()
            stop.wait(0.0005)

    thread = threading.Thread(target=storm)
    thread.start()
    for i in range(1500):
        q.put([i, array])
        assert q.get()[0] == i
    stop.set()
    thread.join()
    assert handled
    q.close()
    other.close()


def test_closing_while_threads_use_the_queue_ends_them_all(background):
    for _ in range(20):
        q = mh.Queue()

        def use(q=q):
            while True:
                q.put(1)
                q.put([1])
                q.get()

        users = [background(use) for _ in range(4)]
        time.sleep(0.002)  # any moment will do
        q.close()
        for user in users:
            with pytest.raises(ClosedResourceError):
                user()


def test_a_finalizer_may_put_while_a_get_rebuilds_an_item():
    q = mh.Queue()

    class Speaks:
        def __init__(self):
            self.me = self

        def __del__(self):
            q.put("from __del__")

    gc.collect()
    gc.disable()
    try:
        for _ in range(50):
            Speaks()
        q.put([{} for _ in range(2000)])
        gc.set_threshold(1)
        gc.enable()
        assert len(q.get()) == 2000
    finally:
        gc.set_threshold(700, 10, 10)
        gc.enable()
    gc.collect()
    assert q.get_many() == ["from __del__"] * 50
    q.close()


def test_a_weakref_callback_may_put_into_the_queue_that_put_many_writes_to():
    q = mh.Queue()

    class Node:
        pass

    refs = []
    gc.disable()
    for _ in range(20):
        node = Node()
        node.me = node
        refs.append(weakref.ref(node, lambda _: q.put("callback")))
    del node
    gc.set_threshold(1)
    gc.enable()
    try:
        q.put_many(["a", "\ud800", "b", [1], {}, "\ud801"] * 20)
    finally:
        gc.set_threshold(700, 10, 10)
    gc.collect()
    got = q.get_many()
    assert got.count("callback") == 20
    assert len(got) == 140
    q.close()


def test_an_item_may_use_the_queue_while_it_is_rebuilt():
    q = mh.Queue()
    _known["q"] = q
    q.put(PutsWhenRebuilt())
    assert q.get() == "rebuilt"
    assert q.get() == "put while rebuilt"
    q.put(ClosesWhenRebuilt())
    assert q.get() == "closed"
    with pytest.raises(ClosedResourceError):
        q.get()
    _known.clear()


_known = {}


def _put():
    _known["q"].put("put while rebuilt")
    return "rebuilt"


def _close():
    _known["q"].close()
    return "closed"


class PutsWhenRebuilt:
    def __reduce__(self):
        return _put, ()


class ClosesWhenRebuilt:
    def __reduce__(self):
        return _close, ()


# ---- a lock that is held for long ----


def stopped(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "T"


def sleeping(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "S"


def test_a_blocking_get_waits_for_a_stopped_reader(forked, ended, until, when_asleep):
    """The stopped one holds the lock of the readers. Whoever waits for ever must not be told `queue.Empty`."""
    q, back = mh.Queue(), mh.Queue()
    pid = forked(lambda: (back.put("here"), back.put(q.get())))
    back.get()
    until(lambda: sleeping(pid))
    os.kill(pid, signal.SIGSTOP)
    until(lambda: stopped(pid))
    q.put(1)
    q.put(2)
    when_asleep(lambda: os.kill(pid, signal.SIGCONT))
    mine = q.get()
    assert sorted([mine, back.get()]) == [1, 2]
    assert ended(pid) == 0
    q.close()
    back.close()


def test_a_blocking_put_waits_for_a_stopped_writer(forked, ended, until, when_asleep):
    q, back = mh.SimpleQueue(), mh.Queue()

    def fill():
        back.put("here")
        for i in range(40):
            q.put(bytes([i]) * 60_000)

    pid = forked(fill)
    back.get()
    until(lambda: sleeping(pid))
    os.kill(pid, signal.SIGSTOP)
    until(lambda: stopped(pid))
    got = []
    when_asleep(lambda: (os.kill(pid, signal.SIGCONT), got.extend(q.get() for _ in range(30))))
    q.put("mine")
    mine = [q.get() for _ in range(11)]
    assert ended(pid) == 0
    until(lambda: len(got) == 30)
    assert "mine" in got + mine
    q.close()
    back.close()
