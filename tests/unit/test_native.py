"""The native core's own tests, programs in C: each is built and run as one test, and shows what it printed if it fails.

Three builds: plain with kill points, address and undefined-behaviour sanitizers, thread sanitizer. A build is left out
only where the compiler, make, or the sanitizer's runtime is missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[2] / "native" / "tests"
COMPILER = os.environ.get("CC", "cc").split()
LONGEST_S = 180

STRUCTURES = ["test_lock", "test_park", "test_ring", "test_bell", "test_page", "test_arena", "test_message"]
PROGRAMS = [
    *(("plain", name) for name in (*STRUCTURES, "test_kill", "test_storm", "test_garbage")),
    *(("asan", name) for name in (*STRUCTURES, "test_garbage")),
    *(("tsan", name) for name in STRUCTURES),
]
SANITIZERS = {"plain": [], "asan": ["-fsanitize=address,undefined"], "tsan": ["-fsanitize=thread"]}


def run(*command: str, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONGEST_S,
        check=False,
        **more,
    )


@cache
def what_is_missing(build: str, scratch: Path) -> str | None:
    """Why this machine cannot make and run such a program; None if it can."""
    if shutil.which(COMPILER[0]) is None:
        return f"there is no C compiler here ({COMPILER[0]})"
    if shutil.which("make") is None:
        return "there is no make here"
    source, program = scratch / f"{build}.c", scratch / build
    source.write_text("int main(void) { return 0; }\n", encoding="utf-8")
    tried = run(*COMPILER, *SANITIZERS[build], str(source), "-o", str(program))
    if tried.returncode == 0:
        tried = run(str(program))
    return None if tried.returncode == 0 else f"the {build} build does not run here: {tried.stdout[-300:]}"


@cache
def make(build: str) -> subprocess.CompletedProcess[str]:
    return run("make", "-s", "-j2", "-C", str(HOME), f"FLAVOURS={build}", f"CC={' '.join(COMPILER)}")


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("native")


@pytest.mark.parametrize(("build", "name"), PROGRAMS)
def test_native(build: str, name: str, scratch: Path) -> None:
    missing = what_is_missing(build, scratch)
    if missing is not None:
        pytest.skip(missing)
    made = make(build)
    assert made.returncode == 0, made.stdout
    ran = run(str(HOME.parent / "build" / build / name))
    assert ran.returncode == 0, f"{build}/{name} ended with {ran.returncode}:\n{ran.stdout}"


def test_each_program_that_is_built_is_run() -> None:
    if shutil.which("make") is None:
        pytest.skip("there is no make here")
    listed = run("make", "-s", "-C", str(HOME), "list").stdout.split()
    assert [tuple(Path(program).parts[-2:]) for program in listed] == PROGRAMS
