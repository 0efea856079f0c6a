"""What is in a folder, or which files match a glob: a page of it, from the names that the tree has.

Always true: pages follow each other by name, so what comes and goes between two pages makes none of the others come
twice or be left out.

Threads: any; it may take a while in a large tree, so not the loop's.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from manyhands.search import Tree
from manyhands.search.query import checks
from manyhands.search.service.mcp.names import Names


class Entries(NamedTuple):
    """A page: (name, files below it) of folders and names of files, and how many of both come behind it."""

    folders: list[tuple[bytes, int]]
    files: list[bytes]
    left_out: int


def listed(tree: Tree, names: Names, given: Mapping[str, Any]) -> Entries:
    """What a call of ``list_files`` asks for. Raises `manyhands.search.QueryError`."""
    folder = names.find(given.get("under", ""), tree.names, "under")
    behind = given.get("after")
    globs = checks.globs("glob", given.get("glob", ()))
    if globs:
        found: Sequence[bytes] = tree.files(name=globs, under=folder or b".").paths_bytes
    else:
        found = tree.names(folder)
    if globs or given.get("recursive"):
        return _page(dict.fromkeys(found, 0), names, behind, given["limit"])
    return _page(_right_in(found, folder, names), names, behind, given["limit"])


def _right_in(found: Sequence[bytes], folder: bytes, names: Names) -> dict[bytes, int]:
    """Files and folders right in a folder, or the roots: name -> files below it, 0 for a file."""
    if found and found[0] == folder:
        return {folder: 0}
    roots = [] if folder else [root.rstrip(b"/") or b"/" for root in names.roots]
    below = Counter(_entry(name, folder, roots) for name in found)
    single = set(found)
    return {entry: 0 if entry in single else count for entry, count in below.items()}


def _entry(name: bytes, folder: bytes, roots: list[bytes]) -> bytes:
    """The folder or file, right in `folder` or one of the roots, that a name belongs to."""
    for root in roots:
        if name == root or name.startswith(root.rstrip(b"/") + b"/"):
            return root
    start = len(folder.rstrip(b"/")) + 1 if folder else 0
    end = name.find(b"/", start)
    return name if end < 0 else name[:end]


def _page(entries: dict[bytes, int], names: Names, behind: str | None, limit: int) -> Entries:
    ordered = sorted(entries)
    start = 0 if behind is None else bisect.bisect_right(ordered, names.meant(behind, entries.__contains__))
    chosen = ordered[start : start + limit]
    return Entries(
        [(name, entries[name]) for name in chosen if entries[name]],
        [name for name in chosen if not entries[name]],
        max(0, len(ordered) - start - limit),
    )
