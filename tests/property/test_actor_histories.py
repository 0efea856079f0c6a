"""Random histories of the actors' state machine, with shards that are simulated: no process, no clock, many deaths.

The shards answer late, stream, refuse to be built, and die at random moments; what they have sent is heard later, each
shard's in its order, its death last. The requests keep their own books. After each step, besides `Machine.check`:

1. A request ends exactly once: answered, failed for a reason that is true, or withdrawn.
2. It is sent at most twice, only to an incarnation that has said that it is ready, and a second time only after the
   first has died with it, before anything of its answer came.
3. Requests are first sent in the order in which they were asked; no more than `SENT_MOST` are with one shard.
4. A shard is started only when its last incarnation is known to be dead, and cancelled is only what it has.

In the end all are fair, the group is closed, and everything ends: no request is left, and no shard.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from unittest.mock import patch

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from manyhands.actor import state
from manyhands.actor.protocol import Request
from manyhands.actor.state import STARTS_MOST, Cancel, Dismiss, Fail, Kill, Machine, Send, Start, State

SETTINGS = settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))

#: So few may be with one shard here, so that many wait.
SENT_MOST = 3


@dataclass(eq=False)
class Story:
    """What really became of a request."""

    request: Request
    end: str = ""
    sends: int = 0
    deaths: int = 0  # incarnations that died with it, as far as the machine knows
    items: int = 0

    def ends(self, how: str) -> None:
        assert not self.end, f"{self.request} ended twice: {self.end}, then {how}"
        self.end = how


@dataclass(eq=False)
class Process:
    """One incarnation of a shard."""

    shard: int
    is_alive: bool = True
    said_ready: bool = False  # and that was heard
    is_built: bool = False
    refused: bool = False
    dismissed: bool = False
    has: dict[int, Request] = field(default_factory=dict)  # as the machine sees it
    works_on: list[int] = field(default_factory=list)  # as it sees it
    mail: deque[tuple] = field(default_factory=deque)


class World:
    def __init__(self, seed: int, shards: int, rebuild: bool) -> None:
        self.random = random.Random(seed)
        self.rebuild = rebuild
        self.machine = Machine(shards, rebuild)
        self.stories: dict[int, Story] = {}
        self.processes: dict[int, Process] = {}  # the last incarnation of each shard
        self.order: list[deque[int]] = [deque() for _ in range(shards)]  # asked and never sent
        self.failed_starts = [0] * shards
        self.stopped = self.closed = False
        self.log: list[str] = []
        self.do("opened")

    # ---- the machine's side ----

    def do(self, event: str, *args: object) -> object:
        self.log.append(f"{event}{args}")
        result = getattr(self.machine, event)(*args)
        self.machine.check()
        for command in self.machine.commands():
            self.log.append(f"    {command!r}")
            getattr(self, f"_{type(command).__name__.lower()}")(command)
        for story in self.stories.values():
            assert bool(story.end) != (story.request.id in self.machine.requests), story
        return result

    def _start(self, command: Start) -> None:
        last = self.processes.get(command.shard)
        assert last is None or (not last.is_alive and not last.mail), "started while the last one may live"
        self.processes[command.shard] = Process(command.shard)

    def _send(self, command: Send) -> None:
        request, process = command.request, self.processes[command.request.shard]
        story = self.stories[request.id]
        assert process.said_ready, "sent to a shard that is not ready"
        assert self.machine.shards[request.shard].state is State.READY
        assert not story.end, "sent after its end"
        assert story.sends == story.deaths < 2, "sent again without a death, or once too often"
        assert not story.items
        if not story.sends:
            while self.stories[self.order[request.shard][0]].end:
                self.order[request.shard].popleft()
            assert self.order[request.shard].popleft() == request.id, "overtaken"
        story.sends += 1
        process.has[request.id] = request
        assert len(process.has) <= SENT_MOST
        process.works_on.append(request.id)

    def _cancel(self, command: Cancel) -> None:
        process = self.processes[command.request.shard]
        del process.has[command.request.id]  # it had it
        if command.request.id in process.works_on:
            process.works_on.remove(command.request.id)

    def _fail(self, command: Fail) -> None:
        request, why = command.request, command.why
        story, shard = self.stories[request.id], self.machine.shards[request.shard]
        is_true = {
            "died": story.deaths == story.sends > 0
            and (story.sends == 2 or not request.patient or story.items > 0 or not self.rebuild),
            "down": not request.patient and shard.builds > 0,
            "failed": shard.state is State.FAILED,
            "stopped": self.closed or self.stopped,
        }
        assert is_true[why], f"{request} failed because {why}"
        story.ends(why)
        self.processes[request.shard].has.pop(request.id, None)

    def _kill(self, command: Kill) -> None:
        assert self.stopped
        self.dies(self.processes[command.shard])

    def _dismiss(self, command: Dismiss) -> None:
        process = self.processes[command.shard]
        assert not process.has, "dismissed with work"
        process.dismissed = True

    # ---- the shards' side ----

    def dies(self, process: Process) -> None:
        if process.is_alive:
            process.is_alive = False
            process.works_on.clear()
            process.mail.append(("died",))

    def is_build_over(self, process: Process, refuse: bool) -> None:
        if refuse:
            process.refused = True
            process.mail.append(("refused",))
            self.dies(process)
        else:
            process.is_built = True
            process.mail.append(("ready",))

    def works(self, process: Process) -> None:
        """One step of one request that it has, or of its leaving."""
        if not process.works_on:
            if process.dismissed:
                self.dies(process)
            return
        number = self.random.choice(process.works_on)
        if self.stories[number].request.stream and self.random.random() < 0.6:
            process.mail.append(("item", number))
        else:
            process.works_on.remove(number)
            process.mail.append(("end", number))

    def hear(self, process: Process) -> None:
        kind, *rest = process.mail.popleft()
        shard = process.shard
        if kind == "ready":
            process.said_ready = True
            self.failed_starts[shard] = 0
            self.do("ready", shard)
        elif kind == "refused":
            self.do("refused", shard)
        elif kind == "died":
            for number in process.has:
                self.stories[number].deaths += 1
            self.failed_starts[shard] += not process.said_ready
            process.has.clear()
            self.do("died", shard)
            assert self.failed_starts[shard] <= STARTS_MOST
        else:
            self.hear_reply(process, kind, rest[0])

    def hear_reply(self, process: Process, kind: str, number: int) -> None:
        story = self.stories[number]
        was_open = number in process.has
        if kind == "item":
            story.items += was_open
            assert (self.machine.delivered(number) is not None) == was_open
        else:
            if was_open:
                story.ends("answered")
                del process.has[number]
            assert (self.do("ended", number) is not None) == was_open

    # ---- the users' side ----

    def ask(self) -> None:
        rng = self.random
        number, shard = len(self.stories) + 1, rng.randrange(len(self.machine.shards))
        request = Request(
            number, shard, "m", b"", None, stream=rng.random() < 0.4, patient=rng.random() < 0.8
        )
        self.stories[number] = Story(request)
        self.order[shard].append(number)
        self.do("asked", request)

    def withdraw(self) -> None:
        if self.stories:
            story = self.random.choice(list(self.stories.values()))
            was_open = not story.end
            if was_open:
                story.ends("withdrawn")
            assert (self.do("withdrawn", story.request.id) is not None) == was_open

    def step(self) -> None:
        rng = self.random
        process = rng.choice(list(self.processes.values()))
        move = rng.choices(["ask", "work", "hear", "withdraw", "die", "build"], [30, 25, 30, 6, 4, 15])[0]
        if move == "ask":
            self.ask()
        elif move == "withdraw":
            self.withdraw()
        elif move == "hear" and process.mail:
            self.hear(process)
        elif move == "die":
            self.dies(process)
        elif move == "work" and process.is_alive and process.is_built:
            self.works(process)
        elif move == "build" and process.is_alive and not process.is_built:
            self.is_build_over(process, refuse=rng.random() < 0.03)

    def settle(self) -> None:
        """All are fair from now on."""
        for _ in range(100_000):
            busy = False
            for process in list(self.processes.values()):
                while process.mail:
                    self.hear(process)
                    busy = True
            for process in list(self.processes.values()):
                if process.is_alive and not process.is_built:
                    self.is_build_over(process, refuse=False)
                    busy = True
                elif process.is_alive and (process.works_on or process.dismissed):
                    self.works(process)
                    busy = True
            if not busy:
                return
        raise AssertionError("it never ends")


@SETTINGS
@given(
    st.integers(0, 1 << 32), st.integers(1, 3), st.booleans(), st.integers(5, 120),
    st.sampled_from(["close", "close early", "stop"]),
)  # fmt: skip
def test_each_request_ends_once_whatever_dies(seed, shards, rebuild, steps, end):
    with patch.object(state, "SENT_MOST", SENT_MOST):
        world = World(seed, shards, rebuild)
        try:
            for _ in range(steps):
                world.step()
            if end == "close early":
                world.closed = True
                world.do("close")
                for _ in range(steps):
                    world.step()
            elif end == "stop":
                world.stopped = True
                world.do("stop")
                assert not world.machine.requests
            world.settle()
            if end == "close":
                assert all(not shard.open for shard in world.machine.shards)
                world.closed = True
                world.do("close")
                world.settle()
            assert world.machine.is_over
            assert all(story.end for story in world.stories.values())
            assert not any(process.is_alive for process in world.processes.values())
        except BaseException:
            note("\n".join(world.log[-60:]))
            raise
