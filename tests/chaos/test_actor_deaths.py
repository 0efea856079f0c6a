"""Actors in trouble: killed idle, busy, streaming, starting and being rebuilt; their parent killed or interrupted.

Whatever dies: the others answer, each request ends with its own value or an error that names the shard, nothing hangs.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import os
import pickle
import random
import signal
import threading
import time

import numpy as np
import pytest

import manyhands as mh
from manyhands.actor.local import LocalHands
from manyhands.actor.protocol import Died, Item, Ready, Request
from manyhands.errors import ActorLostError, PoolBrokenError, PoolClosedError


def sigkill():
    os.kill(os.getpid(), signal.SIGKILL)


DEATHS = {
    "SIGKILL": (sigkill, -9),
    "segfault": (lambda: ctypes.string_at(0), -11),
    "os._exit": (lambda: os._exit(7), 7),
}


def note(path, line):
    with open(path, "a") as file:
        file.write(f"{line}\n")


def lines(path):
    with contextlib.suppress(FileNotFoundError), open(path) as file:
        return file.read().splitlines()
    return []


class DiesWhenPickled:
    def __reduce__(self):
        os._exit(9)


class Shard:
    def __init__(self, piece=None):
        self.piece = piece

    def echo(self, x):
        return x

    def where(self):
        return os.getpid()

    def die(self, death, log=os.devnull):
        note(log, "asked")
        DEATHS[death][0]()

    def die_once(self, log, value):
        """Dies with the first that asks."""
        note(log, "asked")
        if len(lines(log)) == 1:
            sigkill()
        return value

    def die_answering(self):
        return DiesWhenPickled()

    def hang(self, log, door=None):
        note(log, "asked")
        while door is None or not os.path.exists(door):
            time.sleep(0.002)
        return self.piece

    def count(self, n, die_at=None, log=os.devnull):
        note(log, "asked")
        for i in range(n):
            if i == die_at:
                sigkill()
            yield i

    def die_once_in_stream(self, log, die_at):
        note(log, "asked")
        for i in range(5):
            if i == die_at and len(lines(log)) == 1:
                sigkill()
            yield i

    def total(self, array):
        return float(array.sum())


def light():
    """A class that is sent by value: its processes import nothing, and are there soon."""

    class Light:
        def __init__(self, piece):
            self.piece = piece

        def echo(self, x):
            return x

        def count(self, n):
            yield from range(n)

    return Light


class DiesStarting:
    """Dies in its constructor as often as its piece says; the piece is (log, times)."""

    def __init__(self, piece):
        log, times = piece
        note(log, "born")
        if len(lines(log)) <= times:
            sigkill()
        self.log = log

    def births(self):
        return len(lines(self.log))

    def die(self):
        sigkill()


class RaisesAfterDeath:
    def __init__(self, log):
        note(log, "born")
        if len(lines(log)) > 1:
            raise ValueError("not a second time")

    def echo(self, x):
        return x


class Rebuilt:
    """Its second birth waits for a door; the piece is (log, door)."""

    def __init__(self, piece):
        log, door = piece
        note(log, "born")
        while len(lines(log)) > 1 and not os.path.exists(door):
            time.sleep(0.002)

    def echo(self, x):
        return x


class Piece:
    """Says how often it was pickled."""

    def __init__(self):
        self.times = 0

    def __getstate__(self):
        self.times += 1
        return self.__dict__


class HasPiece:
    def __init__(self, piece):
        self.times = piece.times

    def seen(self):
        return self.times


@pytest.fixture
def log(tmp_path):
    return str(tmp_path / "log")


@pytest.fixture
def group():
    with mh.ActorGroup(Shard, ["a", "b"]) as made:
        yield made


def kill(pid, number=signal.SIGKILL):
    os.kill(pid, number)


# ---- one death ----


def test_a_shard_that_is_killed_idle_is_rebuilt_from_its_piece(group, until):
    old = group[0].pid
    kill(old)
    until(lambda: group.status()[0].builds == 2 and group.status()[0].state == "ready")
    assert group[0].where().get() != old
    assert group.ask("echo", 1).all() == [1, 1]


def test_whoever_asks_right_after_a_death_is_answered(group):
    for _ in range(10):
        kill(group[0].where().get())
        assert group[0].echo(1).get() == 1
        assert group.ask("echo", 2).all() == [2, 2]


def test_a_busy_shard_that_is_killed_is_asked_again_and_answers(group, log):
    assert group[0].die_once(log, 5).get() == 5
    assert lines(log) == ["asked", "asked"]


@pytest.mark.parametrize("death", DEATHS)
def test_a_request_that_always_kills_is_asked_twice_and_the_actor_lives(group, log, death):
    with pytest.raises(ActorLostError) as caught:
        group[1].die(death, log).get()
    assert lines(log) == ["asked", "asked"]
    error = caught.value
    assert (error.shard, error.reason, error.attempts, error.exitcode) == (1, "died", 2, DEATHS[death][1])
    assert "shard 1 of group Shard" in str(error)
    assert "die()" in str(error)
    assert "asked 2 times" in str(error)
    assert pickle.loads(pickle.dumps(error)).__dict__ == error.__dict__
    assert group[1].echo(1).get() == 1


def test_a_shard_that_dies_while_it_pickles_an_answer_is_lost_alike(group):
    with pytest.raises(ActorLostError, match="die_answering"):
        group[0].die_answering().get()
    assert group[0].echo(1).get() == 1


def test_an_impatient_request_fails_with_the_first_death(group, log):
    with pytest.raises(ActorLostError) as caught:
        group[0].call("die", "SIGKILL", log, patient=False).get()
    assert lines(log) == ["asked"]
    assert caught.value.reason == "died"


def test_what_waits_behind_a_poison_is_answered(group):
    poison = group[0].die("SIGKILL")
    results = [group[0].echo(n) for n in range(1000)]
    answered = 0
    for n, result in enumerate(results):
        with contextlib.suppress(ActorLostError):
            assert result.get() == n
            answered += 1
    assert answered >= 744  # those that were sent along died with it twice
    assert isinstance(poison.exception(), ActorLostError)


def test_a_stream_whose_shard_dies_before_the_first_item_is_asked_again(group, log):
    assert list(group[0].die_once_in_stream(log, 0)) == list(range(5))
    assert lines(log) == ["asked", "asked"]


def test_a_stream_whose_shard_dies_later_gives_what_had_come_and_then_the_loss(group, log):
    stream = group[0].count(100, 3, log)
    assert [next(stream) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ActorLostError, match="3 items of the answer had come") as caught:
        next(stream)
    assert caught.value.attempts == 1
    assert list(stream) == []
    assert lines(log) == ["asked"]
    assert list(group[0].count(3)) == [0, 1, 2]


def test_a_death_is_told_after_everything_that_the_shard_had_sent(until):
    hands = LocalHands("test", [(Shard, (), {})], 1)
    try:
        hands.start(0)
        until(lambda: hands.pending)
        assert hands.events() == [Ready(0)]
        hands.send(Request(7, 0, "count", hands.encode("count", (100, 3), {}), None, stream=True, window=50))
        while not hands._dead:
            hands.watch(None)
        *items, died = hands.events()
        assert items == [Item(7, 0), Item(7, 1), Item(7, 2)]
        assert isinstance(died, Died)
    finally:
        hands.close()


def test_a_gathering_goes_on_without_the_shard_that_died(group, log):
    replies = group.ask("die_once_in_stream", log, 3, shards=[0])
    got = [reply.value for reply in replies]
    assert got == [0, 1, 2]
    assert replies.partial
    assert replies.missing[0].shard == 0
    replies = group.ask("count", 50, window=2)
    first = next(replies)
    kill(group[0].pid)
    rest = [first, *replies]
    assert [reply.value for reply in rest if reply.shard == 1] == list(range(50))
    assert list(replies.missing) in ([], [0])
    if not replies.missing:  # it was killed before anything had come of it
        assert [reply.value for reply in rest if reply.shard == 0] == list(range(50))


def test_while_a_shard_is_rebuilt_the_others_answer_and_the_reply_says_that_it_is_partial(
    log, tmp_path, until
):
    door = str(tmp_path / "door")
    with mh.ActorGroup(Rebuilt, [(log, door), (str(tmp_path / "other"), door)]) as group:
        kill(group[0].pid)
        until(lambda: group.status()[0].state == "starting")
        replies = group.ask("echo", 1, patient=False)
        assert list(replies) == [(1, 1)]
        assert replies.partial
        assert replies.missing[0].reason == "down"
        assert "is being rebuilt" in str(replies.missing[0])
        patient = group.ask("echo", 2)
        assert next(patient) == (1, 2)
        waits = group[0].echo(3)
        given_up = group[0].echo(4)
        assert given_up.cancel()
        with pytest.raises(TimeoutError):
            group[0].call("echo", 5, deadline_s=0.02).get()
        open(door, "w").close()
        assert next(patient) == (0, 2)
        assert waits.get() == 3
        assert not patient.partial


def test_closing_while_a_shard_is_rebuilt_answers_those_that_wait_for_it(log, tmp_path, until):
    door = str(tmp_path / "door")
    group = mh.ActorGroup(Rebuilt, [(log, door)])
    kill(group[0].pid)
    until(lambda: group.status()[0].state == "starting")
    waits = group[0].echo(3)
    group.close()
    open(door, "w").close()
    assert waits.get() == 3
    assert group.join()


def test_terminating_while_a_shard_is_rebuilt_leaves_nothing(log, tmp_path, until):
    group = mh.ActorGroup(Rebuilt, [(log, str(tmp_path / "door"))])
    kill(group[0].pid)
    until(lambda: len(lines(log)) == 2)
    waits = group[0].echo(3)
    group.terminate()
    with pytest.raises(PoolClosedError):
        waits.get()


def test_a_closed_shard_that_is_killed_with_an_impatient_request_is_not_rebuilt(log, until):
    group = mh.ActorGroup(Shard, ["a"])
    result = group[0].call("hang", log, patient=False)
    until(lambda: lines(log))
    pid = group[0].pid
    group.close()
    kill(pid)
    assert isinstance(result.exception(), ActorLostError)
    assert group.join()
    assert group.status()[0].builds == 1


def test_deaths_while_starting_are_tried_again_and_too_many_give_up(log, tmp_path):
    with mh.ActorGroup(DiesStarting, [(log, 2)]) as group:
        assert group[0].births().get() == 3
    with pytest.raises(ActorLostError, match=r"was killed by SIGKILL before it was ready, again and again"):
        mh.ActorGroup(DiesStarting, [(str(tmp_path / "never"), 99)])
    assert lines(tmp_path / "never") == ["born"] * 3


def test_a_shard_that_cannot_be_built_again_fails_by_name_and_the_others_go_on(log, tmp_path, until):
    with mh.ActorGroup(RaisesAfterDeath, [log, str(tmp_path / "other")]) as group:
        kill(group[0].pid)
        until(lambda: group.status()[0].state == "failed")
        replies = group.ask("echo", 1)
        assert list(replies) == [(1, 1)]
        assert replies.missing[0].reason == "failed"
        assert "not a second time" in str(replies.missing[0])
        with pytest.raises(ValueError, match="not a second time"):
            group.wait_ready()
        with pytest.raises(ActorLostError):
            group.ask("echo", 1).all()


def test_without_rebuild_the_dead_shard_stays_dead_and_says_so(until):
    with mh.ActorGroup(Shard, ["a", "b"], rebuild=False) as group:
        error = group[0].die("SIGKILL").exception()
        assert isinstance(error, ActorLostError)
        assert "is not rebuilt" in str(error)
        until(lambda: group.status()[0].state == "failed")
        replies = group.ask("echo", 1)
        assert list(replies) == [(1, 1)]
        assert replies.missing[0].reason == "failed"
        assert "rebuild=False" in str(replies.missing[0])


def test_a_piece_that_has_changed_is_built_as_it_is_now(until):
    with mh.ActorGroup(HasPiece, [Piece()]) as group:
        before = group[0].seen().get()
        kill(group[0].pid)
        until(lambda: group.status()[0].builds == 2)
        assert group[0].seen().get() > before


def test_a_stopped_shard_can_be_killed_and_terminated(group, log, until):
    stop_at_rest(group[0].pid, until)
    waits = group[0].echo(1)
    assert group[1].echo(2).get() == 2
    kill(group[0].pid)
    assert waits.get() == 1
    stop_at_rest(group[1].pid, until)
    group[1].echo(1)
    group.terminate()


def stop_at_rest(pid, until):
    """Not in the middle of a reply: there it would hold the ring that the others answer by, until it is killed."""
    until(lambda: _state(pid) == "S")
    kill(pid, signal.SIGSTOP)


def test_large_arguments_are_sent_again_and_their_memory_comes_back(group, log, statistics, until):
    ones = mh.empty(300_000)
    ones[:] = 1
    before = statistics()["given_bytes"]
    for array in (np.ones(300_000), ones):
        busy = group[0].die_once(log, 1)
        result = group[0].total(array)
        assert busy.get() == 1
        assert result.get() == 300_000
        os.remove(log)
    for _ in range(5):
        result = group[0].call("total", np.ones(300_000))
        kill(group[0].where().get())
        assert result.get() == 300_000
    del array, result
    gc.collect()
    until(lambda: statistics()["given_bytes"] <= before)


def test_asyncio_tasks_hear_of_deaths(group, log):
    async def main():
        with pytest.raises(ActorLostError):
            await group[0].die("SIGKILL")
        assert await group[0].die_once(log, 3) == 3
        stream = group[0].count(100, 3)
        assert [await anext(stream) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ActorLostError):
            await anext(stream)

    asyncio.run(main())


# ---- under load ----


KILLS = 400


@pytest.mark.slow
def test_random_kills_under_load_hurt_only_requests_that_were_killed_twice(background):
    over = threading.Event()
    lost, reasons = set(), {"died", "down"}

    def ask(seed, group):
        rng, n = random.Random(seed), 0
        while not over.is_set():
            n += 1
            try:
                ask_once(rng, group, seed, n)
            except ActorLostError as error:
                lost.add(error.reason)
        return n

    def ask_once(rng, group, seed, n):
        kind = rng.randrange(4)
        if kind == 0:
            assert list(group[n % 2].count(20)) == list(range(20))
        elif kind == 1:
            replies = group.ask("echo", (seed, n), patient=rng.random() < 0.8)
            got = list(replies)
            assert all(reply.value == (seed, n) for reply in got)
            assert sorted([*(reply.shard for reply in got), *replies.missing]) == [0, 1]
            assert {error.reason for error in replies.missing.values()} <= reasons
        else:
            results = [group[n % 2].echo((seed, n, i)) for i in range(kind * 5)]
            for i, result in enumerate(results):
                with contextlib.suppress(ActorLostError):
                    assert result.get() == (seed, n, i)

    def reap(group):
        rng, kills = random.Random(1), 0
        try:
            while kills < KILLS:
                shard = group._exchange.machine.shards[rng.randrange(2)]
                pid = group[shard.number].pid
                if (
                    pid is not None and shard.starts < 2
                ):  # three deaths on end while it starts would be its last
                    with contextlib.suppress(ProcessLookupError):
                        kill(pid)
                        kills += 1
                time.sleep(rng.random() * 0.02)  # no order hangs on it
        finally:
            over.set()

    with mh.ActorGroup(light(), ["a", "b"]) as group:
        reaping = background(reap, group)
        asking = [background(ask, seed, group) for seed in range(4)]
        reaping()
        assert min(wait() for wait in asking) > 10
        assert group.ask("echo", 1).all() == [1, 1]
        assert sum(status.builds for status in group.status()) > 10
        assert group._exchange.machine.requests == {}
    assert lost <= reasons


# ---- the parent ----


def test_when_the_parent_is_killed_its_shards_are_gone(tmp_path, until):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.setitimer(signal.ITIMER_REAL, 0)
        group = mh.ActorGroup(Shard, ["a", "b"])
        group[0].hang(str(tmp_path / "log"))
        stream = group[1].count(1000)
        next(stream)
        until(lambda: lines(tmp_path / "log"))
        os.write(write, " ".join(str(handle.pid) for handle in group).encode())
        os.kill(os.getpid(), signal.SIGKILL)
    os.close(write)
    pids = os.read(read, 1000).decode().split()
    os.close(read)
    assert len(pids) == 2
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    until(lambda: {_state(number) for number in pids} <= {"Z", "gone"})


def _state(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "gone"


def test_ctrl_c_in_the_parent_ends_its_wait_and_nothing_else(group, log, until):
    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        call = group[0].hang(log, log + ".door")
        threading.Thread(
            target=_interrupt_when, args=(lambda: lines(log) and group._exchange._is_led,)
        ).start()
        with pytest.raises(KeyboardInterrupt):
            call.get()
        assert group[1].echo(1).get() == 1
        open(log + ".door", "w").close()
        assert call.get() == "a"
    finally:
        signal.signal(signal.SIGINT, old)


def _interrupt_when(condition):
    while not condition():
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.slow
@pytest.mark.interrupted
def test_ctrl_c_at_any_moment_leaves_nothing_hanging():
    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    rng = random.Random(3)
    try:
        for _ in range(60):
            _interrupt_one(rng)
    finally:
        signal.signal(signal.SIGINT, old)


def _interrupt_one(rng):
    """Ask until the interrupt comes; whatever was asked has ended afterwards, and it can be terminated."""
    asked = []
    timer = threading.Timer(rng.random() * 0.05, os.kill, (os.getpid(), signal.SIGINT))
    group = mh.ActorGroup(light(), ["a", "b"])
    try:
        with contextlib.suppress(KeyboardInterrupt):
            timer.start()
            while True:
                asked.append(group[0].echo(1))
                group.ask("echo", 2).all()
                list(group[1].count(10))
                asked[-1].get()
                del asked[:-5]
        for result in asked:
            assert isinstance(result.exception(), PoolBrokenError | None)
    finally:
        timer.join()
        group.terminate()


def test_ctrl_c_from_the_terminal_reaches_the_parent_only(script):
    out = script("""
        import os, signal, time
        import manyhands as mh

        class Echo:
            def echo(self, x):
                return x

        os.setpgid(0, 0)
        with mh.ActorGroup(lambda piece: Echo(), [1, 2]) as group:
            pids = [handle.pid for handle in group]
            try:
                os.killpg(0, signal.SIGINT)
                time.sleep(100)
            except KeyboardInterrupt:
                print("interrupted")
            print(group.ask("echo", 1).all(), [handle.pid for handle in group] == pids)
    """)
    assert out.split("\n")[:2] == ["interrupted", "[1, 1] True"]
