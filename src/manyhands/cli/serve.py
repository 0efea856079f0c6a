"""Hold trees of text in memory and answer queries: a web page and an HTTP API on this machine, and `manyhands search`,
which finds a service of its tree by itself.

    manyhands serve src                     then open the address that it prints
    manyhands search PATTERN                in src, answered by the service
    manyhands serve --mcp src               the same as tools for a language model's client, over stdin and stdout

The files are followed: what is saved is found a moment later. Other machines are let in with --host and a token, which
comes from a file (--token-file) or from the environment (MANYHANDS_TOKEN), never from the command line, where others
see it.
"""

from __future__ import annotations

import argparse
import os

from manyhands.cli.say import say
from manyhands.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from manyhands.search.service.settings import Settings

SUMMARY = "hold trees of text in memory and answer queries: page, HTTP API, manyhands search, MCP"

_TOKEN_VARIABLE = "MANYHANDS_TOKEN"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of ``manyhands serve``."""
    parser.add_argument(
        "paths", nargs="*", default=["."], metavar="PATH", help="what to serve (default: this folder)"
    )
    _add_where(parser.add_argument_group("where"))
    _add_which(parser.add_argument_group("which files, as in manyhands search"))
    _add_limits(parser.add_argument_group("how much at most"))


def _add_where(group: Any) -> None:
    add = group.add_argument
    add("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    add("--port", type=int, metavar="N", help="the port (default: 8642; 0: any that is free)")
    add("--no-http", action="store_true", help="only for manyhands search")
    add(
        "--token-file",
        metavar="FILE",
        help=f"ask for the token that stands in FILE (or in ${_TOKEN_VARIABLE})",
    )
    add(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another name that clients know the host by",
    )
    add("--tls-cert", metavar="FILE", help="serve HTTPS with this certificate (PEM)")
    add("--tls-key", metavar="FILE", help="and this key")
    add(
        "--mcp",
        action="store_true",
        help="serve a language model's client over stdin and stdout, and nothing else",
    )


def _add_which(group: Any) -> None:
    add = group.add_argument
    add("-.", "--hidden", action="store_true", help="hidden files too")
    add("--no-ignore", dest="ignore", action="store_false", help="files that ignore rules leave out, too")
    add(
        "-g",
        "--glob",
        action="append",
        default=[],
        dest="globs",
        metavar="GLOB",
        help="only such files; !GLOB: no such",
    )
    add(
        "-t",
        "--type",
        action="append",
        default=[],
        dest="types",
        metavar="TYPE",
        help="only files of this type",
    )
    add(
        "-T",
        "--type-not",
        action="append",
        default=[],
        dest="not_types",
        metavar="TYPE",
        help="no files of this type",
    )
    add("-a", "--text", action="store_true", dest="binary", help="binary files too")
    add("-L", "--follow", action="store_true", help="follow symlinks")
    add(
        "--max-filesize",
        type=_size,
        dest="max_file_bytes",
        metavar="SIZE",
        help="no larger files (500, 20K, 3M, 1G)",
    )


def _add_limits(group: Any) -> None:
    add = group.add_argument
    add("--shards", type=int, metavar="N", help="processes that hold the text (default: one a core)")
    add("--deadline", type=float, metavar="SECONDS", help="of a query that names none (default: 10)")
    add("--queries", type=int, metavar="N", help="that run at once; more wait (default: 32)")
    add("--progress", action=argparse.BooleanOptionalAction, help="show the loading (default: on a terminal)")


def _size(text: str) -> int:
    from manyhands.cli.search.options import read_size

    try:
        return read_size(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(options: argparse.Namespace) -> int:
    """Serve until a signal comes; the exit status."""
    if options.mcp:
        from manyhands.search.service.mcp import serve_mcp

        return serve_mcp(options.paths, {**_filters(options), "shards": options.shards})
    from manyhands.search.service.run import serve

    serve(_settings(options), progress=_progress(options), say=lambda text: say(f"manyhands serve: {text}"))
    return 0


def _filters(options: argparse.Namespace) -> dict[str, Any]:
    names = ("hidden", "ignore", "globs", "types", "not_types", "binary", "follow", "max_file_bytes")
    return {name: getattr(options, name) for name in names}


def _settings(options: argparse.Namespace) -> Settings:
    from manyhands.search.service.settings import PORT, Limits, Settings

    limits: dict[str, Any] = {}
    if options.deadline is not None:
        if not 0 < options.deadline < float("inf"):
            raise UsageError(f"--deadline needs a number of seconds above 0, not {options.deadline:g}")
        limits = {"deadline_s": options.deadline, "deadline_most_s": max(60.0, options.deadline)}
    if options.queries is not None:
        if options.queries < 1:
            raise UsageError(f"--queries needs a whole number, 1 or more, not {options.queries}")
        limits["running"] = options.queries
    if options.no_http and options.port is not None:
        raise UsageError("--no-http and --port exclude each other")
    port = PORT if options.port is None else options.port
    return Settings(
        paths=options.paths, host=options.host, port=None if options.no_http else port, token=_token(options),
        hosts=options.allow_host, certificate=options.tls_cert, key=options.tls_key, shards=options.shards,
        filters=_filters(options), limits=Limits(**limits),
    )  # fmt: skip


def _token(options: argparse.Namespace) -> str:
    if options.token_file is None:
        return os.environ.get(_TOKEN_VARIABLE, "").strip()
    try:
        with open(options.token_file, encoding="ascii") as file:
            token = file.read().strip()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(f"the token in {options.token_file!r} cannot be read: {why}") from None
    if not token:
        raise UsageError(f"there is no token in {options.token_file!r}")
    return token


def _progress(options: argparse.Namespace) -> Any:
    import sys

    wanted = options.progress
    return (sys.stderr is not None and sys.stderr.isatty()) if wanted is None else wanted
