"""What the scheduler says and keeps of workers: commands, and the states of a worker with their legal moves. Pure."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from manyhands.scheduler.work import Batch, Lease


class IllegalMove(AssertionError):
    """An event that cannot have happened."""


class State(Enum):
    """Of a worker."""

    STARTING = "starting"
    READY = "ready"
    RETIRING = "retiring"  # gets no more; leaves when its leases are over
    LEAVING = "leaving"  # was told to leave
    DYING = "dying"  # is being killed
    GONE = "gone"


MOVES = {
    State.STARTING: {State.READY, State.RETIRING, State.LEAVING, State.DYING, State.GONE},
    State.READY: {State.RETIRING, State.LEAVING, State.DYING, State.GONE},
    State.RETIRING: {State.LEAVING, State.DYING, State.GONE},
    State.LEAVING: {State.DYING, State.GONE},
    State.DYING: {State.GONE},
    State.GONE: set(),
}


class Send(NamedTuple):
    """Give the lease to its worker."""

    lease: Lease


class Cut(NamedTuple):
    """Take back what the worker has not begun of the lease (or half of it), and say `was_cut`."""

    lease: Lease
    half: bool
    whole: bool  # only if it has begun nothing


class Start(NamedTuple):
    """Start a worker of this number."""

    worker: int


class Dismiss(NamedTuple):
    """Tell the worker to leave; it holds nothing any more."""

    worker: int


class Kill(NamedTuple):
    """Kill the worker at once."""

    worker: int


class Lost(NamedTuple):
    """This item of the batch will never be done: its worker died, or was killed for it."""

    batch: Batch
    place: int  # in the batch
    why: str  # "died", "quarantined", "timeout", "cancelled", "start"
    worker: int


Command = Send | Cut | Start | Dismiss | Kill | Lost


class Worker:
    """One worker, as the scheduler sees it."""

    __slots__ = ("dealt", "is_asleep", "is_silent", "leases", "number", "state")

    def __init__(self, number: int, state: State) -> None:
        self.number, self.state = number, state
        self.leases: list[Lease] = []
        self.is_silent = False  # had begun nothing of what it has, at the last look
        self.is_asleep = False  # nor at the look before: it gets nothing until it is heard of
        self.dealt = 0  # items, ever, but for those that were taken back

    def __repr__(self) -> str:
        return f"<worker {self.number} {self.state.value}, {len(self.leases)} leases>"

    @property
    def is_doomed(self) -> bool:
        """Is it to be killed, if it runs what it is to be killed for?"""
        for lease in self.leases:  # noqa: SIM110 - asked often, and a generator takes long to make
            if lease.dooms:
                return True
        return False
