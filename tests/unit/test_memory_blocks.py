"""Memory stays bounded: blocks come back, whatever order people and processes let go in."""

from __future__ import annotations

import os
import pickle
import signal

import numpy as np
import pytest

import manyhands as mh
from manyhands._native import Arena, Ring
from manyhands.channel.ring import RingHandle, _codec
from manyhands.errors import CorruptRingError, PicklingError
from manyhands.memory import arena

MB8 = 1_000_000  # float64s


def test_steady_traffic_of_large_arrays_leaves_memory_bounded(statistics):
    q = mh.Queue()
    array = np.ones(MB8)

    def after(rounds):
        for _ in range(rounds):
            q.put(array)
            q.get()
        return statistics()

    assert after(10) == after(60)
    q.close()


def test_steady_traffic_to_a_child_leaves_memory_bounded(statistics, forked, ended):
    before = statistics()["blocks"]
    there, back = mh.Queue(), mh.Queue()

    def child():
        while (array := there.get()) is not None:
            back.put(array)

    pid = forked(child)
    array = np.ones(MB8)
    for _ in range(30):
        there.put(array)
        back.get()
    there.put(None)
    assert ended(pid) == 0
    assert statistics()["blocks"] == before
    there.close()
    back.close()


@pytest.mark.parametrize("drop", ["close", "del"])
def test_a_dropped_queue_frees_what_nobody_read(statistics, drop):
    before = statistics()["blocks"]
    q = mh.Queue()
    for _ in range(5):
        q.put(np.ones(MB8))
    assert statistics()["blocks"] == before + 5
    if drop == "close":
        q.close()
    del q
    assert statistics()["blocks"] == before


def test_a_dropped_pipe_frees_what_nobody_read(statistics):
    before = statistics()["blocks"]
    a, b = mh.Pipe()
    a.send(np.ones(MB8))
    a.close()
    b.close()
    assert statistics()["blocks"] == before


@pytest.mark.parametrize("method", ["template", "fork", "spawn"])
def test_a_queue_that_was_in_a_child_frees_what_nobody_read(script, method):
    script(f"""
        import gc
        import manyhands as mh
        from manyhands.memory import arena
        def child(q): q.put(1)
        q = mh.Queue()
        process = mh.get_context({method!r}).Process(target=child, args=(q,))
        process.start()
        process.join()
        q.get()
        q.put(bytes(1_000_000))
        del q, process
        gc.collect()
        assert arena.family().statistics()["blocks"] == 0, arena.family().statistics()
    """)


def test_a_queue_that_was_sent_beside_a_lambda_frees_what_nobody_read(statistics):
    before = statistics()["blocks"]
    q, carrier = mh.Queue(), mh.Queue()
    q.put(np.ones(MB8))
    carrier.put((q, lambda: 1))
    received, _ = carrier.get()
    for one in (q, carrier, received):
        one.close()
    assert statistics()["blocks"] == before


def test_a_queue_beside_what_cannot_be_pickled_frees_what_nobody_read(statistics):
    before = statistics()["blocks"]
    q, carrier = mh.Queue(), mh.Queue()
    q.put(np.ones(MB8))
    with pytest.raises(PicklingError):
        carrier.put((q, (i for i in "a generator")))
    q.close()
    carrier.close()
    assert statistics()["blocks"] == before


def test_a_queue_in_a_dropped_queue_frees_what_nobody_read(statistics):
    before = statistics()["blocks"]
    q, carrier = mh.Queue(), mh.Queue()
    q.put(np.ones(MB8))
    carrier.put(q)
    carrier.close()
    q.close()
    assert statistics()["blocks"] == before


def test_a_pickle_of_a_queue_may_be_opened_twice():
    q = mh.Queue()
    data = pickle.dumps(q)
    twins = pickle.loads(data), pickle.loads(data)
    q.put(1)
    for twin in twins:
        twin.close()
    assert q.qsize() == 1
    q.close()


def test_a_view_outlives_its_queue():
    q = mh.Queue()
    q.put(np.arange(MB8))
    view = q.get()[-10:]
    q.close()
    assert view.tolist() == list(range(MB8 - 10, MB8))


def test_a_held_view_is_not_overwritten_by_later_traffic():
    q = mh.Queue()
    held = []
    for i in range(20):
        q.put(np.full(50_000, i))
        held.append(q.get())
    assert [set(array.tolist()) for array in held] == [{i} for i in range(20)]
    q.close()


