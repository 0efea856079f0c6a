"""hyperq: a ring in named shared memory, mapped twice so that no item wraps, under a process-shared mutex.

Settings: the capacity (see `CAPACITY`), and the class: `HyperQ` for objects, `BytesHyperQ` for bytes.
`HyperQ` is not measured on bytes: it sends them raw and then tries to unpickle what it got, so random bytes
may come back as something else or raise. Its calls wait with the GIL held, which no figure here shows.
"""

from __future__ import annotations

import os
import pickle
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.payloads import MIB, Get, Payload
from benchmarks.rivals import ForkingRival, Line, Put, Variant

#: Bytes of the ring for each kind of payload; README.md says what was tried.
CAPACITY = {"int": MIB, "bytes": 4 * MIB, "array": 32 * MIB}

_OBJECTS = Variant("HyperQ", "its class for objects, which pickles")
_BYTES = Variant("BytesHyperQ", "its class for bytes")
_PICKLE_5 = Variant(
    "BytesHyperQ, pickle 5", "pickle's C functions: no ForkingPickler, one copy of an array less"
)

_names = count()


class HyperQLine(Line):
    """Travels as the ring's name; each process attaches for itself, as hyperq's own examples do."""

    def __init__(self, class_name: str, capacity: int, pickled: bool) -> None:
        self.class_name, self.pickled = class_name, pickled
        self.name = f"mhbench-{os.getpid()}-{next(_names)}"
        # One attachment a process. A fork inherits the parent's: it is kept, unused and never freed.
        self.attached = {os.getpid(): _class(class_name)(capacity, name=self.name)}

    def _queue(self) -> Any:
        pid = os.getpid()
        if pid not in self.attached:
            self.attached[pid] = _class(self.class_name)(self.name)
        return self.attached[pid]

    def putter(self) -> Put:
        """Its put, after pickling if need be."""
        put: Put = self._queue().put
        return (lambda obj: put(pickle.dumps(obj, 5))) if self.pickled else put

    def getter(self) -> Get:
        """Its get, before unpickling if need be."""
        get: Get = self._queue().get
        return (lambda: pickle.loads(get())) if self.pickled else get

    def close(self) -> None:
        """Let go of the ring and remove its names, which a killed child would leave behind."""
        self.attached.pop(os.getpid(), None)
        _unlink(self.name)


def _class(name: str) -> Any:
    import hyperq

    return getattr(hyperq, name)


def _unlink(name: str) -> None:
    for path in Path("/dev/shm").glob(f"*{name}"):
        with suppress(OSError):
            path.unlink()


class HyperQ(ForkingRival):
    """https://github.com/martinmkhitaryan/hyperq."""

    name = package = "hyperq"

    def variants(self, payload: Payload) -> tuple[Variant, ...]:
        """Its class for objects, its class for bytes, or both where both can carry the payload."""
        return (_BYTES,) if payload.kind == "bytes" else (_OBJECTS, _PICKLE_5)

    def open(self, payload: Payload, variant: str) -> Line:
        """A ring of the variant's class."""
        class_name = variant.partition(",")[0]
        return HyperQLine(class_name, CAPACITY[payload.kind], pickled=variant == _PICKLE_5.name)

    def sweep(self, pid: int) -> None:
        """Remove the names of a killed measurement."""
        _unlink(f"mhbench-{pid}-*")


RIVAL = HyperQ()
