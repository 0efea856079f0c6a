"""Was it memory? The kernel's counts before and after a worker's death, in files that the test writes."""

from __future__ import annotations

import signal

import pytest

from manyhands.engines.local import death

FILES = {
    "/proc/self/cgroup": "0::/inner",
    "/sys/fs/cgroup/inner/memory.events": "low 0\noom 1\noom_kill 4\noom_group_kill 9\n",
    "/sys/fs/cgroup/inner/memory.max": "536870912\n",
    "/sys/fs/cgroup/memory.events": "oom_kill 10\n",
    "/proc/vmstat": "nr_free_pages 7\noom_kill 20\n",
    "/proc/meminfo": "MemTotal: 1 kB\nMemAvailable:  14336 kB\n",
}


@pytest.fixture
def files(monkeypatch):
    texts = dict(FILES)
    monkeypatch.setattr(death, "_read", lambda path: texts.get(path, ""))
    return texts


def kill_one(files):
    """One killing, as the kernel counts it: in its group, in all above, and for the machine."""
    files["/sys/fs/cgroup/inner/memory.events"] = "oom_kill 5\n"
    files["/sys/fs/cgroup/memory.events"] = "oom_kill 11\n"
    files["/proc/vmstat"] = "oom_kill 21\n"


def test_a_killing_that_the_kernel_has_counted_is_told_with_its_figures(files):
    watch = death.OomWatch()
    kill_one(files)
    found = watch.judge(7, -signal.SIGKILL, ours=False)
    assert found.oom
    assert "counts 1 new out-of-memory killing here" in found.memory
    assert "limit is 512 MB" in found.memory
    assert "14 MB are free" in found.memory


def test_a_killing_is_the_cause_of_one_death_only(files):
    watch = death.OomWatch()
    kill_one(files)
    assert watch.judge(7, -signal.SIGKILL, ours=False).oom
    assert not watch.judge(8, -signal.SIGKILL, ours=False).oom


def test_a_sigkill_that_the_kernel_has_not_counted_is_not_said_to_be_memory(files):
    found = death.OomWatch().judge(7, -signal.SIGKILL, ours=False)
    assert not found.oom
    assert "killing" not in found.memory
    assert "14 MB are free" in found.memory


@pytest.mark.parametrize(
    ("exitcode", "ours"), [(-signal.SIGKILL, True), (-signal.SIGSEGV, False), (1, False)]
)
def test_other_deaths_are_not_memorys(files, exitcode, ours):
    watch = death.OomWatch()
    kill_one(files)
    found = watch.judge(7, exitcode, ours)
    assert (found.oom, found.memory) == (False, "")


def test_the_old_cgroups_are_read_too(files):
    files["/proc/self/cgroup"] = "9:memory:/inner\n3:cpu,cpuacct:/other"
    files["/sys/fs/cgroup/memory/inner/memory.oom_control"] = "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"
    watch = death.OomWatch()
    files["/sys/fs/cgroup/memory/inner/memory.oom_control"] = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"
    assert watch.judge(7, -signal.SIGKILL, ours=False).oom
