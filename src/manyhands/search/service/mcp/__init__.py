"""A tree as tools for a language model's client: the Model Context Protocol over stdin and stdout. Part of the service.

`serve_mcp` is what ``manyhands serve --mcp PATH...`` runs. It stands on the official library ``mcp``, for the
protocol, and on `manyhands.search` by its public names, for everything else.

::

    wire        descriptors 0 and 1: taken away from everybody else in the process
    transport   messages on the wire, from and to the library
    serving     the session: load, listen, answer, end
    loading     the tree, read while the client already talks
    names       paths as the client sees them, and as the tree has them
    argument    one argument: how it is described and read
    arguments   the one table of what each tool is told
    folders     what is in a folder, in pages
    tools       search, count, list_files, read_lines
    answers     what they say: text to read, and the same as facts
    describe    the tools as the client is told of them

Always true:

1. Nothing but the protocol is written to stdout, whatever is printed here or in a child.
2. No call opens a file: what is told are names and texts that the tree holds.
3. Every call ends: with its answer, at its deadline, when it is cancelled, or with the session.
4. Every answer says whether it is complete, and if not why. What is asked wrongly is the tool's error, with what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from manyhands.search.errors import MissingExtraError

#: What belongs to the extra; anything else that is missing is another matter.
_LIBRARIES = ("mcp", "mcp_types", "anyio")


def serve_mcp(paths: Sequence[Any], options: Mapping[str, Any] | None = None) -> int:
    """Open a tree of these paths, which is then followed, and serve it until stdin ends or a signal comes: 0.

    `options` are those of `manyhands.search.open`: which files (`hidden`, `ignore`, `globs`, ...), and how many
    `shards`. SIGINT, SIGTERM and SIGHUP end it; what was asked before stdin ended is still answered. Afterwards
    descriptors 0 and 1 do not lead to the client any more.

    Raises `manyhands.search.MissingExtraError` without the library ``mcp``, and what `manyhands.search.open` raises.

    Threads: the main one.
    """
    try:
        from manyhands.search.service.mcp.serving import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in _LIBRARIES:
            raise MissingExtraError("manyhands serve --mcp", "mcp 2", "mcp") from error
        raise
    run(paths, dict(options or {}))
    return 0
