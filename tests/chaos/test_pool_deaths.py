"""Workers and tasks in trouble: each kind of death, crossed with what the worker was doing. Only its task is hurt."""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import sys
import threading
import time
from concurrent.futures.process import BrokenProcessPool

import pytest

import manyhands as mh
from manyhands.errors import (
    PoolBrokenError,
    QuarantinedError,
    ResultPicklingError,
    TaskTimeoutError,
    WorkerLostError,
)


def same(x):
    return x


def pid_of(_=None):
    return os.getpid()


def sigkill(_=None):
    os.kill(os.getpid(), signal.SIGKILL)


def segfault(_=None):
    ctypes.string_at(0)


def leave_at_once(_=None):
    os._exit(7)


def stop_itself(_=None):
    os.kill(os.getpid(), signal.SIGSTOP)


DEATHS = {"SIGKILL": sigkill, "segfault": segfault, "os._exit": leave_at_once}


class DiesWhenPickled:
    def __init__(self, death):
        self.death = death

    def __reduce__(self):
        if os.environ.get("MANYHANDS_CORES"):  # in a worker
            DEATHS[self.death]()
        return DiesWhenPickled, (self.death,)


class DiesWhenUnpickled:
    def __init__(self, death):
        self.death = death

    def __reduce__(self):
        return _die, (self.death,)


def _die(death):
    DEATHS[death]()


class RaisesWhenUnpickled:
    def __reduce__(self):
        return int, ("not a number",)


class Odd(Exception):
    """Pickles, and does not unpickle."""

    def __init__(self, one, two):
        super().__init__("odd")


def raise_odd(_=None):
    raise Odd(1, 2)


def die_at_37(x, death):
    if x == 37:
        DEATHS[death]()
    return x


@pytest.fixture
def pool():
    with mh.Pool(2) as made:
        yield made


@pytest.mark.parametrize("death", DEATHS)
def test_a_worker_that_dies_busy_takes_its_task_along_and_nothing_else(pool, death):
    results = [pool.apply_async(die_at_37, (x, death)) for x in range(100)]
    for x, result in enumerate(results):
        if x == 37:
            with pytest.raises(WorkerLostError) as caught:
                result.get(30)
        else:
            assert result.get(30) == x
    error = caught.value
    assert isinstance(error, BrokenProcessPool)
    assert "die_at_37(37" in error.task
    assert error.pid is not None
    assert (error.exitcode, error.signal) == {
        "SIGKILL": (-9, 9), "segfault": (-11, 11), "os._exit": (7, None)
    }[death]  # fmt: skip
    assert pickle.loads(pickle.dumps(error)).__dict__ == error.__dict__


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("chunksize", [None, 10])
def test_in_a_map_the_item_that_kills_is_named_and_imap_gives_all_others(pool, death, chunksize):
    stream = pool.imap(lambda x: die_at_37(x, death), range(100), chunksize)
    got, lost = [], []
    while True:
        try:
            got.append(next(stream))
        except StopIteration:
            break
        except WorkerLostError as error:
            lost.append(error.index)
    assert got == [x for x in range(100) if x != 37]
    assert lost == [37]


def test_no_item_is_run_twice_when_a_worker_dies(pool, tmp_path):
    log = tmp_path / "log"

    def note(x):
        with open(log, "a") as file:
            file.write(f"{x}\n")
        if x == 50:
            sigkill()
        return x

    result = pool.map_async(note, range(200))
    with pytest.raises(WorkerLostError, match="item 50"):
        result.get(30)
    assert sorted(map(int, log.read_text().split())) == list(range(200))


@pytest.mark.parametrize("death", DEATHS)
def test_a_worker_that_dies_while_it_pickles_a_result(pool, death):
    with pytest.raises(WorkerLostError, match="DiesWhenPickled"):
        pool.apply_async(DiesWhenPickled, (death,)).get(30)
    assert pool.apply_async(same, (1,)).get(30) == 1


@pytest.mark.parametrize("death", DEATHS)
def test_a_worker_that_dies_while_it_unpickles_arguments(pool, death):
    with pytest.raises(WorkerLostError):
        pool.apply_async(same, (DiesWhenUnpickled(death),)).get(30)
    results = pool.imap(same, [1, DiesWhenUnpickled(death), 3], 3)
    assert next(results) == 1
    with pytest.raises(WorkerLostError):
        next(results)
    assert next(results) == 3


def test_idle_workers_may_be_killed_and_the_next_tasks_do_not_notice(pool, until):
    for _ in range(5):
        for pid in set(pool.map(pid_of, range(50))):
            os.kill(pid, signal.SIGKILL)
        assert pool.map(same, range(50)) == list(range(50))


