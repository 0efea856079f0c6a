"""What a method of an actor may know about the request that it serves. Part of the actor room; runs in the shard.

A method that takes long looks at `current_request` now and then, or yields `PAUSE`: then it hears of a cancel and of
the deadline, and other requests get their turn.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    from typing import Final

    from manyhands.actor.wire import Board


class Withdrawn(BaseException):
    """Nobody wants the answer any more. Ends a method that calls `CurrentRequest.check`; not to be caught."""


class _Pause:
    """Yielded by a stream that has nothing to send yet: others get their turn, and nothing is sent."""

    def __repr__(self) -> str:
        return "PAUSE"

    def __reduce__(self) -> str:
        return "PAUSE"


PAUSE: Final = _Pause()


class CurrentRequest:
    """The request that a method serves: its `id`, and whether its answer is still wanted. Of a stream also `room`: how
    many items its reader has room for."""

    __slots__ = ("_board", "_deadline_ns", "id", "room", "works_ahead")

    def __init__(self, number: int, deadline_ns: int, board: Board | None, room: int = 0) -> None:
        self.id = number
        self.room = room
        self.works_ahead = False
        self._deadline_ns = deadline_ns
        self._board = board

    @property
    def cancelled(self) -> bool:
        """Has the one who asked given up? Costs well below a microsecond."""
        return self._board is not None and self._board.has(self.id)

    @property
    def left_s(self) -> float | None:
        """How long until the deadline, 0 when it is past; None when there is none."""
        if not self._deadline_ns:
            return None
        return max(0.0, (self._deadline_ns - time.monotonic_ns()) / 1e9)

    @property
    def is_wanted(self) -> bool:
        """Neither cancelled nor too late."""
        if self._board is not None and self._board.has(self.id):
            return False
        return not self._deadline_ns or time.monotonic_ns() < self._deadline_ns

    def work_ahead(self) -> None:
        """Of a stream: go on when its reader has no room, up to the next item. That waits here until there is room, and
        must not be changed by other methods meanwhile. A stream that does not say so rests without room."""
        self.works_ahead = True

    def check(self) -> None:
        """End the method here when the answer is not wanted any more."""
        if not self.is_wanted:
            raise Withdrawn


_NONE = CurrentRequest(0, 0, None, room=1)
_now = _NONE


def current_request() -> CurrentRequest:
    """The request that is being served. Outside of an actor: one that is never cancelled.

    >>> current_request().is_wanted
    True
    """
    return _now


def serve(request: CurrentRequest | None) -> None:
    """From now on that one is served."""
    global _now
    _now = request or _NONE
