"""Keeping a tree's shards up to date with its files. Part of the search room.

Owns the watcher. Its callbacks run in its thread: they place changes in the tree's table and have the shards read them.

Always true: changes are applied in the order in which they are told, one lot after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from manyhands.search.corpus.filters import Filters
from manyhands.search.corpus.watch import DELETED, Change, Watcher

if TYPE_CHECKING:
    from manyhands.search.tree import Tree


class Follower:
    """See the module."""

    def __init__(self, tree: Tree, roots: Sequence[Any], filters: Filters) -> None:
        self._tree = tree
        self._watcher = Watcher(roots, filters, self._on_change, self._on_rewalk)
        self._watcher.wait_ready()
        self._tree.refresh()  # what happened while the text was loaded

    @property
    def state(self) -> str:
        """What it does: watches, or polls and why, or has stopped and why."""
        return self._watcher.state

    def close(self) -> None:
        """End it."""
        self._watcher.close()

    def _on_change(self, changes: Sequence[Change]) -> None:
        self._tree.apply([(change.path, change.kind != DELETED) for change in changes])

    def _on_rewalk(self) -> None:
        self._tree.refresh()
