"""Who is stuck, who sleeps, and what could be taken from whom. Pure; it notes on workers who sleeps."""

from __future__ import annotations

from collections.abc import Iterable

from manyhands.scheduler.commands import State, Worker
from manyhands.scheduler.work import Lease

#: What is quicker than this to run is not worth taking from another worker.
STEAL_LEAST_NS = 50_000


def spoils(workers: Iterable[Worker], least_ns: int) -> list[tuple[float, Lease, bool]]:
    """What could be taken: how long it would run, the lease, and whether its worker runs it, or is about to.

    Of that one a part is left to its worker: who lost all would have nothing to do, and might get it back.
    """
    found = []
    for worker in workers:
        for place, lease in enumerate(worker.leases):
            is_run = place == 0 and worker.state is not State.STARTING
            items = lease.end - lease.done - is_run
            ns = lease.batch.source.pace.ns
            worth = items * (STEAL_LEAST_NS if ns is None else ns)
            if is_run and lease.batch.source.options.chunksize is not None:
                continue  # a chunk stays whole
            if items > 0 and not lease.barren and worth >= least_ns:
                found.append((worth, lease, is_run))
    return found


def is_stuck(worker: Worker, begun: dict[int, int]) -> bool:
    """Does it have anything but one single item, which it has begun?"""
    if not worker.leases:
        return False
    first = worker.leases[0]
    return len(worker.leases) > 1 or first.end > 1 or begun.get(first.number, 0) <= first.done


def falls_asleep(worker: Worker, begun: dict[int, int]) -> bool:
    """Note how the worker does. One that at two looks has begun nothing of what it has is asleep (stopped, or without
    a core): True, once. It is to get nothing more until it is heard of."""
    first = worker.leases[0] if worker.leases and worker.state is State.READY else None
    if first is None or begun.get(first.number, first.done + 1) > first.done:
        worker.is_silent = False
    elif not worker.is_silent:
        worker.is_silent = True
    else:
        worker.is_asleep = True
        return True
    return False
