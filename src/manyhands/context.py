"""Contexts: the interface of `multiprocessing.get_context`. Floor 6."""

from __future__ import annotations

from manyhands import process
from manyhands.errors import UsageError
from manyhands.wiring import ForkProcess, Process, SpawnProcess, TemplateProcess

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    from typing import Any, ClassVar

    from manyhands.channel.pipe import Connection
    from manyhands.channel.queue import JoinableQueue, Queue, SimpleQueue


__all__ = ["Context", "Process", "get_context"]


class Context:
    """What `manyhands` offers, bound to one start method; the default context follows `set_start_method`.

    >>> import manyhands
    >>> context = manyhands.get_context("spawn")
    >>> context.get_start_method()
    'spawn'
    """

    _processes: ClassVar[dict[str | None, type[Process]]] = {
        None: Process,
        "template": TemplateProcess,
        "fork": ForkProcess,
        "spawn": SpawnProcess,
    }

    cpu_count = staticmethod(process.cpu_count)
    current_process = staticmethod(process.current_process)
    parent_process = staticmethod(process.parent_process)
    active_children = staticmethod(process.active_children)
    get_all_start_methods = staticmethod(process.get_all_start_methods)
    set_forkserver_preload = staticmethod(process.set_forkserver_preload)

    def __init__(self, method: str | None = None) -> None:
        self._method = method
        self.Process = self._processes[method]

    def Queue(self, maxsize: int = 0) -> Queue[Any]:  # noqa: N802 - multiprocessing's names, here and below
        """A `manyhands.Queue`."""
        from manyhands.channel.queue import Queue

        return Queue(maxsize)

    def JoinableQueue(self, maxsize: int = 0) -> JoinableQueue[Any]:  # noqa: N802
        """A `manyhands.JoinableQueue`."""
        from manyhands.channel.queue import JoinableQueue

        return JoinableQueue(maxsize)

    def SimpleQueue(self) -> SimpleQueue[Any]:  # noqa: N802
        """A `manyhands.SimpleQueue`."""
        from manyhands.channel.queue import SimpleQueue

        return SimpleQueue()

    def Pipe(self, duplex: bool = True) -> tuple[Connection, Connection]:  # noqa: N802
        """A `manyhands.Pipe`."""
        from manyhands.channel.pipe import Pipe

        return Pipe(duplex)

    def get_context(self, method: str | None = None) -> Context:
        """The context of `method`; None: this one."""
        return self if method is None else get_context(method)

    def get_start_method(self, allow_none: bool = False) -> str | None:
        """How this context starts processes."""
        return self._method or process.get_start_method(allow_none)

    def set_start_method(self, method: str | None, force: bool = False) -> None:
        """Choose for the default context; a context of one method refuses."""
        if self._method is not None:
            raise UsageError(f"this context starts by {self._method!r} only; take get_context({method!r})")
        process.set_start_method(method, force)

    def __repr__(self) -> str:
        return f"<manyhands.Context {self._method or 'default'}>"


_contexts: dict[str | None, Context] = {
    method: Context(method) for method in (None, "template", "fork", "spawn")
}


def get_context(method: str | None = None) -> Context:
    """The context of a start method: ``template`` (``forkserver`` means the same), ``fork`` or ``spawn``.

    None gives the default context. Raises `manyhands.errors.UsageError` for a method that does not exist.
    """
    name = "template" if method == "forkserver" else method
    if name not in _contexts:
        raise UsageError(
            f"there is no start method {method!r}; there are {', '.join(process.get_all_start_methods())} "
            f"(forkserver means template)"
        )
    return _contexts[name]
