"""A source: temperatures of five climates, made up from a seed.

Always true:

1. Row i is the same for the same seed, however many processes make the table.
2. Every number is a multiple of 1/1024, so that sums are exact in whatever order they are taken.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from resident_table.chunk import ROWS_AT_A_TIME, Chunk

COLUMN, BY = "temperature", "climate"


class Climate(NamedTuple):
    """A yearly swing around a mean, and noise, in degrees; `share` is its part of all rows."""

    name: str
    share: float
    mean: float
    swing: float
    noise: float


CLIMATES = [
    Climate("polar", 0.10, -18, 14, 5),
    Climate("continental", 0.28, 6, 17, 5),
    Climate("temperate", 0.27, 12, 7, 4),
    Climate("arid", 0.15, 22, 11, 4),
    Climate("tropical", 0.20, 27, 1.5, 2.5),
]


class MadeUp(NamedTuple):
    """Rows `start` to `stop` of an endless table."""

    seed: int
    start: int
    stop: int

    def chunks(self) -> Iterator[Chunk]:
        """A block at a time; each block has random numbers of its own."""
        for block in range(self.start // ROWS_AT_A_TIME, -(-self.stop // ROWS_AT_A_TIME)):
            values, codes = _block(self.seed, block)
            first = block * ROWS_AT_A_TIME
            wanted = slice(max(0, self.start - first), self.stop - first)
            yield Chunk(values[wanted], codes[wanted], [climate.name for climate in CLIMATES])


def _block(seed: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng([seed, number])
    draw, codes = random.random(ROWS_AT_A_TIME), np.zeros(ROWS_AT_A_TIME, np.int8)
    for bound in np.cumsum([climate.share for climate in CLIMATES[:-1]]):
        codes += draw >= bound
    mean, swing, noise = np.array([climate[2:] for climate in CLIMATES], np.float32).T
    day = random.random(ROWS_AT_A_TIME, np.float32) * np.float32(2 * np.pi)
    values = mean[codes] + swing[codes] * np.sin(day)
    values += noise[codes] * random.standard_normal(ROWS_AT_A_TIME, np.float32)
    return np.round(values * np.float32(1024)) / np.float32(1024), codes


def made_up_pieces(rows: int, seed: int, count: int) -> list[MadeUp]:
    """The table in equal pieces, at most one a row."""
    count = min(count, rows)
    bounds = [rows * number // count for number in range(count + 1)]
    return [MadeUp(seed, start, stop) for start, stop in pairwise(bounds)]
