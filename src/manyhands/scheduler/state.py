"""The scheduler: a state machine that decides which worker runs what. Pure: no clock, no process, no I/O, no thread.

Events are method calls; commands are collected and fetched with `commands()`. The pool acts on them and tells what
came of it by further events. (The shape is that of dask's ``worker_state_machine``: stimuli in, instructions out.)

    event                                        what it may command
    submitted(source)                            Send
    worker_ready(worker)                         Send, Cut
    finished(lease, first, count, ns)            Send, Cut, Start, Dismiss
    was_cut(lease, next, end)                    Send, Kill
    worker_died(worker, begun)                   Lost, Send, Start
    doom(lease, index, why)                      Cut, then Kill
    cancel_source(source)                        Cut, Kill
    rebalance(begun)                             Cut
    close()                                      Dismiss

Always true:

1. An item is in one place (see work.py), and leaves by exactly one of: finished, Lost, dropped by a cancel.
2. An item is dealt again only if it was not begun, or if its worker died with it and its retries allow.
   An item that has taken `DEATHS_MOST` workers along is never dealt again.
3. A worker is killed for an item only after everything that it has not begun was taken back: nobody else is hurt.
4. A worker holds at most `DEPTH` leases; one that is starting holds at most one.
5. A worker that retires is replaced before its last item is done; yet no more workers have something to do than there
   are hands.

An illegal event raises `IllegalMove` with the machine's recent story: it is a bug of the pool, never of its user.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import Any

from manyhands.scheduler import commands as moves
from manyhands.scheduler.commands import Cut, Dismiss, IllegalMove, Kill, Lost, Send, Start, State, Worker
from manyhands.scheduler.pace import ITEMS_MOST
from manyhands.scheduler.spoils import STEAL_LEAST_NS, falls_asleep, is_stuck, spoils
from manyhands.scheduler.work import Batch, Lease, Source

#: Leases that a worker holds: the one that it runs, and one so that it need not wait.
DEPTH = 2

#: A task that has killed so many workers is quarantined, whatever its retries.
DEATHS_MOST = 3

#: So many workers in a row that die before they are ready make the pool give up.
STARTS_MOST = 3

_STORY = 40


class Scheduler:
    """See the module. Threads: one at a time."""

    def __init__(self, hands: int, max_tasks: int | None = None) -> None:
        self.hands = hands
        self.max_tasks = max_tasks
        self.workers: dict[int, Worker] = {}
        self.leases: dict[int, Lease] = {}
        self.sources: deque[Source] = deque()
        self.returned: deque[Batch] = deque()
        self.held: set[Source] = set()  # they will get more items, even when it is closing
        self.closing = False
        self.broken = False
        self.out: list[moves.Command] = []
        self.stuck = False  # may finished results, or items not begun, be kept back? (see `rebalance`)
        self._free: dict[int, Worker] = {}  # ready, and without a lease
        self._warm = 0  # the worker that had something to do last: it may still be awake
        self._starting: set[int] = set()
        self._numbers = 0
        self._workers_made = 0
        self._failed_starts = 0
        self._story: deque[tuple[Any, ...]] = deque(maxlen=_STORY)

    # ---- what the pool asks ----

    def commands(self) -> list[moves.Command]:
        """The commands since the last call, to be carried out in their order."""
        commands, self.out = self.out, []
        return commands

    @property
    def is_idle(self) -> bool:
        """Is there no item anywhere, and will there be none?"""
        return not (self.leases or self.returned or self.sources or self.held)

    @property
    def is_hungry(self) -> bool:
        """Would a new item be begun at once, because a worker has nothing to do?"""
        if self._free or not self._starting:
            return bool(self._free)
        return any(not self.workers[number].leases for number in self._starting)

    @property
    def is_over(self) -> bool:
        """Closed, and every worker gone?"""
        return self.closing and not self.workers

    # ---- events ----

    def open(self) -> None:
        """Begin: start all workers."""
        for _ in range(self.hands):
            self._start()

    def hold(self, source: Source) -> None:
        """`source` will get items: until `exhausted` nobody is dismissed."""
        source.growing = True
        self.held.add(source)

    def exhausted(self, source: Source) -> None:
        """`source` gets no more items."""
        source.growing = False
        if source in self.held:
            self.held.discard(source)
            self._deal()

    def submitted(self, source: Source) -> None:
        """`source` has items that wait (more of them, if it was known already)."""
        if source.cancelled:
            source.drop()
        if not source.listed and source.waiting and not source.cancelled:
            source.listed = True
            self.sources.append(source)
        self._deal()

    def worker_ready(self, number: int) -> None:
        """The worker reads: it has started, or is awake again."""
        if number in self.workers:
            self._greet(self.workers[number])
            self._deal()

    def finished(self, lease: Lease, first: int, count: int, ns: int) -> int:
        """Items [first, first + count) of the lease are done (with a result, or an exception of their own).

        Returns how many of them were known already: results may come twice (a salvage, then the message).
        """
        if lease.number not in self.leases:
            return count
        known = max(0, min(count, lease.done - first))
        if first > lease.done or (count > known and first + count > lease.end):
            raise self._illegal(f"items {first}+{count} of {lease!r} finished", lease)
        if known < count:
            lease.done = first + count
            self._warm = lease.worker
            if ns:
                lease.batch.source.pace.measured(count, ns)
            lease.barren = False
            self._greet(self.workers[lease.worker])  # what was salvaged may come before its first message
            self._after_progress(lease)
        return known

    def was_cut(self, lease: Lease, begun: int, end: int) -> None:
        """The command Cut was carried out: the worker has begun `begun` items, and may begin those before `end`."""
        if lease.number not in self.leases:
            return  # its worker died in between
        if not lease.done <= begun <= end <= lease.end:
            raise self._illegal(f"{lease!r} was cut at {begun}, {end}", lease)
        worker = self.workers[lease.worker]
        lease.barren = end == lease.end
        worker.dealt -= lease.end - end
        self._return(lease, end)
        lease.begun, lease.end = begun, end
        self._judge(worker)
        self._after_progress(lease)

    def worker_died(self, number: int, begun: dict[int, int], reading: int | None = None) -> None:
        """The worker is gone; of the lease of each number it had begun so many items, and it was `reading` the items
        of that one. Results that it had sent or left in its scratch were said by `finished` before."""
        worker = self.workers[number]
        was = worker.state
        self._move(worker, State.GONE)
        for lease in reversed(worker.leases):  # what each leaves goes before what waits
            count = min(lease.end, max(lease.done, begun.get(lease.number, 0)))
            if lease.number == reading and count == 0:
                self._suspect(lease)
            else:
                self._bury(lease, count)
        worker.leases = []
        self.stuck = self.stuck and bool(self.leases)
        del self.workers[number]
        if was is State.STARTING:
            self._failed_starts += 1
        if self._failed_starts >= STARTS_MOST:
            self._break()
        else:
            self._replace()
        self._deal()

    def doom(self, lease: Lease, index: int | None, why: str) -> None:
        """Kill whoever runs this item of the lease (None: any of them), for `why`; if it was not begun, drop it."""
        lease.dooms[index] = why
        worker = self.workers[lease.worker]
        for other in worker.leases:
            if other is not lease:
                self.out.append(Cut(other, False, False))
        self.out.append(Cut(lease, False, False))  # last: it decides

    def cancel_item(self, item: Any) -> bool:
        """Drop one single call wherever it is. False: it is not here (any more, or not yet)."""
        for lease in self.leases.values():
            items = lease.batch.items
            if lease.batch.source.owner is None and item in items[lease.done : lease.end]:
                self.doom(lease, items.index(item, lease.done), "cancelled")
                return True
        for batch in self.returned:
            if batch.source.owner is None and item in batch.items:
                self._drop_from(batch, item)
                return True
        return False

    def cancel_source(self, source: Source, kill: bool = True) -> None:
        """Drop what is left of a source. With `kill`, whoever runs one of its items is killed; else it may end."""
        self.exhausted(source)
        source.cancelled = True
        source.drop()
        self.returned = deque(batch for batch in self.returned if batch.source is not source)
        for lease in list(self.leases.values()):
            if lease.batch.source is source:
                if kill:
                    self.doom(lease, None, "cancelled")
                else:
                    self.out.append(Cut(lease, False, False))
        self._tidy()
        self._deal()

    def drop_everything(self) -> None:
        """Deal nothing any more: what waits is forgotten, what was not begun is taken back and forgotten."""
        batches = [*self.returned, *(lease.batch for lease in self.leases.values())]
        for source in [*self.sources, *(batch.source for batch in batches)]:
            source.cancelled = True
            source.listed = False
            source.drop()
        self.held.clear()
        self.sources.clear()
        self.returned.clear()
        self.out += [Cut(lease, False, False) for lease in self.leases.values()]

    def close(self) -> None:
        """No further submission. Workers are dismissed when nothing is left for them."""
        self.closing = True
        self._deal()

    # ---- dealing ----

    def _deal(self) -> None:
        if self.broken:
            self._break()
        while self.returned or self.sources:
            worker = self._roomiest()
            if worker is None or (batch := self._next_batch(worker)) is None:
                break
            self._send(worker, batch)
        if self._free and self.leases:
            self._steal()
        if self.closing and self.is_idle:
            self._dismiss_all()

    def _roomiest(self) -> Worker | None:
        """A worker that has nothing; else one that starts, else one with room for more; None when all have enough."""
        if self.max_tasks is None or self._free_hands() > 0:
            warm = self._free.get(self._warm)
            if warm is not None:
                return warm
            for worker in self._free.values():
                return worker
            for number in self._starting:
                if not self.workers[number].leases:
                    return self.workers[number]
        for worker in self.workers.values():
            has_room = worker.state is State.READY and 0 < len(worker.leases) < DEPTH
            if has_room and not worker.is_doomed and not worker.is_asleep:
                return worker
        return None

    def _free_hands(self) -> int:
        """How many more workers may have something to do: those that retire still count."""
        return self.hands - sum(bool(w.leases) and w.state is not State.DYING for w in self.workers.values())

    def _next_batch(self, worker: Worker) -> Batch | None:
        if self.returned:
            back = self.returned.popleft()
            n = len(back.items)
            room = n if self.max_tasks is None else max(1, self.max_tasks - worker.dealt)
            if room < n:
                self.returned.appendleft(back.part(room, n, back.deaths))
                back = back.part(0, room, back.deaths)
            return back
        while self.sources:
            source = self.sources[0]
            batch = source.take(self._size(source, worker))
            if not source.waiting:
                self.sources.popleft()
                source.listed = False
            elif len(self.sources) > 1:
                self.sources.rotate(-1)  # in turn, so that none waits for another
            if batch is not None:
                return batch
        return None

    def _size(self, source: Source, worker: Worker) -> int:
        size = source.options.chunksize or source.pace.size(
            source.waiting, self.hands, source.growing, source.target_ns
        )
        return size if self.max_tasks is None else max(1, min(size, self.max_tasks - worker.dealt))

    def _send(self, worker: Worker, batch: Batch) -> None:
        self._numbers += 1
        lease = Lease(self._numbers, batch, worker.number)
        self.leases[lease.number] = lease
        self.stuck = True
        worker.leases.append(lease)
        self._free.pop(worker.number, None)
        worker.dealt += len(batch.items)
        self.out.append(Send(lease))
        self._retire_if_due(worker)

    def _retire_if_due(self, worker: Worker) -> None:
        if self.max_tasks is not None and worker.dealt >= self.max_tasks and worker.state is State.READY:
            self._move(worker, State.RETIRING)
            self._replace()

    def rebalance(self, begun: dict[int, int] | None = None) -> None:
        """Nothing has been heard for a while: whoever has nothing to do gets what is stuck behind a slow item, or with
        a worker that sleeps. `begun`: of each lease's number, how many items are begun."""
        for lease in self.leases.values():
            lease.barren = False
        begun = begun or {}
        if self._free:
            for worker in self.workers.values():
                if falls_asleep(worker, begun):
                    self.out += [Cut(lease, False, False) for lease in reversed(worker.leases)]
        self._steal(least_ns=0)
        self.stuck = bool(self.leases) and any(is_stuck(worker, begun) for worker in self.workers.values())

    def _steal(self, least_ns: int = STEAL_LEAST_NS) -> None:
        """A worker with nothing to do gets what another has not begun, if it is so much work."""
        idle = len(self._free)
        if idle and self.max_tasks is not None:
            idle = min(idle, max(0, self._free_hands()))
        if not idle:
            return
        found = spoils(self.workers.values(), least_ns)
        for _, lease, is_run in sorted(found, key=lambda spoil: -spoil[0])[:idle]:
            lease.barren = True  # until something is heard of it
            self.out.append(Cut(lease, is_run, lease.batch.source.options.chunksize is not None))

    # ---- what leases leave ----

    def _after_progress(self, lease: Lease) -> None:
        if lease.is_over and lease.number in self.leases:
            del self.leases[lease.number]
            self.stuck = self.stuck and bool(self.leases)
            worker = self.workers[lease.worker]
            worker.leases.remove(lease)
            if not worker.leases and worker.state is State.READY and not worker.is_asleep:
                self._free[worker.number] = worker
            if worker.state is State.RETIRING and not worker.leases:
                self._dismiss(worker)
        self._deal()

    def _return(self, lease: Lease, start: int, singly: bool = False) -> None:
        """Items that nobody has begun, from `start` on, wait again, but for doomed ones."""
        batch, end = lease.batch, lease.end
        if batch.source.cancelled:
            return
        doomed = {at for at in lease.dooms if at is not None and start <= at < end}
        self.out += [Lost(batch, at, lease.dooms[at], lease.worker) for at in sorted(doomed)]
        inner = range(start, end) if singly else sorted({*doomed, *(at + 1 for at in doomed)})
        pairs = [(at, to) for at, to in pairwise([start, *inner, end]) if at < to and at not in doomed]
        self.returned.extendleft(batch.part(at, to, batch.deaths) for at, to in reversed(pairs))

    def _judge(self, worker: Worker) -> None:
        """Once a doomed worker can begin nothing more: kill it if what it runs is doomed. It runs what it has begun
        last; whatever it began before is done, and its result on the way."""
        if not worker.is_doomed or worker.state is State.DYING or any(x.begun < x.end for x in worker.leases):
            return
        last = next((lease for lease in reversed(worker.leases) if lease.begun), None)
        if last is not None and not last.is_over and (None in last.dooms or last.begun - 1 in last.dooms):
            self._move(worker, State.DYING)
            self.out.append(Kill(worker.number))
            self._replace()
        else:
            for lease in worker.leases:
                lease.dooms.clear()

    def _bury(self, lease: Lease, begun: int) -> None:
        """What a dead worker's lease leaves: items from `done` to `begun` died with it, the rest waits again."""
        del self.leases[lease.number]
        self._return(lease, begun)
        for index in range(begun - 1, lease.done - 1, -1):
            self._mourn(lease, index)

    def _suspect(self, lease: Lease) -> None:
        """One of the items kills whoever unpickles it: a single one is to blame, several are dealt one by one."""
        if lease.end == 1:
            self._bury(lease, 1)
            return
        del self.leases[lease.number]
        self._return(lease, 0, singly=True)

    def _mourn(self, lease: Lease, index: int) -> None:
        batch, deaths = lease.batch, lease.batch.deaths + 1
        if index in lease.dooms:
            self.out.append(Lost(batch, index, lease.dooms[index], lease.worker))
        elif batch.source.cancelled:
            self.out.append(Lost(batch, index, "cancelled", lease.worker))
        elif deaths <= batch.source.options.retries and deaths < DEATHS_MOST:
            self.returned.appendleft(batch.part(index, index + 1, deaths))
        else:
            retried = deaths > 1 and deaths >= DEATHS_MOST
            self.out.append(Lost(batch, index, "quarantined" if retried else "died", lease.worker))

    def _drop_from(self, batch: Batch, item: Any) -> None:
        at = batch.items.index(item)
        place = self.returned.index(batch)
        del self.returned[place]
        for part in (batch.part(at + 1, len(batch.items)), batch.part(0, at)):
            if part.items:
                self.returned.insert(place, part)
        self.out.append(Lost(batch, at, "cancelled", -1))

    def _tidy(self) -> None:
        for source in [source for source in self.sources if not source.waiting]:
            self.sources.remove(source)
            source.listed = False

    # ---- workers ----

    def _start(self) -> None:
        self._workers_made += 1
        worker = Worker(self._workers_made, State.STARTING)
        self.workers[worker.number] = worker
        self._starting.add(worker.number)
        self.out.append(Start(worker.number))

    def _replace(self) -> None:
        """Another worker in the place of one that goes, unless there is nothing for it to do."""
        living = sum(w.state in (State.STARTING, State.READY) for w in self.workers.values())
        if living < self.hands and not self.broken and not (self.closing and self.is_idle):
            self._start()

    def _greet(self, worker: Worker) -> None:
        """A worker is heard of: it has started, and is awake."""
        worker.is_silent = False
        if worker.is_asleep:
            worker.is_asleep = False
            if worker.state is State.READY and not worker.leases:
                self._free[worker.number] = worker
        if worker.state is State.STARTING:
            self._failed_starts = 0
            self._move(worker, State.READY)
            self._retire_if_due(worker)

    def _dismiss(self, worker: Worker) -> None:
        self._move(worker, State.LEAVING)
        self.out.append(Dismiss(worker.number))

    def _dismiss_all(self) -> None:
        for worker in self.workers.values():
            if worker.state in (State.STARTING, State.READY):
                self._dismiss(worker)

    def _break(self) -> None:
        """No worker will ever start: everything that waits is lost."""
        self.broken = True
        for source in self.sources:
            while (batch := source.take(ITEMS_MOST)) is not None:
                self.returned.append(batch)
            source.listed = False
        self.sources.clear()
        for batch in self.returned:
            self.out += [Lost(batch, index, "start", -1) for index in range(len(batch.items))]
        self.returned.clear()

    def give_up(self) -> None:
        """The pool is broken for good (an initializer raised): everything that waits is lost."""
        self._break()

    def _move(self, worker: Worker, to: State) -> None:
        if to not in moves.MOVES[worker.state]:
            raise self._illegal(
                f"worker {worker.number} cannot go from {worker.state.value} to {to.value}", worker
            )
        self._story.append((worker.number, worker.state.value, to.value))
        worker.state = to
        self._starting.discard(worker.number)
        if to is State.READY and not worker.leases:
            self._free[worker.number] = worker
        else:
            self._free.pop(worker.number, None)

    def _illegal(self, what: str, about: object) -> IllegalMove:
        story = "; ".join(map(str, self._story))
        return IllegalMove(f"{what}, which cannot be. {about!r}. Recently: {story or 'nothing'}")