def test_a_worker_that_is_killed_while_it_starts_is_replaced(until):
    pool = mh.Pool(2)
    with pool:
        for pid in pool._core.engine.pids():
            os.kill(pid, signal.SIGKILL)
        assert pool.map(same, range(50)) == list(range(50))


def test_retries_run_a_task_again_in_another_worker(pool, tmp_path):
    flag = tmp_path / "flag"

    def die_once():
        if not flag.exists():
            flag.touch()
            sigkill()
        return "alive"

    assert pool.apply_async(die_once, retries=1).get(30) == "alive"


def test_a_task_that_kills_three_workers_is_quarantined(pool):
    result = pool.apply_async(sigkill, retries=100)
    with pytest.raises(QuarantinedError) as caught:
        result.get(30)
    assert caught.value.attempts == 3
    assert pool.apply_async(same, (1,)).get(30) == 1


def test_retries_that_are_used_up_say_how_often_it_was_tried(pool):
    with pytest.raises(WorkerLostError, match="tried 2 times") as caught:
        pool.apply_async(sigkill, retries=1).get(30)
    assert not isinstance(caught.value, QuarantinedError)


def test_sys_exit_in_a_task_is_an_error_of_that_task(pool):
    with pytest.raises(SystemExit) as caught:
        pool.apply_async(sys.exit, (3,)).get(30)
    assert caught.value.code == 3
    assert pool.apply_async(same, (1,)).get(30) == 1


def test_a_result_that_cannot_be_pickled_is_a_clear_error(pool):
    from multiprocessing.pool import MaybeEncodingError

    with pytest.raises(ResultPicklingError, match="lock") as caught:
        pool.apply_async(threading.Lock).get(30)
    assert isinstance(caught.value, MaybeEncodingError)
    assert pool.map(lambda x: x if x != 3 else (i for i in []), [1, 2]) == [1, 2]


def test_a_result_that_cannot_be_unpickled_is_an_error_of_that_task(pool):
    stream = pool.imap(lambda x: RaisesWhenUnpickled() if x == 1 else x, range(3), 3)
    assert next(stream) == 0
    with pytest.raises(ValueError, match="not a number"):
        next(stream)
    assert next(stream) == 2


def test_an_argument_that_cannot_be_unpickled_is_an_error_of_that_task(pool):
    with pytest.raises(ValueError, match="not a number"):
        pool.apply_async(same, (RaisesWhenUnpickled(),)).get(30)
    stream = pool.imap(same, [0, RaisesWhenUnpickled(), 2], 3)
    assert next(stream) == 0
    with pytest.raises(ValueError, match="not a number"):
        next(stream)
    assert next(stream) == 2


def test_an_exception_that_cannot_be_unpickled_arrives_as_one_that_says_so(pool):
    with pytest.raises(Exception, match="Odd: odd") as caught:
        pool.apply_async(raise_odd).get(30)
    assert "raise_odd" in str(caught.value.__cause__)


def test_arguments_that_cannot_be_pickled_raise_at_the_call(pool):
    with pytest.raises(TypeError, match="lock"):
        pool.apply_async(same, (threading.Lock(),))
    with pytest.raises(TypeError, match="lock"):
        pool.map(same, [1, threading.Lock(), 3])
    assert pool.map(same, [1, 2]) == [1, 2]


def test_an_initializer_that_raises_breaks_the_pool_once_with_its_error():
    def bad():
        raise LookupError("no database")

    with mh.Pool(2, initializer=bad) as pool:
        for call in (lambda: pool.apply(same, (1,)), lambda: pool.map(same, range(10))):
            with pytest.raises(PoolBrokenError, match="no database") as caught:
                call()
            assert isinstance(caught.value.__cause__, LookupError)
            assert "bad" in str(caught.value.__cause__.__cause__)


@pytest.mark.parametrize("death", DEATHS)
def test_an_initializer_that_dies_again_and_again_breaks_the_pool(death):
    with (
        mh.Pool(2, initializer=DEATHS[death]) as pool,
        pytest.raises(PoolBrokenError, match="before they are ready"),
    ):
        pool.apply_async(same, (1,)).get(30)


def test_a_stopped_worker_keeps_its_own_task_and_no_other(pool):
    stopped = pool.apply_async(stop_itself)
    assert pool.map(same, range(1000)) == list(range(1000))
    assert [pool.apply_async(same, (x,)).get(30) for x in range(20)] == list(range(20))
    assert stopped.cancel()
    assert pool.map(same, range(100)) == list(range(100))


def test_a_stopped_worker_is_killed_by_its_tasks_time_limit(pool):
    with pytest.raises(TaskTimeoutError, match="stop_itself"):
        pool.apply_async(stop_itself, task_timeout=0.2).get(30)
    assert pool.map(same, range(100)) == list(range(100))