def test_neither_side_of_a_fork_corrupts_the_views_of_the_other(forked, ended):
    q = mh.Queue()
    q.put(np.full(50_000, 7))
    view = q.get()
    done = mh.Queue()

    def child():
        nonlocal view
        del view
        for _ in range(20):
            q.put(np.zeros(50_000))
            q.get()
        done.put(True)

    pid = forked(child)
    done.get()
    assert ended(pid) == 0
    assert set(view.tolist()) == {7}

    def keep():
        done.get()
        assert set(view.tolist()) == {7}

    pid = forked(keep)
    mine, view_was = view.copy(), view
    del view_was
    view = mine
    for _ in range(20):
        q.put(np.zeros(50_000))
        q.get()
    done.put("look")
    assert ended(pid) == 0
    q.close()
    done.close()


def test_views_that_saw_a_fork_are_freed_in_the_end(forked, ended, statistics):
    before = statistics()["blocks"]
    q = mh.Queue()
    for _ in range(5):
        q.put(np.ones(MB8))
        view = q.get()
        assert ended(forked(lambda: None)) == 0
        del view
    assert statistics()["blocks"] == before
    q.close()


def test_trim_gives_the_warm_memory_back(statistics):
    q = mh.Queue()
    q.put(np.ones(MB8))
    q.get()
    q.close()
    arena.family().trim()
    assert statistics()["warm_free_bytes"] == 0


def test_the_budget_of_the_environment_bounds_warm_memory(script):
    out = script(
        """
        import manyhands as mh, numpy as np
        from manyhands.memory import arena
        q = mh.Queue()
        for _ in range(4): q.put(np.ones(1_000_000))
        for _ in range(4): q.get()
        print(arena.family().statistics()["warm_free_bytes"] <= 10_000_000)
        """,
        MANYHANDS_ARENA_BUDGET="10000000",
    )
    assert out == "True\n"


# ---- what is no ring and no arena ----


def strangers():
    read, write = os.pipe()
    yield read
    yield write
    empty = os.memfd_create("x", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    yield empty
    for data in (bytes(1 << 20), os.urandom(1 << 20)):
        fd = os.memfd_create("x", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.write(fd, data)
        import fcntl

        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        yield fd
    yield os.open("/dev/zero", os.O_RDWR)
    yield os.open("/tmp", os.O_RDONLY)
    yield os.open(__file__, os.O_RDONLY)


def test_garbage_is_not_taken_for_a_ring_or_an_arena():
    for fd in strangers():
        with pytest.raises(CorruptRingError, match="not"):
            Ring.attach(fd, _codec())
        with pytest.raises(CorruptRingError, match="not"):
            Arena.attach(fd, 0)
        os.close(fd)
    with pytest.raises(CorruptRingError):
        Ring.attach(-1, _codec())


def test_an_arena_is_no_ring_and_a_ring_is_no_arena():
    handle = RingHandle.create()
    with pytest.raises(CorruptRingError):
        Ring.attach(arena.family().fd, _codec())
    with pytest.raises(CorruptRingError):
        Arena.attach(handle.native.fd, 0)
    handle.close()


def test_a_ring_full_of_garbage_never_crashes_the_process(forked, ended):
    """Random damage anywhere but in the locks, which garbage could lock for ever."""
    import queue
    import random

    def use(seed):
        print(f"seed {seed}")
        rng = random.Random(seed)
        q = mh.Queue()
        q.put_many(range(20))
        fd = q._ring.fd
        for _ in range(300):
            at = rng.choice([rng.randrange(40), rng.randrange(1024, 1400), rng.randrange(4096, 8192)])
            before = os.pread(fd, 4, at)
            os.pwrite(fd, rng.randbytes(rng.choice([1, 4])), at)
            for call in (
                lambda: Ring.attach(os.dup(fd), _codec()),
                lambda: q._ring.get(0),
                lambda: q._ring.put(1, 0),
            ):
                try:
                    call()
                except (queue.Empty, queue.Full, CorruptRingError, MemoryError, OSError):
                    pass
            os.pwrite(fd, before, at)

    for seed in range(4):
        code = ended(forked(use, seed))
        assert code in (0, 1), f"seed {seed}: ended by {signal.Signals(-code).name}"
