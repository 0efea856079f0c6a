"""`make_app`: the service as one ASGI application.

Always true: whatever an endpoint raises becomes a problem, or ends the stream that had begun; each request is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.routing import Route, Router

from manyhands.errors import ManyhandsError
from manyhands.search.service.asking import Asking
from manyhands.search.service.describe import docs, openapi
from manyhands.search.service.desk import Desk
from manyhands.search.service.health import Health
from manyhands.search.service.meters import Meters
from manyhands.search.service.parameters import ENDPOINTS, SPANS, Parameter, read
from manyhands.search.service.problem import Problem, problem_of
from manyhands.search.service.reading import Reading
from manyhands.search.service.replying import JSON, Receive, Reply, Scope, Send
from manyhands.search.service.settings import Settings
from manyhands.search.tree import Tree
from manyhands.search.web import assets

Handler = Callable[[Reply, dict[str, Any]], Awaitable[None]]

_log = logging.getLogger(__name__)

_GONE = 499  # in the meters: the client went before the answer


class Service:
    """What answers: `app`, to be stood behind a `Guard`. Threads: the loop's."""

    def __init__(self, tree: Tree, settings: Settings) -> None:
        self.desk, self._meters = Desk(settings.limits), Meters()
        self.drain_s = settings.limits.drain_s
        self.health = Health(tree, settings, self.desk, self._meters)
        asking = Asking(tree, settings.real_paths, self.desk, settings.limits)
        reading = Reading(tree, settings.real_paths, settings.limits)
        handlers: dict[str, Handler] = {
            "/search": asking.search, "/count": asking.count, "/files": asking.files, "/preview": asking.preview,
            "/file": reading.file, "/tree": reading.tree, "/skipped": reading.skipped,
            "/status": self.health.status, "/healthz": self.health.healthz, "/metrics": self.health.metrics,
            "/openapi.json": _whole(orjson.dumps(openapi(settings.limits)), JSON),
            "/docs": _whole(docs(settings.limits), "text/html; charset=utf-8"),
        }  # fmt: skip
        self._asking = asking
        routes = [
            Route(path, self._endpoint(path, handler, ENDPOINTS[path])) for path, handler in handlers.items()
        ]
        routes += [
            Route(path, self._endpoint("/", _whole(data, content_type), ()))
            for path, (content_type, data) in assets().items()
        ]
        routes.append(Route("/search/{id}", self._endpoint("/search/{id}", self._cancel, (), ("DELETE",))))
        # No redirects: they would say the Host header that they were told.
        self.app = Router(routes, redirect_slashes=False, default=_nothing_here)

    async def _cancel(self, reply: Reply, _said: dict[str, Any]) -> None:
        await self._asking.cancel(reply, reply.scope["path_params"]["id"])

    def _endpoint(
        self,
        name: str,
        handler: Handler,
        known: tuple[Parameter, ...],
        methods: tuple[str, ...] = ("GET", "HEAD"),
    ) -> _Endpoint:
        return _Endpoint(name, handler, known, methods, self._meters)


class _Endpoint:
    """One path: its parameters are read, its handler is called, and what goes wrong is told."""

    def __init__(
        self,
        name: str,
        handler: Handler,
        known: tuple[Parameter, ...],
        methods: tuple[str, ...],
        meters: Meters,
    ) -> None:
        self._name, self._handler, self._methods, self._meters = name, handler, methods, meters
        self._known, self._known_to_command = known, (*known, SPANS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, reply = time.perf_counter(), Reply(scope, receive, send)
        try:
            await self._answer(reply)
        except asyncio.CancelledError:
            if not reply.is_gone:
                raise
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
        finally:
            self._meters.note(
                self._name, _GONE if reply.is_gone else reply.status, time.perf_counter() - began
            )

    async def _answer(self, reply: Reply) -> None:
        try:
            if reply.scope["method"] not in self._methods:
                allowed = ", ".join(self._methods)
                raise Problem(405, f"this takes {allowed}", headers={"allow": allowed})
            known = self._known_to_command if reply.is_trusted else self._known
            await self._handler(reply, read(reply.scope["query_string"], known))
        except Problem as problem:
            await self._tell(reply, problem)
        except ManyhandsError as error:
            await self._tell(reply, problem_of(error))
        except Exception as error:  # a mistake of ours: its place is told, and nothing that a client has said
            kind, where = type(error).__name__, "".join(traceback.format_tb(error.__traceback__))
            _log.error("%s while %s was answered\n%s", kind, self._name, where)
            await self._tell(reply, Problem(500, f"{kind} in the service itself; its stderr says where"))

    async def _tell(self, reply: Reply, problem: Problem) -> None:
        if not reply.status:
            await reply.problem(problem)
        else:  # too late for words: a stream without its end says that it was broken off
            with contextlib.suppress(Exception):
                await reply.body(b"")


def _whole(data: bytes, content_type: str) -> Handler:
    tag = f'"{hashlib.blake2b(data, digest_size=12).hexdigest()}"'

    async def handler(reply: Reply, _said: dict[str, Any]) -> None:
        await reply.unchanging(data, content_type, tag)

    return handler


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    problem = Problem(404, "there is nothing here; /docs lists what there is")
    await Reply(scope, receive, send).problem(problem)
