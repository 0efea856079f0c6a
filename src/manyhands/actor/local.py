"""Shards as processes of this machine. Part of the actor room; see `protocol.Hands` for what it does.

Owns, of each shard, its process and the ring that requests go by; and the one ring that all replies come back by, the
board of cancelled requests.

Always true:

1. A shard's death is told after everything that it had sent.
2. What a dead shard had not read is let go of: no block of memory is lost with it.
3. Each incarnation of a shard has a ring of its own: it never reads what was meant for the one before.

Threads: as the protocol says; `wait` is the leader's, `watch` the supervisor's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from manyhands.actor import shard as shard_process
from manyhands.actor import wire
from manyhands.actor.birth import Birth
from manyhands.actor.protocol import Died, End, Event, Item, Ready, Refused, Request, Value
from manyhands.engines import blame
from manyhands.engines.local.death import OomWatch
from manyhands.engines.local.lookout import Lookout, let_go
from manyhands.memory.serialize import Message
from manyhands.wiring import process_class


class _Hand:
    """One incarnation of a shard, as its owner holds it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.ring = wire.ActorRing.create()
        self.process: Any = None
        self.killed = False


class _Payload(Message):
    """A request as it travels, once or twice. It keeps the arguments that lie in shared memory until it has ended."""

    __slots__ = ("kept",)

    kept: Any


class LocalHands(Lookout[_Hand]):
    """See the module. `births[i]` makes the i-th shard's object: callable, args, kwargs."""

    def __init__(
        self, name: str, births: Sequence[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]],
        cores_each: int, method: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(wire.ActorRing.create())
        self._name, self._births, self._cores_each = name, births, cores_each
        self._process_class = process_class(method)
        self._hands: dict[int, _Hand] = {}
        self._board = wire.Board.create()
        self._oom = OomWatch()

    # ---- shards ----

    def start(self, shard: int) -> None:
        """Start its process. Blocks until that exists, a millisecond or three."""
        make, args, kwargs = self._births[shard]
        birth = Birth(make, args, kwargs, self._cores_each)
        hand = _Hand(shard)
        hand.process = self._process_class(
            target=shard_process.main, name=f"{self._name}-{shard}", daemon=True,
            args=(shard, hand.ring, self._results, self._board, self._bell, birth),
        )  # fmt: skip
        hand.process.ignores_sigint = True
        try:
            hand.process.start()
        except BaseException:
            hand.ring.close()
            raise
        self._hands[shard] = hand
        self._watch_over(hand)

    def kill(self, shard: int) -> None:
        """SIGKILL, which a stopped process gets too."""
        hand = self._hands.get(shard)
        if hand is not None:
            hand.killed = True
            hand.process.kill()

    def dismiss(self, shard: int) -> None:
        """The last message."""
        self._tell(shard, wire.LEAVE, b"")

    def pid(self, shard: int) -> int | None:
        """Its process."""
        hand = self._hands.get(shard)
        return None if hand is None else hand.process.pid

    # ---- requests ----

    @staticmethod
    def encode(method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Message:
        """As it travels, once or twice."""
        message = wire.encode((method, args, kwargs) if kwargs else (method, args))
        if not message.shared:
            return message
        payload = _Payload(message.kind, message.parts, message.length, message.shared)
        payload.kept = (args, kwargs)
        return payload

    def send(self, request: Request) -> None:
        """Into the shard's ring. A shard that has died meanwhile is about to be told of."""
        head = wire.ASK_HEAD.pack(
            request.id, request.deadline_ns, request.window, request.payload.kind, request.stream
        )
        self._tell(request.shard, wire.REQUEST, head, request.payload)

    def cancel(self, request: Request) -> None:
        """On the board, for a method that runs, and into the ring, for one that rests."""
        self._board.write(request.id)
        self._tell(request.shard, wire.CANCEL, wire.ASK_HEAD.pack(request.id, 0, 0, 0, 0))

    def grant(self, request: Request, items: int) -> None:
        """Into the ring."""
        self._tell(request.shard, wire.CREDIT, wire.ASK_HEAD.pack(request.id, 0, items, 0, 0))

    def _tell(self, shard: int, kind: int, head: bytes, body: Any = None) -> None:
        hand = self._hands.get(shard)
        if hand is not None:
            wire.send(hand.ring.native, kind, head, body)

    # ---- events ----

    def events(self) -> list[Event]:
        """Messages, then deaths that were noticed before the messages were looked for."""
        dead = [self._dead.popleft() for _ in range(len(self._dead))]
        events = [self._event_of(*message) for message in self._arrived()]
        return events + [self._bury(hand) for hand in dead]

    def _bury(self, hand: _Hand) -> Died:
        """A process has ended: how, and let go of what it was asked."""
        hand.process.join(1)
        death = self._oom.judge(hand.process.pid, hand.process.exitcode, hand.killed)
        if self._hands.get(hand.number) is hand:
            del self._hands[hand.number]
        let_go(hand.ring, wire.discard)
        with contextlib.suppress(
            ValueError
        ):  # it has not been reaped yet: it is, at the latest, at our own end
            hand.process.close()
        return Died(hand.number, death)

    def _event_of(self, kind: int, buffer: Any) -> Event:
        """What a shard's message says."""
        request, shard, body = wire.REPLY_HEAD.unpack_from(buffer)
        if kind in (wire.VALUE, wire.ITEM):
            try:
                value = wire.body_of(body, buffer)
            except Exception as garbled:  # what cannot be unpickled is its own request's trouble
                return self._garbled(kind, request, shard, garbled)
            return Value(request, value, None) if kind == wire.VALUE else Item(request, value)
        if kind == wire.END:
            return End(request)
        if kind == wire.READY:
            return Ready(shard)
        error = blame.unpack(wire.body_of(body, buffer))
        return Refused(shard, error) if kind == wire.REFUSED else Value(request, None, error)

    def _garbled(self, kind: int, request: int, shard: int, error: Exception) -> Event:
        """An answer that cannot be unpickled. A stream is over with that, and its shard is to know."""
        if kind == wire.ITEM:
            self._board.write(request)
            self._tell(shard, wire.CANCEL, wire.ASK_HEAD.pack(request, 0, 0, 0, 0))
        error.add_note("[raised here, while what an actor had answered was unpickled]")
        return Value(request, None, error)

    # ---- the end ----

    def close(self) -> None:
        """Close the rings and descriptors; end whoever is left."""
        for hand in self._hands.values():
            hand.process.kill()
        for hand in list(self._hands.values()):
            hand.process.join()
            self._bury(hand)
        self._close_lookout(wire.discard)
        self._board.close()
