"""Rare words, drawn from the text by lot: the same ones from the same text, because the seed is fixed."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_WORD = re.compile(rb"[A-Za-z_][A-Za-z0-9_]{7,40}")
_ROWS_MOST = 20
_WORDS_A_FILE = 4


class Samples:
    """`rows`: word -> how many lines have it, 1 to 20. `places`: the lines that have any of them."""

    def __init__(self, tree: Any, wanted: int, seed: int) -> None:
        self.rows: dict[str, int] = {}
        self.places: set[tuple[bytes, int]] = set()
        for word in _words(list(tree.files()), random.Random(seed)):
            if len(self.rows) == wanted:
                return
            self._add(tree, word)

    def _add(self, tree: Any, word: str) -> None:
        found = tree.search(word, case="exact", limit=_ROWS_MOST + 1).all()
        if word not in self.rows and 0 < len(found) <= _ROWS_MOST:
            self.rows[word] = len(found)
            self.places.update((row.path_bytes, row.line_number) for row in found)

    def word_of(self, rows: int) -> str:
        """The first word of so many lines, or of about so many."""
        return min(self.rows, key=lambda word: abs(self.rows[word] - rows))


def _words(paths: list[str], chance: random.Random) -> Iterator[str]:
    chance.shuffle(paths)
    for path in paths:
        found = sorted(set(_WORD.findall(Path(path).read_bytes())))
        for word in chance.sample(found, min(_WORDS_A_FILE, len(found))):
            yield word.decode()
