"""Processes are killed at bad moments: nothing outlives its owner, nothing hangs, the rest goes on."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from pathlib import Path

import pytest

from manyhands import process
from manyhands.errors import StartError
from manyhands.process import Process, connection, launcher, template, watch

PATIENCE = 30.0

METHODS = ["template", "fork", "spawn"]

OWNER = """
    import os, signal, sys, time
    from manyhands.process import Process, parent_process

    READER, WRITER = os.pipe()

    def say(word):
        os.write(1, f"{word} {os.getpid()}\\n".encode())

    def busy():
        say("child")
        while True:
            pass

    def busy_in_c():
        say("child")
        sum(range(10 ** 12))

    def sleeping():
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        say("child")
        time.sleep(1000)

    def reading():
        say("child")
        reader, writer = os.pipe()
        os.read(reader, 1)

    def nested():
        say("child")
        for target in (busy, reading):
            Process(target=target).start()
        signal.pause()

    for target in (busy, busy_in_c, sleeping, reading, nested):
        Process(target=target, daemon=True).start()
    with open(f"/proc/{os.getpid()}/task/{os.getpid()}/children") as children:
        for pid in children.read().split():
            os.write(1, f"direct {pid}\\n".encode())
    os.write(1, b"ready 0\\n")
    signal.pause()
"""


@contextlib.contextmanager
def program(text, tmp_path, **env):
    """A running script in a session of its own."""
    path = Path(tmp_path) / "program.py"
    path.write_text(textwrap.dedent(text))
    with subprocess.Popen(
        [sys.executable, "-u", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(tmp_path / "temporary")} | env,
        start_new_session=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def read_pids(running, wanted):
    """Pidfds of all processes that the script tells of, when it is ready and `wanted` children spoke."""
    pidfds, children, ready = {}, 0, False
    while not (ready and children >= wanted):
        word, pid = running.stdout.readline().split()
        ready |= word == b"ready"
        children += word == b"child"
        if word != b"ready" and int(pid) not in pidfds:
            pidfds[int(pid)] = os.pidfd_open(int(pid))
    return pidfds


def all_gone(pidfds):
    """Wait until all of them are dead; those that are not after a while."""
    left, deadline = dict(pidfds), time.monotonic() + PATIENCE
    while left and time.monotonic() < deadline:
        ready = process.wait(left.values(), deadline - time.monotonic())
        left = {pid: fd for pid, fd in left.items() if fd not in ready}
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    for fd in pidfds.values():
        os.close(fd)
    return not left


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_nothing_outlives_its_owner_whatever_killed_it(tmp_path, method, end):
    (tmp_path / "temporary").mkdir()
    shm = set(os.listdir("/dev/shm"))
    with program(OWNER, tmp_path, MANYHANDS_START_METHOD=method) as running:
        pidfds = read_pids(running, 7)
        assert len(pidfds) >= 7
        running.send_signal(end)
        assert running.wait(PATIENCE) == -end
        assert all_gone(pidfds)
    assert not [name for name in set(os.listdir("/dev/shm")) - shm if "manyhands" in name]
    assert os.listdir(tmp_path / "temporary") == []


@pytest.mark.parametrize("method", METHODS)
def test_an_owner_that_dies_during_a_start_leaves_nothing(tmp_path, method):
    text = """
        import os, signal
        from manyhands.process import Process
        os.write(1, b"go 1\\n")
        while True:
            Process(target=signal.pause, daemon=True).start()
    """
    for turn in range(8):
        with program(text, tmp_path, MANYHANDS_START_METHOD=method) as running:
            running.stdout.readline()
            select.select([], [], [], turn * 0.012)  # a different moment each time
            session = running.pid
            running.kill()
            running.wait(PATIENCE)
        settle(lambda session=session: not members(session))


def members(session):
    """The living processes of that session."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            state, _, _, sid = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[:4]
            if int(sid) == session and state not in "ZX":
                found.append(int(name))
    return found


