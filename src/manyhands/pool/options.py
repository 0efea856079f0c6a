"""Arguments of pools, checked where they are given: both families of names, and what makes no sense is said."""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Iterable
from typing import Any

from manyhands import config
from manyhands.errors import UsageError
from manyhands.process.cpu import cpu_count
from manyhands.scheduler.work import Options, make_options

_WORKERS_MOST = 4096


def worker_count(processes: Any = None, max_workers: Any = None, n_jobs: Any = None) -> int:
    """How many workers: `processes` (multiprocessing) or `max_workers` (futures), or `n_jobs` (joblib: -1 is all
    cores, -2 all but one). None of them: one a usable core; in a worker of another pool, that one's share."""
    given = {"processes": processes, "max_workers": max_workers, "n_jobs": n_jobs}
    named = {name: value for name, value in given.items() if value is not None}
    if len(named) > 1:
        raise UsageError(f"{' and '.join(named)} mean the same: give one of them")
    if not named:
        return default_workers()
    ((name, value),) = named.items()
    count = whole_number(name, value)
    if name == "n_jobs" and count < 0:
        return max(1, cpu_count() + 1 + count)
    if not 1 <= count <= _WORKERS_MOST:
        raise UsageError(f"{name} is {count}; it must be from 1 to {_WORKERS_MOST} (None: one a usable core)")
    return count


def default_workers() -> int:
    """One a core that this process may use; in a worker of another pool, its share of them."""
    return config.cores(cpu_count())


def whole_number(name: str, value: Any) -> int:
    """`value` as an int. Raises `UsageError` that names it."""
    try:
        return operator.index(value)
    except TypeError:
        raise UsageError(f"{name} must be a whole number, not {value!r}") from None


def at_least_one(name: str, value: Any) -> int | None:
    """A count, or None."""
    if value is None:
        return None
    count = whole_number(name, value)
    if count < 1:
        raise UsageError(f"{name} is {count}; it must be 1 or more, or None")
    return count


def seconds(name: str, value: Any) -> float | None:
    """A time in seconds, or None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value) or value <= 0:
        raise UsageError(f"{name} must be a number of seconds above 0, or None for no limit, not {value!r}")
    return float(value)


def wait_seconds(value: Any) -> float | None:
    """How long to wait, or None for as long as it takes."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        raise UsageError(f"timeout must be a number of seconds, or None to wait for ever, not {value!r}")
    return float(value)


def deadline_of(timeout: Any) -> float | None:
    """When a wait that begins now ends, on the monotonic clock."""
    wait_s = wait_seconds(timeout)
    return None if wait_s is None else time.monotonic() + max(0.0, wait_s)


def options(task_timeout: Any, retries: Any, chunksize: Any = None) -> Options:
    """How tasks are to be treated."""
    limit = seconds("task_timeout", task_timeout)
    again = whole_number("retries", retries)
    if again < 0:
        raise UsageError(f"retries is {again}; it must be 0 (never again) or more")
    size = at_least_one("chunksize", chunksize)
    return make_options(again, None if limit is None or math.isinf(limit) else int(limit * 1e9), size)


def iterable(items: Any, name: str = "iterable") -> Iterable[Any]:
    """`items`, if it is iterable."""
    try:
        iter(items)
    except TypeError:
        what = "of inputs" if name == "iterable" else "of the call's arguments, such as (x,)"
        raise UsageError(f"{name} must be an iterable {what}, not {items!r}") from None
    found: Iterable[Any] = items
    return found


def keywords(kwds: Any) -> dict[str, Any]:
    """`kwds` as a dict."""
    if hasattr(kwds, "keys"):
        return dict(kwds)
    raise UsageError(f"kwds must be a mapping of the call's keyword arguments, not {kwds!r}")


def callbacks(callback: Any, error_callback: Any) -> tuple[Any, Any] | None:
    """Both, checked; None when there is none."""
    if callback is None and error_callback is None:
        return None
    for name, value in (("callback", callback), ("error_callback", error_callback)):
        if value is not None and not callable(value):
            raise UsageError(f"{name} must be a function of one argument, or None, not {value!r}")
    return callback, error_callback


def grace_seconds(value: Any) -> float:
    """How long running tasks may go on, 0 or more."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
        raise UsageError(
            f"grace must be a number of seconds, or None to let running tasks complete, not {value!r}"
        )
    return float(value)
