"""A queue without maxsize takes whatever comes, in order, and gives the memory back."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest

import manyhands as mh


def pages_of(q):
    """Bytes of memory behind the ring's file."""
    return os.fstat(q._ring.fd).st_blocks * 512


@pytest.fixture
def q():
    made = mh.Queue()
    yield made
    made.close()


def test_many_small_items_put_before_anybody_reads(q):
    q.put_many(range(200_000))
    assert q.qsize() == 200_000
    got = []
    while len(got) < 200_000:
        got += q.get_many()
    assert got == list(range(200_000))
    q.put(1)
    q.get()
    assert pages_of(q) < 10 << 20


def test_many_middle_sized_items_put_before_anybody_reads(q):
    for i in range(2000):
        q.put(b"%060000d" % i)
    assert pages_of(q) > 100 << 20
    for i in range(2000):
        assert int(q.get()[-10:]) == i
    q.put(1)
    q.get()
    assert pages_of(q) < 10 << 20


def test_a_slow_reader_gets_everything_in_order(q):
    def write():
        for i in range(30_000):
            q.put(i if i % 50 else b"x" * 50_000)

    writer = threading.Thread(target=write)
    writer.start()
    for i in range(30_000):
        assert q.get() == (i if i % 50 else b"x" * 50_000)
    writer.join()
    assert q.empty()


def test_growing_and_draining_again_and_again(q):
    sent = got = 0
    for round_ in (10, 5000, 1, 20_000, 300, 50_000):
        q.put_many(range(sent, sent + round_))
        sent += round_
        while got < sent - round_ // 3:
            assert q.get() == got
            got += 1
    assert [q.get() for _ in range(sent - got)] == list(range(got, sent))


def test_an_item_larger_than_two_segments(q):
    data = np.zeros(150 << 20, "u1")
    data[[0, 64 << 20, -1]] = 1, 2, 3
    q.put(data)
    got = q.get()
    assert (got.size, got[0], got[64 << 20], got[-1]) == (150 << 20, 1, 2, 3)


def test_maxsize_holds_with_many_writers_and_readers():
    q = mh.Queue(10)
    most = [0]
    stop = threading.Event()

    def watch():
        while not stop.is_set():
            most[0] = max(most[0], q.qsize())

    def write(n):
        for i in range(500):
            q.put((n, i))

    got = []

    def read():
        for _ in range(500):
            got.append(q.get())  # noqa: PERF401

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)] + [
        threading.Thread(target=read) for _ in range(4)
    ]
    watcher = threading.Thread(target=watch)
    for thread in [*threads, watcher]:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    watcher.join()
    assert sorted(got) == [(n, i) for n in range(4) for i in range(500)]
    assert most[0] <= 10
    q.close()


@pytest.mark.parametrize("item", ["small", np.ones(30_000)], ids=["small", "large"])
def test_eight_threads_at_both_ends(item):
    q = mh.Queue()
    each = 400
    got = []

    def write(n):
        for i in range(each):
            q.put((n, i, item))

    def read():
        for _ in range(each):
            got.append(q.get()[:2])  # noqa: PERF401

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)] + [
        threading.Thread(target=read) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [(n, i) for n in range(8) for i in range(each)]
    q.close()


def test_get_nowait_never_misses_an_item_that_other_threads_do_not_take():
    """As many items as calls, put before: each call of each thread must find one."""
    import queue

    q = mh.Queue()
    q.put_many(range(8000))
    misses = []

    def read():
        for _ in range(1000):
            try:
                q.get_nowait()
            except queue.Empty:
                misses.append(q.qsize())

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert misses == []
    q.close()
