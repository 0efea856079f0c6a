"""A regex as a tree, and what can be said of it without matching anything.

The trees are RE2's grammar, not Python's: `parser` makes them, and `literals` and `automaton` read them. They are
plain tuples: equal ones are equal, and nothing changes once made.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Char(NamedTuple):
    """One character; with `fold`, in any case."""

    code: int
    fold: bool
    position: int


class Part(NamedTuple):
    """A part of a class: the characters in `ranges`, or those of the Unicode property `name`; or all others."""

    ranges: tuple[tuple[int, int], ...]
    name: str = ""
    negated: bool = False


class Chars(NamedTuple):
    """One character of a class (`[...]`, `.`, `\\d`, `\\pL`)."""

    parts: tuple[Part, ...]
    negated: bool
    fold: bool
    position: int


class AnyByte(NamedTuple):
    """``\\C``."""

    position: int


class Place(NamedTuple):
    """A condition on a place: one of ``^ $ A z b B`` (the latter with a backslash). Takes no text."""

    kind: str
    position: int


class Sequence(NamedTuple):
    """One after the other."""

    items: tuple[Node, ...]


class Choice(NamedTuple):
    """One of them, the first that leads to a match preferred."""

    items: tuple[Node, ...]


class Repeat(NamedTuple):
    """`item`, from `least` to `most` times (None: any number)."""

    item: Node
    least: int
    most: int | None


Node = Char | Chars | AnyByte | Place | Sequence | Choice | Repeat

EMPTY = Sequence(())


def children(node: Node) -> tuple[Node, ...]:
    """What the node is made of."""
    if isinstance(node, (Sequence, Choice)):
        return node.items
    return (node.item,) if isinstance(node, Repeat) else ()


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it."""
    yield node
    for child in children(node):
        yield from walk(child)


def has_capital(node: Node) -> bool:
    """Whether an upper-case letter is written in it; names of classes (``\\S``, ``\\p{Lu}``) do not count."""
    for found in walk(node):
        if isinstance(found, Char) and chr(found.code).isupper():
            return True
        if isinstance(found, Chars) and any(_written_capital(part) for part in found.parts):
            return True
    return False


def _written_capital(part: Part) -> bool:
    """Ranges are what was written; the classes with names (`\\w` too) carry theirs."""
    return not part.name and any(chr(code).isupper() for span in part.ranges for code in span)


def positions(node: Node) -> int:
    """How large an automaton of it would be: characters, repetitions counted out."""
    if isinstance(node, Repeat):
        return positions(node.item) * max(1, node.least + (node.most is None), node.most or 0)
    return sum(map(positions, children(node))) or 1


def literal_tree(text: str, fold: bool) -> Node:
    """The tree of a plain text."""
    return Sequence(tuple(Char(ord(char), fold, index) for index, char in enumerate(text)))
