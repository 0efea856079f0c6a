"""A line that carries items in batches, for the rivals that have `put_many` and `get_many`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from benchmarks.payloads import Get
from benchmarks.rivals import Line

#: Items a `put_many`.
BATCH = 256


class BatchLine(Line):
    """Puts by `put_many` in batches and takes by `get_many`, however many there are."""

    def sender(self) -> Callable[[Iterable[Any]], None]:
        """A loop over batches."""
        put_many = self.queue.put_many

        def send(items: Iterable[Any]) -> None:
            source = iter(items)
            while batch := list(islice(source, BATCH)):
                put_many(batch)

        return send

    def getter(self) -> Get:
        """One item at a time out of the batches that arrive."""
        return _unbatched(self.queue.get_many).__next__


def _unbatched(get_many: Callable[[], list[Any]]) -> Iterator[Any]:
    while True:
        yield from get_many()
