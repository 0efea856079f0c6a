"""cpu_count, on made-up /proc and /sys/fs/cgroup trees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from manyhands.errors import UsageError
from manyhands.process import cpu, cpu_count


@pytest.fixture(autouse=True)
def _sixteen_cores(monkeypatch):
    monkeypatch.setattr(cpu, "_affinity", lambda: 16)
    monkeypatch.setattr(cpu, "_option", lambda: None)


class Tree:
    def __init__(self, root: Path) -> None:
        self.proc, self.cgroup = root / "proc", root / "cgroup"

    def own(self, *lines: str) -> None:
        self._write(self.proc / "self" / "cgroup", "\n".join(lines))

    def v2(self, folder: str, text: str) -> None:
        self._write(self.cgroup / folder / "cpu.max", text)

    def v1(self, folder: str, quota: int, period: int = 100_000) -> None:
        self._write(self.cgroup / folder / "cpu.cfs_quota_us", f"{quota}\n")
        self._write(self.cgroup / folder / "cpu.cfs_period_us", f"{period}\n")

    def count(self, **environ: str) -> int:
        return cpu_count(environ=environ, proc=self.proc, cgroup=self.cgroup)

    def _write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def test_without_any_limit_it_is_the_affinity(tree):
    assert tree.count() == 16


def test_the_quota_of_the_own_group_counts_in_version_2(tree):
    tree.own("0::/app")
    tree.v2("app", "400000 100000\n")
    assert tree.count() == 4


def test_a_broken_core_is_rounded_up_and_the_least_is_one(tree):
    tree.own("0::/app")
    tree.v2("app", "250000 100000")
    assert tree.count() == 3
    tree.v2("app", "1000 100000")
    assert tree.count() == 1


def test_the_tightest_group_on_the_way_to_the_root_wins(tree):
    tree.own("0::/pod/app/worker")
    tree.v2("pod", "200000 100000")
    tree.v2("pod/app", "800000 100000")
    tree.v2("pod/app/worker", "max 100000")
    assert tree.count() == 2


def test_the_root_group_counts_when_the_own_path_does_not_exist_here(tree):
    tree.own("0::/docker/0123456789/../x")
    tree.v2(".", "300000 100000")
    assert tree.count() == 3


def test_version_1_is_read_under_its_own_controller(tree):
    tree.own("4:memory:/m", "3:cpu,cpuacct:/a/b", "0::/")
    tree.v1("cpu,cpuacct/a", 500_000)
    tree.v1("cpu,cpuacct/a/b", -1)
    assert tree.count() == 5


def test_version_1_is_found_under_the_short_name_too(tree):
    tree.own("1:cpuacct,cpu:/a")
    tree.v1("cpu/a", 150_000, 50_000)
    assert tree.count() == 3


def test_a_hybrid_system_takes_the_least_of_both_versions(tree):
    tree.own("1:cpu:/a", "0::/b")
    tree.v1("cpu/a", 700_000)
    tree.v2("unified/b", "600000 100000")
    assert tree.count() == 6


@pytest.mark.parametrize("text", ["", "max 100000", "nonsense", "1 0", "-5 100000", "1 2 3"])
def test_a_file_that_makes_no_sense_is_no_limit(tree, text):
    tree.own("0::/app", "garbage")
    tree.v2("app", text)
    assert tree.count() == 16


def test_the_users_word_replaces_what_the_system_says(tree):
    tree.own("0::/app")
    tree.v2("app", "200000 100000")
    assert tree.count(PYTHON_CPU_COUNT="24") == 24
    assert tree.count(PYTHON_CPU_COUNT="default") == 2


def test_loky_bounds_everything(tree):
    assert tree.count(LOKY_MAX_CPU_COUNT="3") == 3
    assert tree.count(LOKY_MAX_CPU_COUNT="64") == 16
    assert tree.count(PYTHON_CPU_COUNT="8", LOKY_MAX_CPU_COUNT="5") == 5


@pytest.mark.parametrize("name", ["PYTHON_CPU_COUNT", "LOKY_MAX_CPU_COUNT"])
@pytest.mark.parametrize("value", ["0", "-1", "many", "2.5"])
def test_a_bad_value_is_an_error_that_names_the_variable(tree, name, value):
    with pytest.raises(UsageError, match=f"{name} must be a whole number .*{value}"):
        tree.count(**{name: value})


def test_the_option_of_the_interpreter_counts(tree, monkeypatch):
    monkeypatch.setattr(cpu, "_option", lambda: 7)
    assert tree.count(PYTHON_CPU_COUNT="8") == 7


def test_here_it_is_a_number_that_this_machine_can_have():
    assert 1 <= cpu_count(environ={}) <= max(16, os.cpu_count() or 1)
