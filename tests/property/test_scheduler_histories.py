"""Random histories of the scheduler, with a crew that is simulated: no process, no clock, thousands of deaths.

The crew obeys commands late, in their order. Its workers claim items one at a time, keep results in a scratch, send
them in random pieces, and die at random moments; what they have sent is heard later, and some of it twice. The items
keep their own books, so that what the scheduler does can be held against what has really happened. After each step:

1. An item that has not ended is in exactly one place, and it ends once: finished, Lost, or dropped by a cancel.
2. It is begun again only if a worker died with it, and no more often than its retries allow.
3. Whoever is killed can begin nothing more, and runs nothing but what it is killed for.
4. No worker holds more than DEPTH leases, a starting one more than one; no more workers have work than there are hands.
5. No item waits while a worker that may have it has nothing to do.

In the end the scheduler is closed, all are fair, and everything ends: no item is left, and no worker.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from manyhands.scheduler.commands import Cut, Dismiss, Kill, Lost, Send, Start, State
from manyhands.scheduler.pace import Pace
from manyhands.scheduler.state import DEATHS_MOST, DEPTH, Scheduler
from manyhands.scheduler.work import Calls, Lease, Options, Source

SETTINGS = settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))

#: A crew that is fair has ended all that is left within so many steps, or it never will.
PATIENCE = 20_000


@dataclass(eq=False)
class Item:
    """One task, and what really became of it."""

    name: str
    retries: int
    is_wanted: bool = True  # what `Calls` asks
    condemned: bool = False  # whoever runs it may be killed for it
    is_deadly: bool = False  # whoever runs it dies
    hangs: bool = False  # it will never end by itself
    banned: bool = (
        False  # it was taken back, or never dealt, and nobody wants it: it is not to be begun any more
    )
    must_end: bool = False  # the scheduler said that it would drop it
    begun: int = 0
    deaths: int = 0  # workers that died while they ran it, or read it
    end: str = ""

    def ends(self, how: str) -> None:
        assert not self.end, f"{self.name} ended twice: {self.end}, then {how}"
        self.end = how

    def begins(self) -> None:
        self.begun += 1
        assert not self.end, f"{self.name} is begun after its end ({self.end})"
        assert not self.banned, f"{self.name} is begun after it was dropped"
        assert self.deaths <= min(self.retries, DEATHS_MOST - 1), (
            f"{self.name} is begun after {self.deaths} deaths"
        )
        assert self.begun <= 1 + self.deaths, f"{self.name} is begun {self.begun} times, {self.deaths} deaths"

    def __repr__(self) -> str:
        return self.name


@dataclass
class Hand:
    """One worker: its ring, its page, its scratch."""

    number: int
    is_ready: bool = False
    is_alive: bool = True
    dismissed: bool = False
    ring: deque[Lease] = field(default_factory=deque)
    page: dict[int, list[int]] = field(default_factory=dict)  # lease number -> [next, end]
    read: bool = False  # the first lease in the ring
    running: tuple[Lease, int] | None = None
    scratch: tuple[Lease, int, int] | None = None  # lease, first, count
    sent: bool = False  # the scratch, but it is not empty yet
    ran: int = 0


class World:
    """A scheduler, its crew, and all that is on its way between them."""

    def __init__(self, seed: int, hands: int, max_tasks: int | None, eager: bool) -> None:
        self.random = random.Random(seed)
        self.eager = eager  # commands are carried out at once, as a pool does
        self.deadly = self.random.choice((0, 0, 0.1))
        self.sends = 0
        self.story: list[str] = []
        self.scheduler = Scheduler(hands, max_tasks)
        self.crew: dict[int, Hand] = {}
        self.orders: deque[Any] = deque()  # commands that are not carried out yet
        self.mail: deque[tuple[Any, ...]] = deque()  # what workers have sent, and their deaths
        self.inbox: deque[Calls] = deque()
        self.sources: list[Source] = []
        self.items: dict[Source, list[Item]] = {}
        self.dropped = False
        self.do("open", self.scheduler.open)

    # ---- the scheduler's side ----

    def do(self, what: str, event: Callable[..., Any], *args: Any) -> Any:
        """One event, and what must hold after it."""
        self.story.append(what)
        result = event(*args)
        for command in self.scheduler.commands():
            self.hear(command)
        self.check()
        while self.eager and self.orders:
            self.carry_out()
        return result

    def hear(self, command: Any) -> None:
        self.story.append(f"    {command!r}")
        if isinstance(command, Lost):
            self.lose(command)
        elif isinstance(command, Kill):
            leases = self.scheduler.workers[command.worker].leases
            page = self.crew[command.worker].page
            assert all(page.get(lease.number, [0])[0] == lease.end for lease in leases), (
                "killed with work not begun"
            )
        if not isinstance(command, Lost):
            self.orders.append(command)

    def lose(self, command: Lost) -> None:
        source, item = command.batch.source, command.batch.items[command.place]
        reasons = {
            "died": item.deaths > item.retries and item.deaths < DEATHS_MOST,
            "quarantined": item.deaths == DEATHS_MOST,
            "timeout": item.condemned,
            "cancelled": source.cancelled or not item.is_wanted,
            "start": self.scheduler.broken,
        }
        assert reasons[command.why], f"{item} is lost for no reason: {command}"
        item.ends(f"lost: {command.why}")

    def carry_out(self) -> None:
        """The oldest command."""
        command = self.orders.popleft()
        self.story.append(f"carry out {command!r}")
        if isinstance(command, Start):
            self.crew[command.worker] = Hand(command.worker)
            if self.chance(0.02):
                del self.crew[command.worker]
                self.do(f"{command.worker} cannot be started", self.scheduler.worker_died, command.worker, {})
        elif isinstance(command, Send):
            self.sends += 1
            assert self.sends < 1000, "batches are handed round and round"
            if (hand := self.crew.get(command.lease.worker)) is not None:
                hand.page[command.lease.number] = [0, len(command.lease.batch.items)]
                hand.ring.append(command.lease)
        elif isinstance(command, Cut):
            self.cut(command)
        elif isinstance(command, Kill):
            self.kill(command.worker)
        elif isinstance(command, Dismiss) and (hand := self.crew.get(command.worker)) is not None:
            assert not self.scheduler.workers[command.worker].leases
            hand.dismissed = True

    def cut(self, command: Cut) -> None:
        lease = command.lease
        hand = self.crew.get(lease.worker)
        begun, end = lease.done, lease.end
        if hand is not None and lease.number in hand.page:
            word = hand.page[lease.number]
            if not (command.whole and word[0]):
                word[1] = word[0] + ((word[1] - word[0]) // 2 if command.half else 0)
            begun, end = word
        for item in lease.batch.items[end : lease.end]:
            item.banned = item.banned or lease.batch.source.cancelled
        self.do(f"was_cut {lease} {begun} {end}", self.scheduler.was_cut, lease, begun, end)

    def kill(self, number: int) -> None:
        hand = self.crew.get(number)
        if hand is None or not hand.is_alive:
            return
        if hand.running is not None:
            lease, index = hand.running
            item = lease.batch.items[index]
            assert item.condemned or lease.batch.source.cancelled, f"{item} is hurt by a kill for another"
        self.die(hand)

    # ---- the crew's side ----

    def act(self, hand: Hand) -> None:
        """A worker's next step."""
        if not hand.is_ready:
            hand.is_ready = True
            self.mail.append(("ready", hand.number))
        elif hand.sent:
            hand.scratch, hand.sent = None, False
        elif hand.running is not None:
            item = hand.running[0].batch.items[hand.running[1]]
            if item.is_deadly:
                self.die(hand)
            elif not item.hangs:
                self.finish(hand)
        elif hand.scratch is not None and (hand.scratch[0] is not hand.ring[0] or self.chance(0.3)):
            self.flush(hand)
        elif hand.ring:
            self.claim(hand)
        elif hand.dismissed:
            self.die(hand)

    def claim(self, hand: Hand) -> None:
        lease = hand.ring[0]
        word = hand.page[lease.number]
        if not hand.read and word[0] < word[1]:
            hand.read = True
        elif word[0] < word[1]:
            hand.running = (lease, word[0])
            word[0] += 1
            hand.ran += 1
            lease.batch.items[word[0] - 1].begins()
            self.story.append(f"{hand.number} begins {lease.batch.items[word[0] - 1]}")
            assert self.scheduler.max_tasks is None or hand.ran <= self.scheduler.max_tasks
        elif hand.scratch is not None:
            self.flush(hand)
        else:
            hand.ring.popleft()
            hand.read = False

    def finish(self, hand: Hand) -> None:
        assert hand.running is not None
        lease, index = hand.running
        first, count = hand.scratch[1:] if hand.scratch is not None else (index, 0)
        hand.scratch, hand.running = (lease, first, count + 1), None

    def flush(self, hand: Hand) -> None:
        assert hand.scratch is not None
        self.mail.append(("finished", *hand.scratch))
        hand.sent = True

    def die(self, hand: Hand) -> None:
        hand.is_alive = False
        self.story.append(f"{hand.number} dies, running {hand.running}")
        self.mail.append(("died", hand))

    def die_if_alive(self) -> None:
        alive = [hand for hand in self.crew.values() if hand.is_alive]
        if alive:
            self.die(self.random.choice(alive))

    # ---- what is on its way ----

    def deliver(self) -> None:
        """The oldest message."""
        kind, *what = self.mail.popleft()
        if kind == "ready" and what[0] in self.scheduler.workers:
            self.do(f"{what[0]} is ready", self.scheduler.worker_ready, what[0])
        elif kind == "finished":
            self.finished(*what)
        elif kind == "died":
            self.died(*what)

    def finished(self, lease: Lease, first: int, count: int) -> None:
        ns = self.random.choice((0, count * self.random.choice((100, 10_000, 1_000_000))))

        def take() -> None:
            known = self.scheduler.finished(lease, first, count, ns)
            for item in lease.batch.items[first + known : first + count]:
                item.ends("finished")

        self.do(f"{lease}: {first}+{count} done", take)

    def salvage(self, hand: Hand) -> None:
        if hand.scratch is not None:
            lease, first, count = hand.scratch
            if first <= lease.done < first + count:
                self.finished(lease, first, count)

    def died(self, hand: Hand) -> None:
        self.salvage(hand)
        begun = {number: word[0] for number, word in hand.page.items()}
        reading = None
        if hand.read and hand.ring and not begun[hand.ring[0].number] and self.chance(0.5):
            reading = hand.ring[0].number
            if hand.ring[0].end == 1:
                hand.ring[0].batch.items[0].deaths += 1
                hand.ring[0].batch.items[0].begun += 1
        if hand.running is not None:
            lease, index = hand.running
            lease.batch.items[index].deaths += 1
        del self.crew[hand.number]
        self.do(
            f"{hand.number} died {begun} {reading}", self.scheduler.worker_died, hand.number, begun, reading
        )

    def peek(self) -> None:
        for hand in list(self.crew.values()):
            self.salvage(hand)

    # ---- the user's side ----

    def some_items(self, source: Source, n: int) -> list[Item]:
        known, number = self.items[source], self.sources.index(source)
        new = [Item(f"{number}.{len(known) + i}", source.options.retries) for i in range(n)]
        for item in new:
            item.banned, item.is_deadly = source.cancelled, self.chance(self.deadly)
        known.extend(new)
        return new

    def new_source(self, kind: str, options: Options) -> None:
        if kind == "calls":
            source: Source = Calls(None, 2, Pace(), options)
        else:
            source = Source(None, 0, Pace(), options, owner="a job")
            source.growing = kind == "growing"
        self.sources.append(source)
        self.items[source] = []
        self.more_of(source, self.random.randrange(1, 13))

    def more_of(self, source: Source, n: int) -> None:
        items = self.some_items(source, n)
        if isinstance(source, Calls):
            for item in items:
                source.pending.append(item)
                if not source.queued:
                    source.queued = True
                    self.inbox.append(source)
        else:
            source.add(items)
            self.do(f"{items} submitted", self.scheduler.submitted, source)

    def feed(self) -> None:
        while self.inbox:
            source = self.inbox.popleft()
            source.queued = False
            self.do("calls submitted", self.scheduler.submitted, source)

    def grow(self) -> None:
        growing = [s for s in self.sources if s.growing or isinstance(s, Calls)]
        if growing and not self.scheduler.closing:
            self.more_of(self.random.choice(growing), self.random.randrange(1, 6))

    def rebalance(self) -> None:
        self.do("rebalance", self.scheduler.rebalance)

    def cancel_a_call(self) -> None:
        open_calls = [
            item
            for s in self.sources
            if isinstance(s, Calls)
            for item in self.items[s]
            if item.is_wanted and not item.end
        ]
        if open_calls:
            item = self.random.choice(open_calls)
            item.is_wanted, item.condemned = False, True
            item.hangs = self.chance(0.5) and self.is_running(item)
            self.feed()
            if not item.end:
                item.must_end = self.do(f"cancel {item}", self.scheduler.cancel_item, item)
                item.banned = not item.must_end
                for source in self.scheduler.sources:
                    source.sift = True

    def is_running(self, item: Item) -> bool:
        running = [hand.running for hand in self.crew.values() if hand.is_alive and hand.running is not None]
        return any(lease.batch.items[index] is item for lease, index in running)

    def cancel_a_map(self) -> None:
        maps = [s for s in self.sources if not isinstance(s, Calls) and not s.cancelled]
        if maps:
            source, kill = self.random.choice(maps), self.chance(0.5)
            leased = {item for lease in self.scheduler.leases.values() for item in lease.batch.items}
            for item in self.items[source]:
                item.banned = item not in leased
                item.hangs = kill and self.chance(0.5) and self.is_running(item)
            self.do(f"cancel {self.items[source]} {kill}", self.scheduler.cancel_source, source, kill)

    def doom(self) -> None:
        """Something has run for too long."""
        for hand in self.crew.values():
            if hand.is_alive and hand.running is not None and not hand.running[0].is_over:
                lease, index = hand.running
                if lease.done <= index and lease.number in self.scheduler.leases and lease.doomed is None:
                    item = lease.batch.items[index]
                    item.condemned, item.hangs = True, self.chance(0.5)
                    self.do(f"doom {item}", self.scheduler.doom, lease, index, "timeout")
                    return

    def drop_everything(self) -> None:
        self.feed()
        self.dropped = self.scheduler.closing = True
        self.do("drop everything", self.scheduler.drop_everything)

    # ---- what must hold ----

    def places(self) -> Iterator[Item]:
        """Every item that is somewhere, once for each place where it is."""
        for source in self.sources:
            if isinstance(source, Calls):
                yield from source.pending
            for number, chunk in enumerate(source.chunks):
                yield from chunk[source.taken :] if number == 0 else chunk
        for batch in self.scheduler.returned:
            yield from batch.items
        for lease in self.scheduler.leases.values():
            yield from lease.batch.items[lease.done : lease.end]

    def check(self) -> None:
        self.check_items()
        self.check_workers()
        self.check_progress()

    def check_items(self) -> None:
        count: dict[Item, int] = {}
        for item in self.places():
            count[item] = count.get(item, 0) + 1
        for source, items in self.items.items():
            for item in items:
                places = count.get(item, 0)
                if places == 0 and not item.end:
                    fine = source.cancelled or (not item.is_wanted and not item.must_end) or self.dropped
                    assert fine, f"{item} is nowhere"
                assert places <= (not item.end), f"{item} is in {places} places, end: {item.end!r}"

    def check_workers(self) -> None:
        scheduler, workers = self.scheduler, self.scheduler.workers.values()
        for worker in workers:
            most = 1 if worker.state is State.STARTING else DEPTH
            assert len(worker.leases) <= most
            assert not (worker.leases and worker.state is State.LEAVING)
            assert worker.leases or worker.state is not State.RETIRING
        idle = any(not w.leases and w.state in (State.STARTING, State.READY) for w in workers)
        assert scheduler.is_hungry == idle
        several = any(len(w.leases) > 1 or any(lease.end > 1 for lease in w.leases) for w in workers)
        assert scheduler.stuck >= several
        assert scheduler.stuck <= bool(scheduler.leases)
        assert sum(w.state in (State.STARTING, State.READY) for w in workers) <= scheduler.hands
        assert sum(bool(w.leases) and w.state is not State.DYING for w in workers) <= scheduler.hands

    def check_progress(self) -> None:
        scheduler = self.scheduler
        waits = bool(scheduler.returned) or any(source.waiting for source in scheduler.sources)
        busy = sum(bool(w.leases) and w.state is not State.DYING for w in scheduler.workers.values())
        if waits and busy < scheduler.hands:
            assert all(w.leases or w.state is not State.READY for w in scheduler.workers.values()), (
                "an idle worker"
            )
        for source in self.sources:
            assert source.listed == (source in scheduler.sources)
            assert source.waiting or not source.listed, "a source that does not wait"
            assert source.listed or source.queued or not source.waiting, (
                "a source that waits, and nobody knows"
            )

    # ---- histories ----

    def chance(self, p: float) -> bool:
        return self.random.random() < p

    def live(self, steps: int, deaths: float) -> None:
        """Whatever may happen, in any order."""
        deeds: list[tuple[float, Callable[[], object]]] = [
            (8, self.obey), (8, self.receive), (16, self.work), (1, self.feed), (1, self.peek), (1, self.grow),
            (0.4, self.cancel_a_call), (0.1, self.cancel_a_map), (0.4, self.doom), (deaths, self.die_if_alive),
            (0.5, self.rebalance),
        ]  # fmt: skip
        weights = [weight for weight, _ in deeds]
        for _, deed in self.random.choices(deeds, weights, k=steps):
            deed()

    def obey(self) -> None:
        if self.orders:
            self.carry_out()

    def receive(self) -> None:
        if self.mail:
            self.deliver()

    def work(self) -> None:
        able = [hand for hand in self.crew.values() if hand.is_alive]
        if able:
            self.act(self.random.choice(able))

    def end(self) -> None:
        """All are fair from now on."""
        self.feed()
        self.do("close", self.scheduler.close)
        for _ in range(PATIENCE):
            if self.scheduler.is_over:
                break
            for deed in (self.obey, self.receive, self.work, self.peek, self.feed):
                deed()
        assert self.scheduler.is_over, "it never ends"
        assert self.scheduler.is_idle
        assert not self.crew or all(not hand.is_alive for hand in self.crew.values())
        for source, items in self.items.items():
            for item in items:
                dropped = source.cancelled or not item.is_wanted or self.dropped
                assert item.end or dropped, f"{item} has no end"


