"""The local engine: processes. See `manyhands.engines.protocol` for what it does, and `wire` for what travels.

Owns the crew: of each worker its process, its ring and its page; and the one ring that all results come back by.

Always true:

1. A lease is granted on the page before its batch is in the ring.
2. A worker's death is told after everything that it had sent, and everything in its scratch.
3. What a dead worker had not read is let go of: no block of memory is lost with it.

Threads: as the protocol says; `wait` is the leader's, `watch` the supervisor's.
"""

from __future__ import annotations

import _pickle as pickle
import contextlib
import weakref
from collections import deque
from typing import Any

from manyhands import _native
from manyhands.engines import blame
from manyhands.engines.local import wire, worker
from manyhands.engines.local.death import OomWatch
from manyhands.engines.local.lookout import Lookout, let_go
from manyhands.engines.local.setup import Setup
from manyhands.engines.protocol import Died, Event, Finished, Ready, Refused, Running
from manyhands.memory import serialize
from manyhands.process import Process
from manyhands.scheduler.pace import TARGET_NS
from manyhands.scheduler.work import Lease
from manyhands.wiring import process_class

_SCRATCH_BYTES = 64 << 10
_SLOTS = 16
_PACK_MOST = 4 << 20
_INLINE_MOST = serialize.INLINE_MOST - wire.HEAD_BYTES


class Function:
    """A callable, and how workers come to know it."""

    __slots__ = ("__weakref__", "call", "message", "number")

    def __init__(self, number: int, call: Any, message: serialize.Message) -> None:
        self.number, self.call, self.message = number, call, message


class _Hand:
    """One worker, as its owner holds it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.ring = wire.WireRing.create()
        self.native = self.ring.native
        self.page = wire.SharedPage(_native.Page.create(_SCRATCH_BYTES))
        self.process: Process
        self.leases: dict[tuple[int, int], Lease] = {}
        self.places: dict[int, tuple[int, int]] = {}  # lease number -> (slot, generation)
        self.known: set[int] = set()  # numbers of functions
        self.granted = 0
        self.killed = False

    def grant(self, lease: Lease) -> tuple[int, int]:
        """A slot for the lease."""
        # Generations begin at 1: a page that was never used names generation 0.
        place = (self.granted % _SLOTS, self.granted // _SLOTS % 0xFFFF + 1)
        self.granted += 1
        self.page.native.grant(*place, len(lease.batch.items))
        self.leases[place], self.places[lease.number] = lease, place
        return place

    def lease_at(self, slot: int, generation: int) -> Lease | None:
        """The lease at a place; None when nothing more can come of it."""
        return self.leases.get((slot, generation))

    def forget(self, lease: Lease) -> None:
        """Nothing more can come of it."""
        place = self.places.pop(lease.number, None)
        if place is not None:
            del self.leases[place]


class LocalEngine(Lookout[_Hand]):
    """See the module."""

    name = "local"
    needs_supervisor = True
    shares_memory = False

    def __init__(self, setup: Setup, method: str | None = None) -> None:
        super().__init__(wire.WireRing.create())
        self._setup = setup
        self._process_class = process_class(method)
        self._crew: dict[int, _Hand] = {}
        self._forgotten: deque[int] = deque()
        self._functions = 0
        self._oom = OomWatch()

    # ---- work ----

    def prepare(self, function: Any) -> Function:
        """Pickle the function once; each worker that needs it gets it once."""
        self._functions += 1
        made = Function(self._functions, function, serialize.encode(function))
        weakref.finalize(made, self._forgotten.append, self._functions)
        return made

    #: A single call's arguments, packed; or an object to be copied when it is sent, when it is large.
    encode = staticmethod(wire.encode_call)

    #: Is it a pickle, or large?
    is_opaque = staticmethod(wire.is_opaque)

    def decode(self, item: Any) -> Any:
        """Unpack plain values again."""
        return _native.unpack(item, 0, 1, None)[0][0]

    def send(self, lease: Lease) -> None:
        """Grant a place and put the batch into the worker's ring."""
        hand = self._crew.get(lease.worker)
        if hand is None:
            return  # it has died: the scheduler is about to hear of it
        batch = lease.batch
        items, source = batch.items, batch.source
        function, options, is_map = source.function, source.options, source.owner is not None
        if function.number not in hand.known or self._forgotten:
            self._introduce(hand, function)
        slot, generation = hand.grant(lease)
        kind, body = _map_items(items) if is_map else _single_calls(items)
        flags = (wire.TIMED if options.task_timeout_ns is not None else 0) | (wire.MAP if is_map else 0)
        if source.target_ns > TARGET_NS:
            flags |= wire.PATIENT
        head = wire.TASKS_HEAD.pack(
            slot, generation, function.number, len(items), batch.first, source.form, kind, flags
        )
        if kind == wire.PACKED and len(body) < _INLINE_MOST:
            hand.native.send(wire.TASKS, (head, body), 0, None)
        else:
            message = serialize.Message(kind, (body,), len(body)) if kind == wire.PACKED else body
            wire.send(hand.native, wire.TASKS, head, message)

    def _introduce(self, hand: _Hand, function: Function) -> None:
        while self._forgotten:
            number = self._forgotten.popleft()
            for other in self._crew.values():
                if number in other.known:
                    other.known.discard(number)
                    wire.send(other.ring.native, wire.FORGET, wire.FUNCTION_HEAD.pack(number, 0))
        if function.number not in hand.known:
            hand.known.add(function.number)
            head = wire.FUNCTION_HEAD.pack(function.number, function.message.kind)
            wire.send(hand.ring.native, wire.FUNCTION, head, function.message)

    def cut(self, lease: Lease, half: bool, whole: bool) -> tuple[int, int]:
        """Change the lease's word."""
        hand = self._crew.get(lease.worker)
        place = hand.places.get(lease.number) if hand is not None else None
        if hand is None or place is None:
            return lease.done, lease.end
        _, begun, end = hand.page.native.cut(*place, half, whole)
        return begun, end

    def forget(self, lease: Lease) -> None:
        """Free its place."""
        hand = self._crew.get(lease.worker)
        if hand is not None:
            hand.forget(lease)

    def begun(self, lease: Lease) -> int:
        """As its word says."""
        hand = self._crew.get(lease.worker)
        place = hand.places.get(lease.number) if hand is not None else None
        if hand is None or place is None:
            return lease.done
        generation, begun, _ = hand.page.native.look(place[0])
        return begun if generation == place[1] else lease.done

    # ---- workers ----

    def start(self, number: int) -> None:
        """Start a worker's process. Blocks until it exists, about a millisecond or three."""
        hand = _Hand(number)
        hand.process = self._process_class(
            target=worker.main, name=f"manyhands-worker-{number}", daemon=True,
            args=(number, hand.ring, self._results, hand.page, self._bell, self._setup),
        )  # fmt: skip
        hand.process.ignores_sigint = True
        self._crew[number] = hand
        try:
            hand.process.start()
        except BaseException:
            del self._crew[number]
            hand.ring.close()
            raise
        self._watch_over(hand)

    def kill(self, number: int) -> bool:
        """SIGKILL, which a stopped process gets too."""
        hand = self._crew.get(number)
        if hand is not None:
            hand.killed = True
            hand.process.kill()
        return True

    def dismiss(self, number: int) -> None:
        """The last message."""
        hand = self._crew.get(number)
        if hand is not None:
            wire.send(hand.ring.native, wire.LEAVE, b"")

    def pids(self) -> list[int]:
        """Of the workers that live, as far as is known."""
        return [hand.process.pid for hand in self._crew.values() if hand.process.pid is not None]

    # ---- events ----

    def events(self) -> list[Event]:
        """Messages, then deaths that were noticed before the messages were looked for."""
        if not self._dead and not self._results.native.unread:
            return []
        dead = [self._dead.popleft() for _ in range(len(self._dead))]
        events: list[Event] = []
        for kind, buffer in self._arrived():
            self._hear(kind, buffer, events)
        for hand in dead:
            events += self._bury(hand)
        return events

    def _hear(
        self, kind: int, buffer: Any, events: list[Event],
        unpack: Any = _native.unpack, loads: Any = pickle.loads,
    ) -> None:  # fmt: skip
        number, slot, generation, first, count, body, ns = wire.RESULT_HEAD.unpack_from(buffer)
        hand = self._crew.get(number)
        if hand is None:
            return
        if kind == wire.READY:
            events.append(Ready(number))
        elif kind == wire.REFUSED:
            events.append(Refused(number, blame.unpack(bytes(wire.body_of(buffer)))))
        elif (lease := hand.leases.get((slot, generation))) is not None:
            if kind == wire.RESULTS:
                values, errors = unpack(buffer, wire.HEAD_BYTES, count, loads)
                events.append(Finished(lease, first, values, errors, ns))
            else:
                events.append(_outcome(kind, buffer, lease, first, body, ns))

    def peek(self) -> list[Event]:
        """What is in the scratch of the workers."""
        return [event for hand in list(self._crew.values()) if hand.leases for event in _salvage(hand)]

    def running(self) -> list[Running]:
        """One for each worker that runs an item with a time limit."""
        found = []
        for hand in list(self._crew.values()):
            began = hand.page.native.began_ns
            for place, lease in list(hand.leases.items()):
                if began and lease.batch.source.options.task_timeout_ns is not None and not lease.is_over:
                    generation, begun, _ = hand.page.native.look(place[0])
                    if generation == place[1] and lease.done < begun:
                        found.append(Running(lease, begun - 1, began))
        return found

    def _bury(self, hand: _Hand) -> list[Event]:
        """A process has ended: what it left, and how it ended."""
        hand.process.join(1)
        begun = {}
        for place, lease in hand.leases.items():
            generation, count, _ = hand.page.native.look(place[0])
            begun[lease.number] = count if generation == place[1] else 0
        death = self._oom.judge(hand.process.pid, hand.process.exitcode, hand.killed)
        events = [*_salvage(hand), Died(hand.number, begun, death, _reading(hand))]
        del self._crew[hand.number]
        let_go(hand.ring, wire.discard)
        with contextlib.suppress(
            ValueError
        ):  # it has not been reaped yet: it is, at the latest, at our own end
            hand.process.close()
        return events

    # ---- the end ----

    def close(self) -> None:
        """Close the rings and descriptors; end whoever is left."""
        for hand in self._crew.values():
            hand.process.kill()
        for hand in list(self._crew.values()):
            hand.process.join()
            self._bury(hand)
        self._close_lookout(wire.discard)