def settle(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "this never came true"
        os.sched_yield()


@pytest.mark.parametrize("method", METHODS)
def test_ctrl_c_leaves_no_orphan_and_prints_no_wall(tmp_path, method):
    text = """
        import os, signal, time
        from manyhands.process import Process
        def target():
            os.write(1, b"child 1\\n")
            time.sleep(1000)
        children = [Process(target=target) for _ in range(4)]
        for child in children:
            child.start()
        try:
            for child in children:
                child.join()
        except KeyboardInterrupt:
            for child in children:
                child.join()
            print("codes", [child.exitcode for child in children])
            raise
    """
    with program(text, tmp_path, MANYHANDS_START_METHOD=method) as running:
        for _ in range(4):
            running.stdout.readline()
        os.killpg(running.pid, signal.SIGINT)
        out, err = running.communicate(timeout=PATIENCE)
        assert running.returncode == -signal.SIGINT
        assert out == b"codes [1, 1, 1, 1]\n"
        assert err.count(b"Traceback") == 1, err.decode()
        settle(lambda: not members(running.pid))


def test_ctrl_c_while_the_server_boots_prints_no_wall(tmp_path):
    text = """
        import os, signal
        from manyhands.process import Process
        os.write(1, b"go 1\\n")
        while True:
            Process(target=signal.pause, daemon=True).start()
    """
    for turn in range(8):
        with program(text, tmp_path) as running:
            running.stdout.readline()
            select.select([], [], [], turn * 0.008)
            os.killpg(running.pid, signal.SIGINT)
            _, err = running.communicate(timeout=PATIENCE)
            assert err.count(b"Traceback") <= 1, err.decode()
            settle(lambda: not members(running.pid))


class Watched(Process):
    _start_method = "template"


def server_pid():
    return connection.connection().pid


def kill_server():
    pid = server_pid()
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


@pytest.fixture
def gate():
    """A pipe: the child waits at its read end, by path."""
    reader, writer = os.pipe()
    yield f"/proc/{os.getpid()}/fd/{reader}", writer
    os.close(reader)
    os.close(writer)


def wait_then_leave(path, code):
    with open(path, "rb", buffering=0) as file:
        file.read(1)
    sys.exit(code)


def finish(child):
    child.join(PATIENCE)
    assert child.exitcode is not None, f"{child} hangs"
    return child.exitcode


def test_children_outlive_the_server_and_their_exit_codes_are_known(gate):
    path, writer = gate
    child, victim = Watched(target=wait_then_leave, args=(path, 5)), Watched(target=signal.pause)
    child.start()
    victim.start()
    old = server_pid()
    kill_server()
    assert child.is_alive()
    assert victim.is_alive()
    os.write(writer, b"!")
    assert finish(child) == 5
    victim.kill()
    assert finish(victim) in (-signal.SIGKILL, 255)  # the kernel tells since Linux 6.15
    another = Watched(target=sys.exit, args=(6,))
    another.start()
    assert finish(another) == 6
    assert server_pid() != old


def test_the_server_itself_reports_how_its_children_ended(monkeypatch):
    monkeypatch.setattr(watch, "kernel_status", lambda *_: None)
    child = Watched(target=signal.pause)
    child.start()
    child.kill()
    assert finish(child) == -signal.SIGKILL


def test_ctrl_c_does_not_reach_the_server():
    pid = server_pid()
    os.kill(pid, signal.SIGINT)
    child = Watched(target=sys.exit, args=(3,))
    child.start()
    assert finish(child) == 3
    assert server_pid() == pid


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("end", ["abandon", "drop"])
def test_a_child_that_was_never_told_to_go_does_not_run(tmp_path, method, end):
    path = tmp_path / "runs"
    launch = launcher.start(Process(target=note, args=(str(path),)), method)
    pidfd = os.dup(launch.sentinel)
    if end == "abandon":
        launch.abandon()
    del launch
    assert process.wait([pidfd], PATIENCE)
    os.close(pidfd)
    assert not path.exists()


def test_a_stopped_server_does_not_hang_those_who_ask(monkeypatch):
    monkeypatch.setattr(template, "_REPORT_S", 0.05)
    child = Watched(target=signal.pause)
    child.start()
    os.kill(server_pid(), signal.SIGSTOP)
    try:
        child.kill()
        assert finish(child) == 255
        assert not child.is_alive()
    finally:
        os.kill(server_pid(), signal.SIGCONT)


def test_a_nested_start_survives_the_death_of_the_server(tmp_path):
    text = """
        import os, signal
        from manyhands.process import Process, connection

        def inner():
            os.write(1, b"inner\\n")

        def outer():
            for turn in range(2):
                child = Process(target=inner)
                child.start()
                child.join()
                os.write(1, f"{child.exitcode}\\n".encode())
                if turn == 0:
                    os.kill(os.getppid(), signal.SIGKILL)
                    while not connection._family.server.is_gone():
                        pass

        child = Process(target=outer)
        child.start()
        child.join()
        os.write(1, f"{child.exitcode}\\n".encode())
    """
    with program(text, tmp_path) as running:
        out, err = running.communicate(timeout=PATIENCE)
        assert out == b"inner\n0\ninner\n0\n0\n", err.decode()


def note(path):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{os.getpid()}\n".encode())
    os.close(fd)


def test_a_server_killed_over_and_over_never_runs_a_target_twice(tmp_path):
    path, stop = str(tmp_path / "runs"), threading.Event()

    def killer():
        while not stop.wait(0.03):
            with connection._family.lock:
                server = connection._family.server
                if server is not None and server.pid is not None:
                    os.kill(server.pid, signal.SIGKILL)

    thread = threading.Thread(target=killer)
    thread.start()
    started, refused = 0, 0
    try:
        for _ in range(60):
            child = Watched(target=note, args=(path,))
            try:
                child.start()
                started += 1
                finish(child)
            except StartError:
                refused += 1
    finally:
        stop.set()
        thread.join(PATIENCE)
    runs = Path(path).read_text().splitlines()
    assert len(runs) == started
    assert started + refused == 60
    assert len(set(runs)) == len(runs)


class Interrupt(BaseException):
    pass


@pytest.mark.interrupted
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # files opened that very moment
@pytest.mark.parametrize("method", METHODS)
def test_a_start_that_is_interrupted_anywhere_leaves_no_child_that_nobody_holds(method):
    class Hand(Process):
        _start_method = method

    def interrupt(*_):
        raise Interrupt

    first = Hand(target=int)
    first.start()
    finish(first)
    before = signal.signal(signal.SIGALRM, interrupt)
    interrupted = 0
    try:
        for turn in range(60):
            child = Hand(target=signal.pause)
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0001 + turn * 0.00004)
                child.start()
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Interrupt:
                interrupted += 1
            if child.pid is not None:
                child.kill()
                finish(child)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupted
    connection.stop()
    settle(lambda: not orphans())


def orphans():
    """Children of this process that are alive."""
    pid = os.getpid()
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_an_owner_that_died_before_its_child_looked_is_noticed():
    text = "import os; from manyhands.process import liveness; r, w = os.pipe(); os.close(w); liveness.arm(r)"
    done = subprocess.run([sys.executable, "-c", text], timeout=PATIENCE, check=False)
    assert done.returncode == -signal.SIGKILL


def test_a_child_that_another_wait_reaped_is_noticed():
    class Hand(Process):
        _start_method = "fork"

    with warnings.catch_warnings():
        child = Hand(target=sys.exit, args=(4,))
        child.start()
    os.waitpid(child.pid, 0)
    assert finish(child) == 4