options = st.builds(
    Options,
    retries=st.sampled_from((0, 0, 1, 5)),
    task_timeout_ns=st.none(),
    chunksize=st.sampled_from((None, None, 1, 3)),
)
kinds = st.sampled_from(("calls", "map", "growing"))
worlds = st.builds(
    World,
    seed=st.integers(0, 2**48),
    hands=st.integers(1, 4),
    max_tasks=st.sampled_from((None, None, None, 1, 3)),
    eager=st.booleans(),
)


@pytest.mark.slow
@SETTINGS
@given(
    world=worlds,
    sources=st.lists(st.tuples(st.integers(0, 60), kinds, options), min_size=1, max_size=4),
    deaths=st.sampled_from((0.0, 0.3, 1.0)),
    how_it_ends=st.sampled_from(("closed", "closed", "closed", "dropped", "given up")),
    steps=st.integers(0, 150),
)
def test_whatever_happens_each_item_ends_once_and_nothing_stalls(
    world: World, sources: list[tuple[int, str, Options]], deaths: float, how_it_ends: str, steps: int
) -> None:
    try:
        for pause, kind, how in sources:
            world.new_source(kind, how)
            world.live(pause, deaths)
        world.live(steps, deaths)
        if how_it_ends == "dropped":
            world.drop_everything()
        elif how_it_ends == "given up":
            world.do("give up", world.scheduler.give_up)
        world.end()
    except BaseException:
        note("\n".join(world.story[-150:]))
        raise
