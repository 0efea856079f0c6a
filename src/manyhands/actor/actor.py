"""`Actor` and `ActorGroup`: objects that stay in processes of their own, and answer when they are asked.

Always true:

1. A shard is built from its class and its piece; when its process dies it is built again, from the same.
2. Every request has an id; many may be open, from many threads and asyncio tasks, and each answer finds its asker.
3. Whoever forgets an actor ends it.

Threads: any. Processes: the one that made it.
"""

from __future__ import annotations

import inspect
import itertools
import os
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from manyhands.actor.exchange import Exchange
from manyhands.actor.local import LocalHands
from manyhands.actor.mailbox import Mailbox
from manyhands.actor.protocol import Request
from manyhands.actor.reply import Call, Gathering, Stream
from manyhands.errors import UsageError
from manyhands.pool import endings, options
from manyhands.pool.hands import method_of

#: How many items a stream's shard may be ahead of its reader.
_WINDOW = 16

_numbers = itertools.count(1)  # of groups
_ids = itertools.count(1)  # of requests, in this process


class ShardStatus(NamedTuple):
    """One shard of a group: its number, its state ("starting", "ready", "failed", "leaving", "gone"), its process, how
    often it was built, how many requests it has open, and why it cannot be built, if it cannot."""

    shard: int
    state: str
    pid: int | None
    builds: int
    open_requests: int
    error: BaseException | None


