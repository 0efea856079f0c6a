"""A search engine for trees of text files: in memory, one shard a process, exact answers. See docs/internals/search.md.

::

    import manyhands.search

    with manyhands.search.open("src", watch=True) as tree:
        for row in tree.search("TODO", limit=20):
            print(row.path, row.line_number, row.line)

`open` loads a tree for many questions; `scan` answers one without keeping anything.
"""

from __future__ import annotations

TYPE_CHECKING = False  # see manyhands/__init__.py
if TYPE_CHECKING:
    from typing import Any

    from manyhands.search.answer import Answer as Answer
    from manyhands.search.answer import Counts as Counts
    from manyhands.search.answer import Matching as Matching
    from manyhands.search.answer import Preview as Preview
    from manyhands.search.columns import Row as Row
    from manyhands.search.corpus.filters import Filters as Filters
    from manyhands.search.corpus.languages import LANGUAGES as LANGUAGES
    from manyhands.search.errors import MissingExtraError as MissingExtraError
    from manyhands.search.errors import NotHeldError as NotHeldError
    from manyhands.search.errors import QueryError as QueryError
    from manyhands.search.oneshot import listed as listed
    from manyhands.search.oneshot import scan as scan
    from manyhands.search.oneshot import scan_bytes as scan_bytes
    from manyhands.search.oneshot import scan_counts as scan_counts
    from manyhands.search.oneshot import scan_files as scan_files
    from manyhands.search.oneshot import scan_preview as scan_preview
    from manyhands.search.preview import FileDiff as FileDiff
    from manyhands.search.query.parse import parse_query as parse_query
    from manyhands.search.tree import Tree as Tree
    from manyhands.search.tree import open as open  # noqa: A004 - as gzip.open

#: Public name -> module that has it.
_HOME = {
    "Answer": "manyhands.search.answer",
    "Counts": "manyhands.search.answer",
    "LANGUAGES": "manyhands.search.corpus.languages",
    "FileDiff": "manyhands.search.preview",
    "Filters": "manyhands.search.corpus.filters",
    "Matching": "manyhands.search.answer",
    "MissingExtraError": "manyhands.search.errors",
    "NotHeldError": "manyhands.search.errors",
    "Preview": "manyhands.search.answer",
    "QueryError": "manyhands.search.errors",
    "Row": "manyhands.search.columns",
    "Tree": "manyhands.search.tree",
    "listed": "manyhands.search.oneshot",
    "open": "manyhands.search.tree",
    "parse_query": "manyhands.search.query.parse",
    "scan": "manyhands.search.oneshot",
    "scan_bytes": "manyhands.search.oneshot",
    "scan_counts": "manyhands.search.oneshot",
    "scan_files": "manyhands.search.oneshot",
    "scan_preview": "manyhands.search.oneshot",
}

__all__ = [*_HOME]  # noqa: PLE0604 - all of them are strings


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'manyhands.search' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
