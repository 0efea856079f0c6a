"""What a pool's workers find around them, what a pool shows, and what it warns of."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest

import manyhands as mh

total = 0


def same(x):
    return x


def add(x):
    global total
    total += x


def take(queue):
    return queue.get()


def environment(name):
    return os.environ.get(name)


def memory_of(array, _n):
    return array.flags.writeable, array.__array_interface__["data"][0], float(array[-1])


def test_numeric_libraries_get_their_share_of_the_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    monkeypatch.setenv("PYTHON_CPU_COUNT", "6")
    with mh.Pool(2) as pool:
        assert pool.apply(environment, ("OMP_NUM_THREADS",)) == "3"
        assert pool.apply(environment, ("MKL_NUM_THREADS",)) == "7"  # the user's word


def test_progress_tells_a_function_how_far_a_map_is():
    seen = []
    with mh.Pool(2) as pool:
        assert pool.map(same, range(100), progress=lambda done, all_: seen.append((done, all_))) == list(
            range(100)
        )
        assert list(
            pool.imap(same, range(50), progress=lambda done, all_: seen.append((done, all_)))
        ) == list(range(50))
    assert (100, 100) in seen
    assert seen[-1] == (50, 50)


def test_a_lost_write_is_warned_of_once_where_the_user_called():
    with mh.Pool(1) as pool:
        with pytest.warns(mh.LostWriteWarning, match="'total'") as caught:
            pool.map(add, [1, 2])
        pool.map(add, [3])
    assert [os.path.basename(warning.filename) for warning in caught] == [os.path.basename(__file__)]
    assert total == 0


def test_a_strict_pool_refuses_a_lost_write():
    with mh.Pool(1, strict=True) as pool:
        with pytest.raises(mh.LostWriteError, match="'total'"):
            pool.apply_async(add, (1,))
        assert pool.apply(same, (1,)) == 1


def test_an_array_that_many_tasks_get_is_placed_once_and_one_that_one_gets_is_its_own():
    array = np.ones(100_000)
    with mh.Pool(1) as pool:
        seen = pool.starmap(memory_of, [(array, n) for n in range(5)])
        assert {writeable for writeable, _, _ in seen} == {False}
        assert len({address for _, address, _ in seen}) == 1
        assert pool.apply(memory_of, (array, 0))[0]


def test_a_function_of_main_is_sent_anew_when_what_it_refers_to_has_changed():
    factors = [2]

    def times(x):
        return x * factors[0]

    with mh.Pool(1) as pool:
        assert pool.map(times, [1, 2]) == [2, 4]
        factors[0] = 3
        assert pool.map(times, [1, 2]) == [3, 6]


@pytest.mark.parametrize("end", ["forgotten", "closed", "cancelled"])
def test_a_pool_keeps_nothing_of_a_map_that_was_given_up(end):
    with mh.Pool(1) as pool:
        for _ in range(5):
            if end == "cancelled":
                pool.map_async(same, range(100_000)).cancel()
                continue
            stream = pool.imap(same, iter(int, 1))
            assert next(stream) == 0
            if end == "closed":
                stream.close()
            del stream
        assert pool.apply(same, (1,)) == 1
        assert pool._core._open_jobs == set()


def test_who_waits_sleeps_while_a_callback_runs_in_another_thread(until):
    """It cannot announce what comes meanwhile, so it must not look for that again and again."""
    begun, finish, heard = threading.Event(), threading.Event(), []
    with mh.Pool(2) as pool:
        core, counted = pool._core, []
        lead = core.engine.lead
        core.engine.lead = lambda begins: counted.append(begins) or lead(begins)
        pool.apply_async(abs, (-1,), callback=lambda _: (begun.set(), finish.wait()))
        assert begun.wait(30)  # by the supervisor, as nobody leads
        later = pool.apply_async(abs, (-2,), callback=heard.append)
        gate = mh.Queue()
        waiting = pool.apply_async(take, (gate,))
        getter = threading.Thread(target=waiting.get)
        getter.start()
        until(
            lambda: core._told and core._is_led
        )  # what is there to announce is another thread's to announce
        before = len(counted)
        threading.Event().wait(0.2)
        assert len(counted) - before < 100
        finish.set()
        assert later.get(30) == 2
        gate.put("done")
        getter.join()
        until(lambda: heard == [2])
        gate.close()
