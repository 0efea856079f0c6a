"""How many cores this program may use. Part of the process room; stands on the standard library alone.

What the machine has is only the upper end. A program may be bound to some cores (affinity), and a container
usually has a quota of CPU time that no affinity shows (cgroup). The quota of each group above the own one
counts as well, so the tree is walked from the own group to its root.

Always true:

1. The answer is at least 1.
2. ``PYTHON_CPU_COUNT`` and ``-X cpu_count`` are the user's word and replace what the system says, as in
   Python 3.13; ``LOKY_MAX_CPU_COUNT`` is an upper bound to either.
3. A file that is missing or makes no sense says "no limit"; an environment variable that makes no sense is an
   error.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping

from manyhands.errors import UsageError

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    from typing import TypeAlias

#: The quota of the group with that folder, in cores; None when it has none.
_Quota: TypeAlias = Callable[[str], "int | None"]


def cpu_count(
    *,
    environ: Mapping[str, str] | None = None,
    proc: str | os.PathLike[str] = "/proc",
    cgroup: str | os.PathLike[str] = "/sys/fs/cgroup",
) -> int:
    """The number of processes that can run at once here, at least 1.

    The least of affinity, cgroup quota (v1 and v2, rounded up) and LOKY_MAX_CPU_COUNT, unless the user set
    PYTHON_CPU_COUNT or -X cpu_count. The arguments are there for tests. Does not block.

    Raises `UsageError` when one of the variables is not a positive number.

    >>> cpu_count(environ={"PYTHON_CPU_COUNT": "3"})
    3
    """
    environ = os.environ if environ is None else environ
    wanted = _option() or _variable(environ, "PYTHON_CPU_COUNT", or_word="default")
    found = wanted or min([_affinity(), *_quotas(os.fspath(proc), os.fspath(cgroup))])
    bound = _variable(environ, "LOKY_MAX_CPU_COUNT")
    return max(1, found if bound is None else min(found, bound))


def _option() -> int | None:
    """``-X cpu_count=n``, which Python 3.13 checked already."""
    value = sys._xoptions.get("cpu_count")
    return int(value) if isinstance(value, str) and value.isdigit() and int(value) > 0 else None


def _variable(environ: Mapping[str, str], name: str, or_word: str = "") -> int | None:
    value = environ.get(name, "").strip()
    if not value or value == or_word:
        return None
    if not value.isdigit() or int(value) < 1:
        raise UsageError(
            f"the environment variable {name} must be a whole number of cores from 1 up, not {value!r}"
        )
    return int(value)


def _affinity() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        return os.cpu_count() or 1


def _quotas(proc: str, cgroup: str) -> Iterator[int]:
    """The quota of each group that this process is in, in cores."""
    for line in _read(f"{proc}/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if not controllers:
            for root in (cgroup, f"{cgroup}/unified"):
                yield from _walk(root, group, _quota_v2)
        elif "cpu" in controllers.split(","):
            for root in {f"{cgroup}/{controllers}", f"{cgroup}/cpu"}:
                yield from _walk(root, group, _quota_v1)


def _walk(root: str, group: str, quota: _Quota) -> Iterator[int]:
    """Ask for the quota of `group` and of all above it, up to `root`."""
    steps = [part for part in group.split("/") if part not in ("", ".", "..")]
    for depth in range(len(steps), -1, -1):
        cores = quota("/".join([root, *steps[:depth]]))
        if cores is not None:
            yield cores


def _quota_v2(folder: str) -> int | None:
    words = _read(f"{folder}/cpu.max").split()
    return _cores(*words) if len(words) == 2 else None


def _quota_v1(folder: str) -> int | None:
    return _cores(_read(f"{folder}/cpu.cfs_quota_us").strip(), _read(f"{folder}/cpu.cfs_period_us").strip())


def _cores(quota: str, period: str) -> int | None:
    """Quota by period, rounded up; None for ``max``, ``-1`` and nonsense."""
    if not (quota.isdigit() and period.isdigit()) or int(period) == 0:
        return None
    return max(1, math.ceil(int(quota) / int(period)))


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