class Methods:
    """What can be asked of a class's objects, as far as the class says."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make, self.name = make, _name_of(make)
        self._known: dict[str, bool] = {}

    def is_stream(self, name: str) -> bool:
        """Is it a generator method? False where the class cannot tell. AttributeError when it has no such method."""
        known = self._known.get(name) if type(name) is str else False
        if known is None:
            known = self._known[name] = inspect.isgeneratorfunction(self._look_up(name))
        return known

    def _look_up(self, name: str) -> Any:
        make = self._make
        if not isinstance(make, type):
            return None
        if not hasattr(make, "__getattr__") and inspect.getattr_static(make, name, None) is None:
            raise AttributeError(f"{make.__name__} has no method {name!r}")
        return getattr(make, name, None)


class Handle:
    """One shard: its methods are asked by name. ``handle.add(3)`` is ``handle.call("add", 3)``."""

    def __init__(self, exchange: Exchange, methods: Methods, shard: int, group: Any = None) -> None:
        self._exchange, self._methods, self._shard = exchange, methods, shard
        self._group = group  # which is not to be forgotten before its handles

    def call(
        self, name: str, /, *args: Any, deadline_s: float | None = None, patient: bool = True, **kwargs: Any
    ) -> Call[Any]:
        """Ask for a value: a `manyhands.Result`.

        After `deadline_s` seconds it fails with `manyhands.errors.DeadlineError`, and the method is told to stop
        (`current_request`). If the actor dies it is rebuilt and asked once more; with ``patient=False`` it fails at
        once instead, also while the actor is being rebuilt, by `manyhands.errors.ActorLostError`. What the method
        raises is raised by ``get``. Raises `manyhands.errors.PicklingError` when the arguments cannot be sent. Large
        arrays among them may be read until there is an answer: do not write into them before.
        """
        exchange = self._exchange
        (request,) = _requests(exchange, [self._shard], name, args, kwargs, deadline_s, patient, 0)
        call: Call[Any] = Call(exchange, request.id)  # type: ignore[arg-type] # stands in for a pool's core
        request.owner = call
        exchange.ask([request], deadline_s)
        return call

    def stream(
        self, name: str, /, *args: Any, deadline_s: float | None = None, patient: bool = True,
        window: int = _WINDOW, **kwargs: Any,
    ) -> Stream[Any]:  # fmt: skip
        """Ask for what a generator method yields, or for the items of any iterable that a method returns.

        The actor is at most `window` items ahead of whoever takes them. The rest is as for `call`; an actor that dies
        is asked again only if no item has come yet.
        """
        exchange = self._exchange
        room = _window(window)
        requests = _requests(exchange, [self._shard], name, args, kwargs, deadline_s, patient, room)
        stream: Stream[Any] = Stream(exchange, room)
        _send(stream, requests, deadline_s)
        return stream

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        ask = self.stream if self._methods.is_stream(name) else self.call

        def asking(*args: Any, **kwargs: Any) -> Any:
            return ask(name, *args, **kwargs)

        asking.__name__ = name
        return asking

    @property
    def pid(self) -> int | None:
        """The process that it lives in; None while it has none."""
        return self._exchange.engine.pid(self._shard)

    def __repr__(self) -> str:
        exchange = self._exchange
        shard = exchange.machine.shards[self._shard]
        return f"<{exchange.name_of(self._shard)}: {shard.state.value}, {shard.open} requests open>"

    def __reduce__(self) -> tuple[Any, ...]:
        raise _not_to_be_sent(self._exchange.name_of(self._shard))


def _not_to_be_sent(name: str) -> TypeError:
    return TypeError(
        f"{name} belongs to the process that made it and cannot be sent to another; "
        f"send what it answers, or make the actor there"
    )


class _Life:
    """What an actor and a group have in common: their end."""

    _exchange: Exchange

    def _live(self, exchange: Exchange, wait: bool) -> None:
        self._exchange = exchange
        endings.remember(exchange, waits=False)
        weakref.finalize(self, endings.abandon, exchange, os.getpid(), type(self).__name__).atexit = False
        exchange.begin()
        if wait:
            try:
                exchange.wait_ready()
            except BaseException:
                self.terminate()
                raise

    def wait_ready(self, timeout: float | None = None) -> bool:
        """Wait until all is built. Raises what a constructor raised; False: not after `timeout` seconds."""
        return self._exchange.wait_ready(timeout)

    def close(self) -> None:
        """Take no more requests. What was asked is answered, then the processes end; `join` waits for that."""
        self._exchange.close()

    def join(self, timeout: float | None = None) -> bool:
        """After `close`: wait until the processes have ended. False: not after `timeout` seconds."""
        if self._exchange.open:
            raise ValueError(f"{self._exchange.name} is still open: close() or terminate() it before join()")
        return self._exchange.join(timeout)

    def terminate(self) -> None:
        """End the processes at once. What is open fails. Blocks until they have ended."""
        self._exchange.stop()
        self._exchange.join()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.terminate()


class Actor(_Life, Handle):
    """One object in a process of its own: ``cls(*args, **kwargs)`` is called there, once, and stays.

    Methods are asked by name and return a `manyhands.Result`; generator methods a stream, for ``for`` or ``async for``.
    They run one at a time, generators in turns. A class's own methods that are named like those here (``call``,
    ``stream``, ``close``, ...) are asked by ``call("close")``. Blocks until the object is built; raises what its
    constructor raised.

    >>> import collections
    >>> with Actor(collections.Counter) as words:
    ...     words.update(["a", "b", "a"]).get()
    ...     words.most_common(1).get()
    [('a', 2)]
    """

    def __init__(self, cls: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        name = _name_of(cls)
        hands = LocalHands(f"manyhands-{name}", [(cls, args, kwargs)], options.default_workers())
        exchange = Exchange(f"actor {name}", hands, 1, rebuild=True)
        Handle.__init__(self, exchange, Methods(cls), 0)
        self._live(exchange, wait=True)


class ActorGroup(_Life):
    """One actor a piece: ``cls(piece, *args, **kwargs)`` is built in a process of its own, for each of `pieces`.

    `ask` sends a question to all of them and gives their replies as they arrive. A shard whose process dies is built
    again from its piece (pickled anew: it may have changed), unless `rebuild` is False; meanwhile the others answer.
    `context` is a start method or context. With ``wait=False`` the constructor does not wait until all are built;
    questions then wait, `wait_ready` tells.

    >>> with ActorGroup(list, ["abca", "axyz"]) as shards:
    ...     sorted(shards.ask("count", "a").all())
    [1, 2]
    """

    def __init__(
        self, cls: Callable[..., Any], pieces: Iterable[Any], *, args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None, context: Any = None, rebuild: bool = True, wait: bool = True,
    ) -> None:  # fmt: skip
        name = _name_of(cls)
        births = _births(cls, pieces, args, kwargs)
        cores_each = max(1, options.default_workers() // len(births))
        hands = LocalHands(f"manyhands-{name}", births, cores_each, method_of(context))
        exchange = Exchange(f"group {name}-{next(_numbers)}", hands, len(births), bool(rebuild))
        self._all = list(range(len(births)))
        self._methods = Methods(cls)
        self._live(exchange, wait)

    def ask(
        self, name: str, /, *args: Any, deadline_s: float | None = None, patient: bool = True,
        in_order: bool = False, shards: Iterable[int] | None = None, window: int = _WINDOW,
        stream: bool | None = None, **kwargs: Any,
    ) -> Gathering:  # fmt: skip
        """Ask all shards (or `shards`) and give a `Reply` (``shard``, ``value``) for each value as it arrives; for
        generator methods one for each item, each shard at most `window` items ahead.

        With `in_order` the first shard's replies come first, then the second's. `stream` says whether the method
        yields items, where its definition does not. A shard that is lost, or has not answered after `deadline_s`
        seconds, is named in the gathering's `missing`, and does not raise; with ``patient=False`` a shard that is
        being rebuilt, or dies with this question, is not waited for. A gathering that is forgotten is like a call that
        is: the methods run, and nobody hears of it; but streams stop.
        """
        exchange = self._exchange
        if stream is None:
            stream = self._methods.is_stream(name)
        asked = self._all if shards is None else self._chosen(shards)
        room = _window(window) if stream else 0
        requests = _requests(exchange, asked, name, args, kwargs, deadline_s, patient, room)
        gathering = Gathering(exchange, room, in_order)
        _send(gathering, requests, deadline_s)
        return gathering

    def _chosen(self, shards: Iterable[int]) -> list[int]:
        count = len(self._all)
        chosen = sorted({options.whole_number("a shard", shard) for shard in _iterable("shards", shards)})
        if not chosen or chosen[0] < 0 or chosen[-1] >= count:
            raise UsageError(f"shards must name some of the shards 0 to {count - 1}, not {chosen}")
        return chosen

    def status(self) -> list[ShardStatus]:
        """How each shard is."""
        exchange = self._exchange
        if exchange.is_usable:
            exchange.turn()
        return [
            ShardStatus(s.number, s.state.value, exchange.engine.pid(s.number), s.builds, s.open,
                        exchange.causes.get(s.number))
            for s in exchange.machine.shards
        ]  # fmt: skip

    def __getitem__(self, shard: int) -> Handle:
        return Handle(self._exchange, self._methods, self._all[shard], self)

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Handle]:
        return map(self.__getitem__, self._all)

    def __repr__(self) -> str:
        states = [shard.state.value for shard in self._exchange.machine.shards]
        return f"<ActorGroup of {len(states)} {self._methods.name}: {', '.join(states)}>"

    def __reduce__(self) -> tuple[Any, ...]:
        raise _not_to_be_sent(self._exchange.name)


def _name_of(make: Any) -> str:
    if not callable(make):
        raise UsageError(
            f"an actor is made of a class (or another callable that returns the object), not {make!r}"
        )
    return str(getattr(make, "__name__", type(make).__name__))


def _iterable(name: str, values: Any) -> Iterable[Any]:
    try:
        iter(values)
    except TypeError:
        raise UsageError(f"{name} must be an iterable, such as a list, not {values!r}") from None
    found: Iterable[Any] = values
    return found


def _births(
    make: Callable[..., Any], pieces: Any, args: Any, kwargs: Any
) -> list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]]:
    """Of each piece, what its object is made of."""
    more = tuple(_iterable("args", args))
    if kwargs is not None and not isinstance(kwargs, Mapping):
        raise UsageError(f"kwargs must be a mapping of keyword arguments, not {kwargs!r}")
    births = [(make, (piece, *more), dict(kwargs or {})) for piece in _iterable("pieces", pieces)]
    if not births:
        raise UsageError("pieces is empty: an ActorGroup needs at least one piece, for one shard")
    return births


def _window(window: Any) -> int:
    found = options.at_least_one("window", window)
    if found is None or found > 1 << 30:
        raise UsageError(f"window must be a whole number of items from 1 to {1 << 30}, not {window!r}")
    return found


def _requests(
    exchange: Exchange, shards: list[int], name: str, args: tuple[Any, ...], kwargs: dict[str, Any],
    deadline_s: float | None, patient: bool, window: int,
) -> list[Request]:  # fmt: skip
    exchange.check_open()
    if type(name) is not str:
        raise UsageError(f"the method's name must be a str, not {name!r}")
    deadline = 0
    if deadline_s is not None:
        limit = options.seconds("deadline_s", deadline_s) or 0.0
        deadline = time.monotonic_ns() + int(min(limit, 1e9) * 1e9)
    payload = exchange.engine.encode(name, args, kwargs)
    return [
        Request(next(_ids), shard, name, payload, None, window > 0, window, deadline, patient)
        for shard in shards
    ]


def _send(mailbox: Mailbox[Any], requests: list[Request], deadline_s: float | None) -> None:
    mailbox.expect(requests)
    mailbox._exchange.ask(requests, deadline_s)
