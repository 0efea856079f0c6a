"""Needs: what a text must contain to be worth a look, as a tree of literals, AND and OR, made small.

Always true: a need is met by a text when its literals are found by plain containment in the text with its ASCII
letters lowered; where folds apply, U+017F and U+212A of the text count as s and k.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

#: None (no requirement), ("literal", bytes), ("all", need, ...) or ("any", need, ...).
Need = tuple[Any, ...] | None

#: The same with a `Piece` for the bytes.
CasedNeed = tuple[Any, ...] | None

#: Shorter literals are everywhere.
LEAST = 3
#: Longer ones are cut: the first part of them is rare enough.
MOST_BYTES = 200
_BRANCHES_MOST = 100
_CONJUNCTS_MOST = 24

_FOLDED = (("\u017f".encode(), b"s"), ("\u212a".encode(), b"k"))


class Piece(NamedTuple):
    """A text that a match contains. `folded`: in any case, and lowered here."""

    text: bytes
    folded: bool

    def __add__(self, other: Piece) -> Piece:  # type: ignore[override]
        folded = self.folded or other.folded
        text = self.text + other.text
        return Piece(text.lower() if folded else text, folded)


Pieces = tuple[Piece, ...]
NO_TEXT: Pieces = (Piece(b"", False),)


def fold(text: bytes) -> bytes:
    """`text` with U+017F and U+212A as s and k."""
    for char, letter in _FOLDED:
        text = text.replace(char, letter)
    return text


def pieces(need: CasedNeed) -> Iterator[Piece]:
    """Every literal of a need."""
    if need is not None:
        if need[0] == "literal":
            yield need[1]
        else:
            for one in need[1:]:
                yield from pieces(one)


def conjuncts(need: CasedNeed) -> list[Piece]:
    """The literals that are needed whatever else is."""
    if need is None or need[0] == "any":
        return []
    return [need[1]] if need[0] == "literal" else [one[1] for one in need[1:] if one[0] == "literal"]


def folds(need: CasedNeed) -> bool:
    """Whether an index must look for it with s and k as U+017F and U+212A too."""
    return any(piece.folded for piece in pieces(need))


def for_index(need: CasedNeed, folding: bool) -> Need:
    """The need for an index, which knows no case. `folding`: what `folds` says of all that goes into one plan."""
    return _plain(_lowered(need, folding))


def _lowered(need: CasedNeed, folding: bool) -> CasedNeed:
    if need is None:
        return None
    if need[0] == "literal":
        text = need[1].text.lower()
        return any_of([_literal(Piece(fold(text) if folding else text, True))])
    join = all_of if need[0] == "all" else any_of
    return join([_lowered(one, folding) for one in need[1:]])


def _plain(need: CasedNeed) -> Need:
    if need is None:
        return None
    return ("literal", need[1].text) if need[0] == "literal" else (need[0], *map(_plain, need[1:]))


def any_piece(pieces: Pieces) -> CasedNeed:
    """One of these texts; None when one of them is too short to look for."""
    return any_of([_literal(piece) for piece in pieces])


def _literal(piece: Piece) -> CasedNeed:
    return ("literal", Piece(piece.text[:MOST_BYTES], piece.folded)) if len(piece.text) >= LEAST else None


def all_of(needs: Iterable[CasedNeed]) -> CasedNeed:
    """All of them: without those that another one implies."""
    flat: list[tuple[Any, ...]] = []
    for need in needs:
        if need is not None:
            flat += need[1:] if need[0] == "all" else [need]
    kept: list[tuple[Any, ...]] = []
    for need in flat[:_CONJUNCTS_MOST]:
        if not any(_implies(other, need) for other in kept):
            kept = [other for other in kept if not _implies(need, other)] + [need]
    return _joined("all", kept)


def any_of(needs: Iterable[CasedNeed]) -> CasedNeed:
    """Any of them: without those that imply another one; no requirement if one of them is none."""
    flat: list[tuple[Any, ...]] = []
    for need in needs:
        if need is None:
            return None
        flat += need[1:] if need[0] == "any" else [need]
    kept: list[tuple[Any, ...]] = []
    for need in dict.fromkeys(flat):
        if not any(_implies(need, other) for other in kept):
            kept = [other for other in kept if not _implies(other, need)] + [need]
        if len(kept) > _BRANCHES_MOST:
            return None
    return _joined("any", kept)


def _joined(kind: str, needs: list[tuple[Any, ...]]) -> CasedNeed:
    if len(needs) < 2:
        return needs[0] if needs else None
    return (kind, *needs)


def _implies(strong: tuple[Any, ...], weak: tuple[Any, ...]) -> bool:
    """Whether a text that satisfies `strong` surely satisfies `weak`; False when it is not easily seen."""
    if strong[0] == "any":
        return all(_implies(one, weak) for one in strong[1:])
    if weak[0] == "any":
        return any(_implies(strong, one) for one in weak[1:])
    if strong[0] == "all":
        return any(_implies(one, weak) for one in strong[1:])
    if weak[0] == "all":
        return all(_implies(strong, one) for one in weak[1:])
    return _contains(strong[1], weak[1])


def _contains(outer: Piece, inner: Piece) -> bool:
    if outer.folded and not inner.folded:
        return inner.text.lower() == inner.text.upper() and inner.text in outer.text
    return inner.text in (outer.text.lower() if inner.folded else outer.text)
