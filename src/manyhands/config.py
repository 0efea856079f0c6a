"""What the user may set through the environment, read once and checked. Floor 0.

==========================  ==============================================================  ==================
``MANYHANDS_SPIN_US``       how long a wait may spin before it parks, microseconds          50; 0 on one core
``MANYHANDS_ARENA_BUDGET``  bytes of freed shared memory that a process keeps warm          1 GiB or RAM / 8
``MANYHANDS_CORES``         how many cores the pools of this process use, if not told; set     all that it may use
                            in workers, so that pools in pools share the cores
==========================  ==============================================================  ==================
"""

from __future__ import annotations

import os

from manyhands.errors import UsageError

#: The name of the variable, for whoever sets it for others.
CORES = "MANYHANDS_CORES"

_DEFAULT_SPIN_US = 50
_DEFAULT_BUDGET = 1 << 30
_ARENA_LEAST = 64 << 30


def _whole_number(name: str, default: int) -> int:
    text = os.environ.get(name)
    if text is None or not text.strip():
        return default
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise UsageError(f"the environment variable {name} is {text!r}; it must be a whole number, 0 or more")
    return value


def memory_bytes() -> int:
    """Physical memory of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def spin_ns() -> int:
    """How long a wait may spin. Never on a single core, where only parking lets the other side run."""
    cores = len(os.sched_getaffinity(0))
    return 1000 * _whole_number("MANYHANDS_SPIN_US", _DEFAULT_SPIN_US if cores > 1 else 0)


def cores(usable: int) -> int:
    """How many of the usable cores this process's pools are to use."""
    return max(1, min(usable, _whole_number(CORES, usable)))


def arena_budget_bytes() -> int:
    """How much freed shared memory a process keeps warm for reuse."""
    return _whole_number("MANYHANDS_ARENA_BUDGET", min(_DEFAULT_BUDGET, memory_bytes() // 8))


def arena_bytes() -> int:
    """Address space of the arena: sparse, so it costs nothing until it is used."""
    return max(_ARENA_LEAST, 2 * memory_bytes())
