"""What every test gets without asking: a watchdog against hangs, and a check that nothing leaks."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

#: A test that has not ended after so many seconds hangs: it fails, and its children are killed.
PATIENCE_S, PATIENCE_SLOW_S = 60, 150

#: So much later it hangs where no signal handler can run: all tracebacks are printed and the run ends.
HARD_S = 60

#: How long what a test has let go of may take to be gone (a killed child is to be reaped by somebody).
SETTLE_S = 3.0

_PR_SET_PDEATHSIG = 1


def children() -> set[int]:
    """Pids of the direct children of this process, zombies too."""
    found: set[int] = set()
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError), open(f"/proc/self/task/{task}/children") as file:
            found |= set(map(int, file.read().split()))
    return found


def end(pid: int) -> None:
    """Kill and reap one child."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def pytest_configure() -> None:
    # Whoever starts the tests in the background of a shell has SIGINT ignored, and so would all that they start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class _Frozen:
    """Modules are no garbage: without them each of the many collections below takes a tenth of the time or less."""

    modules = 0

    @classmethod
    def freeze(cls) -> None:
        """Leave alone for ever what is there, if modules have come since the last time."""
        if len(sys.modules) > cls.modules:
            gc.collect()
            gc.freeze()
            cls.modules = len(sys.modules)


def pytest_collection_finish() -> None:
    _Frozen.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if report.failed:
        item.stash[_failed] = True
    return report


_failed = pytest.StashKey[bool]()


class _Singletons:
    """What one process of the library keeps for ever, once it has it: none of it is a leak."""

    def __init__(self) -> None:
        loaded = sys.modules.get
        connection, liveness = loaded("manyhands.process.connection"), loaded("manyhands.process.liveness")
        server = getattr(getattr(connection, "_family", None), "server", None)
        self.pids = {server.pid} if server is not None and server.pid else set()
        self.descriptors = set(getattr(liveness, "_ends", None) or ())
        if server is not None:
            self.descriptors.add(server.sock.fileno())


def _descriptors() -> dict[int, str]:
    found = {}
    known = _Singletons().descriptors
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            link = os.readlink(f"/proc/self/fd/{name}")
            if int(name) not in known and "manyhands-arena" not in link and not link.startswith("/proc/"):
                found[int(name)] = link
    return found


def _ring_mappings() -> int:
    with open("/proc/self/maps") as maps:
        return sum("manyhands-ring" in line for line in maps)


class Leaks:
    """What was there before, and what is there now."""

    def __init__(self) -> None:
        _Frozen.freeze()
        self.settle()
        self.descriptors, self.threads, self.children = _descriptors(), set(threading.enumerate()), children()
        self.mappings = _ring_mappings()

    @staticmethod
    def settle() -> None:
        descriptors = sys.modules.get("manyhands.descriptors")
        if descriptors is not None:
            descriptors._kept.forget()  # kept open on purpose until 64 others have travelled
        arena = sys.modules.get("manyhands.memory.arena")
        if arena is not None:
            arena._witnesses.release()  # notices that forked children have ended
        gc.collect()
        process = sys.modules.get("manyhands.process.family")
        if process is not None:
            process.active_children()

    def now(self) -> list[str]:
        """What has been left since."""
        self.settle()
        left = [
            f"descriptor {fd} -> {link}"
            for fd, link in _descriptors().items()
            if self.descriptors is not None and self.descriptors.get(fd) != link
        ]
        left += [f"thread {thread.name}" for thread in set(threading.enumerate()) - self.threads]
        left += [f"child {pid}" for pid in children() - self.children - _Singletons().pids]
        if _ring_mappings() > self.mappings:
            left.append(f"{_ring_mappings() - self.mappings} mappings of rings")
        return left


@pytest.fixture(autouse=True)
def _watchdog(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that hangs, and kill the children that it has started, by their pids."""
    patience = PATIENCE_SLOW_S if request.node.get_closest_marker("slow") else PATIENCE_S
    before = children()

    def bark(signum: int, frame: object) -> None:
        faulthandler.dump_traceback()
        for pid in children() - before - _Singletons().pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        raise TimeoutError(f"{request.node.nodeid} hangs: no end after {patience} s")

    old = signal.signal(signal.SIGALRM, bark)
    signal.setitimer(signal.ITIMER_REAL, patience, 10)
    faulthandler.dump_traceback_later(patience + HARD_S, exit=True)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
        faulthandler.cancel_dump_traceback_later()


@pytest.fixture(autouse=True)
def _no_leaks(request: pytest.FixtureRequest, _watchdog: None) -> Iterator[None]:
    """Descriptors, threads, children and mappings are the same after a test as before. Children are killed."""
    before = Leaks()
    yield
    failed = request.node.stash.get(_failed, False)
    deadline = time.monotonic() + (0 if failed else SETTLE_S)
    if request.node.get_closest_marker("interrupted"):
        before.descriptors = None
    while (left := before.now()) and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    for pid in children() - before.children - _Singletons().pids:
        end(pid)
    if left and not failed:
        pytest.fail("this test leaks: " + ", ".join(left), pytrace=False)


@pytest.fixture
def forked() -> Iterator[Callable[..., int]]:
    """``forked(function, *args)``: run it in a bare fork; its pid. It dies with this process, or with the test."""
    pids: list[int] = []
    libc = ctypes.CDLL(None)

    def fork(function: Callable[..., object], *args: object) -> int:
        pid = os.fork()
        if pid == 0:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            signal.setitimer(
                signal.ITIMER_REAL, 0
            )  # faulthandler's thread is not copied; to cancel it would hang
            code = 1
            try:
                function(*args)
                code = 0
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                os._exit(code)
        pids.append(pid)
        return pid

    yield fork
    for pid in pids:
        end(pid)


@pytest.fixture
def until() -> Callable[[Callable[[], object]], object]:
    """``until(condition)``: look again and again until it holds; the watchdog ends what never does."""

    def wait(condition: Callable[[], object]) -> object:
        while not (value := condition()):
            threading.Event().wait(0.002)
        return value

    return wait


def code_of(pid: int) -> int:
    """Wait for one child; its exit code, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture
def ended() -> Callable[[int], int]:
    """``ended(pid)``: wait for that child; its exit code."""
    return code_of


@pytest.fixture
def script(tmp_path):
    """``script(text, *args)``: run a program of its own, where ``__main__`` is real; what it printed."""
    import subprocess
    import textwrap

    def run(text: str, *args: str, check: bool = True, **env: str) -> str:
        path = tmp_path / "program.py"
        path.write_text(textwrap.dedent(text))
        done = subprocess.run(
            [sys.executable, "-X", "faulthandler", str(path), *args],
            capture_output=True, text=True, timeout=PATIENCE_S - 5, env=os.environ | env, check=False,
        )  # fmt: skip
        if check:
            assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run


@pytest.fixture
def statistics():
    """The arena's numbers after a collection of garbage."""

    def look() -> dict[str, int]:
        from manyhands.memory import arena

        gc.collect()
        return arena.statistics()

    return look


@pytest.fixture
def background():
    """``background(function, *args)``: run it in a thread; call the result to join it and have value or error."""
    threads: list[threading.Thread] = []

    def start(function: Callable[..., object], *args: object) -> Callable[[], object]:
        outcome: list[tuple[str, object]] = []

        def run() -> None:
            try:
                outcome.append(("value", function(*args)))
            except BaseException as error:
                outcome.append(("error", error))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        threads.append(thread)

        def result() -> object:
            thread.join()
            kind, value = outcome[0]
            if kind == "error":
                raise value
            return value

        return result

    return start
