"""Quantiles that can be added up: how many numbers fall into each bucket of a fixed grid.

The buckets are those of HdrHistogram (Gil Tene): each power of two is cut into `1 << BITS` equal parts. That is a
DDSketch (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees", VLDB
2019) whose logarithm is taken linearly between powers of two. A bucket's number is simply the top bits of a float.

Always true:

1. A quantile is off by at most `ERROR` of itself, however many sketches were added, and in whatever order.
   Numbers nearer to zero than 2**-1022 count as zero.
2. Keys ascend, as the numbers in their buckets do; no bucket is empty.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

BITS = 8

#: A bucket is 2**-BITS of its lower end wide, and its middle stands for all numbers in it.
ERROR = 2.0 ** -(BITS + 1)

_SHIFT = 52 - BITS  # a float64 has 52 bits below its exponent
_WITHOUT_SIGN = np.int64(0x7FFF_FFFF_FFFF_FFFF)


def keys_of(values: np.ndarray) -> np.ndarray:
    """The number of each float64's bucket; negative ones for negative numbers."""
    bits = values.view(np.int64)
    keys = (bits & _WITHOUT_SIGN) >> _SHIFT
    return np.where(bits < 0, -keys, keys)


def middle_of(key: int) -> float:
    """What stands for the numbers of a bucket."""
    if key == 0:
        return 0.0
    middle = np.int64((abs(key) << _SHIFT) | (1 << (_SHIFT - 1))).view(np.float64)
    return float(np.copysign(middle, key))


class Sketch(NamedTuple):
    """How many numbers (`counts`) are in each bucket (`keys`)."""

    keys: np.ndarray
    counts: np.ndarray

    def quantile(self, share: float) -> float:
        """The number that so large a share of all others is below, as by ``numpy.quantile(..., method="lower")``."""
        below = np.cumsum(self.counts)
        rank = int(share * (int(below[-1]) - 1))
        return middle_of(int(self.keys[np.searchsorted(below, rank, side="right")]))


def added(sketches: Iterable[Sketch]) -> Sketch:
    """One sketch of all numbers."""
    keys, counts = (np.concatenate(some) for some in zip(*sketches, strict=True))
    found, places = np.unique(keys, return_inverse=True)
    return Sketch(found, np.bincount(places, counts, len(found)).astype(np.int64))  # exact up to 2**53 rows
