"""The endpoints that read what the tree holds: /file, /tree, /skipped.

Always true: what is served are names and texts of the tree; a path is looked up in it, and never opened.
"""

from __future__ import annotations

import asyncio
import os
from bisect import bisect_left, bisect_right
from typing import Any
from urllib.parse import quote_from_bytes

from manyhands.search.corpus.languages import LANGUAGES
from manyhands.search.names import NameFilter
from manyhands.search.service import frames
from manyhands.search.service.events import place_of
from manyhands.search.service.framing import COLUMNS
from manyhands.search.service.problem import Problem
from manyhands.search.service.replying import Reply
from manyhands.search.service.settings import Limits
from manyhands.search.tree import Tree

Said = dict[str, Any]

_BEFORE, _AFTER = 40, 200


class Reading:
    """See the module. `roots`: how the tree's roots are named. Threads: the loop's."""

    def __init__(self, tree: Tree, roots: list[str], limits: Limits) -> None:
        self._tree, self._limits = tree, limits
        self._roots = [os.fsencode(root) for root in roots]
        self._languages = {name: NameFilter(lang=(name,)) for name in LANGUAGES}

    async def file(self, reply: Reply, said: Said) -> None:
        """Lines of a file."""
        line = said.get("line", 1)
        before, after = said.get("before", _BEFORE), said.get("after", _AFTER)
        if before + after >= self._limits.file_lines:
            most = f"{self._limits.file_lines - 1:,}"
            raise Problem(
                400, f"before and after are {before + after:,} lines; the most is {most}", parameter="after"
            )
        columns = said.get("max_columns", self._limits.columns_most)
        if columns > self._limits.columns_most:
            most = f"{self._limits.columns_most:,}"
            raise Problem(400, f"max_columns is {columns:,}; the most is {most}", parameter="max_columns")
        found = await self._tree.lines_async(
            said["path"], max(1, line - before), line + after, deadline_s=self._limits.deadline_s
        )
        await reply.json({
            **place_of(found.path), "first": found.first,
            "lines": [each.decode("utf-8", "replace")[:columns] for each in found.lines],
            "total_lines": found.total_lines, "size_bytes": found.size_bytes,
            "language": self._language_of(found.path),
        })  # fmt: skip

    def _language_of(self, path: bytes) -> str | None:
        name = [path.rpartition(b"/")[2]]
        return next((known for known, wanted in self._languages.items() if wanted.mask(name) == b"\1"), None)

    # ---- folders ----

    async def tree(self, reply: Reply, said: Said) -> None:
        """What is in a folder."""
        most, cursor = self._most(reply, said), said.get("cursor", b"")
        under = said.get("under", b"").rstrip(b"/")
        under = b"" if under == b"." else under  # which holds all that there is
        if under and not self._tree.names(under):
            raise Problem(404, "the tree holds no file there", parameter="under")
        folders: list[dict[str, Any]] = []
        if "name" in said or said.get("recursive", False):
            names = await self._all(under, said.get("name"))
        elif under:
            folders, names = self._folder(under)
        else:
            folders, names = self._top()
        start = bisect_right(names, cursor)
        shown = names[start : start + most]
        is_cut = start + most < len(names)
        await reply.json({
            "under": under.decode("utf-8", "replace"), "folders": [] if cursor else folders,
            "files": [place_of(name) for name in shown],
            "cursor": quote_from_bytes(shown[-1]) if is_cut and shown else None,
        })  # fmt: skip

    async def _all(self, under: bytes, glob: str | None) -> list[bytes]:
        """All files below a folder, or those whose path matches: that takes a while, so others have their turn."""
        if glob is None:
            return self._tree.names(under)
        found = await asyncio.to_thread(self._tree.files, None, name=glob, under=[under] if under else [])
        return found.paths_bytes

    def _folder(self, folder: bytes) -> tuple[list[dict[str, Any]], list[bytes]]:
        """What lies right in it: folders with the number of files in each, and files. Leaps from folder to folder."""
        names, prefix = self._tree.names(folder), folder + b"/"
        folders, files, at = [], [], 0
        while at < len(names):
            name, slash, _ = names[at].removeprefix(prefix).partition(b"/")
            if slash:
                end = bisect_left(names, prefix + name + b"0", at)  # "0" follows "/"
                folders.append(_folder_of(prefix + name, end - at))
                at = max(end, at + 1)
            else:
                files.append(names[at])
                at += 1
        return folders, files

    def _top(self) -> tuple[list[dict[str, Any]], list[bytes]]:
        found = [(root, self._tree.names(root)) for root in self._roots]
        folders = [_folder_of(root, len(names)) for root, names in found if names != [root]]
        return folders, sorted(root for root, names in found if names == [root])

    async def skipped(self, reply: Reply, said: Said) -> None:
        """The files that are not searched, and why."""
        found = await self._tree.skipped_async(deadline_s=self._limits.deadline_s)
        under = said.get("under")
        wanted = NameFilter(under=[under.rstrip(b"/")] if under else [])
        entries = [entry for entry in found if wanted.mask([entry[0]]) != b"\0"]
        if reply.is_trusted and reply.header(b"accept") == COLUMNS:
            await reply.whole(frames.encode_skipped(entries, found.counts), COLUMNS)
            return
        most = self._most(reply, said)
        await reply.json({
            "counts": found.counts,
            "files": [{**place_of(path), "reason": why, "detail": detail} for path, why, detail in entries[:most]],
            "left_out": max(0, len(entries) - most),
        })  # fmt: skip

    def _most(self, reply: Reply, said: Said) -> int:
        """How many files are told."""
        wanted: int = said.get("limit", self._limits.rows)
        if wanted > self._limits.rows_most and not reply.is_trusted:
            most = f"{self._limits.rows_most:,}"
            raise Problem(400, f"limit is {wanted:,}; the most is {most}", parameter="limit")
        return wanted


def _folder_of(path: bytes, files: int) -> dict[str, Any]:
    href = f"/tree?under={quote_from_bytes(path, safe='/')}"
    return {"path": path.decode("utf-8", "replace"), "href": href, "files": files}
