"""Which blocks and files are worth a look, by the index. Part of the search room.

Always true: what is left out has no line of the answer.
"""

from __future__ import annotations

from manyhands import _search
from manyhands.search.query.needs import Need
from manyhands.search.query.plan import Plan


def blocks_with(store: _search.Store, plan: Plan) -> bytes | None:
    """A bit a block; None: all of them."""
    if plan.need is None:
        return None
    size = (store.blocks + 7) // 8
    found = _blocks(store, plan.need, plan.folds)
    return found.to_bytes(size, "little") if found >= 0 else None


def files_with(store: _search.Store, plan: Plan, mask: bytes | None) -> bytes | None:
    """A byte a file number; None: all of them. What `mask` leaves out stays out."""
    if plan.file_need is None:
        return mask
    wanted = _files(store, plan.file_need, plan.folds)
    if wanted is None:
        return mask
    chosen = bytearray(max(memoryview(store.numbers()).cast("I"), default=-1) + 1)
    for file in wanted:
        chosen[file] = mask is None or file >= len(mask) or mask[file]
    return bytes(chosen)


def _blocks(store: _search.Store, need: Need, folds: bool) -> int:
    """The blocks as a number with a bit each; -1: all."""
    assert need is not None
    if need[0] == "literal":
        return int.from_bytes(store.candidates(need[1], folds), "little")
    found = -1 if need[0] == "all" else 0
    for one in need[1:]:
        each = _blocks(store, one, folds)
        found = found & each if need[0] == "all" else found | each
    return found


def _files(store: _search.Store, need: Need, folds: bool) -> set[int] | None:
    """The files in whose blocks the need is met, one literal here and one there."""
    assert need is not None
    if need[0] == "literal":
        visit = store.visit(store.candidates(need[1], folds), None)
        files = set(memoryview(visit.files()).cast("I"))
        visit.close()
        return files
    found: set[int] | None = None if need[0] == "all" else set()
    for one in need[1:]:
        each = _files(store, one, folds)
        if need[0] == "all":
            found = each if found is None else found if each is None else found & each
        elif each is None:
            return None
        else:
            found = (found or set()) | each
    return found
