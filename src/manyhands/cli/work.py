"""The work of ``manyhands map``: lines become pieces, pieces become outcomes, in the order of the lines.

A piece is what one task gets: a line, or several with ``--chunksize``. It is submitted by whoever iterates over
`Work.pieces`, and waited for by `Work.outcomes`, possibly in another thread. What the log has is not run again.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from manyhands.cli.remote import Outcome, Trouble, call
from manyhands.errors import ManyhandsError

if TYPE_CHECKING:
    import manyhands
    from manyhands.cli.journal import Journal


class Piece:
    """Lines that go together, `first` being the number of the first one."""

    __slots__ = ("first", "is_logged", "lines", "outcomes", "result")

    def __init__(self, first: int, lines: list[str]) -> None:
        self.first, self.lines = first, lines
        self.outcomes: list[Outcome] | None = None
        self.result: manyhands.Result[list[Outcome]] | None = None
        self.is_logged = False

    def __len__(self) -> int:
        return len(self.lines)


class Work:
    """What is to be done in `pool`, whose workers began with `remote.begin`."""

    def __init__(self, pool: manyhands.Pool, chunksize: int, journal: Journal | None) -> None:
        self._pool, self._chunksize, self._journal = pool, chunksize, journal
        self._logging = threading.Lock()

    def pieces(self, batches: Iterable[list[str]]) -> Iterator[Piece]:
        """The pieces of these lines, each submitted when it is asked for."""
        number = 1
        for lines in batches:
            for piece in self._cut(number, lines):
                if piece.outcomes is None:
                    self._submit(piece)
                yield piece
            number += len(lines)

    def _cut(self, number: int, lines: list[str]) -> Iterator[Piece]:
        """Pieces of one batch: a chunk does not wait for lines that are not there yet."""
        if self._journal is None:
            for at in range(0, len(lines), self._chunksize):
                yield Piece(number + at, lines[at : at + self._chunksize])
            return
        open_piece = Piece(number, [])
        for line_number, line in enumerate(lines, number):
            known = self._journal.find(line_number, line)
            if len(open_piece) and (known is not None or len(open_piece) == self._chunksize):
                yield open_piece
                open_piece = Piece(line_number, [])
            if known is None:
                open_piece.lines.append(line)
                continue
            done, open_piece = Piece(line_number, [line]), Piece(line_number + 1, [])
            done.outcomes, done.is_logged = [known], True
            yield done
        if len(open_piece):
            yield open_piece

    def _submit(self, piece: Piece) -> None:
        if self._journal is None:
            piece.result = self._pool.apply_async(call, piece.lines)
        else:  # a result may be there long before those of the lines above
            piece.result = self._pool.apply_async(call, piece.lines, callback=partial(self._log, piece))

    def outcomes(self, piece: Piece, idle: Callable[[], object]) -> list[Outcome]:
        """What became of each of its lines; calls `idle` if it has to wait for it. Raises when the pool is broken."""
        if piece.result is not None:
            if not piece.result.ready():
                idle()
            piece.outcomes = self._wait(piece.result, len(piece))
            if self._journal is not None:
                self._log(piece, piece.outcomes)
                self._journal.check()
        assert piece.outcomes is not None
        return piece.outcomes

    @staticmethod
    def _wait(result: manyhands.Result[list[Outcome]], count: int) -> list[Outcome]:
        from manyhands.errors import PoolBrokenError, PoolClosedError

        try:
            return result.get()
        except (PoolBrokenError, PoolClosedError):
            raise
        except ManyhandsError as error:  # its worker died, or it took too long
            return [Trouble(type(error).__qualname__, _words(error), "", False)] * count

    def _log(self, piece: Piece, outcomes: list[Any]) -> None:
        """Record it, once; when this returns it is in the log. *Threads: any.*"""
        if self._journal is None:
            return
        with self._logging:
            if piece.is_logged:
                return
            for number, (line, outcome) in enumerate(zip(piece.lines, outcomes, strict=True), piece.first):
                if isinstance(outcome, bytes):
                    self._journal.record(number, line, outcome)
            piece.is_logged = True


def _words(error: ManyhandsError) -> str:
    """What became of a task, in the words of this command; the pool's speak of a program's."""
    from manyhands.errors import TaskTimeoutError, WorkerLostError

    if isinstance(error, TaskTimeoutError):
        return "it took longer than --task-timeout allows"
    if not isinstance(error, WorkerLostError):
        return str(error)
    if error.signal is None:
        how = f"exited with code {error.exitcode}"
    else:
        how = f"was killed by {signal.Signals(error.signal).name}"
    memory = ", very likely because memory ran out" if error.oom else ""
    tries = f"; it was tried {error.attempts} times" if error.attempts > 1 else ""
    return f"its worker (pid {error.pid}) {how}{memory}{tries}"
