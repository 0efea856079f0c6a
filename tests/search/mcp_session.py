"""A process that serves a tree over stdio, and the library's own client to talk with it: from tests that do not await."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

SERVE = "import sys; from manyhands.search.service.mcp import serve_mcp; sys.exit(serve_mcp(sys.argv[1:], {options}))"


def command(paths: tuple[Any, ...], options: Mapping[str, Any] | None = None, before: str = "") -> list[str]:
    """What starts it; `before` is run first, in the same process."""
    code = f"{before}\n{SERVE.format(options=dict(options or {}))}"
    return [sys.executable, "-c", code, *map(str, paths)]


class Client:
    """A session in a thread of its own. `close` ends it, and with it the process."""

    def __init__(self, *paths: Any, cwd: Path | None = None, before: str = "", **options: Any) -> None:
        program, *arguments = command(paths, options, before)
        self._server = StdioServerParameters(command=program, args=arguments, cwd=cwd)
        self._before = set(children_of(os.getpid()))
        self._ready: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(target=asyncio.run, args=(self._live(),))
        self._thread.start()
        self._ready.result()
        self.pid = next(pid for pid in children_of(os.getpid()) if pid not in self._before and serves(pid))

    async def _live(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        try:
            with open(os.devnull, "w") as errors:
                async with (
                    stdio_client(self._server, errlog=errors) as streams,
                    ClientSession(*streams) as session,
                ):
                    self.session = session
                    self.greeting = await session.initialize()
                    self._ready.set_result(None)
                    await self._end.wait()
        except BaseException as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)

    def begin(self, tool: str, **arguments: Any) -> concurrent.futures.Future[Any]:
        """A call under way; cancelling it sends what the protocol says."""
        return asyncio.run_coroutine_threadsafe(self.session.call_tool(tool, arguments), self._loop)

    def call(self, tool: str, **arguments: Any) -> Any:
        """What a tool says, once the library has checked it against the tool's schema."""
        return self.begin(tool, **arguments).result()

    def facts(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The facts of an answer."""
        answer = self.call(tool, **arguments)
        assert not answer.is_error, text_of(answer)
        return answer.structured_content

    def refusal(self, tool: str, **arguments: Any) -> str:
        """The words of a refusal."""
        answer = self.call(tool, **arguments)
        assert answer.is_error, text_of(answer)
        assert answer.structured_content is None
        return text_of(answer)

    def tools(self) -> dict[str, Any]:
        """The tools by name."""
        listed = asyncio.run_coroutine_threadsafe(self.session.list_tools(), self._loop).result()
        return {tool.name: tool for tool in listed.tools}

    def shards(self) -> list[int]:
        """The processes that hold the tree's parts, in their order."""
        [template] = children_of(self.pid)
        return sorted(children_of(template))

    def close(self) -> None:
        """Close stdin, and see the process end."""
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        for pid in shards_of(self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)  # one that a test has stopped could not end
        self.close()


def text_of(answer: Any) -> str:
    """What there is to read of an answer."""
    [content] = answer.content
    return content.text


def lines_of(facts: Mapping[str, Any]) -> list[tuple[str, int, str]]:
    """Path, number and text of each matching line of a search."""
    return [
        (file["path"], line["number"], line["text"])
        for file in facts["files"]
        for line in file["lines"]
        if line["match"]
    ]


def children_of(pid: int) -> list[int]:
    """The direct children of a process that is there."""
    found: list[int] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in os.listdir(f"/proc/{pid}/task"):
            found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    return found


def shards_of(pid: int) -> list[int]:
    """The grandchildren."""
    return [shard for template in children_of(pid) for shard in children_of(template)]


def serves(pid: int) -> bool:
    """Is it a process that serves?"""
    try:
        return b"serve_mcp" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_alive(pid: int) -> bool:
    """Is the process there, and no zombie?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
