"""What runs in a shard's process: one object, and the requests that it serves. Part of the actor room.

One thread. A plain method runs to its end; generators run in turns, a time slice each, so a long stream does not keep
short questions waiting. When nothing is asked, the object's `on_idle` runs, if it has one, for as long as it returns
True and no message comes.

Always true:

1. A stream sends no more items than its reader has room for; then it rests until there is more, or it is cancelled.
   One that works ahead rests later: when it has an item that has no room. That one is held here, and goes first.
2. What a method raises, and what cannot be sent, becomes that request's error; the object goes on.
3. A request that nobody wants any more is not begun, and a stream of one ends (its generator is closed).
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections import deque

from manyhands.actor import current, wire
from manyhands.engines import blame
from manyhands.engines.task import CALL, unsendable
from manyhands.memory import serialize

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from manyhands._native import Ring
    from manyhands.actor.birth import Birth
    from manyhands.engines.local.wire import Bell

#: How long a stream runs before others get their turn.
_SLICE_NS = 2_000_000


class _Stream:
    """A generator that serves a request. `held`: an item that has no room, as it is sent, and itself, because it may
    lie in shared memory; `rests`: it has no turns."""

    def __init__(self, request: current.CurrentRequest, items: Iterator[Any], call: Any) -> None:
        self.request, self.items, self.call = request, items, call
        self.held: tuple[serialize.Message, Any] | None = None
        self.rests = False

    @property
    def may_run(self) -> bool:
        """Is there room for its next item, here or at its reader?"""
        return self.request.room > 0 or (self.request.works_ahead and self.held is None)


class Shard:
    """See the module."""

    def __init__(self, number: int, asked: Ring, replies: Ring, board: wire.Board) -> None:
        self._number, self._asked, self._replies, self._board = number, asked, replies, board
        self._object: Any = None
        self._on_idle: Callable[[], object] | None = None
        self._streams: dict[int, _Stream] = {}
        self._runnable: deque[_Stream] = deque()
        self._turned_ns = 0  # when a stream had its last turn

    def build(self, birth: Birth) -> bool:
        """Make the object. False: its constructor raised, and that was told."""
        try:
            self._object = birth.build()
            self._on_idle = getattr(self._object, "on_idle", None)
        except BaseException as error:
            self._reply(wire.REFUSED, 0, _packed(blame.pack(error)))
            return False
        gc.freeze()  # it is here to stay: no garbage to look for
        self._reply(wire.READY, 0)
        return True

    def run(self) -> None:
        """Serve until told to leave."""
        idle = self._on_idle is not None
        asked, runnable = self._asked, self._runnable
        while True:
            busy = bool(runnable)
            if not (busy or idle) or (asked.unread and not (busy and self._is_streams_turn())):
                kind, buffer = asked.get(None)
                if kind == wire.LEAVE:
                    return
                self._take(kind, buffer)
                del buffer
                idle = self._on_idle is not None
            elif busy:
                self._turn(runnable.popleft())
                self._turned_ns = time.monotonic_ns()
            else:
                idle = self._idle()

    def _is_streams_turn(self) -> bool:
        """Requests go first, but however many come, streams go on."""
        return time.monotonic_ns() - self._turned_ns > _SLICE_NS

    def _idle(self) -> bool:
        assert self._on_idle is not None
        try:
            return bool(self._on_idle())
        except BaseException:
            import traceback

            traceback.print_exc()  # nobody asked, so nobody can be told; it rests until something is asked
            return False

    # ---- requests ----

    def _take(self, kind: int, buffer: Any) -> None:
        number, deadline_ns, window, body, stream = wire.ASK_HEAD.unpack_from(buffer)
        if kind == wire.REQUEST:
            request = current.CurrentRequest(number, deadline_ns, self._board, window)
            if request.is_wanted:
                self._begin(request, buffer, body, is_stream=bool(stream))
            else:
                wire.discard(kind, buffer)
        elif number in self._streams:
            found = self._streams[number]
            if kind == wire.CREDIT:
                found.request.room += window
                self._make_use_of_room(found)
            else:
                self._drop(found)

    def _begin(self, request: current.CurrentRequest, buffer: Any, body: int, *, is_stream: bool) -> None:
        call = None
        current.serve(request)
        try:
            name, args, *rest = wire.body_of(body, buffer)
            kwargs = rest[0] if rest else {}
            method = getattr(self._object, name)
            call = (method, args, kwargs)
            value = method(*args, **kwargs)
            if is_stream:
                stream = _Stream(request, iter(value), call)
                self._streams[request.id] = stream
                self._runnable.append(stream)
                return
            if _is_generator(value):
                raise TypeError(f"{name} returns a generator: ask for it with stream({name!r}, ...)")
            self._reply(wire.VALUE, request.id, _encoded(value))
        except current.Withdrawn:
            return
        except BaseException as error:
            self._send_error(request, error, call)
        finally:
            current.serve(None)

    # ---- streams ----

    def _turn(self, stream: _Stream) -> None:
        """Run one for a slice of time, or until it rests, or something is asked."""
        if self._streams.get(stream.request.id) is not stream:
            return  # it was cancelled while it waited for its turn
        until = time.monotonic_ns() + _SLICE_NS
        current.serve(stream.request)
        try:
            while stream.may_run:
                if not stream.request.is_wanted:
                    self._drop(stream)
                    return
                if not self._step(stream):
                    return
                if self._asked.unread or time.monotonic_ns() >= until:
                    break
        finally:
            current.serve(None)
        if stream.may_run:
            self._runnable.append(stream)
        else:
            stream.rests = True

    def _step(self, stream: _Stream) -> bool:
        """One item. False: it was the last."""
        try:
            value = next(stream.items)
            if value is not current.PAUSE:
                stream.held = _encoded(value), value
                self._send_held(stream)
        except StopIteration:
            self._streams.pop(stream.request.id)
            self._reply(wire.END, stream.request.id)
            return False
        except current.Withdrawn:
            self._drop(stream)
            return False
        except BaseException as error:
            self._drop(stream)
            self._send_error(stream.request, error, stream.call)
            return False
        return True

    def _send_held(self, stream: _Stream) -> None:
        if stream.held is not None and stream.request.room:
            self._reply(wire.ITEM, stream.request.id, stream.held[0])
            stream.held = None
            stream.request.room -= 1

    def _make_use_of_room(self, stream: _Stream) -> None:
        """What waits goes, and the stream goes on."""
        self._send_held(stream)
        if stream.rests and stream.may_run:
            stream.rests = False
            self._runnable.append(stream)

    def _drop(self, stream: _Stream) -> None:
        self._streams.pop(stream.request.id, None)
        close = getattr(stream.items, "close", None)
        if close is not None:
            with contextlib.suppress(BaseException):  # nobody is there to be told
                close()

    # ---- replies ----

    def _send_error(self, request: current.CurrentRequest, error: BaseException, call: Any) -> None:
        if call is not None:
            blame.add_input(error, call[0], CALL, call[1:], None)
        self._reply(wire.ERROR, request.id, _packed(blame.pack(error)))

    def _reply(self, kind: int, request: int, body: Any = None) -> None:
        head = wire.REPLY_HEAD.pack(request, self._number, body.kind if body is not None else 0)
        wire.send(self._replies, kind, head, body)


def _encoded(value: Any) -> serialize.Message:
    """A value as it is sent, or what is the request's error instead."""
    try:
        return wire.encode(value)
    except BaseException as error:
        raise unsendable(value, error) from error


def _packed(body: bytes) -> serialize.Message:
    return serialize.Message(serialize.BYTES, (body,), len(body))


def _is_generator(value: Any) -> bool:
    return hasattr(value, "send") and hasattr(value, "throw") and hasattr(value, "__next__")


def main(
    number: int, asked: wire.ActorRing, replies: wire.ActorRing, board: wire.Board, bell: Bell, birth: Birth
) -> None:
    """What a shard's process runs."""
    replies.native.set_bell(bell.fd)
    shard = Shard(number, asked.native, replies.native, board)
    if shard.build(birth):
        shard.run()
