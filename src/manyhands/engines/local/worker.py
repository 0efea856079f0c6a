"""A worker process: reads batches from its ring, runs them, sends what comes of them.

Always true:

1. An item is claimed on the page before it is begun. A result is in the scratch, or sent, before the next is claimed.
2. Nothing that a task does, raises or returns ends the worker, but for what ends any process.
3. Results leave in the order of their items: those in the scratch first, then the one that does not fit there.

Threads: the main one. SIGINT is the owner's business and ignored here.
"""

from __future__ import annotations

import gc
import sys
import time

from manyhands import _native
from manyhands.engines import blame
from manyhands.engines.local import wire
from manyhands.engines.task import call, unsendable
from manyhands.memory import serialize

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from manyhands.engines.local.setup import Setup

#: Results are sent when they are so old; where nobody sees them before all are there, they may be older.
FLUSH_NS, PATIENT_FLUSH_NS = 1_000_000, 20_000_000

_DONE, _FLUSH, _RESULT, _ERROR = range(4)


class _Batch:
    """The batch that runs: its lease and its items."""

    def __init__(self, buffer: Any) -> None:
        fields = wire.TASKS_HEAD.unpack_from(buffer)
        self.slot, self.generation, self.function, self.count, self.first, self.form, self.body, flags = (
            fields
        )
        self.is_timed, self.is_map = bool(flags & wire.TIMED), bool(flags & wire.MAP)
        self.flush_ns = PATIENT_FLUSH_NS if flags & wire.PATIENT else FLUSH_NS
        self.buffer = buffer

    def items(self) -> tuple[list[Any], dict[int, BaseException] | None]:
        """The items, and what those raised that could not be unpickled."""
        if self.body == wire.PACKED:
            return wire.unpack(self.buffer, self.count)
        try:
            found = serialize.decode(self.body, wire.body_of(self.buffer))
            return found if self.is_map else [found], None  # a large single call travels alone
        except Exception as error:
            return [None] * self.count, dict.fromkeys(range(self.count), error)


