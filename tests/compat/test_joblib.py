"""joblib on manyhands' workers: what `joblib.Parallel` promises, and what is promised beyond that."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
import warnings
from concurrent.futures.process import BrokenProcessPool
from operator import neg
from pathlib import Path

import pytest

joblib = pytest.importorskip("joblib")
np = pytest.importorskip("numpy")

from joblib import Parallel, delayed, parallel_config  # noqa: E402

import manyhands.joblib  # noqa: E402
from manyhands.errors import PoolBrokenError, RemoteTraceback, WorkerLostError  # noqa: E402
from manyhands.memory import arena  # noqa: E402

LARGE = 1 << 18  # float64s: 2 MB

since_1_4 = pytest.mark.skipif(
    joblib.__version__.startswith("1.3"), reason="joblib 1.3 has not got it, or loses it"
)


@pytest.fixture(autouse=True)
def _backend():
    with parallel_config(backend="manyhands", n_jobs=2):
        yield
    manyhands.joblib.shutdown()


def pids(parallel=None, count=8):
    return set((parallel or Parallel())(delayed(os.getpid)() for _ in range(count)))


def raise_at(x, bad):
    if x == bad:
        raise LookupError(f"no {x}")
    return x


def touch(path):
    Path(path).touch()


def wait_for(path):
    while not os.path.exists(path):
        threading.Event().wait(0.002)


def touch_and_wait(path, other):
    touch(path)
    wait_for(other)


def hang(*paths):
    for path in paths:
        touch(path)
    threading.Event().wait()


def sigkill():
    os.kill(os.getpid(), signal.SIGKILL)


def sigkill_once(path):
    if not os.path.exists(path):
        touch(path)
        sigkill()
    return "survived"


def is_writeable(array):
    return array.flags.writeable


def parts_are_writeable(parts):
    return [part.flags.writeable for part in parts.values()]


def write_row(source, target, index):
    target[index] = source[index] * 2


# ---- the same results ----


def test_results_are_the_sequential_backends_in_its_order() -> None:
    sequential = Parallel(n_jobs=1, backend="sequential")(delayed(math.sqrt)(x) for x in range(500))
    assert Parallel()(delayed(math.sqrt)(x) for x in range(500)) == sequential


def test_tasks_run_in_workers_that_are_kept_between_calls() -> None:
    first = pids()
    assert os.getpid() not in first
    both = first | pids() | pids(Parallel(n_jobs=2))
    assert len(both) <= 2


def test_lambdas_and_closures_are_tasks_like_any_other() -> None:
    offset = 3
    assert Parallel()(delayed(lambda x: x + offset)(x) for x in range(20)) == list(range(3, 23))


def test_keyword_arguments_arrive() -> None:
    assert Parallel()(delayed(dict)(a=x, b=-x) for x in range(3)) == [{"a": x, "b": -x} for x in range(3)]


def test_no_tasks_give_no_results() -> None:
    assert Parallel()([]) == []


def test_the_backend_can_be_named_in_the_call() -> None:
    assert Parallel(n_jobs=2, backend="manyhands")(delayed(neg)(x) for x in range(5)) == [0, -1, -2, -3, -4]


def test_the_old_way_to_choose_a_backend_works_too() -> None:
    with joblib.parallel_backend("manyhands", n_jobs=2):
        assert os.getpid() not in pids()


def test_one_job_runs_in_this_process() -> None:
    assert pids(Parallel(n_jobs=1)) == {os.getpid()}


def test_minus_one_means_every_core(monkeypatch) -> None:
    monkeypatch.setenv("PYTHON_CPU_COUNT", "2")
    assert joblib.effective_n_jobs(-1) == 2
    assert joblib.effective_n_jobs(-2) == 1
    assert len(pids(Parallel(n_jobs=-1))) <= 2
    assert os.getpid() not in pids(Parallel(n_jobs=-1))


def test_zero_jobs_make_no_sense() -> None:
    with pytest.raises(ValueError, match="n_jobs == 0"):
        Parallel(n_jobs=0)(delayed(neg)(x) for x in range(3))


def test_parallel_in_a_with_statement_keeps_its_workers() -> None:
    with Parallel(n_jobs=2) as parallel:
        assert len(pids(parallel) | pids(parallel)) <= 2


def test_verbose_calls_tell_how_far_they_are(capsys) -> None:
    Parallel(verbose=10)(delayed(neg)(x) for x in range(20))
    told = capsys.readouterr()
    assert "Using backend Backend with 2 concurrent workers" in told.err + told.out
    assert "Done  20 out of  20" in told.err + told.out


@pytest.mark.parametrize("pre_dispatch", ["all", "2*n_jobs", 3])
def test_every_pre_dispatch_gives_all_results(pre_dispatch) -> None:
    assert Parallel(pre_dispatch=pre_dispatch)(delayed(neg)(x) for x in range(50)) == [-x for x in range(50)]


def test_tasks_are_drawn_no_further_ahead_than_pre_dispatch_says(tmp_path, until, background) -> None:
    drawn, go, begun = [], str(tmp_path / "go"), str(tmp_path / "begun")

    def tasks():
        for x in range(40):
            drawn.append(x)
            yield delayed(touch_and_wait)(begun, go)

    def call():
        with parallel_config(backend="manyhands", n_jobs=2):
            return Parallel(pre_dispatch=4)(tasks())

    result = background(call)
    until(lambda: os.path.exists(begun))
    assert len(drawn) <= 4
    touch(go)
    assert result() == [None] * 40


def test_a_given_batch_size_is_obeyed() -> None:
    assert Parallel(batch_size=7)(delayed(neg)(x) for x in range(50)) == [-x for x in range(50)]


# ---- generators ----


def test_a_generator_gives_results_in_order_while_others_run(tmp_path) -> None:
    go = str(tmp_path / "go")
    results = Parallel(return_as="generator", batch_size=1)(
        [delayed(neg)(1), delayed(wait_for)(go), delayed(neg)(3)]
    )
    assert next(results) == -1
    touch(go)
    assert list(results) == [None, -3]


@since_1_4
def test_an_unordered_generator_gives_what_is_ready(tmp_path) -> None:
    go = str(tmp_path / "go")
    tasks = [delayed(wait_for)(go), *(delayed(neg)(x) for x in range(1, 4))]
    results = Parallel(return_as="generator_unordered", batch_size=1)(tasks)
    assert sorted(next(results) for _ in range(3)) == [-3, -2, -1]
    touch(go)
    assert list(results) == [None]


def test_a_generator_that_is_given_up_stops_its_tasks(tmp_path) -> None:
    begun = str(tmp_path / "begun")
    results = Parallel(return_as="generator", batch_size=1)([delayed(neg)(1), delayed(hang)(begun)])
    assert next(results) == -1
    wait_for(begun)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # joblib says that tasks were cancelled
        results.close()
    assert len(pids()) <= 2


def test_two_generators_of_one_backend_can_be_drawn_in_turn() -> None:
    one = Parallel(return_as="generator")(delayed(neg)(x) for x in range(100))
    other = Parallel(return_as="generator")(delayed(abs)(x) for x in range(100))
    assert [*zip(one, other, strict=True)] == [(-x, x) for x in range(100)]


def test_a_call_while_a_generator_is_open_leaves_it_alone(tmp_path) -> None:
    go = str(tmp_path / "go")
    results = Parallel(return_as="generator")(delayed(wait_for)(go) for _ in range(1))
    assert Parallel()(delayed(neg)(x) for x in range(20)) == [-x for x in range(20)]
    touch(go)
    assert list(results) == [None]


# ---- errors and aborts ----


def test_an_exception_keeps_its_type_and_brings_the_traceback_of_the_worker() -> None:
    with pytest.raises(LookupError, match="no 13") as caught:
        Parallel()(delayed(raise_at)(x, 13) for x in range(50))
    assert isinstance(caught.value.__cause__, RemoteTraceback)
    assert "raise_at" in str(caught.value.__cause__)


def test_an_exception_says_in_which_batch_it_was_raised() -> None:
    with pytest.raises(LookupError) as caught:
        Parallel(batch_size=3)(delayed(raise_at)(x, 0) for x in range(6))
    assert "run_batch(<raise_at(0, 0) and " in str(caught.value.__notes__)


def test_an_exception_stops_what_runs_and_the_next_call_works(tmp_path) -> None:
    begun = str(tmp_path / "begun")

    def fail():
        wait_for(begun)
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        Parallel(batch_size=1)([delayed(hang)(begun), delayed(fail)()])
    assert len(pids()) <= 2


def test_an_exception_inside_a_with_statement_leaves_the_parallel_usable() -> None:
    with Parallel() as parallel:
        with pytest.raises(LookupError):
            parallel([delayed(raise_at)(3, 3)])
        assert parallel(delayed(neg)(x) for x in range(6)) == [-x for x in range(6)]


def test_a_timeout_is_a_timeout_error_and_stops_what_runs(tmp_path) -> None:
    with pytest.raises((TimeoutError, multiprocessing.TimeoutError)):  # joblib takes the latter
        Parallel(timeout=0.2)(delayed(hang)() for _ in range(4))
    assert len(pids()) <= 2


def test_a_timeout_that_is_not_reached_changes_nothing() -> None:
    assert Parallel(timeout=50)(delayed(neg)(x) for x in range(20)) == [-x for x in range(20)]


def test_ctrl_c_aborts_and_the_next_call_works(tmp_path, background) -> None:
    begun = str(tmp_path / "begun")

    def interrupt():
        wait_for(begun)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    joined = background(interrupt)
    with pytest.raises(KeyboardInterrupt):
        Parallel()(delayed(hang)(begun) for _ in range(4))
    joined()
    assert len(pids()) <= 2


def test_a_worker_that_dies_is_an_error_that_says_what_it_ran() -> None:
    with pytest.raises(WorkerLostError, match=r"SIGKILL while it ran .*sigkill") as caught:
        Parallel()(delayed(sigkill)() for _ in range(1))
    assert isinstance(caught.value, BrokenProcessPool)
    assert len(pids()) <= 2


def test_with_retries_a_batch_whose_worker_died_is_run_again(tmp_path) -> None:
    with parallel_config(backend="manyhands", n_jobs=2, retries=1):
        assert Parallel()([delayed(sigkill_once)(str(tmp_path / "died"))]) == ["survived"]


def test_an_initializer_runs_in_each_worker() -> None:
    with parallel_config(
        backend="manyhands", n_jobs=2, initializer=os.environ.__setitem__, initargs=("GREETING", "hi")
    ):
        assert set(Parallel()(delayed(os.environ.get)("GREETING") for _ in range(8))) <= {"hi", None}


def test_an_initializer_that_raises_is_an_error_not_a_hang() -> None:
    with (
        parallel_config(backend="manyhands", n_jobs=2, initializer=raise_at, initargs=(1, 1)),
        pytest.raises(PoolBrokenError, match="no 1"),
    ):
        Parallel()(delayed(neg)(x) for x in range(10))


@pytest.mark.parametrize("bad", [0, 30])
def test_what_cannot_be_pickled_is_an_error_also_late_in_the_input(bad) -> None:
    locks = {bad: threading.Lock()}
    with pytest.raises(TypeError, match="lock"):
        Parallel(batch_size=1)(delayed(id)(locks.get(x)) for x in range(40))
    assert len(pids()) <= 2


@since_1_4
def test_an_error_of_the_input_is_the_calls() -> None:
    def tasks():
        yield from (delayed(neg)(x) for x in range(20))
        raise LookupError("no more input")

    with pytest.raises(LookupError, match="no more input"):
        Parallel()(tasks())


def test_a_result_that_cannot_be_pickled_is_an_error() -> None:
    with pytest.raises(TypeError, match="lock"):
        Parallel()(delayed(threading.Lock)() for _ in range(4))


# ---- nested calls, threads, forks ----


def nested(x, **config):
    return os.getpid(), Parallel(n_jobs=2, **config)(delayed(os.getpid)() for _ in range(4))


def test_a_call_inside_a_task_stays_in_its_process() -> None:
    for outer, inner in Parallel()(delayed(nested)(x) for x in range(4)):
        assert outer != os.getpid()
        assert set(inner) == {outer}


def test_a_call_inside_a_task_may_ask_for_processes() -> None:
    ((outer, inner),) = Parallel()([delayed(nested)(0, backend="manyhands")])
    assert outer not in inner


def test_all_cores_inside_a_task_are_the_tasks_share(monkeypatch) -> None:
    monkeypatch.setenv("PYTHON_CPU_COUNT", "2")
    ((outer, inner),) = Parallel()([delayed(nested_all)()])
    assert set(inner) == {outer}


def nested_all():
    return os.getpid(), Parallel(n_jobs=-1, backend="manyhands")(delayed(os.getpid)() for _ in range(4))


def test_threads_with_different_settings_do_not_hurt_each_other(background) -> None:
    def call(n_jobs):
        out = []
        with parallel_config(backend="manyhands", n_jobs=n_jobs):
            for _ in range(2):
                out += Parallel()(delayed(neg)(x) for x in range(50))
        return out

    results = [background(call, n_jobs) for n_jobs in (2, 3)]
    assert [result() for result in results] == [[-x for x in range(50)] * 2] * 2


def test_a_forked_child_has_workers_of_its_own(forked, ended) -> None:
    before = pids()

    def child():
        assert not pids() & before
        manyhands.joblib.shutdown()

    assert ended(forked(child)) == 0


def test_the_workers_limit_the_threads_of_numeric_libraries() -> None:
    with parallel_config(backend="manyhands", n_jobs=2, inner_max_num_threads=3):
        assert set(Parallel()(delayed(os.getenv)("OMP_NUM_THREADS") for _ in range(8))) == {"3"}


def test_without_joblib_the_import_says_what_to_install(script) -> None:
    out = script(
        """
        import sys
        sys.modules["joblib"] = sys.modules["joblib.parallel"] = None
        try:
            import manyhands.joblib
        except ImportError as error:
            print(error)
        """
    )
    assert "pip install 'manyhands[joblib]'" in out


def test_functions_of_the_main_program_need_no_guard_and_the_end_is_quiet(script) -> None:
    out = script(
        """
        import joblib, manyhands.joblib
        def double(x):
            return 2 * x
        with joblib.parallel_config(backend="manyhands", n_jobs=2):
            print(joblib.Parallel()(joblib.delayed(double)(x) for x in range(4)))
        """
    )
    assert out == "[0, 2, 4, 6]\n"


# ---- large arrays ----


def test_large_arrays_are_read_only_in_the_workers_and_small_ones_are_not() -> None:
    large, small = np.ones(LARGE), np.ones(10)
    assert Parallel()(delayed(is_writeable)(large) for _ in range(6)) == [False] * 6
    assert Parallel()(delayed(is_writeable)(small) for _ in range(6)) == [True] * 6
    assert Parallel()([delayed(parts_are_writeable)({"a": large, "b": small})]) == [[False, True]]


@pytest.mark.parametrize("config", [{"mmap_mode": None}, {"max_nbytes": None}, {"mmap_mode": "c"}])
def test_each_task_may_have_a_copy_of_its_own(config) -> None:
    large = np.ones(LARGE)
    assert Parallel(**config)(delayed(is_writeable)(large) for _ in range(6)) == [True] * 6


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_arrive_as_they_are(order) -> None:
    array = np.asarray(np.arange(LARGE, dtype=float).reshape(512, -1), order=order)
    for got in Parallel()(delayed(np.negative)(array) for _ in range(3)):
        assert (got == -array).all()
    assert Parallel()(delayed(np.sum)(array[::2]) for _ in range(3)) == [array[::2].sum()] * 3


def lent(lender, array):
    parcel = lender.pack(joblib.parallel.BatchedCalls([delayed(id)(array)], None))
    return arena.family().locate(parcel.buffers[0].raw())


def test_an_array_that_several_batches_get_is_copied_once() -> None:
    lender, array = manyhands.joblib._Lender(1 << 20), np.ones(LARGE)
    first, second, third = (lent(lender, array) for _ in range(3))
    assert first is None  # sent as it is: most arrays are used once
    assert second == third
    assert second is not None


def test_an_array_that_is_gone_is_not_taken_for_the_next_at_its_place() -> None:
    lender, array = manyhands.joblib._Lender(1 << 20), np.ones(LARGE)
    lent(lender, array), lent(lender, array)
    assert lender._seen
    del array
    assert not lender._seen


def test_an_array_that_the_user_has_shared_is_sent_as_it_is() -> None:
    lender, array = manyhands.joblib._Lender(1 << 20), manyhands.empty(LARGE)
    assert lent(lender, array) == arena.family().locate(array)
    assert Parallel()(delayed(is_writeable)(array) for _ in range(2)) == [True, True]


def test_what_workers_write_into_a_memory_map_is_seen_here(tmp_path) -> None:
    source = np.memmap(tmp_path / "source", float, "w+", shape=(6, 5))
    target = np.memmap(tmp_path / "target", float, "w+", shape=(8, 10))
    source[:] = np.arange(30).reshape(6, 5)
    view = target[7:1:-1, 1::2]  # neither contiguous nor forward
    Parallel()(delayed(write_row)(source, target=view, index=index) for index in range(6))
    assert (view == 2 * source).all()
    assert not target[:2].any()
    assert not target[:, ::2].any()


# ---- the size of batches ----


def test_batches_of_quick_tasks_grow_and_those_of_slow_ones_shrink() -> None:
    pace = manyhands.joblib._Pace()
    sizes = []
    for _ in range(6):
        pace.seconds = 1e-6 * pace.size
        pace.measured(pace.size)
        sizes.append(pace.size)
    assert sizes == [4, 16, 64, 256, 1024, 4096]
    for _ in range(20):
        pace.seconds = 1.0 * pace.size
        pace.measured(pace.size)
    assert pace.size == 1


def test_a_batch_from_before_the_last_change_does_not_make_them_grow() -> None:
    pace = manyhands.joblib._Pace()
    pace.seconds = 1e-6
    pace.measured(1)
    pace.measured(1)
    assert pace.size == 4


def test_many_small_tasks_travel_together() -> None:
    sizes = []

    class Watched(manyhands.joblib.Backend):
        def submit(self, func, callback=None):
            sizes.append(len(func))
            return super().submit(func, callback)

        apply_async = submit

    assert Parallel(n_jobs=2, backend=Watched())(delayed(neg)(x) for x in range(3000)) == [
        -x for x in range(3000)
    ]
    assert sum(sizes) == 3000
    assert len(sizes) < 1000
