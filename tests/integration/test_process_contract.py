"""What a Process does, whatever its start method."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing.connection
import os
import pickle
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import pytest

from manyhands import process
from manyhands.descriptors import pack, unpack
from manyhands.errors import PicklingError, RemoteTraceback, StartError, UsageError
from manyhands.process import (
    ForkProcess,
    Process,
    ProcessStateError,
    RemoteError,
    SpawnProcess,
    TemplateProcess,
)

PATIENCE = 30.0


CLASSES = {"template": TemplateProcess, "fork": ForkProcess, "spawn": SpawnProcess}


@pytest.fixture(params=list(CLASSES))
def method(request):
    return request.param


@pytest.fixture
def P(method):
    return CLASSES[method]


@pytest.fixture(autouse=True, scope="module")
def _children_find_pytest_imported():
    process.preload(["pytest"])
    yield
    process.preload([])


@pytest.fixture(autouse=True)
def _no_child_survives():
    yield
    left = process.active_children()
    for child in left:
        child.kill()
        child.join(PATIENCE)
    assert not left, f"this test left {left}"


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    with open(reader, "rb") as file:
        yield file, writer
        with contextlib.suppress(OSError):
            os.close(writer)


class Fd:
    """A descriptor that travels with a start."""

    def __init__(self, fd):
        self.fd = fd

    def __reduce__(self):
        return _unpack_fd, (pack(self.fd),)


def _unpack_fd(token):
    return Fd(unpack(token, os.O_RDWR))


def finished(child):
    child.join(PATIENCE)
    assert child.exitcode is not None, f"{child} hangs"
    return child


def run(P, target, *args, **kwargs):
    child = P(target=target, args=args, kwargs=kwargs)
    child.start()
    return finished(child)


def answer(P, function, *args):
    """What `function` returns in a child."""
    reader, writer = os.pipe()
    with open(reader, "rb") as file:
        child = P(target=_answer, args=(Fd(writer), function, args))
        child.start()
        os.close(writer)
        data = file.read()
    finished(child)
    assert child.exitcode == 0, child.exception
    return pickle.loads(data)


def _answer(fd, function, args):
    with open(fd.fd, "wb", closefd=False) as file:
        pickle.dump(function(*args), file)


def nothing():
    pass


def fail():
    raise LookupError("not here", 17)


def block(fd=None):
    if fd is not None:
        os.write(fd.fd, b"!")
    signal.pause()


def leave(code):
    sys.exit(code)


def crash():
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    ctypes.string_at(0)


def kill_self():
    os.kill(os.getpid(), signal.SIGKILL)


@contextlib.contextmanager
def blocked_child(P, **options):
    """A child that runs and waits."""
    reader, writer = os.pipe()
    child = P(target=block, args=(Fd(writer),), **options)
    child.start()
    assert os.read(reader, 1) == b"!"
    os.close(reader)
    os.close(writer)
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessStateError):
            child.kill()
            finished(child)


# -- the interface ----------------------------------------------------------------------------------------------


def test_a_target_runs_in_another_process_with_its_arguments(P):
    assert answer(P, lambda a, b: (os.getpid(), a, b), 1, [2])[1:] == (1, [2])
    assert answer(P, os.getpid) != os.getpid()


def test_keyword_arguments_arrive(P):
    def check(a, *, b):
        assert (a, b) == (1, 2)

    assert run(P, check, 1, b=2).exitcode == 0


def test_a_subclass_runs_its_own_run(method):
    class Hand(CLASSES[method]):
        def __init__(self, code):
            super().__init__()
            self.code = code

        def run(self):
            sys.exit(self.code)

    hand = Hand(9)
    assert hand.name.startswith("Hand-")
    hand.start()
    assert finished(hand).exitcode == 9


def test_closures_and_lambdas_need_no_care(P):
    number = 40
    assert answer(P, lambda: number + 2) == 42


def test_the_states_of_a_process_show_in_all_properties(P):
    child = P(target=nothing, name="Ann")
    assert (child.pid, child.ident, child.exitcode, child.exception) == (None, None, None, None)
    assert not child.is_alive()
    assert "initial" in repr(child)
    with blocked_child(P) as running:
        assert running.is_alive()
        assert running.exitcode is None
        assert running.exception is None
        assert running.pid == running.ident != os.getpid()
        assert "started" in repr(running)
        assert str(running.pid) in repr(running)
    assert "stopped exitcode=-SIGKILL" in repr(running)
    assert not running.is_alive()
    running.close()
    assert "closed" in repr(running)


def test_names_count_up_and_can_be_set(P):
    first, second = P(), P()
    assert first.name != second.name
    assert first.name.startswith(f"{P.__name__}-")
    first.name = "Zoe"
    assert first.name == "Zoe"
    with pytest.raises(UsageError):
        first.name = 3


def test_the_child_knows_who_it_is_and_who_started_it(P):
    def who():
        me, parent = process.current_process(), process.parent_process()
        return me.name, me.pid == os.getpid(), me.is_alive(), parent.name, parent.pid, parent.is_alive()

    name, is_me, alive, parent_name, parent_pid, parent_alive = answer(P, who)
    assert name.startswith(P.__name__)
    assert (is_me, alive, parent_alive) == (True, True, True)
    assert (parent_name, parent_pid) == ("MainProcess", os.getpid())
    assert process.parent_process() is None
    assert process.current_process().name == "MainProcess"


def test_joining_with_a_timeout_comes_back_while_the_child_runs(P):
    with blocked_child(P) as child:
        child.join(0.01)
        assert child.exitcode is None
        child.join(0)
        child.join(-1)
        assert child.is_alive()


def test_a_sentinel_is_ready_when_the_child_has_ended(P):
    with blocked_child(P) as child:
        assert multiprocessing.connection.wait([child.sentinel], 0) == []
        assert process.wait([child.sentinel], 0) == []
        child.terminate()
        assert multiprocessing.connection.wait([child.sentinel], PATIENCE) == [child.sentinel]
        assert process.wait([child.sentinel], PATIENCE) == [child.sentinel]
        finished(child)
        assert process.wait([child.sentinel], PATIENCE) == [child.sentinel]


def test_terminate_and_kill_send_their_signals(P):
    with blocked_child(P) as child:
        child.terminate()
        assert finished(child).exitcode == -signal.SIGTERM
        child.terminate()
        child.kill()
    with blocked_child(P) as child:
        child.kill()
        assert finished(child).exitcode == -signal.SIGKILL


def test_active_children_are_those_that_run(P):
    assert process.active_children() == []
    with blocked_child(P) as child:
        assert process.active_children() == [child]
    assert process.active_children() == []


def test_a_child_that_ended_leaves_the_active_children_without_a_join(P):
    child = P(target=nothing)
    child.start()
    assert process.wait([child.sentinel], PATIENCE)
    assert process.active_children() == []
    assert child.exitcode == 0


# -- misuse -----------------------------------------------------------------------------------------------------


def test_misuse_is_an_error_that_says_what_to_do(P):
    child = P(target=nothing)
    for call in (child.join, child.terminate, child.kill, lambda: child.sentinel):
        with pytest.raises(ProcessStateError, match="was not started"):
            call()
    child.start()
    with pytest.raises(ProcessStateError, match="started already"):
        child.start()
    with pytest.raises(ProcessStateError, match="started already"):
        child.daemon = True
    finished(child)
    with pytest.raises(ProcessStateError, match="make a new one"):
        child.start()
    child.close()
    child.close()
    for call in (child.start, child.join, child.is_alive, lambda: child.exitcode, lambda: child.pid):
        with pytest.raises(ValueError, match="was closed"):
            call()


def test_misuse_is_caught_by_what_catches_it_in_multiprocessing(P):
    with pytest.raises(AssertionError):
        P().join()
    with pytest.raises(ValueError):
        P().join()


def test_a_running_child_cannot_be_closed(P):
    with blocked_child(P) as child, pytest.raises(ValueError, match="still running"):
        child.close()


def test_only_the_owner_may_join(P):
    stranger = P(target=nothing)
    stranger._owner_pid += 1
    for call in (stranger.start, stranger.join, stranger.is_alive):
        with pytest.raises(ProcessStateError, match="only that one"):
            call()


def test_a_group_is_refused():
    with pytest.raises(UsageError, match="group must be None"):
        Process(group=1)


# -- ends -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "args", "code"),
    [
        (nothing, (), 0),
        (fail, (), 1),
        (leave, (None,), 0),
        (leave, (3,), 3),
        (leave, (True,), 1),
        (leave, (-1,), 255),
        (leave, (256 + 4,), 4),
        (leave, ("text",), 1),
        (os._exit, (7,), 7),
        (kill_self, (), -signal.SIGKILL),
        (crash, (), -signal.SIGSEGV),
    ],
)
def test_exit_codes_are_those_of_multiprocessing(P, target, args, code):
    assert run(P, target, *args).exitcode == code


def test_the_text_of_sys_exit_is_printed(P, capfd):
    run(P, leave, "goodbye")
    assert capfd.readouterr().err == "goodbye\n"


def test_an_exception_comes_back_with_its_type_and_its_traceback(P, capfd):
    child = run(P, fail)
    assert type(child.exception) is LookupError
    assert child.exception.args == ("not here", 17)
    cause = child.exception.__cause__
    assert type(cause) is RemoteTraceback
    assert "in fail" in str(cause)
    printed = capfd.readouterr().err
    assert printed.startswith(f"Process {child.name}:\nTraceback (most recent call last):\n")
    assert printed.endswith("LookupError: ('not here', 17)\n")


def test_there_is_no_exception_when_none_was_raised(P):
    assert run(P, nothing).exception is None
    assert run(P, leave, 3).exception is None
    assert run(P, kill_self).exception is None


class WillNotPickle(Exception):
    def __reduce__(self):
        raise RuntimeError("I stay here")


class WillNotUnpickle(Exception):
    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")


class WillNotPrint(Exception):
    def __str__(self):
        raise RuntimeError("no words")


def throw(error, *args):
    raise error(*args)


def test_an_exception_that_will_not_pickle_is_told_of(P):
    error = run(P, throw, WillNotPickle, "boo").exception
    assert type(error) is RemoteError
    assert error.type_name == "WillNotPickle"
    assert error.text == "boo"
    assert "could not be pickled" in str(error)
    assert "in throw" in str(error.__cause__)


def test_an_exception_that_will_not_unpickle_is_told_of(P):
    error = run(P, throw, WillNotUnpickle, "this", "that").exception
    assert type(error) is RemoteError
    assert "this and that" in str(error)
    assert "could not be unpickled" in str(error)
    assert pickle.loads(pickle.dumps(error)).type_name == "WillNotUnpickle"


def test_an_exception_that_will_not_print_hangs_nobody(P):
    assert run(P, throw, WillNotPrint, 1).exitcode == 1


def test_an_exception_of_any_size_arrives_while_nobody_reads(P):
    child = run(P, lambda: throw(LookupError, b"x" * 10_000_000))
    assert len(child.exception.args[0]) == 10_000_000


def test_what_cannot_be_rebuilt_in_the_child_is_an_exception_there(P):
    if P is ForkProcess:
        pytest.skip("fork pickles nothing")
    child = run(P, nothing, Bomb())
    assert child.exitcode == 1
    assert type(child.exception) is ZeroDivisionError


class Bomb:
    def __reduce__(self):
        return divmod, (1, 0)


def test_what_cannot_be_sent_raises_in_the_caller_and_starts_nothing(P):
    if P is ForkProcess:
        pytest.skip("fork pickles nothing")
    child = P(target=nothing, args=({"lock": threading.Lock()},))
    with pytest.raises(PicklingError, match="lock"):
        child.start()
    assert child.pid is None
    assert process.active_children() == []
    child._args = ()
    child.start()
    assert finished(child).exitcode == 0


def test_a_started_process_cannot_be_sent(P):
    with blocked_child(P) as child, pytest.raises(TypeError, match="was started"):
        pickle.dumps(child)


# -- the world of the child -------------------------------------------------------------------------------------


def test_the_child_writes_where_its_owner_writes_now(P, capfd):
    run(P, lambda: print("out") or print("err", file=sys.stderr))
    assert capfd.readouterr() == ("out\n", "err\n")
    with tempfile.TemporaryFile() as elsewhere:
        before = os.dup(1)
        os.dup2(elsewhere.fileno(), 1)
        try:
            run(P, lambda: os.system("echo moved"))
        finally:
            os.dup2(before, 1)
            os.close(before)
        elsewhere.seek(0)
        assert elsewhere.read() == b"moved\n"


def test_the_child_reads_nothing_from_its_owners_stdin(P):
    assert answer(P, lambda: (sys.stdin.read(), os.read(0, 1))) == ("", b"")


def test_the_world_is_as_the_owner_left_it(P, tmp_path, monkeypatch):
    run(P, nothing)  # a server may be there already
    monkeypatch.setenv("MANYHANDS_TEST_NEW", "new \udcff")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    monkeypatch.setattr(sys, "argv", ["prog", "x"])
    before = os.umask(0o027)
    try:
        found = answer(P, world)
    finally:
        os.umask(before)
    assert found == ("new \udcff", None, str(tmp_path), str(tmp_path / "lib"), ["prog", "x"], 0o027)


def world():
    mask = os.umask(0)
    return (
        os.environ.get("MANYHANDS_TEST_NEW"), os.environ.get("HOME"), os.getcwd(), sys.path[0], sys.argv, mask,
    )  # fmt: skip


def test_a_module_that_only_the_owners_path_knows_can_be_imported(P, tmp_path, monkeypatch):
    (tmp_path / "only_here_mod.py").write_text("def f():\n    return 'found'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import only_here_mod

    try:
        assert answer(P, only_here_mod.f) == "found"
    finally:
        del sys.modules["only_here_mod"]


def test_a_removed_folder_is_no_obstacle(P, tmp_path, monkeypatch):
    if P is SpawnProcess and sys.version_info[:3] == (3, 13, 0):
        pytest.skip("Python 3.13.0 itself fails to import socket in a folder that is gone")
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert run(P, nothing).exitcode == 0


def draw():
    return random.random()  # not the bound method, which would travel with its state


def test_children_have_different_random_numbers(P):
    numbers = {answer(P, draw) for _ in range(3)} | {random.random()}
    assert len(numbers) == 4


def test_descriptors_travel_with_the_arguments(P, pipe):
    file, writer = pipe
    run(P, lambda fd: os.write(fd.fd, b"hello"), Fd(writer))
    os.close(writer)
    assert file.read() == b"hello"


def test_a_child_holds_only_the_descriptors_it_needs(P):
    if P is ForkProcess:
        pytest.skip("a fork has what its owner has")
    secret = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(secret, True)
    try:
        found = answer(P, lambda: len(os.listdir("/proc/self/fd")))
    finally:
        os.close(secret)
        # 0-2, the payload, the liveness pipe, the answer twice, the server, the family's arena, the listing itself
        assert found <= 10


def test_sigint_is_as_every_python_has_it(P):
    assert answer(P, lambda: signal.getsignal(signal.SIGINT) is signal.default_int_handler)
    assert answer(P, lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [])) == set()


def test_a_process_may_ignore_ctrl_c_from_its_first_instruction_on(P, capfd):
    children = []
    for _ in range(20):
        child = P(target=time.sleep, args=(600,), daemon=True)
        child.ignores_sigint = True
        child.start()
        os.kill(child.pid, signal.SIGINT)
        children.append(child)
    for child in children:
        assert child.is_alive()
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL
    assert capfd.readouterr().err == ""


def test_ctrl_c_at_the_first_instruction_is_not_lost(P):
    for _ in range(20):
        child = P(target=time.sleep, args=(600,), daemon=True)
        child.start()
        os.kill(child.pid, signal.SIGINT)
        child.join()
        assert child.exitcode == 1


def test_ctrl_c_in_a_child_prints_one_line(P, capfd):
    child = run(P, lambda: os.kill(os.getpid(), signal.SIGINT) or signal.pause())
    assert child.exitcode == 1
    assert type(child.exception) is KeyboardInterrupt
    assert capfd.readouterr().err == f"Process {child.name}: KeyboardInterrupt\n"


def test_the_family_shares_one_secret(P):
    def secret():
        return process.current_process().authkey

    assert answer(P, secret) == process.current_process().authkey
    assert len(secret()) == 32


# -- the end of the child ---------------------------------------------------------------------------------------


def test_a_child_waits_for_its_threads_and_runs_its_exit_functions(P, pipe):
    file, writer = pipe

    def target(fd):
        import atexit
        from concurrent.futures import ThreadPoolExecutor

        go = threading.Event()
        atexit.register(os.write, fd.fd, b"exit")
        threading.Thread(target=lambda: go.wait(PATIENCE) and os.write(fd.fd, b"thread ")).start()
        ThreadPoolExecutor(1).submit(go.set)

    assert run(P, target, Fd(writer)).exitcode == 0
    os.close(writer)
    assert file.read() == b"thread exit"


def test_a_fork_does_not_run_the_exit_functions_of_its_owner(tmp_path):
    out = script(
        """
        import atexit
        from manyhands.process import Process, set_start_method
        set_start_method("fork")
        atexit.register(print, "owner's", flush=True)
        p = Process(target=print, args=("child",))
        p.start()
        p.join()
        """,
        tmp_path,
    )
    assert out.stdout == "child\nowner's\n"


def test_children_may_have_children(P):
    def child(P):
        grandchild = P(target=nothing)
        name = grandchild.name
        grandchild.start()
        grandchild.join(PATIENCE)
        return name, process.current_process().name, grandchild.exitcode

    grandchild, child_name, code = answer(P, child, P)
    assert code == 0
    assert grandchild.split("-")[1].startswith(child_name.split("-")[1] + ":1")


def test_daemons_may_have_children_and_their_children_are_daemons(P, pipe):
    file, writer = pipe

    def target(fd):
        inner = P(target=nothing)
        inner.start()
        inner.join(PATIENCE)
        os.write(fd.fd, f"{inner.daemon} {inner.exitcode}".encode())

    child = P(target=target, args=(Fd(writer),), daemon=True)
    child.start()
    finished(child)
    os.close(writer)
    assert file.read() == b"True 0"


def test_a_grandchild_of_another_method_starts_too(P):
    def child(other):
        grandchild = other(target=nothing)
        grandchild.start()
        grandchild.join(PATIENCE)
        return grandchild.exitcode

    for other in CLASSES.values():
        assert answer(P, child, other) == 0


# -- start methods ----------------------------------------------------------------------------------------------


def test_the_start_methods_have_names_and_an_alias(monkeypatch):
    assert process.get_all_start_methods() == ["template", "fork", "spawn"]
    monkeypatch.delenv("MANYHANDS_START_METHOD", raising=False)
    assert process.get_start_method() == "template"
    assert process.get_start_method(allow_none=True) is None
    try:
        process.set_start_method("forkserver")
        assert process.get_start_method() == "template"
        with pytest.raises(RuntimeError, match="already set"):
            process.set_start_method("fork")
        process.set_start_method("fork", force=True)
        assert process.get_start_method() == "fork"
        with pytest.raises(UsageError, match=r"'template', 'fork', 'spawn'"):
            process.set_start_method("threads", force=True)
    finally:
        process.set_start_method(None, force=True)


def test_the_environment_chooses_the_default(monkeypatch):
    monkeypatch.setenv("MANYHANDS_START_METHOD", "spawn")
    assert process.get_start_method() == "spawn"
    monkeypatch.setenv("MANYHANDS_START_METHOD", "clone")
    with pytest.raises(UsageError, match="MANYHANDS_START_METHOD is 'clone'"):
        Process().start()


# -- many -------------------------------------------------------------------------------------------------------


def test_threads_may_start_processes_at_once(P):
    codes = []

    def starter(number):
        with warnings.catch_warnings():
            codes.extend(run(P, leave, number * 4 + turn).exitcode for turn in range(4))

    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # fork in a threaded program: the point of this test
        threads = [threading.Thread(target=starter, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    assert sorted(codes) == list(range(32))


def test_fifty_processes_one_after_the_other_leak_no_descriptor(P):
    run(P, nothing).close()
    before = descriptors_of_family()
    for _ in range(50):
        run(P, nothing)
    settle(lambda: descriptors_of_family() <= before)


def descriptors_of_family():
    from manyhands.process import connection

    pids = [os.getpid()]
    server = connection._family.server
    if server is not None and server.pid is not None:
        pids.append(server.pid)
    return [len(os.listdir(f"/proc/{pid}/fd")) for pid in pids]


def settle(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "this never came true"
        os.sched_yield()


def test_more_descriptors_than_the_kernel_carries_are_refused_clearly(P):
    if P is ForkProcess:
        pytest.skip("fork sends nothing")
    fd = os.open("/dev/null", os.O_RDONLY)
    before = len(os.listdir("/proc/self/fd"))
    child = P(target=nothing, args=tuple(Fd(fd) for _ in range(260)))
    with pytest.raises(StartError, match="253 descriptors"):
        child.start()
    os.close(fd)
    settle(lambda: len(os.listdir("/proc/self/fd")) <= before - 1)


def test_hooks_run_in_the_child_and_in_the_owner(P, pipe, monkeypatch):
    from manyhands.process import extras

    file, writer = pipe
    reaped = []
    monkeypatch.setattr(extras, "_extras", {})
    monkeypatch.setattr(extras, "_child_hooks", {})
    monkeypatch.setattr(extras, "_reap_hooks", [reaped.append])
    monkeypatch.setenv("MANYHANDS_TEST_TAKEN", "")
    process.at_child_start(_note_start)
    if P is not ForkProcess:
        process.register("test", lambda: writer, _take)
    process.register("nothing", lambda: None, _take)
    child = run(P, _tell_taken, writer)
    os.close(writer)
    assert file.read() == (b"started" if P is ForkProcess else b"taken started")
    assert reaped == [child.pid]
    with pytest.raises(UsageError):
        process.at_child_start(lambda: None)


def _take(fd):
    os.environ["MANYHANDS_TEST_TAKEN"] = str(fd)


def _note_start():
    os.environ["MANYHANDS_TEST_STARTED"] = "started"


def _tell_taken(writer):
    taken = os.environ.get("MANYHANDS_TEST_TAKEN")
    os.write(
        int(taken or writer), (b"taken " if taken else b"") + os.environ["MANYHANDS_TEST_STARTED"].encode()
    )


# -- whole programs ---------------------------------------------------------------------------------------------


def script(text, tmp_path, *flags, **env):
    import textwrap

    path = Path(tmp_path) / "program.py"
    path.write_text(textwrap.dedent(text))
    done = subprocess.run(  # noqa: PLW1510 - the next line says more
        [sys.executable, *flags, str(path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=os.environ | env,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_what_starts_processes_can_boot_ahead_of_the_first(tmp_path):
    out = script(
        """
        import os
        from manyhands import process

        def children():
            return open(f"/proc/self/task/{os.getpid()}/children").read().split()

        for method in ("fork", "spawn"):
            process.ensure_running(method)
        print(len(children()), flush=True)
        process.ensure_running()
        [server] = children()
        process.ensure_running("forkserver")
        print([server] == children(), flush=True)
        child = process.Process(target=lambda: print(os.getppid() == int(server), flush=True))
        child.start()
        child.join()
        """,
        tmp_path,
    )
    assert out.stdout == "0\nTrue\nTrue\n"


def test_a_system_that_refuses_to_boot_ahead_says_so_at_the_start(tmp_path):
    out = script(
        """
        from manyhands import process
        from manyhands.errors import StartError

        process.set_executable("/nonexistent/python")
        process.ensure_running()
        try:
            process.Process(target=print).start()
        except StartError as error:
            print(error)
        """,
        tmp_path,
    )
    assert "cannot run the Python interpreter /nonexistent/python" in out.stdout


def test_only_a_known_start_method_boots_ahead():
    with pytest.raises(UsageError, match="start method is 'no'"):
        process.ensure_running("no")


def test_a_program_needs_no_guard_and_its_functions_work(tmp_path, method):
    out = script(
        """
        from dataclasses import dataclass
        from manyhands.process import Process

        FACTOR = 3

        @dataclass
        class Point:
            x: int

        class Oops(Exception):
            pass

        def helper(point):
            return point.x * FACTOR

        def target(point):
            print(helper(point), type(point).__name__, flush=True)
            raise Oops(point)

        p = Process(target=target, args=(Point(2),))
        p.start()
        p.join()
        print(type(p.exception) is Oops, p.exception.args == (Point(2),))
        """,
        tmp_path,
        MANYHANDS_START_METHOD=method,
    )
    assert out.stdout == "6 Point\nTrue True\n"


def test_at_exit_daemons_are_terminated_and_the_others_joined(tmp_path, method):
    out = script(
        """
        import signal, sys, time, os
        from manyhands.process import Process, parent_process
        r, w = os.pipe()

        def slow():
            time.sleep(0.3)
            os.write(1, b"joined\\n")

        def stubborn():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.write(1, b"stubborn\\n")
            signal.pause()

        def polite():
            signal.signal(signal.SIGTERM, lambda *_: os.write(1, b"terminated\\n") and os._exit(0))
            with open(f"/proc/{parent_process().pid}/fd/{w}", "wb", buffering=0) as ready:
                ready.write(b"!")
            while True:
                signal.pause()

        for target, daemon in ((polite, True), (signal.pause, True), (stubborn, True), (slow, False)):
            p = Process(target=target, daemon=daemon)
            p.start()
        os.read(r, 1)
        os.write(1, b"end\\n")
        """,
        tmp_path,
        MANYHANDS_START_METHOD=method,
    )
    assert "end\n" in out.stdout
    assert "terminated\n" in out.stdout
    assert "joined\n" in out.stdout
    assert out.stderr == ""


def test_few_descriptors_are_survived(tmp_path, method):
    out = script(
        """
        import resource, os, signal
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        from manyhands.process import Process
        from manyhands.errors import StartError

        def end(children):
            for child in children:
                child.kill()
                child.join()
                child.close()

        for turn in range(2):
            children = []
            try:
                while True:
                    child = Process(target=signal.pause)
                    child.start()
                    children.append(child)
            except StartError as error:
                assert "descriptors" in str(error), error
            count = len(os.listdir("/proc/self/fd"))
            for again in range(20):
                try:
                    child.start()
                except StartError:
                    pass
            assert len(os.listdir("/proc/self/fd")) == count, "descriptors leak"
            assert len(children) > 5, len(children)
            end(children)
        child.start()
        end([child])
        print("fine")
        """,
        tmp_path,
        MANYHANDS_START_METHOD=method,
    )
    assert out.stdout == "fine\n"


def test_the_flags_of_the_interpreter_are_passed_on(tmp_path, method):
    text = """
        import sys
        from manyhands.process import Process
        def show():
            print(sys.flags.optimize, sys.flags.dont_write_bytecode, sys.warnoptions, sys._xoptions.get("utf8"))
        show()
        sys.stdout.flush()
        p = Process(target=show)
        p.start()
        p.join()
        """
    out = script(text, tmp_path, "-OO", "-B", "-Werror", "-Xutf8", MANYHANDS_START_METHOD=method)
    first, second = out.stdout.splitlines()
    assert first == second


def test_a_module_that_cannot_be_preloaded_is_warned_of_once(tmp_path):
    out = script(
        """
        import warnings
        from manyhands.process import Process, set_forkserver_preload
        set_forkserver_preload(["json", "no_such_module_at_all"])
        def target():
            import sys
            print("json" in sys.modules, flush=True)
        for _ in range(2):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                p = Process(target=target)
                p.start()
                p.join()
            print([str(w.message) for w in caught], flush=True)
        """,
        tmp_path,
    )
    first, warned, second, silent = out.stdout.splitlines()
    assert (first, second, silent) == ("True", "True", "[]")
    assert "no_such_module_at_all" in warned


def test_importing_starts_nothing(tmp_path):
    out = script(
        """
        import sys, threading, os
        import manyhands.process
        assert "multiprocessing" not in sys.modules
        assert "manyhands.process.handle" not in sys.modules
        manyhands.process.Process
        for heavy in ("subprocess", "cloudpickle", "multiprocessing", "ctypes", "asyncio", "logging", "traceback"):
            if heavy in sys.modules:
                print(heavy)
        assert threading.active_count() == 1
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            print("none")
        """,
        tmp_path,
        "-S",
        PYTHONPATH=os.pathsep.join(sys.path),
    )
    assert out.stdout.splitlines() == ["none"]


def test_a_target_that_cannot_be_called_is_refused_at_once():
    with pytest.raises(UsageError, match="target must be a function"):
        Process(target=3)
