"""Replies of a service in columns: how they are read, frame by frame, and what their ends say.

Always true: a reply that was read to its end has said everything; any other has raised `NotServed`. Its connection is
closed in every case.
"""

from __future__ import annotations

from manyhands.cli.search.groups import Group
from manyhands.cli.search.route import NotServed
from manyhands.search.service import frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    from manyhands.cli.search.exchange import Exchange
    from manyhands.cli.search.shortfalls import Entry

    T = TypeVar("T")
    Facts = dict[str, list[str]]
    HearEnd = Callable[["ServedAnswer"], object]


class ServedAnswer:
    """What the end of an answer says of it, under the names of `manyhands.search.answer.Replies`."""

    def __init__(self, facts: Facts) -> None:
        """Raises LookupError, ValueError when something is not there, or the answer is not whole without a reason."""
        self.timed_out = facts["timed_out"] == ["1"]
        self.truncated_by = facts["truncated_by"][0] or None
        self.missing = dict(enumerate(facts.get("missing", ())))
        self.elapsed_s = int(facts["elapsed_us"][0]) / 1e6
        self.files, self.scanned_bytes = int(facts["files"][0]), int(facts["scanned_bytes"][0])
        self.skipped = int(facts["skipped"][0])
        #: How many of them are trouble; as many as there are, if the service does not tell.
        self.trouble = int(facts.get("trouble", facts["skipped"])[0])
        self.shards = Shards(int(facts["shards"][0]), int(facts["shards_total"][0]))
        is_explained = self.truncated_by or self.timed_out or self.missing
        if facts["complete"] != ["1"] and not is_explained:
            raise ValueError("the query was cancelled")


class Shards:
    """How many shards have answered to the end, of how many."""

    def __init__(self, answered: int, total: int) -> None:
        self.answered, self.total = answered, total


def read_lines(exchange: Exchange, shown: Callable[[bytes], bytes], hear_end: HearEnd) -> Iterator[Group]:
    """The lines, with the names that `shown` makes of the service's."""
    return _read(exchange, frames.LINES, lambda payload: _groups_in(payload, shown), hear_end)


def read_counts(exchange: Exchange, hear_end: HearEnd | None = None) -> Iterator[tuple[bytes, int]]:
    """Files, each with a number."""
    return _read(exchange, frames.COUNTS, frames.decode_counts, hear_end)


def read_diffs(exchange: Exchange, hear_end: HearEnd) -> Iterator[bytes]:
    """A diff a file."""
    return _read(exchange, frames.DIFF, lambda payload: [payload], hear_end)


def read_skipped(exchange: Exchange) -> Iterator[Entry]:
    """Files that were not searched."""
    return _read(exchange, frames.SKIPPED, frames.decode_skipped, None)


def _read(
    exchange: Exchange,
    kind: bytes,
    decode: Callable[[bytes], Iterator[T] | list[T]],
    hear_end: HearEnd | None,
) -> Iterator[T]:
    """What is in a reply's frames, which are of this kind. `hear_end`: the end is one of an answer, for whom?"""
    try:
        for each, payload in frames.read_frames(exchange.content()):
            if each == frames.END:
                _end(frames.decode_end(payload), hear_end)
                return
            if each != kind:
                raise NotServed(f"a frame of kind {each!r} came, and not of {kind!r}")
            yield from decode(payload)
        raise NotServed("it breaks off before its end")
    except (frames.FrameError, LookupError, ValueError) as error:
        raise NotServed(str(error)) from None
    finally:
        exchange.close()


def _end(facts: Facts, hear_end: HearEnd | None) -> None:
    if "error" in facts:
        raise NotServed(facts["error"][0])
    if hear_end is not None:
        hear_end(ServedAnswer(facts))


def _groups_in(payload: bytes, shown: Callable[[bytes], bytes]) -> Iterator[Group]:
    lines, start = frames.Lines(payload), 0
    for name, stop in zip(lines.names, lines.run_ends, strict=True):
        yield Group(
            shown(name),
            lines.numbers[start:stop],
            lines.lines(start, stop),
            lines.kinds[start:stop],
            lambda place, first=start: lines.spans(first + place),  # type: ignore[misc]
        )
        start = stop
