"""How long the items of a function take, and from that how many of them make a good batch. Pure.

A batch should take about `TARGET_NS`: long enough that what a batch costs (some 50 µs) does not matter, short
enough that results keep coming and that cores stay balanced. joblib's rule (Auto-batching, ``joblib.parallel``) with
another target: its batches cost a thousand times more.

Always true: sizes grow at most `GROWTH` times from one batch to the next, so that one lucky measurement of a quick
item cannot gather many slow ones; a slow measurement counts at once.
"""

from __future__ import annotations

#: What a batch should take, and how much larger than the one before it may be.
TARGET_NS, GROWTH = 2_000_000, 8

#: The same where nobody sees a result before all are there: each batch costs the parent some of a core.
PATIENT_NS = 20_000_000

#: No batch has more items; it bounds what one message holds.
ITEMS_MOST = 16384

#: The newest measurement's share in the average.
_NEW = 0.5


class Pace:
    """The measured cost of one function's items. Threads: one at a time."""

    __slots__ = ("last", "ns")

    def __init__(self) -> None:
        self.ns: float | None = None  # an item; None: never measured
        self.last = 1  # size of the last batch

    def measured(self, items: int, ns: int) -> None:
        """`items` of them took `ns` together."""
        new = ns / items
        old = self.ns
        # A first item may load modules; what is much quicker than all before is believed at once.
        self.ns = new if old is None or new < old / 4 else old + (new - old) * _NEW

    def size(self, remaining: int, hands: int, more_comes: bool, target_ns: int = TARGET_NS) -> int:
        """How many items the next batch should have, when `remaining` wait and `hands` workers share them."""
        if self.ns is None or remaining == 1:
            return 1
        size = min(int(target_ns / max(self.ns, 1.0)), self.last * GROWTH, ITEMS_MOST)
        if not more_comes:  # smaller towards the end
            size = min(size, -(-remaining // hands))
        self.last = size = max(1, size)
        return size
