"""The same work in one process, twice: with the very same shard, and with plain numpy, as one writes it first.

Always true: the plain way counts every bin as the shards did, or this program ends; the times are of the same answers.
"""

import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from resident_table.answer import QUANTILES, Answer, held, of_one, summary
from resident_table.chunk import TableError
from resident_table.shard import Shard


class Times(NamedTuple):
    """Seconds: until the numbers were there, and of each question."""

    load_s: float
    questions_s: list[float]


def one_shard(piece: Any, answers: list[Answer]) -> Times:
    """One shard with the whole table, in this process."""
    began = time.perf_counter()
    ask = of_one(Shard(piece))
    load_s = time.perf_counter() - began
    questions_s = []
    for number, answer in enumerate(answers):
        began = time.perf_counter()
        if number == 0:
            held(ask)
        again = summary(ask, answer.edges)
        questions_s.append(time.perf_counter() - began)
        _check(again.whole.counts, answer)
    return Times(load_s, questions_s)


def plain_numpy(piece: Any, answers: list[Answer]) -> Times:
    """Arrays of numbers and codes, ``numpy.histogram``, ``mean`` and ``numpy.quantile`` of each group."""
    began = time.perf_counter()
    values, codes = _columns(piece.chunks())
    load_s = time.perf_counter() - began
    questions_s = []
    for number, answer in enumerate(answers):
        began = time.perf_counter()
        if number == 0:
            values.min(), values.max()
        counts = [_group(values[codes == code], answer.edges) for code in range(int(codes.max()) + 1)]
        questions_s.append(time.perf_counter() - began)
        _check(np.sum(counts, axis=0), answer)
    return Times(load_s, questions_s)


def _group(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    inside = values[(values >= edges[0]) & (values <= edges[-1])]
    counts, _ = np.histogram(inside, len(edges) - 1, (edges[0], edges[-1]))
    if len(inside):
        inside.mean(dtype=np.float64)
        np.quantile(inside, QUANTILES)
    return counts


def _columns(chunks: Iterable[Any]) -> tuple[np.ndarray, np.ndarray]:
    """All finite numbers, and codes that mean the same from the first row to the last."""
    values, codes, known = [], [], {}
    for chunk in chunks:
        meaning = np.array([known.setdefault(label, len(known)) for label in chunk.labels], np.int8)
        finite = np.isfinite(chunk.values)
        values.append(chunk.values[finite])
        codes.append(meaning[chunk.codes[finite]])
    return np.concatenate(values), np.concatenate(codes)


def _check(counts: np.ndarray, answer: Answer) -> None:
    if not answer.partial and not np.array_equal(counts, answer.whole.counts):
        raise TableError("one process and many do not agree: has the file changed meanwhile?")
