"""What a pool needs of its hands: a small protocol, and the events that come back.

The scheduler decides, the engine acts: it starts workers, carries leases to them, takes back what was not begun,
kills, and tells what happened. `local` does so with processes; `threads`, `inline` and `executor` with other things.
``tests/contract`` holds them all to the same behaviour.

Two threads wait for an engine. Whoever wants a result *leads*: it calls `wait` and `events` itself, so that no result
passes from thread to thread. The pool's own thread, the supervisor, sits in `watch`: it comes to know of deaths at any
time, and of results only while nobody leads.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from manyhands.scheduler.work import Lease


class Ready(NamedTuple):
    """A worker has run its initializer and reads."""

    worker: int


class Finished(NamedTuple):
    """Items of a lease from `first` on are done. `errors` has the exceptions by place in `values`; `ns`: how long
    they ran, 0 when that is not known."""

    lease: Lease
    first: int
    values: list[Any]
    errors: dict[int, BaseException] | None
    ns: int


class Death(NamedTuple):
    """How a worker ended."""

    pid: int | None
    exitcode: int | None
    oom: bool = False
    memory: str = ""  # figures, when memory was the likely cause


class Died(NamedTuple):
    """A worker is gone. `begun`: of each lease's number, how many items it had begun. `reading`: the lease whose items
    it was unpickling, if it was."""

    worker: int
    begun: dict[int, int]
    death: Death
    reading: int | None = None


class Refused(NamedTuple):
    """A worker's initializer raised."""

    worker: int
    error: BaseException


Event = Ready | Finished | Died | Refused


class Running(NamedTuple):
    """What a worker does now: the item at that place of `lease`, begun at that time (monotonic, ns)."""

    lease: Lease
    place: int
    began_ns: int


class Lookout(Protocol):
    """Where a leader and the supervisor wait for an engine. Threads: any, but for `wait` (the leader's) and `watch`
    (the supervisor's)."""

    @property
    def pending(self) -> bool:
        """Are there events, probably?"""

    def lead(self, begins: bool) -> bool:
        """A thread begins or ends to wait for events itself. Are there any?"""

    def wait(self, timeout: float | None) -> None:
        """The leader's wait: until there may be events, or `nudge`."""

    def watch(self, timeout: float | None) -> None:
        """The supervisor's wait: until a worker died, `wake`, or, while nobody leads, there may be events."""

    def nudge(self) -> None:
        """End the leader's wait."""

    def wake(self) -> None:
        """End the supervisor's wait."""


class Engine(Lookout, Protocol):
    """See the module. Threads: one at a time, but for what waits."""

    name: str
    needs_supervisor: bool
    shares_memory: bool  # do tasks see the caller's own objects?

    def prepare(self, function: Any) -> Any:
        """The function as `Source.function`. Raises `PicklingError` when it cannot be sent."""

    def encode(self, value: Any) -> Any:
        """A single call's arguments as an item, or a `Large` one. Raises `PicklingError` when it cannot be sent."""

    def is_opaque(self, item: Any) -> bool:
        """Can `decode` not tell what the item says, without running code of the user's?"""

    def decode(self, item: Any) -> Any:
        """What `encode` was given, for an error's text, when the item is not opaque."""

    def start(self, worker: int) -> None:
        """Start a worker."""

    def send(self, lease: Lease) -> None:
        """Hand the lease over. Never blocks for long, and never raises for what the items are."""

    def cut(self, lease: Lease, half: bool, whole: bool) -> tuple[int, int]:
        """Take back what was not begun: how many are begun, and where the lease ends now."""

    def forget(self, lease: Lease) -> None:
        """Nothing more can come of the lease: hold nothing of it."""

    def begun(self, lease: Lease) -> int:
        """How many of its items are begun, as far as can be known."""

    def kill(self, worker: int) -> bool:
        """End the worker at once; `Died` follows. False: this engine cannot."""

    def dismiss(self, worker: int) -> None:
        """Tell the worker to leave when it has done what it has; `Died` follows."""

    def events(self) -> list[Event]:
        """What has happened since the last call. Does not block."""

    def peek(self) -> list[Event]:
        """Results that busy workers have finished but not sent."""

    def running(self) -> list[Running]:
        """What runs now, of leases whose items have a time limit."""

    def close(self) -> None:
        """Give everything back. No worker lives any more."""
