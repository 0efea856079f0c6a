"""Some rows, on their way from a source to a shard.

Always true: each row has a number (NaN: none) and the place of its group in `labels`; there are at most `MOST_GROUPS`.
"""

from typing import Any, NamedTuple

import numpy as np

MOST_GROUPS = 100
ROWS_AT_A_TIME = 1 << 18


class TableError(ValueError):
    """The table is not what it should be. The message is for the user: one line, what is wrong and what to do."""


class Chunk(NamedTuple):
    """Rows: numbers, codes of their groups, and what the codes stand for."""

    values: np.ndarray
    codes: np.ndarray
    labels: list[str]


def ungrouped(values: np.ndarray) -> Chunk:
    """Rows without groups."""
    return Chunk(values, np.zeros(len(values), np.int8), ["all"])


def grouped(values: np.ndarray, codes: np.ndarray, labels: list[str]) -> Chunk:
    """Rows with groups, of which there must not be too many: a byte numbers them, and a person reads them."""
    check_groups(labels)
    return Chunk(values, codes.astype(np.int8), [label or "(empty)" for label in labels])


def check_groups(labels: Any) -> None:
    """Raises `TableError` when there are too many."""
    if len(labels) > MOST_GROUPS:
        raise TableError(f"--by has more than {MOST_GROUPS} different values; name a column with fewer")


def from_arrow(numbers: Any, by: Any) -> Chunk:
    """Arrays of Arrow as arrays of numpy: float32 stays, every other kind of number becomes float64."""
    import pyarrow as pa

    kind = pa.float32() if pa.types.is_float32(numbers.type) else pa.float64()
    values = numbers.cast(kind, safe=False).to_numpy(zero_copy_only=False)
    if by is None:
        return ungrouped(values)
    words = by.cast(pa.string()).fill_null("").dictionary_encode()
    return grouped(values, words.indices.to_numpy(zero_copy_only=False), words.dictionary.to_pylist())


def first_line(error: Exception) -> str:
    """What a library has to say, without its advice to programmers."""
    return str(error).strip().partition("\n")[0]
