"""`share` and `empty`: one piece of memory, seen by all, free when nobody has it."""

from __future__ import annotations

import gc
import os
import queue
import signal

import numpy as np
import pyarrow as pa
import pytest

import manyhands as mh
from manyhands.errors import UsageError
from manyhands.memory import arena


@pytest.fixture
def q():
    made = mh.Queue()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _blocks_are_freed(statistics):
    before = statistics()["blocks"]
    yield
    assert statistics()["blocks"] <= before, "blocks are left"


def lies_in_shared_memory(buffer):
    return arena.family().locate(memoryview(buffer)) is not None


def address(array):
    return array.__array_interface__["data"][0]


def test_what_one_process_writes_into_an_empty_array_another_sees(forked, ended):
    there, back = mh.Queue(), mh.Queue()

    def child():
        array = there.get()
        array[3] = 33
        back.put("written")
        there.get()
        assert array[4] == 44

    pid = forked(child)
    array = mh.empty(10, "i8")
    array[:] = 0
    there.put(array)
    assert back.get() == "written"
    assert array[3] == 33
    array[4] = 44
    there.put("look")
    assert ended(pid) == 0


def test_a_shared_array_is_read_only_on_both_sides(q):
    shared = mh.share(np.arange(10))
    q.put(shared)
    got = q.get()
    assert not shared.flags.writeable
    assert not got.flags.writeable
    assert address(got) == address(shared)


@pytest.mark.parametrize(
    "obj",
    [b"x" * 1_000_000, bytearray(b"x" * 10), memoryview(b"x" * 200_000)],
    ids=lambda x: type(x).__name__,
)
def test_shared_bytes_travel_without_a_copy_and_stay_read_only(q, obj):
    shared = mh.share(obj)
    assert (type(shared), shared.readonly, bytes(shared)) == (memoryview, True, bytes(obj))
    assert lies_in_shared_memory(shared)
    q.put(shared)
    got = q.get()
    assert bytes(got) == bytes(obj)
    assert got.readonly
    assert lies_in_shared_memory(got)


def test_sharing_nothing_is_sharing_an_empty_view():
    assert bytes(mh.share(b"")) == b""


def test_a_strided_memoryview_can_be_shared():
    assert bytes(mh.share(memoryview(b"abcdef")[::2])) == b"ace"


def test_an_object_without_buffers_is_returned_as_it_is():
    obj = {"a": [1, 2]}
    assert mh.share(obj) is obj


def test_a_dict_of_arrays_is_shared_in_one_block(statistics, q):
    before = statistics()["blocks"]
    shared = mh.share({"a": np.arange(5), "b": [np.ones((2, 3), order="F")]})
    assert statistics()["blocks"] == before + 1
    q.put(shared)
    got = q.get()
    assert got["a"].tolist() == [0, 1, 2, 3, 4]
    assert address(got["b"][0]) == address(shared["b"][0])


def test_an_object_of_more_than_a_thousand_shared_arrays_arrives(q):
    shared = mh.share({i: np.arange(5) for i in range(1200)})
    q.put(shared)
    assert len(q.get()) == 1200


def test_more_than_a_thousand_views_of_one_shared_array_can_be_held(q):
    shared = mh.share(np.arange(5))
    held = []
    for _ in range(1100):
        q.put(shared)
        held.append(q.get())
    assert len(held) == 1100


def test_an_arrow_table_is_shared(q):
    table = pa.table({"i": list(range(1000))})
    shared = mh.share(table)
    assert shared.equals(table)
    assert lies_in_shared_memory(shared["i"].chunk(0).buffers()[1])
    q.put(shared)
    got = q.get()
    assert got.equals(table)
    assert lies_in_shared_memory(got["i"].chunk(0).buffers()[1])


def test_a_slice_of_a_shared_array_travels_without_a_copy(q):
    shared = mh.share(np.arange(100_000))
    q.put(shared[1000:2000])
    got = q.get()
    assert got.tolist() == list(range(1000, 2000))
    assert address(got) == address(shared) + 8000


