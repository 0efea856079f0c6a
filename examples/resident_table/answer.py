"""Asking all shards, and adding up what they say.

Whoever asks does not see whether there are processes: an `Ask` puts a question to all shards of an `ActorGroup`, or to
one in this process. A shard that is lost, or too late, makes an answer partial, and is named in it.

Always true: what is added up came from different shards, each of which counted once.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from resident_table.chunk import TableError
from resident_table.shard import Held, Part, Shard
from resident_table.sketch import Sketch, added

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

#: ``ask(name, *args)``: what each shard says, and why others say nothing.
Ask = Callable[..., tuple[list[Any], dict[int, BaseException]]]


@dataclass
class Answer:
    """Each group between the edges; and the shards that are not in it, with the reason why."""

    edges: np.ndarray
    groups: dict[str, Part]
    missing: dict[int, BaseException]

    @cached_property
    def whole(self) -> Part:
        """All groups together."""
        if self.groups:
            return _added(self.groups.values())
        none = np.zeros(0, np.int64)
        return Part(0, 0.0, np.zeros(len(self.edges) - 1, np.int64), Sketch(none, none))

    @property
    def partial(self) -> bool:
        """Is a shard not in it?"""
        return bool(self.missing)


def of_group(shards: Any, **wishes: Any) -> Ask:
    """Questions to an `ActorGroup`; `wishes` are those of its `ask`, ``patient`` and ``deadline_s`` for instance."""

    def ask(name: str, *args: Any) -> tuple[list[Any], dict[int, BaseException]]:
        replies = shards.ask(name, *args, **wishes)
        return [reply.value for reply in replies], replies.missing

    return ask


def of_one(shard: Shard) -> Ask:
    """Questions to a shard in this process."""
    return lambda name, *args: ([getattr(shard, name)(*args)], {})


def held(ask: Ask) -> Held:
    """What all shards have. Raises `TableError` when that is not a single number, and why a shard does not say."""
    each, missing = ask("held")
    for error in missing.values():
        raise error
    some = [one for one in each if one.rows]
    if not some:
        raise TableError("there is not a single number in that column")
    rows, size = sum(one.rows for one in some), sum(one.size_bytes for one in some)
    left_out = sum(one.left_out for one in each)
    return Held(rows, size, left_out, min(one.low for one in some), max(one.high for one in some))


def edges_between(low: Any, high: Any, bins: int) -> np.ndarray:
    """The edges that ``numpy.histogram`` takes for numbers of this kind. Raises `TableError` for bins too narrow."""
    ends = np.array([low, high])
    try:
        return np.histogram_bin_edges(ends, bins)
    except ValueError:
        raise TableError(
            f"--bins {bins} is more than {ends.dtype} can tell apart from {low} to {high}"
        ) from None


def summary(ask: Ask, edges: np.ndarray) -> Answer:
    """The answer to one question."""
    each, missing = ask("summary", edges)
    labels = sorted({label for one in each for label in one})
    groups = {label: _added(one[label] for one in each if label in one) for label in labels}
    return Answer(edges, groups, missing)


def _added(parts: Iterable[Part]) -> Part:
    counts, totals, bins, sketches = zip(*parts, strict=True)
    return Part(sum(counts), sum(totals), np.sum(bins, axis=0), added(sketches))
