"""A session: take the wire, read the tree, answer until stdin ends or a signal comes, close the tree.

Always true:

1. The client is answered from the first moment; calls that need the tree wait for it.
2. The session ends when stdin does (and what was asked is answered), when nobody reads stdout, by a signal, or when
   the tree cannot be read. A second signal ends the process as it would any other.
3. However it ends, the tree is closed: no process of it is left.

Threads: the main one.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import anyio
from mcp.server.lowlevel import Server
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, PaginatedRequestParams

import manyhands
from manyhands.errors import UsageError
from manyhands.search.service.mcp import describe
from manyhands.search.service.mcp.loading import Loading
from manyhands.search.service.mcp.names import Names
from manyhands.search.service.mcp.tools import Tools
from manyhands.search.service.mcp.transport import Transport
from manyhands.search.service.mcp.wire import Wire, tell

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(paths: Sequence[Any], options: Mapping[str, Any]) -> None:
    """Serve a tree of these paths. Raises what `manyhands.search.open` raises."""
    if isinstance(paths, (str, bytes)) or not paths:
        raise UsageError(f"paths must be a list of at least one path to search, not {paths!r}")
    names = Names(paths)
    with Wire() as wire:
        if os.isatty(wire.inward):
            tell("manyhands: a client's messages are read here, one a line; Ctrl-C ends it\n")
        loading = anyio.run(_session, wire, names, options)
    if loading.error is not None:
        raise loading.error


async def _session(wire: Wire, names: Names, options: Mapping[str, Any]) -> Loading:
    loading = Loading(names.roots, options)
    server = _server(Tools(loading, names), names)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_end_at_signal, tasks.cancel_scope)
            tasks.start_soon(loading.run, tasks.cancel_scope)
            try:
                await Transport(wire).converse(partial(_serve, server))
            finally:
                loading.give_up()
            tasks.cancel_scope.cancel()
    finally:
        loading.close()
    return loading


async def _serve(server: Server[Any], inward: Any, outward: Any) -> None:
    await server.run(inward, outward, server.create_initialization_options())


async def _end_at_signal(session: anyio.CancelScope) -> None:
    """End the session at the first signal of those that this process does not ignore."""
    heeded = [one for one in _SIGNALS if signal.getsignal(one) is not signal.SIG_IGN]
    with anyio.open_signal_receiver(*heeded) as signals:
        async for _ in signals:
            break
    session.cancel()


def _server(tools: Tools, names: Names) -> Server[Any]:
    async def list_tools(_: Any, __: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=describe.tools())

    async def call_tool(_: Any, asked: CallToolRequestParams) -> CallToolResult:
        return await tools.call(asked.name, asked.arguments or {})

    return Server(
        "manyhands",
        version=manyhands.__version__,
        title="manyhands search",
        instructions=describe.instructions(names.given, names.is_one),
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )
