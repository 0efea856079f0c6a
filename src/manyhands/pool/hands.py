"""Which engine a pool has: by name, or any `concurrent.futures.Executor`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from manyhands.engines.protocol import Engine
from manyhands.errors import UsageError
from manyhands.pool.options import default_workers
from manyhands.process import ensure_running

NAMES = ("local", "threads", "inline")


def make_engine(
    engine: Any, hands: int, method: str | None, initializer: Callable[..., object] | None,
    initargs: tuple[Any, ...], finalizer: Callable[[], object] | None,
) -> Engine:  # fmt: skip
    """The engine of that name, with the user's initializer and finalizer."""
    for name, value in (("initializer", initializer), ("finalizer", finalizer)):
        if value is not None and not callable(value):
            raise UsageError(f"{name} must be a function, not {value!r}")
    if engine == "local":
        ensure_running(method)  # it boots while the engine is imported here
        from manyhands.engines.local.engine import LocalEngine
        from manyhands.engines.local.setup import Setup

        share = max(1, default_workers() // hands)
        return LocalEngine(Setup(initializer, tuple(initargs), finalizer, share), method)
    if engine == "threads":
        from manyhands.engines.threads import ThreadsEngine

        return ThreadsEngine(initializer, tuple(initargs), finalizer)
    if engine == "inline":
        from manyhands.engines.inline import InlineEngine

        return InlineEngine(initializer, tuple(initargs), finalizer)
    if hasattr(engine, "submit") and hasattr(engine, "shutdown"):
        from manyhands.engines.executor import ExecutorEngine

        return ExecutorEngine(engine, initializer, tuple(initargs), finalizer)
    raise UsageError(
        f"there is no engine {engine!r}; there are {', '.join(map(repr, NAMES))}, "
        f"or give any concurrent.futures.Executor"
    )


def method_of(context: Any) -> str | None:
    """The start method that a context (ours, multiprocessing's, or a name) stands for."""
    if context is None:
        return None
    name = context if isinstance(context, str) else context.get_start_method()
    method = {"forkserver": "template"}.get(name, name)
    if method not in ("template", "fork", "spawn"):
        raise UsageError(f"there is no start method {name!r}; there are template, fork and spawn")
    return str(method)
