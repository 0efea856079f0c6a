"""What is asked, of both; and the ways in which ours is read.

Always true: a way returns how many lines it got, which must be what ripgrep finds, or the way's limit if that is less.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

#: A first page.
PAGE_ROWS = 500


@dataclass(frozen=True)
class Way:
    """A name for the tables, and what a user would write. `limit`: so many lines at most."""

    name: str
    read: Callable[[Any, str, dict[str, Any]], int]
    limit: int | None = None


@dataclass(frozen=True)
class Question:
    """`shape` is its name in the results. `counts`: ripgrep counts, too (``-c``)."""

    shape: str
    title: str
    pattern: str
    ways: tuple[Way, ...]
    regex: bool = False
    counts: bool = False


def touched_rows(tree: Any, pattern: str, options: dict[str, Any]) -> int:
    """Every row, its path, number and line read."""
    rows = touched = 0
    for row in tree.search(pattern, **options):
        touched += len(row.path) + row.line_number + len(row.line)
        rows += 1
    assert touched or not rows
    return rows


def rows(tree: Any, pattern: str, options: dict[str, Any]) -> int:
    """Every row as an object, nothing of it read."""
    return sum(1 for _ in tree.search(pattern, **options))


def columns(tree: Any, pattern: str, options: dict[str, Any]) -> int:
    """Pages of columns."""
    return sum(map(len, tree.search(pattern, **options).pages()))


def count(tree: Any, pattern: str, options: dict[str, Any]) -> int:
    """Only how many."""
    found: int = tree.count(pattern, **options).lines
    return found


ROWS = Way("rows", touched_rows)
COLUMNS = Way("columns", columns)
UNTOUCHED = Way("rows, not touched", rows)
COUNT = Way("count", count)
FIRST_PAGE = Way(f"first {PAGE_ROWS}", touched_rows, PAGE_ROWS)

#: Words of the corpora: in no line, in very many, in some thousands; a regex with a literal in it, and one without.
_PATTERNS = {
    "kernel": ("mh_is_nowhere", "struct", "EXPORT_SYMBOL_GPL", r"[A-Z]+_SUSPEND", r"\d{3}-\d{4}"),
    "library": ("mh_is_nowhere", "self", "self.assertEqual", r"[A-Z]+_ERROR", r"\d{3}-\d{4}"),
}


def questions(corpus: str, rare: str) -> list[Question]:
    """All of them; `rare` is a word of a few lines."""
    absent, common, frequent, anchored, loose = _PATTERNS[corpus]
    return [
        Question("search_absent", "a literal that is nowhere", absent, (ROWS,)),
        Question("search_rare", "a literal of a few lines", rare, (ROWS,)),
        Question("search_frequent", f"literal {frequent}", frequent, (COLUMNS, ROWS, FIRST_PAGE)),
        Question("search_regex_literal", f"regex {anchored}", anchored, (COLUMNS, ROWS), regex=True),
        Question("search_regex_loose", f"regex {loose}", loose, (COLUMNS, ROWS), regex=True),
        Question("search_common", f"literal {common}", common, (FIRST_PAGE, UNTOUCHED, COLUMNS)),
        Question("search_count", f"count {common}", common, (COUNT,), counts=True),
    ]
