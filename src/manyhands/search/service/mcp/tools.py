"""The tools: search, count, list_files, read_lines. Each asks the tree, and tells what it said.

Always true:

1. At most `AT_ONCE` calls ask the tree at a time, and `WAITING_MOST` wait for it; more are refused.
2. Whatever is wrong with a call, and whatever goes wrong in it, is the tool's error, in words.
3. A call that is cancelled stops its query.

Threads: the loop's.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from itertools import islice
from typing import Any

import anyio
import anyio.to_thread
from mcp import MCPError
from mcp_types import INVALID_PARAMS, CallToolResult

from manyhands.errors import ManyhandsError
from manyhands.search import NotHeldError, QueryError, Tree
from manyhands.search.service.mcp import answers, arguments
from manyhands.search.service.mcp.answers import Page, cut, plain, refused
from manyhands.search.service.mcp.folders import listed
from manyhands.search.service.mcp.loading import Loading
from manyhands.search.service.mcp.names import Names
from manyhands.search.service.mcp.wire import tell

AT_ONCE, WAITING_MOST = 8, 64

#: For what is only looked up. A shard that is being rebuilt may be waited for.
_LOOKING_S = 30.0

#: What is left of a deadline that has passed while the call waited: the answer is what is found at once.
_SHORTEST_S = 0.01

#: Lines that are told when the last one is not said.
_READ_UNASKED = 500

#: What looks like a regex, and is hardly meant as it stands.
_LOOKS_LIKE_REGEX = (".*", ".+", "\\", "|", "[^", "(?")

Given = Mapping[str, Any]
Tool = Callable[[Tree, Given, float], Awaitable[CallToolResult]]


class BusyError(ManyhandsError):
    """There are too many calls at once."""


class Tools:
    """See the module."""

    def __init__(self, loading: Loading, names: Names) -> None:
        self._loading, self._names = loading, names
        self._places = anyio.CapacityLimiter(AT_ONCE)
        self._tools: dict[str, Tool] = {
            "search": self._search,
            "count": self._count,
            "list_files": self._list_files,
            "read_lines": self._read_lines,
        }

    async def call(self, name: str, given: Given) -> CallToolResult:
        """What a tool says. Raises `mcp.MCPError` for one that there is not."""
        if name not in self._tools:
            raise MCPError(
                INVALID_PARAMS, plain(f"there is no tool {name!r}; there are {', '.join(self._tools)}")
            )
        try:
            return await self._placed(self._tools[name], arguments.read(name, given))
        except QueryError as error:
            return refused(_explained(error, given))
        except (ManyhandsError, ImportError) as error:
            return refused(str(error))
        except Exception as error:
            _report(name, error)
            return refused(f"{name} failed: {type(error).__name__}: {error}")

    async def _placed(self, tool: Tool, given: Given) -> CallToolResult:
        """The call, when it is its turn and the tree is there. Its deadline counts from now."""
        if self._places.statistics().tasks_waiting >= WAITING_MOST:
            raise BusyError(f"{AT_ONCE + WAITING_MOST} calls are under way: wait for one of their answers")
        deadline_s = given.get("deadline_s", _LOOKING_S)
        until = time.monotonic() + deadline_s
        with anyio.move_on_after(deadline_s) as waiting:
            await self._places.acquire()
        if waiting.cancelled_caught:
            raise BusyError(
                f"this did not get its turn in {deadline_s:g} s: ask again, with fewer calls at once"
            )
        try:
            tree = await self._loading.tree(until - time.monotonic())
            return await tool(tree, given, max(until - time.monotonic(), _SHORTEST_S))
        finally:
            self._places.release()

    # ---- the tools ----

    async def _search(self, tree: Tree, given: Given, left_s: float) -> CallToolResult:
        page, truncated_by = Page(), None
        asked = self._question(tree, given) | {"limit": given["limit"], "context": given["context"]}
        async with tree.search(deadline_s=left_s, patient=False, **asked) as answer:
            async for row in answer:
                if page.is_full:
                    truncated_by = "size"
                    break
                page.put(self._names.shown(row.path_bytes), _line_of(row, given["max_columns"]))
        return answers.found(page, answer, truncated_by, given["deadline_s"], _hint(given))

    async def _count(self, tree: Tree, given: Given, left_s: float) -> CallToolResult:
        counts = await tree.count_async(deadline_s=left_s, patient=False, **self._question(tree, given))
        first = islice(counts.by_file_bytes.items(), given["limit"])
        shown = [(self._names.shown(name), lines) for name, lines in first]
        return answers.counted(shown, counts, given["deadline_s"])

    async def _list_files(self, tree: Tree, given: Given, _: float) -> CallToolResult:
        entries = await anyio.to_thread.run_sync(listed, tree, self._names, given)
        folders = [(self._names.shown(name), files) for name, files in entries.folders]
        files = [self._names.shown(name) for name in entries.files]
        behind = max([*(name for name, _ in entries.folders), *entries.files], default=b"")
        return answers.entries(
            folders, files, entries.left_out, self._names.shown(behind) if entries.left_out else None
        )

    async def _read_lines(self, tree: Tree, given: Given, left_s: float) -> CallToolResult:
        path, first = given["path"], given["first"]
        wanted = given.get("last", first + _READ_UNASKED - 1)
        if wanted < first:
            raise QueryError(f"last must not be before first ({first}), but is {wanted}", parameter="last")
        last = min(wanted, first + arguments.READ_MOST - 1)
        held = await self._held(tree, path, first, last, left_s)
        if first > max(held.total_lines, 1):
            raise QueryError(f"first is {first}, but {path} has {held.total_lines} lines", parameter="first")
        return answers.read(
            self._names.shown(held.path), held, min(given.get("last", held.total_lines), held.total_lines),
            given["max_columns"],
        )  # fmt: skip

    # ---- what they need ----

    def _question(self, tree: Tree, given: Given) -> dict[str, Any]:
        """What `Tree.search` is asked, with paths as the tree has them."""
        asked = arguments.question(given)
        if "under" in asked:
            places = [self._names.find(path, tree.names, "under") for path in asked["under"]]
            asked["under"] = tuple(place or b"." for place in places)
        return asked

    async def _held(self, tree: Tree, path: str, first: int, last: int, left_s: float) -> Any:
        """Those lines of the file that the client means."""
        name = self._names.meant(path, lambda name: bool(tree.names(name)))
        if tree.names(name) not in ([], [name]):
            raise QueryError(f"{path} is a folder: list_files says what is in it", parameter="path")
        try:
            with anyio.fail_after(left_s):
                return await tree.lines_async(name, first, last)
        except TimeoutError:
            raise BusyError(
                f"the process that holds {path} has not answered in {left_s:.0f} s: ask again"
            ) from None
        except NotHeldError as error:
            reason = await self._why_skipped(tree, name, error) if tree.names(name) else error.reason
            why = f"{path} is not held: {reason}" if reason else self._names.nothing_at(path)
            raise QueryError(why, parameter="path") from None

    async def _why_skipped(self, tree: Tree, name: bytes, error: NotHeldError) -> str:
        with anyio.move_on_after(_LOOKING_S):
            skipped = await tree.skipped_async()
            return next(
                (f"{why} {detail}".strip() for path, why, detail in skipped if path == name), error.reason
            )
        return error.reason


def _line_of(row: Any, most: int) -> answers.Line:
    """A row of an answer, cut; where the match is, is looked for in long lines only."""
    text = row.line
    spans = row.spans if len(text) > most else ()
    return cut(row.line_number, text, most, spans[0][0] if spans else 0, row.is_match)


def _hint(given: Given) -> str:
    """What may be the cause when nothing is found."""
    pattern = given.get("pattern", "")
    if given.get("regex") or not any(piece in pattern for piece in _LOOKS_LIKE_REGEX):
        return ""
    return "pattern was looked for as it stands; with regex=true it is a regex."


def _explained(error: QueryError, given: Given) -> str:
    """The error with the client's own argument, and the place in it."""
    parameter, position = error.parameter, error.position
    query = given.get("query")
    if isinstance(query, str) and parameter in ("pattern", "all_of", "none_of"):
        start = query.find(error.pattern) if error.pattern else -1
        position = None if position is None or start < 0 else start + position
        parameter = "query"
    place = "" if position is None else f", at character {position}"
    return f"{error}\n(argument {parameter}{place})"


def _report(name: str, error: Exception) -> None:
    """Where it failed, on stderr; without the message, which may say what was asked."""
    where = "".join(traceback.format_tb(error.__traceback__))
    tell(f"manyhands: {name} failed with {type(error).__name__}\n{where}")