def _sleeps(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "S"


def test_a_worker_that_was_stopped_while_idle_keeps_nobody_waiting_for_long(pool, until):
    pids = set(pool.map(pid_of, range(100)))
    victim = min(pids)
    until(lambda: _sleeps(victim))  # one that is stopped while it sends keeps the others from sending
    os.kill(victim, signal.SIGSTOP)
    try:
        results = [pool.apply_async(same, (x,)) for x in range(20)]
        assert pool.map(same, range(1000)) == list(range(1000))
        done = [result for result in results if result.ready()]
        assert len(done) >= 18  # one may be in the stopped one's hands, begun or not
    finally:
        os.kill(victim, signal.SIGCONT)
    assert [result.get(30) for result in results] == list(range(20))


def test_a_task_over_its_limit_is_stopped_and_the_others_of_its_batch_are_run(pool):
    def slow_at_3(x):
        if x == 3:
            threading.Event().wait(600)
        return x

    stream = pool.imap(slow_at_3, range(10), 5, task_timeout=0.3)
    got = []
    while True:
        try:
            got.append(next(stream))
        except StopIteration:
            break
        except TaskTimeoutError:
            got.append("late")
    assert got == [0, 1, 2, "late", 4, 5, 6, 7, 8, 9]


def test_cancelling_a_running_task_hurts_nobody_else(pool):
    begun = mh.Queue()

    def hang():
        begun.put(os.getpid())
        threading.Event().wait(600)

    hanging = pool.apply_async(hang)
    pid = begun.get(timeout=30)
    others = [pool.apply_async(same, (x,)) for x in range(50)]
    assert hanging.cancel()
    assert hanging.cancelled()
    assert [other.get(30) for other in others] == list(range(50))
    assert pid not in set(pool.map(pid_of, range(50)))
    begun.close()


def test_results_of_quick_items_are_not_kept_back_by_a_slow_one(pool):
    gate = mh.Queue()

    def wait_at_5(x):
        return gate.get() if x == 5 else x

    stream = pool.imap(wait_at_5, range(6), 6)
    assert [next(stream) for _ in range(5)] == [0, 1, 2, 3, 4]
    gate.put("open")
    assert next(stream) == "open"
    gate.close()


def test_a_callback_that_raises_hurts_nobody(pool, caplog):
    def bad(value):
        raise RuntimeError("callback")

    assert pool.apply_async(same, (1,), callback=bad).get(30) == 1
    assert pool.apply_async(same, (2,)).get(30) == 2
    assert pool.map(same, range(10)) == list(range(10))


def test_a_pool_that_is_terminated_with_work_pending_leaves_nothing_and_nobody_waits():
    pool = mh.Pool(2)
    running = [pool.apply_async(time.sleep, (600,)) for _ in range(2)]
    queued = [pool.apply_async(same, (x,)) for x in range(100)]
    waiter = threading.Thread(target=queued[50].wait)
    waiter.start()
    pool.terminate()
    pool.join()
    waiter.join()
    for result in running + queued:
        assert result.cancelled() or result.successful()
    assert all(result.cancelled() for result in running)


def test_terminate_with_grace_none_lets_running_tasks_complete_and_begins_nothing():
    gate, begun = mh.Queue(), mh.Queue()

    def wait_for_gate(x):
        begun.put(x)
        return gate.get()

    pool = mh.Pool(2)
    results = [pool.apply_async(wait_for_gate, (x,)) for x in range(10)]
    first = {begun.get(timeout=30), begun.get(timeout=30)}
    pool.terminate(grace=None)
    gate.put_many(["a", "b"])
    pool.join()
    assert {x for x, result in enumerate(results) if not result.cancelled()} == first
    assert sorted(results[x].get(0) for x in first) == ["a", "b"]
    assert begun.empty()
    gate.close()
    begun.close()


def test_a_forgotten_pool_ends_by_itself(until):
    pool = mh.Pool(2)
    pids = pool._core.engine.pids()
    with pytest.warns(ResourceWarning, match="forgotten"):
        del pool
    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))


PROGRAM = """
import manyhands as mh, os, sys, threading, time, signal

def nap(x):
    time.sleep(600)

def same(x):
    return x
"""


def test_the_interpreter_ends_with_work_pending(script):
    out = script(
        PROGRAM + "pool = mh.Pool(2); [pool.apply_async(nap, (i,)) for i in range(10)]; print('end')"
    )
    assert out == "end\n"


def test_an_executors_work_is_done_before_the_interpreter_ends(script):
    say = "def say(i): os.write(1, b'%d\\n' % i)  # in one piece, which print is not when streams are unbuffered\n"
    out = script(PROGRAM + say + "ex = mh.Executor(2); [ex.submit(say, i) for i in range(10)]")
    assert sorted(map(int, out.split())) == list(range(10))