class _Worker:
    """See the module."""

    def __init__(self, number: int, results: _native.Ring, page: _native.Page) -> None:
        self.number, self.results, self.page = number, results, page
        self.functions: dict[int, Callable[..., Any] | BaseException] = {}
        self.batch: _Batch
        self.first = 0  # index of the first result in the scratch
        self.since = 0  # when the results that are not sent yet were begun

    # ---- what arrives ----

    def take(self, kind: int, buffer: Any) -> None:
        """One message of the owner's."""
        if kind == wire.TASKS:
            self.run(_Batch(buffer))
        elif kind == wire.FUNCTION:
            number, body = wire.FUNCTION_HEAD.unpack_from(buffer)
            try:
                self.functions[number] = serialize.decode(body, wire.body_of(buffer))
            except BaseException as error:
                self.functions[number] = error
        elif kind == wire.FORGET:
            self.functions.pop(wire.FUNCTION_HEAD.unpack_from(buffer)[0], None)

    def run(self, batch: _Batch) -> None:
        """Run what is left of the batch."""
        generation, begun, end = self.page.look(batch.slot)
        if generation != batch.generation or begun >= end:
            wire.discard(wire.TASKS, batch.buffer)
            _say(self, wire.READY)  # it was taken back before it was read: the owner may think that we sleep
            return
        self.batch, self.first, self.since = batch, 0, time.monotonic_ns()
        self.page.empty(batch.slot, batch.generation, 0)
        function = self.functions[batch.function]
        items, errors = batch.items()
        if isinstance(function, BaseException):
            items, errors = [None] * batch.count, dict.fromkeys(range(batch.count), function)
        if errors is None:
            self._run_all(function, items)
        else:
            self._run_with_errors(function, items, errors)
        self._flush()

    # ---- running ----

    def _run_all(self, function: Any, items: list[Any]) -> None:
        batch, run = self.batch, self.page.run
        while True:
            why, index, value = run(
                function, items, batch.form, batch.slot, batch.generation, batch.flush_ns, batch.is_timed
            )
            if why == _DONE:
                return
            if why == _FLUSH:
                self._flush()
            elif why == _RESULT:
                self._keep(index, value, function, items)
            else:
                self._send_error(index, value, function, items)
            value = None  # a large result is not to be kept until the next

    def _run_with_errors(self, function: Any, items: list[Any], errors: dict[int, BaseException]) -> None:
        """Some items could not be unpickled: one by one."""
        while (index := self.page.claim(self.batch.slot, self.batch.generation)) is not None:
            if index in errors:
                self._send_error(index, errors[index], None, items)
                continue
            try:
                value = call(function, self.batch.form, items[index])
            except BaseException as error:
                self._send_error(index, error, function, items)
            else:
                self._keep(index, value, function, items)

    # ---- what comes of it ----

    def _keep(self, index: int, value: Any, function: Any, items: list[Any]) -> None:
        """A result that the loop could not pack: among the others, or on its own."""
        try:
            data = wire.encode(value)
        except BaseException as error:
            self._send_error(index, unsendable(value, error), function, items)
            return
        if isinstance(data, bytes) and self._keep_packed(data):
            if time.monotonic_ns() - self.since > self.batch.flush_ns:
                self._flush()
            return
        self._flush()
        message = serialize.Message(wire.PACKED, (data,), len(data)) if isinstance(data, bytes) else data
        head = self._head(index, 1, message.kind)
        wire.send(self.results, wire.VALUE, head, message)
        self._begin_after(index + 1)

    def _keep_packed(self, data: bytes) -> bool:
        if self.page.keep(data):
            return True
        self._flush()
        return self.page.keep(data)

    def _send_error(self, index: int, error: BaseException, function: Any, items: list[Any]) -> None:
        self._flush()
        batch = self.batch
        if function is not None:
            where = batch.first + index if batch.is_map else None
            blame.add_input(error, function, batch.form, items[index], where)
        body = blame.pack(error)
        wire.send(self.results, wire.ERROR, self._head(index, 1, 0), serialize.Message(0, (body,), len(body)))
        self._begin_after(index + 1)

    def _flush(self) -> None:
        """Send what is in the scratch."""
        count = self.page.count
        if count == 0:
            return
        head = self._head(self.first, count, wire.PACKED)
        self.results.send(wire.RESULTS, (head, self.page), 0, None)
        self._begin_after(self.first + count)

    def _head(self, first: int, count: int, body: int) -> bytes:
        batch, ns = self.batch, time.monotonic_ns() - self.since
        return wire.RESULT_HEAD.pack(self.number, batch.slot, batch.generation, first, count, body, ns)

    def _begin_after(self, index: int) -> None:
        self.first, self.since = index, time.monotonic_ns()
        self.page.empty(self.batch.slot, self.batch.generation, index)


def main(
    number: int,
    tasks: wire.WireRing,
    results: wire.WireRing,
    page: wire.SharedPage,
    bell: wire.Bell,
    setup: Setup,
) -> None:
    """What a worker process runs."""
    results.native.set_bell(bell.fd)
    worker = _Worker(number, results.native, page.native)
    try:
        finalizer = setup.begin()
    except BaseException as error:
        _say(worker, wire.REFUSED, blame.pack(error))
        return
    gc.freeze()  # what is here at the start is no garbage, and shared with the server's pages
    _say(worker, wire.READY)
    get = tasks.native.get
    while True:
        kind, buffer = get(None)
        if kind == wire.LEAVE:
            break
        worker.take(kind, buffer)
        del buffer
    if finalizer is not None:
        _finalize(finalizer)


def _say(worker: _Worker, kind: int, body: bytes = b"") -> None:
    head = wire.RESULT_HEAD.pack(worker.number, 0, 0, 0, 0, 0, 0)
    wire.send(worker.results, kind, head, serialize.Message(0, (body,), len(body)))


def _finalize(finalizer: Callable[[], object]) -> None:
    try:
        finalizer()
    except BaseException:
        import traceback

        sys.stderr.write("manyhands: the finalizer of a pool's worker raised:\n" + traceback.format_exc())
