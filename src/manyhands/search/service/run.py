"""`serve`: load a tree, say that it is served, listen, and drain.

Always true: whatever ends it, the runtime folder has nothing of it any more, no process is left, and queries under way
have their answer or its end, if their clients read it within `drain_s`.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import manyhands.search
from manyhands.search.errors import MissingExtraError
from manyhands.search.service.register import Claim, claim
from manyhands.search.service.settings import Settings

_SIGNALS = signal.SIGINT, signal.SIGTERM

#: Each client costs a descriptor.
_DESCRIPTORS = 65_536


def serve(settings: Settings, *, progress: Any = None, say: Callable[[str], object] = lambda _: None) -> None:
    """Serve the paths until SIGINT or SIGTERM comes, or for ever. Blocks; of the main thread.

    `say` gets a line when it is ready, and one when it ends. `progress` shows the loading, as in
    `manyhands.search.open`. Raises what that does, `register.AlreadyServedError`, UsageError for an address that cannot
    be listened on, and KeyboardInterrupt for a signal while it loads.
    """
    try:
        from manyhands.search.service import app, listening
    except ImportError as error:
        raise MissingExtraError("serving", error.name or "starlette", "serve") from None
    listening.check_certificate(settings)
    paths = settings.real_paths
    _raise_descriptors()
    with (
        _interrupted_by_sigterm(),
        claim(paths, settings.filters) as claimed,
        contextlib.ExitStack() as stack,
    ):
        bound = listening.bind_address(settings)
        if bound is not None:
            stack.enter_context(bound)
        tree = stack.enter_context(
            manyhands.search.open(
                *paths, watch=True, shards=settings.shards, progress=progress, **settings.filters
            )
        )
        service = app.Service(tree, settings)
        own = stack.enter_context(listening.bind_socket(claimed.socket_path))
        servers = [listening.Server(service.app, settings, own, is_trusted=True)]
        if bound is not None:
            servers.append(listening.Server(service.app, settings, bound, is_trusted=False))
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_run(service, servers, lambda: _publish(claimed, settings, bound, say), say))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's where it is installed: half as many answers again."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _publish(
    claimed: Claim, settings: Settings, bound: socket.socket | None, say: Callable[[str], object]
) -> None:
    from manyhands.search.service.listening import url_of

    url = "" if bound is None else url_of(settings, bound)
    claimed.publish(url)
    where = f"at {url} and " if url else ""
    say(f"serving {', '.join(settings.real_paths)} {where}to manyhands search; Ctrl-C ends it")


async def _run(
    service: Any, servers: list[Any], ready: Callable[[], None], say: Callable[[str], object]
) -> None:
    loop, told, again = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (again if told.is_set() else told).set()

    for (
        number
    ) in _SIGNALS:  # a loop's own handlers end with it, and then a signal would end what undoes the rest
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(on_signal))
    tasks = [asyncio.create_task(server.run_until_told()) for server in servers]
    try:
        await _until(lambda: all(server.started for server in servers), tasks)
        ready()
        await _first_of(told.wait(), tasks)
        say("ending: answers under way are finished first; Ctrl-C again ends it now")
        await _drain(service, servers, tasks, again)
    finally:
        for number in _SIGNALS:
            signal.signal(number, _heard)


def _heard(*_: object) -> None:
    """A signal that comes when all is ending: there is nothing more to do."""


async def _until(is_done: Callable[[], bool], tasks: list[asyncio.Task[None]]) -> None:
    while not is_done():
        for task in tasks:
            if task.done():
                task.result()
        await asyncio.sleep(0.001)


async def _first_of(waiting: Any, tasks: list[asyncio.Task[None]]) -> None:
    """Wait for it; a server that ends before raises what ended it."""
    told = asyncio.ensure_future(waiting)
    await asyncio.wait({told, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    for task in tasks:
        if task.done():
            task.result()


async def _drain(
    service: Any, servers: list[Any], tasks: list[asyncio.Task[None]], again: asyncio.Event
) -> None:
    """No new connections; answers under way have their time, then they are ended, then dropped."""
    service.health.is_draining = True
    for server in servers:
        server.should_exit = True
    hurry = asyncio.ensure_future(again.wait())
    pending: set[asyncio.Future[Any]] = {*tasks}
    loop = asyncio.get_running_loop()
    until = loop.time() + service.drain_s
    while pending and not hurry.done() and loop.time() < until:
        left_s = until - loop.time()
        done, _ = await asyncio.wait({*pending, hurry}, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        pending -= done
    service.desk.cancel_all()
    if hurry.done():
        for server in servers:
            server.force_exit = True
    hurry.cancel()
    await asyncio.gather(*tasks)


@contextlib.contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """While nothing is served yet SIGTERM is as Ctrl-C: what was begun is undone. Handlers are as before at the end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.default_int_handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise_descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