def _single_calls(items: list[Any]) -> tuple[int, Any]:
    """The arguments of single calls, which were encoded when they were submitted: kind and body."""
    first = items[0].item
    if len(items) == 1:
        return (wire.PACKED, first) if isinstance(first, bytes) else (first.message.kind, first.message)
    return wire.PACKED, b"".join([call.item for call in items])


def _map_items(items: list[Any]) -> tuple[int, Any]:
    """The items of a map: packed, or all in one object when one of them is large."""
    packed: bytes | bytearray | None = _native.pack_many(items, _PACK_MOST)
    if packed is None:
        parts = [_encode_or_raise_there(item) for item in items]
        if any(part is None for part in parts):
            message = serialize.encode(items)
            return message.kind, message
        packed = b"".join([part for part in parts if part is not None])
    return wire.PACKED, packed


class _RaiseThere:
    """Takes the place of an item that cannot be sent: unpickling it raises what pickling the item has raised."""

    def __init__(self, error: BaseException) -> None:
        self.body = blame.pack(error)

    def __reduce__(self) -> tuple[Any, ...]:
        return _raise_again, (self.body,)


def _raise_again(body: bytes) -> None:
    raise blame.unpack(body)


def _encode_or_raise_there(item: Any) -> bytes | None:
    """One item, packed; None when it is large."""
    packed = _native.pack(item)
    if packed is not None:
        return packed
    try:
        data = wire.pickle_small(item)
    except Exception as error:
        data = pickle.dumps(_RaiseThere(error))
    return None if data is None else wire.tag_pickle(data)


def _outcome(kind: int, buffer: Any, lease: Lease, first: int, body: int, ns: int) -> Finished:
    """What a message of a worker says about its lease."""
    if body == wire.PACKED:
        values, errors = wire.unpack(buffer, 1)
        return Finished(lease, first, values, errors, ns)
    if kind == wire.ERROR:
        return Finished(lease, first, [None], {0: blame.unpack(bytes(wire.body_of(buffer)))}, ns)
    try:
        return Finished(lease, first, [serialize.decode(body, wire.body_of(buffer))], None, ns)
    except Exception as error:
        return Finished(lease, first, [None], {0: error}, ns)


def _salvage(hand: _Hand) -> list[Event]:
    """Results that lie finished in the scratch."""
    if not hand.page.native.count:
        return []
    found = hand.page.native.finished()
    if found is None or not found[3]:
        return []
    slot, generation, first, count, data = found
    lease = hand.lease_at(slot, generation)
    if lease is None or first > lease.done or first + count <= lease.done:
        return []  # sent meanwhile
    values, errors = _native.unpack(data, 0, count, pickle.loads)
    return [Finished(lease, first, values, errors, 0)]


def _reading(hand: _Hand) -> int | None:
    """The number of the lease whose items a dead worker was unpickling; it had begun none of them."""
    found = hand.page.native.finished()
    lease = hand.lease_at(found[0], found[1]) if found is not None else None
    if lease is None or lease.is_over or hand.page.native.look(found[0] if found else 0)[1]:
        return None
    return lease.number
