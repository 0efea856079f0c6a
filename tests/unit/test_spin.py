"""How long a wait spins is set wherever rings are used."""

import os
import subprocess
import sys

PROGRAM = """
import manyhands as mh
from manyhands import _native, config

def spin():
    now = _native.set_spin_ns(0)
    _native.set_spin_ns(now)
    return now

queue = mh.Queue()
for method in ("template", "fork", "spawn"):
    process = mh.get_context(method).Process(target=lambda: queue.put(spin()))
    process.start()
    assert queue.get(timeout=30) == spin() == config.spin_ns(), method
    process.join()
print(spin())
"""


def spin_of(**environ: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | environ,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_every_process_spins_as_long_as_the_environment_says():
    assert spin_of(MANYHANDS_SPIN_US="7") == 7000


def test_a_wait_spins_by_default_where_there_is_another_core():
    expected = 50_000 if len(os.sched_getaffinity(0)) > 1 else 0
    assert spin_of(MANYHANDS_SPIN_US="") == expected
