"""What goes between a group's owner and whatever runs its shards. Part of the actor room.

The state machine (`state`) decides, the hands act: they start shards, carry requests to them, and tell what came
back. `local` does so with processes. Nothing here says that a shard is a process on this machine: a request is an id,
the name of a method and its arguments; a reply is that id and a value. Of order only this is promised: the items of one
stream come in their order, and after a shard's death nothing of it comes any more.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from manyhands.engines.protocol import Death, Lookout


class Ready(NamedTuple):
    """The shard has built its object."""

    shard: int


class Refused(NamedTuple):
    """The shard's object could not be built: the constructor raised."""

    shard: int
    error: BaseException


class Died(NamedTuple):
    """The shard is gone, with everything that it had not sent."""

    shard: int
    death: Death


class Value(NamedTuple):
    """A request's answer: its value, or what it raised. Nothing more of it comes."""

    request: int
    value: Any
    error: BaseException | None


class Item(NamedTuple):
    """One item of a request's stream."""

    request: int
    value: Any


class End(NamedTuple):
    """The end of a request's stream."""

    request: int


Event = Ready | Refused | Died | Value | Item | End


class Request:
    """One question to one shard.

    `payload` is what the hands made of method and arguments. `owner` takes what comes back, under the exchange's lock,
    by ``on_item(request, value)`` and ``on_end(request, value, error)``, and returns who is to be told of it, or None.
    `stream` is whether items come, `window` how many of them the shard may send unasked; `deadline_ns` is on the
    monotonic clock (0: none). `patient`: is it worth waiting for a shard that is being rebuilt?
    """

    __slots__ = ("attempts", "deadline_ns", "id", "items", "method", "owner", "patient", "payload", "shard", "stream",
                 "window")  # fmt: skip

    def __init__(
        self, number: int, shard: int, method: str, payload: Any, owner: Any, stream: bool = False, window: int = 0,
        deadline_ns: int = 0, patient: bool = True,
    ) -> None:  # fmt: skip
        self.id, self.shard, self.method, self.payload, self.owner = number, shard, method, payload, owner
        self.stream, self.window, self.deadline_ns, self.patient = stream, window, deadline_ns, patient
        self.attempts = 0  # how often it was sent
        self.items = 0  # of its stream, that have come

    def __repr__(self) -> str:
        return f"<request {self.id} to shard {self.shard}: {self.method}, sent {self.attempts} times>"


class Hands(Lookout, Protocol):
    """What runs shards. Threads: one at a time, but for what waits."""

    @property
    def bell_fd(self) -> int:
        """What becomes readable when there is something for `events`, while nobody leads."""

    def lend_bell(self, lent: bool) -> None:
        """`watch` is not to end for that any more, or is again."""

    def encode(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What is asked, as `Request.payload`. Raises `PicklingError` when it cannot be sent."""

    def start(self, shard: int) -> None:
        """Begin to build the shard; `Ready`, `Refused` or `Died` follows. May raise."""

    def send(self, request: Request) -> None:
        """Ask. Never blocks for long."""

    def cancel(self, request: Request) -> None:
        """Nobody wants the answer any more: the shard is to stop, soon; nothing needs to follow."""

    def grant(self, request: Request, items: int) -> None:
        """The stream may send so many more items."""

    def kill(self, shard: int) -> None:
        """End it at once; `Died` follows."""

    def dismiss(self, shard: int) -> None:
        """It is to end when it has answered what it was asked; `Died` follows."""

    def pid(self, shard: int) -> int | None:
        """Its process here, if it has one."""

    def events(self) -> list[Event]:
        """What has happened since the last call. Does not block."""

    def close(self) -> None:
        """Give everything back."""
