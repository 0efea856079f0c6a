"""Importing manyhands starts nothing, opens nothing, and loads nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("numpy", "cloudpickle", "asyncio", "multiprocessing", "logging")

PROGRAM = """
import json, os, sys
def alive():
    children = open("/proc/self/task/%d/children" % os.getpid()).read().split()
    return {"threads": len(os.listdir("/proc/self/task")), "processes": children,
            "descriptors": sorted(os.listdir("/proc/self/fd"))}
before, modules = alive(), set(sys.modules)
import manyhands
print(json.dumps([before, alive(), sorted(set(sys.modules) - modules)]))
"""


@pytest.fixture(scope="module")
def around_the_import() -> tuple[dict[str, object], dict[str, object], list[str]]:
    """What was alive before and after the import, and which modules it brought."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    before, after, modules = json.loads(done.stdout)
    return before, after, modules


@pytest.mark.parametrize("what", ["threads", "processes", "descriptors"])
def test_importing_starts_and_opens_nothing(what, around_the_import) -> None:
    before, after, _ = around_the_import
    assert after[what] == before[what]


@pytest.mark.parametrize("heavy", HEAVY)
def test_importing_does_not_load(heavy, around_the_import) -> None:
    _, _, modules = around_the_import
    assert "manyhands" in modules
    assert [name for name in modules if name.partition(".")[0] == heavy] == []


#: What a worker process loads before its first task, in the template server; each costs a first start a millisecond
#: or some.
WORKER = "manyhands.process.template_server, manyhands.engines.local.worker, manyhands.engines.local.setup"


def test_a_worker_loads_little_before_its_first_task() -> None:
    program = f"import json, sys, {WORKER}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    bare = subprocess.run(
        [sys.executable, "-c", "import json, sys; print(json.dumps(sorted(sys.modules)))"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    brought = set(json.loads(done.stdout)) - set(json.loads(bare.stdout))
    assert "manyhands.engines.local.worker" in brought
    assert (
        brought & {"typing", "pickle", "signal", "socket", "traceback", "subprocess", "logging", "inspect"}
        == set()
    )
