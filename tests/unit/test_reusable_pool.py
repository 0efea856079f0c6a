"""`get_reusable_pool`: one pool that is kept between uses, and when it is another."""

from __future__ import annotations

import os
import threading

import pytest

import manyhands as mh
from manyhands.errors import PoolBrokenError, PoolClosedError, UsageError
from manyhands.pool import reusable


@pytest.fixture(autouse=True)
def _end():
    yield
    reusable._keeper.end()


def touch_and_wait(path, other):
    open(path, "w").close()
    while not os.path.exists(other):
        threading.Event().wait(0.002)
    return os.getpid()


def raise_lookup_error():
    raise LookupError("not today")


def alive(pid):
    return os.path.exists(f"/proc/{pid}")


def test_the_same_settings_give_the_same_pool() -> None:
    pool = mh.get_reusable_pool(2)
    assert pool.map(abs, [-1, 2]) == [1, 2]
    assert mh.get_reusable_pool(max_workers=2) is pool
    assert mh.get_reusable_pool(n_jobs=2, retries=0, initargs=[]) is pool


def test_it_is_a_pool_with_every_method() -> None:
    with mh.get_reusable_pool(2) as pool:
        assert isinstance(pool, mh.Pool)
        assert list(pool.imap(abs, range(-3, 0))) == [3, 2, 1]
        assert pool.apply_async(pow, (2, 10)).get() == 1024


def test_its_with_statement_leaves_it_running() -> None:
    with mh.get_reusable_pool(2) as pool:
        pass
    with mh.get_reusable_pool(2) as again:
        assert again is pool
        assert again.apply(abs, (-1,)) == 1


def test_the_number_of_workers_is_found_when_none_is_given(monkeypatch) -> None:
    monkeypatch.setenv("PYTHON_CPU_COUNT", "2")
    assert mh.get_reusable_pool() is mh.get_reusable_pool(2)
    monkeypatch.setenv("PYTHON_CPU_COUNT", "1")
    assert mh.get_reusable_pool() is mh.get_reusable_pool(1)


@pytest.mark.parametrize(
    "other",
    [{"processes": 1}, {"retries": 1}, {"task_timeout": 50}, {"env": {"A": "1"}}, {"maxtasksperchild": 9},
     {"initializer": os.getpid}, {"initargs": (1,)}, {"context": "template"}],
)  # fmt: skip
def test_other_settings_give_another_and_the_idle_one_is_ended(other) -> None:
    pool = mh.get_reusable_pool(2)
    pids = {pool.apply(os.getpid) for _ in range(8)}
    another = mh.get_reusable_pool(**{"processes": 2} | other)
    assert another is not pool
    assert not any(map(alive, pids))
    with pytest.raises(PoolClosedError):
        pool.apply(abs, (-1,))


def test_settings_that_cannot_be_compared_are_other_ones() -> None:
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(3)
    pool = mh.get_reusable_pool(1, initializer=id, initargs=(array,))
    assert mh.get_reusable_pool(1, initializer=id, initargs=(array,)) is pool
    assert mh.get_reusable_pool(1, initializer=id, initargs=(array.copy(),)) is not pool


def test_the_one_before_finishes_what_it_was_given(tmp_path, until) -> None:
    begun, go = str(tmp_path / "begun"), str(tmp_path / "go")
    results = [mh.get_reusable_pool(2).apply_async(touch_and_wait, (begun, go)) for _ in range(5)]
    until(lambda: os.path.exists(begun))
    mh.get_reusable_pool(1)
    open(go, "w").close()
    assert all(result.get() for result in results)
    until(lambda: [reusable._keeper._sweep(), reusable._keeper._retired][-1] == [])


def test_who_is_inside_its_with_statement_may_go_on(until) -> None:
    with mh.get_reusable_pool(2) as pool:
        pid = pool.apply(os.getpid)
        assert mh.get_reusable_pool(1) is not pool
        assert pool.apply(abs, (-1,)) == 1
    with pytest.raises(PoolClosedError):
        pool.apply(abs, (-1,))
    assert not alive(pid)


@pytest.mark.parametrize("end", ["terminate", "close"])
def test_after_its_end_it_is_another(end) -> None:
    pool = mh.get_reusable_pool(2)
    getattr(pool, end)()
    another = mh.get_reusable_pool(2)
    assert another is not pool
    assert another.apply(abs, (-1,)) == 1


def test_a_broken_one_is_replaced() -> None:
    pool = mh.get_reusable_pool(1, initializer=raise_lookup_error)
    with pytest.raises(PoolBrokenError):
        pool.apply(abs, (-1,))
    assert mh.get_reusable_pool(1, initializer=raise_lookup_error) is not pool


def test_a_worker_that_died_is_no_reason_for_another() -> None:
    pool = mh.get_reusable_pool(1)
    with pytest.raises(mh.errors.WorkerLostError):
        pool.apply(os._exit, (3,))
    assert mh.get_reusable_pool(1) is pool
    assert pool.apply(abs, (-1,)) == 1


def test_threads_that_ask_at_once_get_the_same_pool(background) -> None:
    barrier = threading.Barrier(8)

    def ask():
        barrier.wait()
        return mh.get_reusable_pool(2)

    pools = {result() for result in [background(ask) for _ in range(8)]}
    assert len(pools) == 1


def test_threads_that_want_other_settings_are_all_served(background) -> None:
    def ask(count):
        done = []
        for _ in range(5):
            with reusable._keeper.borrow(count) as pool:
                done += pool.map(abs, range(-20, 0))
                pool.__exit__()
        return done

    for result in [background(ask, count) for count in (1, 2, 1, 2)]:
        assert result() == list(range(20, 0, -1)) * 5


def test_a_forked_child_knows_no_pool_of_its_parents(forked, ended) -> None:
    pool = mh.get_reusable_pool(1)

    def child():
        assert not pool.is_good
        assert reusable._keeper._pool is None
        with pytest.raises(PoolClosedError, match="forked copy"):
            pool.apply(abs, (-1,))

    assert ended(forked(child)) == 0
    assert pool.apply(abs, (-1,)) == 1


def test_the_environment_is_set_before_the_initializer_is_unpickled() -> None:
    pool = mh.get_reusable_pool(
        1, initializer=read_environment, initargs=(SaysWhatItFinds(),), env={"LATE": "no"}
    )
    assert pool.apply(mh.worker_state) == {"found": "no", "now": "no"}


class SaysWhatItFinds:
    def __reduce__(self):
        return os.getenv, ("LATE",)


def read_environment(found):
    mh.worker_state().update(found=found, now=os.environ["LATE"])


def test_an_environment_is_for_processes_only() -> None:
    with pytest.raises(UsageError, match="env is for workers that are processes"):
        mh.get_reusable_pool(1, engine="threads", env={"A": "1"})


def test_a_program_that_forgets_it_ends_quietly(script) -> None:
    out = script(
        """
        import manyhands as mh
        print(mh.get_reusable_pool(2).map(abs, [-1, 2]))
        """,
        PYTHONWARNINGS="error",
    )
    assert out == "[1, 2]\n"
