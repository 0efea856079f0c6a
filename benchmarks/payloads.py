"""What is sent: small ints, bytes, arrays. Each payload makes its items and knows how a consumer uses them.

The consumer's use is the check as well: it returns a total, which must equal the total over the items that
were meant to arrive. Items are made before the clock starts and never changed afterwards, because a queue
with a feeder thread pickles later than `put` returns.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any, Literal

Get = Callable[[], Any]
Kind = Literal["int", "bytes", "array"]


@dataclass(frozen=True)
class Payload:
    """One kind of item: its size, how to make `count` of them, how a consumer uses `count` of them."""

    kind: Kind
    item_bytes: int
    items: Callable[[int], Iterable[Any]]
    drain: Callable[[Get, int], float]

    def expected(self, count: int) -> float:
        """The total that a consumer of ``items(count)`` must come to."""
        return self.drain(iter(self.items(count)).__next__, count)


def _drain_ints(get: Get, count: int) -> float:
    total = 0
    for _ in range(count):
        total += get()
    return total


def _drain_bytes(get: Get, count: int) -> float:
    total = 0
    for _ in range(count):
        data = get()
        total += len(data) + data[-1]
    return total


def _drain_touching(get: Get, count: int) -> float:
    total = 0.0
    for _ in range(count):
        array = get()
        total += float(array[0] + array[-1])
    return total


def _drain_summing(get: Get, count: int) -> float:
    total = 0.0
    for _ in range(count):
        total += float(get().sum())
    return total


def _random_bytes(size: int) -> Callable[[int], Iterator[bytes]]:
    def items(count: int) -> Iterator[bytes]:
        source = random.Random(size)
        return islice(cycle([source.randbytes(size) for _ in range(8)]), count)

    return items


def _arrays(size: int) -> Callable[[int], Iterator[Any]]:
    def items(count: int) -> Iterator[Any]:
        import numpy as np

        # Several different ones: neither a cache nor a memo of the last object helps anyone.
        return islice(cycle([np.arange(size // 8, dtype=np.float64) + number for number in range(6)]), count)

    return items


MIB = 1 << 20

INTS = Payload("int", 8, range, _drain_ints)
BYTES_1K = Payload("bytes", 1024, _random_bytes(1024), _drain_bytes)
BYTES_64K = Payload("bytes", 65536, _random_bytes(65536), _drain_bytes)
ARRAY_8M_TOUCHED = Payload("array", 8 * MIB, _arrays(8 * MIB), _drain_touching)
ARRAY_8M_SUMMED = Payload("array", 8 * MIB, _arrays(8 * MIB), _drain_summing)
