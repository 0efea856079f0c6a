"""faster-fifo: a circular buffer in shared memory under one process-shared mutex.

Settings: `max_size_bytes` (see `CAPACITY`) and the serialiser. Bytes can travel as they are when `dumps` is
the identity and `loads` is `bytes` (it hands a view of its receive buffer); arrays profit from pickle
protocol 5.
"""

from __future__ import annotations

import pickle
from typing import Any

from benchmarks.payloads import MIB, Payload
from benchmarks.rivals import ForkingRival, Line, Variant
from benchmarks.rivals.batches import BATCH, BatchLine

#: Bytes of the buffer for each kind of payload; README.md says what was tried.
CAPACITY = {"int": MIB, "bytes": 4 * MIB, "array": 32 * MIB}

_PLAIN = Variant("pickle", "its own default serialiser")
_BYTES = Variant("raw bytes", "dumps=identity, loads=bytes: no pickle at all")
_PICKLE_5 = Variant(
    "pickle 5", "pickle's C functions, protocol 5: no ForkingPickler, one copy of an array less"
)
_BATCH = Variant("put_many", f"batches of {BATCH}", extra=True)


def _identity(data: Any) -> Any:
    return data


def _dumps_5(obj: Any) -> bytes:
    return pickle.dumps(obj, 5)


SERIALISERS: dict[str, dict[str, Any]] = {
    _PLAIN.name: {},
    _BATCH.name: {"dumps": _dumps_5, "loads": pickle.loads},
    _BYTES.name: {"dumps": _identity, "loads": bytes},
    _PICKLE_5.name: {"dumps": _dumps_5, "loads": pickle.loads},
}


class FasterFifo(ForkingRival):
    """https://github.com/alex-petrenko/faster-fifo."""

    name = package = "faster-fifo"

    def variants(self, payload: Payload) -> tuple[Variant, ...]:
        """Its own pickling beside its best way for this payload."""
        other = {"int": (_PICKLE_5, _BATCH), "bytes": (_BYTES,), "array": (_PICKLE_5,)}[payload.kind]
        return _PLAIN, *other

    def open(self, payload: Payload, variant: str) -> Line:
        """A queue with the serialiser of the variant."""
        import faster_fifo

        queue = faster_fifo.Queue(max_size_bytes=CAPACITY[payload.kind], **SERIALISERS[variant])
        return BatchLine(queue) if variant == _BATCH.name else Line(queue)


RIVAL = FasterFifo()