@pytest.fixture
def interrupted_map(tmp_path):
    """``interrupted_map(ready)``: a program's map gets Ctrl-C when ``ready(program)``; what it said on stderr."""
    import subprocess

    path = tmp_path / "program.py"
    path.write_text(
        PROGRAM + "def begin(x):\n    os.write(1, b'.')\n    nap(x)\n"
        "print('begin', flush=True)\nwith mh.Pool(2) as pool:\n    pool.map(begin, range(10))\n"
    )

    def run(ready):
        child = subprocess.Popen(
            [sys.executable, str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"begin\n"
        ready(child)
        os.killpg(child.pid, signal.SIGINT)
        _, err = child.communicate(timeout=30)
        assert child.returncode in (1, -signal.SIGINT, 130)
        return err.decode()

    return run


def test_ctrl_c_once_ends_a_map_and_the_program_without_a_wall_of_tracebacks(interrupted_map):
    err = interrupted_map(lambda child: [child.stdout.read(1) for _ in range(2)])
    assert err.count("KeyboardInterrupt") == 1
    assert err.count("Traceback") == 1


def test_ctrl_c_while_workers_start_is_told_of_by_the_program_alone(interrupted_map, until):
    for _ in range(5):
        err = interrupted_map(lambda child: until(lambda: len(_descendants(child.pid)) >= 2))
        assert err.startswith("Traceback")
        assert err.count("KeyboardInterrupt") == 1


@pytest.mark.slow
@pytest.mark.interrupted
def test_an_interrupt_between_any_two_steps_leaves_a_pool_that_works_or_says_why():
    """A signal handler that raises, at random moments of a hundred maps: nothing hangs."""
    import random

    class Interrupt(BaseException):
        pass

    def interrupt(signum, frame):
        raise Interrupt

    rng = random.Random(3)
    before = signal.signal(signal.SIGUSR1, interrupt)
    usable, broken = 0, []
    try:
        for _ in range(40):
            pool = mh.Pool(2)
            timer = threading.Timer(rng.random() * 0.02, signal.raise_signal, [signal.SIGUSR1])
            try:
                timer.start()
                while True:
                    pool.map(same, range(100))
                    pool.apply(same, (1,))
            except Interrupt:
                timer.join()
            try:
                assert pool.map(same, range(100)) == list(range(100))
                usable += 1
            except PoolBrokenError as error:
                broken.append(str(error))
            finally:
                pool.terminate()
                pool.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert usable > 0
    assert all("interrupted" in text for text in broken)


def test_the_parent_is_killed_and_its_workers_go_too(tmp_path, until):
    import subprocess

    path = tmp_path / "program.py"
    path.write_text(
        PROGRAM
        + "pool = mh.Pool(2)\nprint(*pool._core.engine.pids(), flush=True)\npool.map(nap, range(10))\n"
    )
    child = subprocess.Popen([sys.executable, str(path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    pids = list(map(int, child.stdout.readline().split()))
    child.kill()
    child.wait()
    child.stdout.close()
    until(lambda: not any(_lives(pid) for pid in pids))


def _lives(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _descendants(pid):
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as file:
                found += map(int, file.read().split())
    except OSError:
        return found
    return found + [deeper for child in found for deeper in _descendants(child)]


def test_workers_forked_from_a_threaded_parent_work():
    stop = threading.Event()
    threads = [threading.Thread(target=stop.wait) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        with mh.Pool(2) as pool:
            assert pool.map(same, range(100)) == list(range(100))
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_forked_child_is_refused_its_parents_pool(pool, forked, ended):
    def use():
        with pytest.raises(ValueError, match="forked copy"):
            pool.apply(same, (1,))
        os._exit(42)

    assert ended(forked(use)) == 42
    assert pool.apply(same, (1,)) == 1


def test_pools_nest_and_share_the_cores():
    def inner(x):
        with mh.Pool() as pool:
            return pool.map(same, range(x)), pool._core.hands

    with mh.Pool(2) as pool:
        assert pool.map(inner, [3, 4]) == [([0, 1, 2], 1), ([0, 1, 2, 3], 1)]


@pytest.mark.slow
def test_two_hundred_random_kills_under_load_lose_only_the_tasks_that_ran():
    import random

    rng = random.Random(7)
    with mh.Pool(2) as pool:
        lost = 0
        for _ in range(20):
            results = [pool.apply_async(same, (x,)) for x in range(2000)]
            for _ in range(10):
                pids = pool._core.engine.pids()
                if pids:
                    try:
                        os.kill(rng.choice(pids), signal.SIGKILL)
                    except ProcessLookupError:
                        continue
            for x, result in enumerate(results):
                try:
                    assert result.get(60) == x
                except WorkerLostError:
                    lost += 1
        assert lost <= 200
        assert pool.map(same, range(100)) == list(range(100))
