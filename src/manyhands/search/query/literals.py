"""The literals that every match of a regex contains, found by a walk over its tree.

Always true: a text that matches satisfies the need (see `needs`): it may ask for too little, never for too much.

The walk keeps, for each part of a regex, all texts that it can match when these are few (*exact*), and otherwise
the few texts that each match begins with (*head*) or ends with (*tail*), and what else each match needs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from manyhands.search.query.classes import FOLDS_TO_ASCII, few_codes, has_cases
from manyhands.search.query.needs import (
    MOST_BYTES,
    NO_TEXT,
    CasedNeed,
    Piece,
    Pieces,
    all_of,
    any_of,
    any_piece,
)
from manyhands.search.query.syntax import Char, Chars, Choice, Node, Place, Repeat, Sequence

_SET_MOST = 16
_CLASS_MOST = 6
_UNROLLED_MOST = 64


class _Known(NamedTuple):
    """What is known of a part; `exact` None: it can match more than a few texts."""

    exact: Pieces | None
    head: Pieces = NO_TEXT
    tail: Pieces = NO_TEXT
    need: CasedNeed = None


_ANYTHING = _Known(None)


def cased_need(tree: Node) -> CasedNeed:
    """The need of a tree, its literals in the case that they were written in."""
    known = _known(tree)
    return known.need if known.exact is None else any_piece(known.exact)


def _known(node: Node) -> _Known:
    if isinstance(node, Char):
        piece = _piece(node)
        return _ANYTHING if piece is None else _Known((piece,))
    if isinstance(node, Chars):
        return _known_class(node)
    if isinstance(node, Sequence):
        return _known_sequence(map(_known, node.items))
    if isinstance(node, Choice):
        return _known_choice([_known(item) for item in node.items])
    if isinstance(node, Repeat):
        return _known_repeat(node)
    return _Known(NO_TEXT) if isinstance(node, Place) else _ANYTHING


def _piece(char: Char) -> Piece | None:
    """A character as text; None when it has none that could be looked for: a newline, or a letter beyond ASCII in
    any case, whose cases have other bytes."""
    text = chr(char.code)
    if char.code == 10 or 0xD800 <= char.code <= 0xDFFF:
        return None
    if not char.fold:
        return Piece(text.encode(), False)
    if char.code in FOLDS_TO_ASCII:
        return Piece(chr(FOLDS_TO_ASCII[char.code]).encode(), True)
    if char.code < 0x80:
        return Piece(text.lower().encode(), text.isalpha())
    return None if has_cases(text) else Piece(text.encode(), False)


def _known_class(chars: Chars) -> _Known:
    codes = few_codes(chars, _CLASS_MOST)
    if not codes:
        return _ANYTHING
    pieces = [_piece(Char(code, chars.fold, 0)) for code in codes]
    if len(codes) == 2 and chr(codes[0]).swapcase() == chr(codes[1]) and max(codes) < 0x80:
        return _Known((Piece(chr(codes[0]).lower().encode(), True),))  # [Aa] says the same as (?i:a)
    found = [piece for piece in pieces if piece is not None]
    return _Known(tuple(dict.fromkeys(found))) if len(found) == len(codes) else _ANYTHING


def _known_sequence(parts: Iterable[_Known]) -> _Known:
    """Exact texts are joined for as long as they are few; then a new run of them begins."""
    run, needs, head = NO_TEXT, [], None
    for part in parts:
        joined = _product(run, part.head if part.exact is None else part.exact)
        if part.exact is not None and joined is not None:
            run = joined
            continue
        if joined is None:
            joined = run
            needs.append(any_piece(part.head if part.exact is None else part.exact))
        needs += [any_piece(joined), part.need]
        head = joined if head is None else head
        run = part.tail if part.exact is None else part.exact
    if head is None:
        return _Known(run)
    return _Known(None, head, run, all_of([*needs, any_piece(run)]))


def _known_choice(parts: list[_Known]) -> _Known:
    if all(part.exact is not None for part in parts):
        exact = tuple(dict.fromkeys(piece for part in parts for piece in part.exact or ()))
        if len(exact) <= _SET_MOST:
            return _Known(exact)
        return _Known(None, need=any_piece(exact))
    need = any_of([part.need if part.exact is None else any_piece(part.exact) for part in parts])
    heads = [piece for part in parts for piece in (part.head if part.exact is None else part.exact)]
    tails = [piece for part in parts for piece in (part.tail if part.exact is None else part.exact)]
    return _Known(None, _few(heads), _few(tails), need)


def _few(pieces: list[Piece]) -> Pieces:
    found = tuple(dict.fromkeys(pieces))
    return found if len(found) <= _SET_MOST else NO_TEXT


def _known_repeat(node: Repeat) -> _Known:
    """``x{2,}`` is xx, then anything, and then xx, which may be the same one."""
    if node.least == 0 and node.most != 1:
        return _ANYTHING
    known = _known(node.item)
    if node.least == 0:
        return _known_choice([known, _Known(NO_TEXT)])
    if node.most == node.least == 1:
        return known
    if known.exact is None:
        return known
    times = min(node.least, _UNROLLED_MOST)
    once = NO_TEXT
    for done in range(times):
        more = _product(once, known.exact)
        if more is None:
            once, times = once if done else known.exact, 0
            break
        once = more
    if node.most == node.least == times:
        return _Known(once)
    return _Known(None, once, once, any_piece(once))


def _product(left: Pieces, right: Pieces) -> Pieces | None:
    """Each of the left with each of the right behind it; None when these are many or long."""
    if len(left) * len(right) > _SET_MOST:
        return None
    found = tuple(dict.fromkeys(a + b for a in left for b in right))
    return None if max(len(piece.text) for piece in found) > MOST_BYTES else found
