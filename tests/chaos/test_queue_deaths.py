"""Readers and writers are killed at any moment: the others go on, nothing comes twice, little is lost."""

from __future__ import annotations

import os
import queue
import random
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import manyhands as mh
from manyhands.errors import BrokenResourceError

MOMENTS = 200
ITEMS = {"small": 0, "text": 500, "part": 70_000, "large": 200_000}


def item(kind, writer, i):
    return (writer, i) if kind == "small" else (writer, i, np.full(ITEMS[kind] // 8, i))


def sound(got):
    return len(got) == 2 or set(got[2][:: max(1, len(got[2]) // 5)].tolist()) == {got[1]}


@pytest.mark.parametrize("kind", ["small", "text", "large"])
def test_writers_killed_at_random_moments_hurt_nobody(kind, forked):
    seed = random.randrange(1 << 30)
    print("seed", seed)
    rng = random.Random(seed)
    q = mh.Queue(64)

    def write(writer):
        for i in range(1 << 40):
            q.put(item(kind, writer, i))

    seen = {}
    writers = [forked(write, 0)]
    for moment in range(1, MOMENTS):
        writers.append(forked(write, moment))
        until = time.monotonic() + rng.random() * 0.008
        while time.monotonic() < until:
            note(q.get(timeout=30), seen)
        victim = writers.pop(rng.randrange(2))
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
    os.kill(writers[0], signal.SIGKILL)
    os.waitpid(writers[0], 0)
    while not q.empty():
        note(q.get(timeout=30), seen)
    q.put("works")
    assert q.get(timeout=30) == "works"
    q.close()


def note(got, seen):
    """Each writer's numbers come without a gap and in order, and the payload belongs to the number."""
    assert got[1] == seen.get(got[0], -1) + 1, (got[:2], seen.get(got[0]))
    assert sound(got)
    seen[got[0]] = got[1]


@pytest.mark.parametrize("kind", ["small", "text", "large"])
def test_readers_killed_at_random_moments_lose_one_item_each_at_most(kind, forked):
    seed = random.randrange(1 << 30)
    print("seed", seed)
    rng = random.Random(seed)
    q = mh.Queue(32)
    pipes = []

    def read(fd):
        while True:
            got = q.get()
            assert sound(got)
            os.write(fd, got[1].to_bytes(4, "little"))

    def start():
        there, back = os.pipe()
        pid = forked(read, back)
        os.close(back)
        pipes.append(there)
        return pid

    readers = [start(), start()]
    sent = 0
    for _ in range(MOMENTS):
        until = time.monotonic() + rng.random() * 0.006
        while time.monotonic() < until:
            q.put(item(kind, 0, sent), timeout=30)
            sent += 1
        victim = readers.pop(rng.randrange(2))
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        readers.append(start())
    for pid in readers:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    acknowledged = []
    for fd in pipes:
        with open(fd, "rb") as file:
            data = file.read()
        mine = [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)]
        assert mine == sorted(mine)
        acknowledged += mine
    while not q.empty():
        acknowledged.append(q.get(timeout=30)[1])
    assert len(acknowledged) == len(set(acknowledged)), "something came twice"
    assert sent - len(acknowledged) <= len(pipes)
    q.close()


def test_an_idle_reader_killed_inside_get_hurts_nobody(forked, until):
    q = mh.Queue()
    for i in range(20):
        pids = [forked(q.get) for _ in range(2)]
        for pid in pids:
            until(lambda pid=pid: state(pid) == "S")
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        q.put(i)
        assert q.get(timeout=30) == i
    q.close()


def test_what_dead_readers_held_comes_back(forked, statistics):
    before = statistics()["blocks"]
    q, ready = mh.Queue(), mh.Queue()
    for _ in range(10):
        q.put(np.ones(1_000_000))
        pid = forked(lambda: (kept := q.get(), ready.put(kept.size), signal.pause()))
        ready.get(timeout=30)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert statistics()["blocks"] == before
    q.close()
    ready.close()


def test_nothing_outlives_a_killed_parent(tmp_path):
    program = """
import os, signal, sys
import manyhands as mh, numpy as np
def work(there, back):
    while True:
        there.put(np.ones(100_000)); back.put(os.getpid()); there.get()
there, back = mh.Queue(), mh.Queue()
for method in ("template", "fork", "spawn"):
    mh.get_context(method).Process(target=work, args=(there, back)).start()
pids = set()
while len(pids) < 3: pids.add(back.get())
print(*pids, flush=True)
signal.pause()
"""
    path = tmp_path / "parent.py"
    path.write_text(program)
    before = set(os.listdir("/dev/shm"))
    env = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, str(path)], stdout=subprocess.PIPE, text=True, env=env) as parent:
        pids = list(map(int, parent.stdout.readline().split()))
        assert len(pids) == 3
        parent.kill()
    while any(alive(pid) for pid in pids):
        time.sleep(0.005)
    assert set(os.listdir("/dev/shm")) <= before
    assert os.listdir(tmp_path) == ["parent.py"]


def state(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def alive(pid):
    return state(pid) not in "ZX"


# ---- a machine that refuses ----


def test_without_descriptors_there_is_a_clear_error_and_after_closing_some_it_works(forked, ended):
    def child():
        kept = [mh.Queue()]
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        try:
            while len(kept) < 100:
                kept.append(mh.Queue())
        except OSError as error:
            if error.errno != 24:
                raise
        else:
            raise AssertionError("no error")
        kept[0].put([1])
        assert kept[0].get() == [1]
        for one in kept[-9:]:
            one.close()
        before = len(os.listdir("/proc/self/fd"))
        a, b = mh.Pipe()
        a.send(1)
        assert b.recv() == 1
        a.close()
        b.close()
        assert len(os.listdir("/proc/self/fd")) == before

    assert ended(forked(child)) == 0


def test_a_pipe_that_could_not_be_made_leaves_no_descriptor_open(forked, ended):
    def child():
        mh.Pipe()
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
        filler = []
        try:
            while True:
                filler.append(os.dup(0))
        except OSError:
            pass
        for free in range(8):
            open_now = len(filler)
            for fd in filler[-free:] if free else []:
                os.close(fd)
            del filler[open_now - free :]
            with pytest.raises(OSError):
                mh.Pipe()
            count = 0
            try:
                while True:
                    filler.append(os.dup(0))
                    count += 1
            except OSError:
                pass
            assert count == free, f"{free} were free before a Pipe() that failed, {count} after it"

    assert ended(forked(child)) == 0


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare")
def test_a_tiny_dev_shm_does_not_matter(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import manyhands as mh\n"
        "q = mh.Queue()\n"
        "p = mh.Process(target=lambda q: q.put(bytes(10_000_000)), args=(q,))\n"
        "p.start(); print(len(q.get())); p.join()\n"
    )
    command = f"mount -t tmpfs -o size=64k tmpfs /dev/shm && exec {sys.executable} {program}"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", command], capture_output=True, text=True, timeout=50, check=False
    )
    if "Operation not permitted" in done.stderr or "permission denied" in done.stderr:
        pytest.skip("mounting is not permitted here")
    assert (done.stdout, done.returncode) == ("10000000\n", 0), done.stderr


def test_a_sender_without_address_space_still_sends_or_says_so(script):
    out = script("""
        import resource
        import manyhands as mh
        q = mh.Queue()
        q.put("warm"); q.get()
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        try:
            q.put(bytes(50_000_000))
            print("large", len(q.get()))
        except MemoryError as error:
            print("refused", type(error).__name__, "RLIMIT_AS" in str(error))
        try:
            q.put(bytes(600_000_000))
        except MemoryError as error:
            print("refused")
        q = mh.Queue()
        q.put("small")
        print(q.get())
    """)
    assert out.splitlines() in (
        ["large 50000000", "refused", "small"],
        ["refused OutOfMemoryError True", "refused", "small"],
    )


def test_a_receiver_without_address_space_says_so_and_gets_the_next(script):
    out = script("""
        import os, resource
        import manyhands as mh
        q, back = mh.Queue(), mh.Queue()
        def child():
            resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
            try: q.get(); back.put("got it")
            except MemoryError as error: back.put("RLIMIT_AS" in str(error))
            back.put(q.get())
        p = mh.get_context("spawn").Process(target=child)
        p.start()
        q.put(bytes(1_000_000)); q.put("small")
        print(back.get(timeout=30)); print(back.get(timeout=30))
        p.join()
    """)
    assert out.splitlines() == ["True", "small"]


def test_memory_lost_with_its_sender_is_said_and_the_next_item_works(script):
    """Strangers: the arena was made after the fork by the one that died."""
    out = script("""
        import os
        import manyhands as mh
        q = mh.Queue()
        pid = os.fork()
        if pid == 0:
            q.put(bytes(1_000_000)); q.put("small")
            os._exit(0)
        os.waitpid(pid, 0)
        try: print(len(q.get()))
        except OSError as error: print(f"process {pid}" in str(error))
        print(q.get())
        q.put(bytes(1_000_000)); print(len(q.get())); q.close()
    """)
    assert out.splitlines()[1:] == ["small", "1000000"]


def test_broken_is_what_a_lost_item_is():
    assert issubclass(BrokenResourceError, OSError)
    assert not issubclass(queue.Empty, OSError)
