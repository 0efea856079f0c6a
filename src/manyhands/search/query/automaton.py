"""A tree as Hyperscan's expressions, for text that is ASCII.

Hyperscan finds lines, not matches: each expression goes on to the end of the line (``[^\\n]*\\n``), which makes it
report once a line, behind the newline, however many matches there are; measured, this costs nothing and an empty
match is no problem.

Always true: on ASCII text in which each line ends in a newline, the lines reported are exactly those in which RE2
finds a match. Characters beyond ASCII cannot match there, so an alternative that needs one falls away; no class has
the newline.
"""

from __future__ import annotations

from manyhands.search.query.classes import ascii_of_char, ascii_set
from manyhands.search.query.syntax import (
    EMPTY,
    AnyByte,
    Char,
    Chars,
    Choice,
    Node,
    Place,
    Repeat,
    Sequence,
    children,
    positions,
    walk,
)

#: Longer patterns together are not worth a tree.
TEXT_BYTES_MOST = 40_000
#: Beyond these, compiling takes seconds.
_POSITIONS_MOST = 20_000
_POSITIONS_MOST_OF_ONE = 4000
_EXPRESSIONS_MOST = 1000
_BYTES_MOST_OF_ONE = 15_000
#: With each repetition around others (``((x*)*)*``) it takes twice as long.
_NESTED_MOST = 10

_NEWLINE = 10
_ASCII = frozenset(range(0x80))
_PLACES = {"^": b"^", "A": b"^", "b": b"\\b", "B": b"\\B"}
_NOT_WORD = b"[^0-9A-Z_a-z\\n]"

#: What stands before a pattern and behind it, up to the line's end: as it is, as a word, as a whole line.
_AROUND = {
    "": (b"", b"[^\\n]*\\n"),
    "word": (b"(?:^|" + _NOT_WORD + b")", b"(?:" + _NOT_WORD + b"[^\\n]*)?\\n"),
    "line": (b"^", b"\\n"),
}
_TAILS = frozenset(tail for _, tail in _AROUND.values())


class _Unknown(Exception):
    """Hyperscan has no words for it."""


def expressions(trees: list[Node], around: str) -> tuple[bytes, ...] | None:
    """One expression an alternative, to be compiled together with Hyperscan's MULTILINE; empty: no line of ASCII
    matches. None: Hyperscan cannot do it. `around`: "", "word" or "line"."""
    before, tail = _AROUND[around]
    alternatives = [one for tree in trees for one in (tree.items if isinstance(tree, Choice) else (tree,))]
    sizes = list(map(positions, alternatives))
    if len(sizes) > _EXPRESSIONS_MOST or sum(sizes) > _POSITIONS_MOST or max(sizes) > _POSITIONS_MOST_OF_ONE:
        return None
    if max(map(_nested, alternatives)) > _NESTED_MOST:
        return None
    try:
        found = [_expression(tree, before, tail) for tree in alternatives]
    except _Unknown:
        return None
    matching = tuple(dict.fromkeys(one for one in found if one is not None))
    return None if any(len(one) > _BYTES_MOST_OF_ONE for one in matching) else matching


def _nested(node: Node) -> int:
    """How many repetitions are around one another."""
    return isinstance(node, Repeat) + max(map(_nested, children(node)), default=0)


def is_bytewise(trees: list[Node], around: str) -> bool:
    """Do the expressions find the right lines in any text, as long as it has no U+017F or U+212A? Yes, when no part
    of a match may be beyond ASCII. (A word's neighbours may be.)"""
    return around != "word" and all(_is_ascii_only(node) for tree in trees for node in walk(tree))


def _is_ascii_only(node: Node) -> bool:
    if isinstance(node, Char):
        return node.code < 0x80
    if isinstance(node, Chars):
        plain = not node.negated and not any(part.negated for part in node.parts)
        return plain and all(
            part.ranges and all(high < 0x80 for _, high in part.ranges) for part in node.parts
        )
    return not isinstance(node, AnyByte)


def _expression(tree: Node, before: bytes, tail: bytes) -> bytes | None:
    """The expression of one alternative. Hyperscan has no ``^`` with something in front; there, it is all that is."""
    items = tree.items if isinstance(tree, Sequence) else (tree,)
    starts = 0
    while starts < len(items) and _is_place(items[starts], "^A"):
        starts += 1
    printed = _to_line_end(Sequence(items[starts:]), tail)
    return None if printed is None else (b"^" if starts else before) + printed


def _is_place(node: Node, kinds: str) -> bool:
    return isinstance(node, Place) and node.kind in kinds


def _to_line_end(node: Node, tail: bytes) -> bytes | None:
    """The node and then `tail`. Hyperscan has no ``$`` with something behind it; here the tail says it: a
    newline."""
    if not any(_is_place(found, "$z") for found in walk(node)):
        printed = _printed(node)
        return None if printed is None else printed + tail
    if isinstance(node, Place) and tail in _TAILS:
        return b"\\n"
    if isinstance(node, Sequence):
        whole: bytes | None = tail
        for item in reversed(node.items):
            whole = None if whole is None else _to_line_end(item, whole)
        return whole
    if isinstance(node, Choice):
        found = [one for one in (_to_line_end(item, tail) for item in node.items) if one is not None]
        return b"(?:" + b"|".join(found) + b")" if found else None
    if isinstance(node, Repeat) and (node.least, node.most) == (0, 1):
        return _to_line_end(Choice((node.item, EMPTY)), tail)
    raise _Unknown


def _printed(node: Node) -> bytes | None:
    """The node in Hyperscan's syntax; None: it cannot match ASCII."""
    if isinstance(node, Char):
        return _one_of(ascii_of_char(node))
    if isinstance(node, Chars):
        return _one_of(ascii_set(node))
    if isinstance(node, AnyByte):
        return _one_of(_ASCII)
    if isinstance(node, Place):
        return _PLACES[node.kind]  # without ends: see _to_line_end
    if isinstance(node, Repeat):
        return _repeated(node)
    found = [_printed(item) for item in node.items]
    if isinstance(node, Sequence):
        return None if None in found else b"".join(one for one in found if one is not None)
    matching = [one for one in found if one is not None]
    return b"(?:" + b"|".join(matching) + b")" if matching else None


def _repeated(node: Repeat) -> bytes | None:
    item = _printed(node.item)
    if item is None:
        return None if node.least else b""
    if not item or node.most == 0:
        return b""
    if isinstance(node.item, Place):
        return item if node.least else b""  # Hyperscan repeats no assertions
    return (item if isinstance(node.item, (Char, Chars)) else b"(?:%s)" % item) + _times(node)


def _times(node: Repeat) -> bytes:
    if node.most == node.least:
        return b"{%d}" % node.least
    if node.most is None:
        return {0: b"*", 1: b"+"}.get(node.least, b"{%d,}" % node.least)
    return b"?" if node.most == 1 else b"{%d,%d}" % (node.least, node.most)


def _one_of(codes: frozenset[int]) -> bytes | None:
    codes -= {_NEWLINE}
    if not codes:
        return None
    if len(codes) == 1:
        return b"\\x%02x" % min(codes)
    return b"[" + b"".join(_spans(sorted(codes))) + b"]"


def _spans(codes: list[int]) -> list[bytes]:
    """Ranges of a class; codes in order."""
    found: list[bytes] = []
    start = last = codes[0]
    for code in [*codes[1:], -1]:
        if code == last + 1:
            last = code
            continue
        found.append(b"\\x%02x" % start if start == last else b"\\x%02x-\\x%02x" % (start, last))
        start = last = code
    return found