def test_what_was_received_can_be_sent_on_without_a_copy(q):
    shared = mh.empty(1000)
    start = address(shared)
    shared[:] = 5
    q.put(shared)
    del shared
    for _ in range(5):
        got = q.get()
        q.put(got)
        del got
    got = q.get()
    assert address(got) == start
    assert got.sum() == 5000


def test_a_block_is_free_when_the_last_view_is_gone(statistics, q):
    before = statistics()["blocks"]
    shared = mh.share(np.ones(1000))
    q.put(shared)
    view = q.get()[10:20]
    del shared
    assert statistics()["blocks"] == before + 1
    assert view.sum() == 10
    del view
    assert statistics()["blocks"] == before


def test_a_shared_array_in_a_dropped_queue_is_freed(statistics):
    before = statistics()["blocks"]
    q = mh.Queue()
    q.put(mh.share(np.ones(1000)))
    assert statistics()["blocks"] == before + 1
    q.close()
    assert statistics()["blocks"] == before


def test_a_put_that_finds_no_room_leaves_no_hold(statistics):
    before = statistics()["blocks"]
    q = mh.Queue(1)
    q.put(1)
    with pytest.raises(queue.Full):
        q.put_nowait(mh.share(np.ones(1000)))
    with pytest.raises(queue.Full):
        q.put_nowait(np.ones(1_000_000))
    gc.collect()
    assert statistics()["blocks"] == before
    q.close()


def test_what_a_killed_holder_had_is_free(forked, ended, statistics):
    before = statistics()["blocks"]
    there, back = mh.Queue(), mh.Queue()

    def hold():
        kept = [there.get(), there.get()]
        back.put(len(kept))
        signal.pause()

    pid = forked(hold)
    there.put(mh.share(np.ones(1000)))
    there.put(np.ones(1_000_000))
    assert back.get() == 2
    os.kill(pid, signal.SIGKILL)
    assert ended(pid) == -signal.SIGKILL
    assert statistics()["blocks"] == before


def test_an_array_outlives_the_sender(forked, ended):
    arena.family()
    q = mh.Queue()
    pid = forked(lambda: (q.put(mh.share(np.arange(10))), q.put(np.arange(1_000_000))))
    assert ended(pid) == 0
    assert q.get().tolist() == list(range(10))
    assert q.get()[-1] == 999_999
    arena.reclaim(pid)


def test_many_processes_hold_one_array(forked, ended):
    there, back = mh.Queue(), mh.Queue()
    pids = [forked(lambda: back.put(int(there.get().sum()))) for _ in range(4)]
    shared = mh.share(np.ones(200_000, "u1"))
    for _ in pids:
        there.put(shared)
    assert [back.get() for _ in pids] == [200_000] * 4
    assert [ended(pid) for pid in pids] == [0] * 4


@pytest.mark.parametrize("shape", [(), (0,), 0, 5, (2, 3), [4], (3, 0, 2)], ids=repr)
@pytest.mark.parametrize("dtype", ["u1", float, "i4,f8", "M8[ns]", "S3", np.dtype(">i2")], ids=str)
def test_empty_makes_what_numpy_would(shape, dtype):
    ours, theirs = mh.empty(shape, dtype), np.empty(shape, dtype)
    assert (ours.shape, ours.dtype, ours.flags.writeable) == (theirs.shape, theirs.dtype, True)


def test_empty_takes_a_side_that_is_a_numpy_integer():
    assert mh.empty(np.int64(3)).shape == (3,)
    assert mh.empty((np.int32(2), 3)).shape == (2, 3)


@pytest.mark.parametrize("dtype", [object, [("a", "O")]], ids=str)
def test_empty_refuses_objects(dtype):
    with pytest.raises(UsageError, match="Python objects"):
        mh.empty(3, dtype)


@pytest.mark.parametrize("shape", [-1, (2, -3)], ids=repr)
def test_empty_refuses_a_negative_side(shape):
    with pytest.raises(UsageError, match="negative"):
        mh.empty(shape)


@pytest.mark.parametrize("shape", [2**60, 10**30], ids=repr)
def test_empty_refuses_what_no_machine_has(shape):
    with pytest.raises((MemoryError, UsageError)):
        mh.empty(shape, "u1")
