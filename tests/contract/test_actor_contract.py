"""The contract of actors: what their calls, streams and gatherings mean, with real processes.

A method that is to wait does so at a `Door`, and looks at `current_request` meanwhile; what methods do is written into
a `Diary`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import copy
import gc
import itertools
import os
import pickle
import threading
import time
import weakref
from concurrent.futures import CancelledError

import numpy as np
import pytest

import manyhands as mh
from manyhands.actor import wire
from manyhands.actor.shard import Shard
from manyhands.errors import (
    ActorLostError,
    DeadlineError,
    PicklingError,
    PoolClosedError,
    RemoteTraceback,
    ResultPicklingError,
    UsageError,
    WaitTimeoutError,
)
from manyhands.memory import arena


class Diary:
    """Lines, written from wherever."""

    def __init__(self, path):
        self.path = str(path)

    def write(self, line):
        with open(self.path, "a") as file:
            file.write(f"{line}\n")

    @property
    def lines(self):
        with contextlib.suppress(FileNotFoundError), open(self.path) as file:
            return file.read().splitlines()
        return []


class Door:
    """Shut until somebody opens it."""

    def __init__(self, path):
        self.path = str(path)

    def open(self):
        with open(self.path, "w"):
            pass

    @property
    def is_open(self):
        return os.path.exists(self.path)

    def wait(self, look=lambda: None):
        while not self.is_open:
            look()
            time.sleep(0.001)


class Odd(Exception):
    """Says more than its arguments."""

    def __init__(self, number, *, colour=""):
        super().__init__(number)
        self.colour = colour


class RaisesWhenUnpickled:
    def __reduce__(self):
        return int, ("not a number",)


def filled(k):
    """An array of that number, in shared memory."""
    array = mh.empty(100_000, "i8")
    array[:] = k
    return array


class Room:
    """What lives in the processes of these tests."""

    def __init__(self, piece="a piece", *more, **named):
        self.piece, self.more, self.named = piece, more, named
        self.held = None

    def look(self):
        return self.piece, self.more, self.named

    def echo(self, *args, **kwargs):
        return (args, kwargs) if kwargs or len(args) != 1 else args[0]

    def where(self):
        return os.getpid()

    def add(self, n):
        self.held = (self.held or 0) + n
        return self.held

    def note(self, diary, line):
        diary.write(line)

    def fail(self, error):
        raise error

    def fail_if(self, piece, error):
        if self.piece == piece:
            raise error
        return self.piece

    def lock(self):
        return threading.Lock()

    def garbled(self):
        return RaisesWhenUnpickled()

    def wait_at(self, door, diary):
        diary.write(f"begun {self.piece}")
        try:
            door.wait(mh.current_request().check)
        finally:
            diary.write(f"ended {self.piece}")
        return self.piece

    def gather(self, n, most, diary):
        asked, gathered = mh.current_request(), []
        asked.work_ahead()
        try:
            for k in range(n):
                diary.write(k)
                gathered.append(k)
                if asked.room or len(gathered) == most:
                    yield gathered
                    gathered = []
                else:
                    yield mh.PAUSE
            yield gathered
        finally:
            diary.write("closed")

    def shared(self, n, diary):
        mh.current_request().work_ahead()
        for k in range(n):
            diary.write(k)
            yield filled(k)

    def keep_filled(self, k):
        self.held = filled(k)

    def wait_if(self, piece, door):
        if self.piece == piece:
            door.wait(mh.current_request().check)
        return self.piece

    def count(self, n, diary=None):
        try:
            for i in range(n):
                if diary is not None:
                    diary.write(i)
                yield i
        finally:
            if diary is not None:
                diary.write("closed")

    def kept(self, n, diary):
        self.held = self.count(n, diary)
        return self.held

    def spin(self, seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            pass

    def pieces(self, n):
        for i in range(n):
            yield self.piece, i

    def pause_at(self, door, diary):
        diary.write("begun")
        try:
            while not door.is_open:
                yield mh.PAUSE
            yield "through"
        finally:
            diary.write("closed")

    def fail_after(self, n, error):
        yield from range(n)
        raise error

    def garbled_after(self, n, diary):
        try:
            yield from range(n)
            while True:
                yield RaisesWhenUnpickled()
        finally:
            diary.write("closed")

    def unsendable_after(self, n):
        yield from range(n)
        yield threading.Lock()

    def listed(self, n):
        return list(range(n))

    def given(self):
        gc.collect()
        return arena.statistics()["given_bytes"]

    def zeros(self, n):
        return np.zeros(n)

    def many_zeros(self, count, n):
        for _ in range(count):
            yield np.zeros(n)

    def total(self, array):
        array[0] += 1  # its own: nobody else's changes
        return float(array.sum())

    def request(self):
        request = mh.current_request()
        return request.id, request.is_wanted, request.left_s, request.cancelled

    async def later(self):
        return 1


class Never:
    def __init__(self, *_):
        raise Odd(7, colour="red")


class NeverThird:
    def __init__(self, piece):
        if piece == 2:
            raise ValueError("two is too many")
        self.piece = piece


class SlowBirth(Room):
    """Is not there before its door is open; the door is its piece."""

    def __init__(self, door):
        door.wait()
        super().__init__("slow")


class Idler:
    """Counts how often it was idle, up to `most`; then raises, if that is wanted."""

    def __init__(self, most, error=None):
        self.most, self.error, self.times = most, error, 0

    def on_idle(self):
        if self.times == self.most and self.error is not None:
            raise self.error
        self.times += self.times < self.most
        return self.times < self.most or self.error is not None

    def asked(self):
        return self.times


class LongIdler:
    """Never has enough of being idle."""

    times = 0

    def on_idle(self):
        self.times += 1
        return True

    def asked(self):
        return self.times


class BadIdler:
    @property
    def on_idle(self):
        raise KeyError("no idleness here")


@pytest.fixture
def door(tmp_path):
    numbers = itertools.count()
    made = []

    def make():
        made.append(Door(tmp_path / f"door {next(numbers)}"))
        return made[-1]

    yield make
    for each in made:
        each.open()


@pytest.fixture
def diary(tmp_path):
    return Diary(tmp_path / "diary")


@pytest.fixture
def room():
    with mh.Actor(Room) as made:
        yield made


@pytest.fixture
def rooms():
    with mh.ActorGroup(Room, ["a", "b", "c"]) as made:
        yield made


# ---- one actor ----


def test_an_actor_is_one_object_in_another_process(room):
    assert room.where().get() == room.pid != os.getpid()
    assert [room.add(n).get() for n in (1, 2, 3)] == [1, 3, 6]


def test_it_is_made_of_its_class_and_arguments():
    with mh.Actor(Room, 1, 2, colour="red") as room:
        assert room.look().get() == (1, (2,), {"colour": "red"})


def test_it_may_be_made_of_a_local_class_a_lambda_or_a_function():
    class Local:
        def __init__(self, n):
            self.n = n

        def double(self):
            return 2 * self.n

    with mh.Actor(Local, 4) as local, mh.Actor(lambda: {"a": 1}) as made:
        assert local.double().get() == 8
        assert made.call("get", "a").get() == 1


@pytest.mark.parametrize("value", [
    None, True, 1, -1.5, 1 << 80, "text", b"bytes", (1, ("a", b"b")), [1, [2]], {"a": [1]}, {1, 2}, "x" * 5000,
    b"y" * 300_000, 1j, range(3),
], ids=lambda value: f"{type(value).__name__}")  # fmt: skip
def test_values_come_back_as_they_were(room, value):
    got = room.echo(value).get()
    assert got == value
    assert type(got) is type(value)


def test_arguments_by_place_and_by_name_arrive(room):
    assert room.echo(1, 2, a=3).get() == ((1, 2), {"a": 3})
    assert room.echo().get() == ((), {})


def test_a_method_may_be_asked_by_its_name_as_text(room):
    assert room.call("echo", 5).get() == 5
    assert room.call("__len__ is no method of it").exception() is not None
    with mh.Actor(list, "abc") as letters:
        assert letters.call("__len__").get() == 3


def test_what_is_returned_is_a_result(room):
    result = room.echo(3)
    assert isinstance(result, mh.Result)
    assert isinstance(result, concurrent.futures.Future)
    result.wait()
    assert (result.ready(), result.successful(), result.done(), result.result()) == (True, True, True, 3)
    assert result.exception() is None


def test_the_standard_librarys_wait_and_as_completed_understand_results(room):
    results = [room.echo(n) for n in range(50)]
    assert sorted(r.result() for r in concurrent.futures.as_completed(results)) == list(range(50))
    results = [room.echo(n) for n in range(50)]
    assert concurrent.futures.wait(results).not_done == set()


def test_an_error_keeps_its_type_and_brings_the_traceback_and_the_name_of_the_call(room):
    with pytest.raises(Odd) as caught:
        room.fail(Odd(7, colour="red")).get()
    error = caught.value
    assert (error.args, error.colour) == ((7,), "red")
    assert isinstance(error.__cause__, RemoteTraceback)
    assert "in fail" in str(error.__cause__)
    assert "fail(" in error.__notes__[0]
    assert room.echo(1).get() == 1


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, MemoryError, IndexError])
def test_whatever_a_method_raises_is_its_requests_error_and_the_object_goes_on(room, kind):
    pid = room.pid
    assert isinstance(room.fail(kind("mine")).exception(), kind)
    assert (room.pid, room.echo(1).get()) == (pid, 1)


def test_arguments_that_cannot_be_pickled_raise_at_the_call(room):
    with pytest.raises(PicklingError, match="lock"):
        room.echo(threading.Lock())
    with pytest.raises(PicklingError, match="lock"):
        room.stream("count", threading.Lock())
    assert room.echo(1).get() == 1


def test_a_result_that_cannot_be_pickled_is_its_requests_error(room):
    with pytest.raises(ResultPicklingError, match="lock"):
        room.lock().get()
    assert room.echo(1).get() == 1


def test_a_result_that_cannot_be_unpickled_is_its_requests_error(room):
    with pytest.raises(ValueError, match="not a number") as caught:
        room.garbled().get()
    assert "unpickled" in caught.value.__notes__[0]
    assert room.echo(1).get() == 1


def test_arguments_that_cannot_be_unpickled_are_their_requests_error(room):
    with pytest.raises(ValueError, match="not a number"):
        room.echo(RaisesWhenUnpickled()).get()
    assert room.echo(1).get() == 1


def test_a_method_that_is_not_there_raises_at_the_call_where_the_class_can_tell(room):
    with pytest.raises(AttributeError, match="Room has no method 'nothing'"):
        room.nothing()
    with pytest.raises(AttributeError, match="nothing"):
        room.call("nothing").get()


def test_a_generator_method_cannot_be_called_for_a_value(room):
    with pytest.raises(TypeError, match="stream\\('count'"):
        room.call("count", 3).get()


def test_an_async_method_is_refused_as_a_value(room):
    with pytest.raises(ResultPicklingError, match="coroutine"):
        room.later().get()


def test_callbacks_may_ask_the_actor_again_and_wait(room):
    done = threading.Event()
    found = []

    def again(future):
        found.append(room.echo(future.result() + 1).get())
        done.set()

    room.echo(1).add_done_callback(again)
    assert done.wait(50)
    assert found == [2]


def test_a_callback_may_terminate_the_actor():
    done = threading.Event()
    room = mh.Actor(Room)

    def end(_):
        room.terminate()
        done.set()

    room.echo(1).add_done_callback(end)
    assert done.wait(50)
    with pytest.raises(PoolClosedError):
        room.echo(1)


# ---- many at once ----


def test_each_of_many_threads_gets_its_own_answers(rooms, background):
    def ask(thread):
        for n in range(100):
            assert rooms[n % 3].echo((thread, n)).get() == (thread, n)
            if n % 10 == 0:
                assert rooms.ask("echo", (thread, n)).all() == [(thread, n)] * 3
                assert list(rooms[n % 3].count(5)) == list(range(5))
        return thread

    assert [wait() for wait in [background(ask, thread) for thread in range(8)]] == list(range(8))


def test_many_requests_are_in_flight_at_once_and_are_answered_in_order(room):
    results = [room.echo(n) for n in range(3000)]
    assert [result.get() for result in results] == list(range(3000))


def test_who_looks_in_passing_takes_no_answer_from_those_who_wait(rooms, background):
    over = threading.Event()

    def look():
        while not over.is_set():
            rooms.status()
            rooms[0].echo(1).ready()

    looking = [background(look), background(look)]
    try:
        for n in range(500):
            assert rooms[n % 3].echo(n).get() == n
    finally:
        over.set()
        for wait in looking:
            wait()


def test_a_forgotten_question_is_carried_out_like_a_forgotten_call(rooms, diary, until):
    rooms.ask("note", diary, "asked")
    rooms[0].note(diary, "called")
    until(lambda: sorted(diary.lines) == ["asked"] * 3 + ["called"])


def test_nothing_is_kept_of_a_request_that_was_answered(room):
    class Thing:
        pass

    things = [Thing() for _ in range(5)]
    ghosts = [weakref.ref(thing) for thing in things]
    room.echo([1]).get()
    calls = [room.call("echo", 1, deadline_s=1000) for _ in things]
    for call, thing in zip(calls, things, strict=True):
        call.thing = thing
        call.get()
    del calls, call, things, thing
    gc.collect()
    assert [ghost() for ghost in ghosts] == [None] * 5


# ---- streams ----


def test_a_generator_method_streams_in_order(room):
    assert list(room.count(1000)) == list(range(1000))
    assert list(room.count(0)) == []


@pytest.mark.parametrize("window", [1, 2, 3, 16, 1000])
def test_any_window_gives_every_item(room, window):
    assert list(room.stream("count", 50, window=window)) == list(range(50))


def test_any_iterable_may_be_streamed(room):
    assert list(room.stream("listed", 40)) == list(range(40))
    with pytest.raises(TypeError, match="not iterable"):
        list(room.stream("where"))


@pytest.mark.parametrize("window", [1, 4])
def test_the_actor_runs_no_further_ahead_than_the_window(room, diary, window):
    stream = room.stream("count", 1000, diary, window=window)
    for n in range(20):
        assert next(stream) == n
        room.echo(1).get()  # all turns that it could have are over then, or the next one has begun
        assert len(diary.lines) <= n + 1 + window
    stream.close()


@pytest.mark.parametrize("window", [1, 3])
def test_a_stream_that_works_ahead_rests_when_it_has_an_item_more(room, diary, until, window):
    stream = room.stream("gather", 100, 5, diary, window=window)
    until(lambda: len(diary.lines) == window + 5)
    room.echo(1).get()  # if it had another turn, that is over
    assert len(diary.lines) == window + 5
    items = list(stream)
    assert items[: window + 1] == [*([n] for n in range(window)), list(range(window, window + 5))]
    assert [n for item in items for n in item] == list(range(100))


def test_what_a_stream_works_ahead_in_shared_memory_arrives(room, diary, until):
    with room.stream("shared", 5, diary, window=1) as stream:
        until(lambda: len(diary.lines) == 2)
        room.keep_filled(99).get()  # the second item has no room, and must keep its memory
        assert [int(array.max()) for array in stream] == list(range(5))


def test_a_stream_that_has_worked_ahead_may_be_closed(room, diary, until):
    stream = room.stream("gather", 100, 5, diary, window=1)
    until(lambda: len(diary.lines) == 6)
    stream.close()
    until(lambda: diary.lines[-1:] == ["closed"])
    assert room.echo(1).get() == 1


def test_closing_a_stream_ends_its_generator(room, diary, until):
    with room.count(10_000_000, diary) as stream:
        assert next(stream) == 0
    until(lambda: diary.lines[-1:] == ["closed"])
    assert list(stream) == []
    stream.close()


def test_closing_a_stream_closes_a_generator_that_the_object_keeps(room, diary, until):
    stream = room.stream("kept", 10_000_000, diary)
    assert next(stream) == 0
    stream.close()
    until(lambda: diary.lines[-1:] == ["closed"])


def test_a_forgotten_stream_ends_its_generator(room, diary, until):
    stream = room.count(10_000_000, diary)
    assert next(stream) == 0
    del stream
    until(lambda: diary.lines[-1:] == ["closed"])


def test_closing_a_stream_ends_the_wait_of_whoever_reads_it(room, door, diary, background, until):
    stream = room.pause_at(door(), diary)
    rest = background(list, stream)
    until(lambda: diary.lines == ["begun"])
    stream.close()
    assert rest() == []


@pytest.mark.parametrize("kind", [ValueError, IndexError, StopAsyncIteration, LookupError])
def test_an_error_comes_after_the_items_before_it(room, kind):
    stream = room.fail_after(5, kind("mine"))
    assert [next(stream) for _ in range(5)] == list(range(5))
    expected = RuntimeError if kind is StopAsyncIteration else kind
    with pytest.raises(expected):
        next(stream)
    assert list(stream) == []


def test_a_method_that_raises_stop_iteration_does_not_pass_for_the_end(rooms):
    with pytest.raises(RuntimeError, match="fail\\(\\) raised StopIteration") as caught:
        list(rooms.ask("fail", StopIteration(1)))
    assert isinstance(caught.value.__cause__, StopIteration)


def test_an_item_that_cannot_be_sent_or_rebuilt_ends_its_stream_and_the_generator(room, diary, until):
    stream = room.unsendable_after(2)
    assert [next(stream), next(stream)] == [0, 1]
    with pytest.raises(ResultPicklingError):
        next(stream)
    stream = room.garbled_after(2, diary)
    assert [next(stream), next(stream)] == [0, 1]
    with pytest.raises(ValueError, match="not a number"):
        next(stream)
    until(lambda: diary.lines == ["closed"])
    assert room.echo(1).get() == 1


def test_a_short_call_is_answered_while_long_streams_run(room, diary):
    streams = [room.stream("count", 10_000_000, window=1 << 12) for _ in range(3)]
    for n in range(20):
        assert room.echo(n).get() == n
        assert [next(stream) for stream in streams] == [n] * 3
    for stream in streams:
        stream.close()


def test_a_stream_goes_on_however_many_calls_come(room, background):
    stop = threading.Event()

    def flood():
        pending = []
        while not stop.is_set():
            pending += [room.echo(n) for n in range(200)]
            for result in pending[:-200]:
                result.get()
            del pending[:-200]

    flooding = [background(flood), background(flood)]
    try:
        assert list(room.count(200)) == list(range(200))
    finally:
        stop.set()
        for wait in flooding:
            wait()


def test_requests_that_keep_coming_do_not_keep_a_stream_from_its_turns():
    asked, replies, board = wire.ActorRing.create(), wire.ActorRing.create(), wire.Board.create()
    shard = Shard(0, asked.native, replies.native, board)
    shard._object = Room()
    body = wire.encode(("count", (10,)))
    wire.send(asked.native, wire.REQUEST, wire.ASK_HEAD.pack(1, 0, 10, body.kind, True), body)
    body = wire.encode(("spin", (0.001,)))
    for number in range(2, 52):
        wire.send(asked.native, wire.REQUEST, wire.ASK_HEAD.pack(number, 0, 0, body.kind, False), body)
    wire.send(asked.native, wire.LEAVE, b"")
    shard.run()
    kinds = [kind for kind, _ in replies.native.get_many(100, 0)]
    assert wire.ITEM in kinds[:-1]
    assert kinds.count(wire.VALUE) == 50
    for thing in (asked, replies, board):
        thing.close()


def test_the_next_item_can_be_waited_for_in_vain(room, door, diary):
    shut = door()
    with room.pause_at(shut, diary) as stream:
        with pytest.raises(WaitTimeoutError, match="may still come"):
            stream.next(0.02)
        shut.open()
        assert stream.next(30) == "through"


# ---- deadlines and cancels ----


def test_a_deadline_reaches_a_method_that_looks_at_its_request(room, door, diary, until):
    call = room.call("wait_at", door(), diary, deadline_s=0.05)
    with pytest.raises(DeadlineError, match=r"wait_at\(\) after deadline_s=0.05"):
        call.get()
    assert isinstance(call.exception(), TimeoutError)
    until(lambda: diary.lines == ["begun a piece", "ended a piece"])
    assert room.echo(1).get() == 1


def test_a_deadline_reaches_a_generator_that_pauses(room, door, diary, until):
    with pytest.raises(DeadlineError):
        list(room.stream("pause_at", door(), diary, deadline_s=0.05))
    until(lambda: diary.lines == ["begun", "closed"])


def test_a_deadline_reaches_a_stream_that_rests_for_want_of_a_reader(room, diary, until):
    stream = room.stream("count", 100, diary, window=2, deadline_s=0.05)
    until(lambda: diary.lines[-1:] == ["closed"])
    assert diary.lines == ["0", "1", "closed"]
    assert [next(stream), next(stream)] == [0, 1]
    with pytest.raises(DeadlineError):
        next(stream)


def test_a_request_whose_deadline_passes_while_it_waits_is_never_begun(room, door, diary):
    shut = door()
    first = room.wait_at(shut, diary)
    with pytest.raises(DeadlineError):
        room.call("wait_at", shut, diary, deadline_s=0.02).get()
    shut.open()
    assert first.get() == "a piece"
    assert room.echo(1).get() == 1
    assert diary.lines == ["begun a piece", "ended a piece"]


def test_a_deadline_passes_while_the_actor_is_built(door):
    shut = door()
    with mh.ActorGroup(SlowBirth, [shut], wait=False) as rooms:
        with pytest.raises(DeadlineError):
            rooms[0].call("echo", 1, deadline_s=0.02).get()
        shut.open()
        assert rooms[0].echo(2).get() == 2


def test_what_is_answered_in_time_has_no_deadline_any_more(room):
    results = [room.call("echo", n, deadline_s=30) for n in range(300)]
    assert [result.get() for result in results] == list(range(300))


def test_a_deadline_may_be_far_away(room, door, diary, until):
    shut = door()
    call = room.call("wait_at", shut, diary, deadline_s=float("inf"))
    until(lambda: diary.lines)
    room._exchange.engine.wake()
    until(lambda: room._exchange._wakes_ns)
    assert room._exchange._patience() <= 86_400
    shut.open()
    assert call.get() == "a piece"
    assert room.echo(1).get() == 1


def test_a_method_may_know_its_request(room):
    assert room.request().get()[1:] == (True, None, False)
    number, wanted, left, _ = room.call("request", deadline_s=1000).get()
    assert wanted
    assert 0 < left <= 1000
    assert room.request().get()[0] > number
    assert mh.current_request().is_wanted


def test_cancel_reaches_a_method_that_looks_at_its_request(room, door, diary, until):
    call = room.wait_at(door(), diary)
    until(lambda: diary.lines)
    assert call.running()
    assert call.cancel()
    assert call.cancelled()
    until(lambda: diary.lines == ["begun a piece", "ended a piece"])
    with pytest.raises(CancelledError):
        call.get()
    assert not call.cancel()
    assert room.echo(1).get() == 1


def test_cancel_ends_the_wait_of_another_thread(room, door, diary, background, until):
    call = room.wait_at(door(), diary)
    wait = background(call.get)
    until(lambda: room._exchange._is_led)
    call.cancel()
    with pytest.raises(CancelledError):
        wait()


def test_a_cancelled_request_that_waits_is_never_begun(room, door, diary):
    shut = door()
    first = room.wait_at(shut, diary)
    second = room.wait_at(shut, diary)
    assert second.cancel()
    shut.open()
    assert first.get() == "a piece"
    assert room.echo(1).get() == 1
    assert len(diary.lines) == 2


def test_an_answered_request_cannot_be_cancelled(room):
    call = room.echo(1)
    assert call.get() == 1
    assert not call.cancel()


# ---- groups ----


def test_ask_gathers_a_reply_of_each_shard_as_they_arrive(rooms, door):
    shut = door()
    replies = rooms.ask("wait_if", "b", shut)
    assert {next(replies), next(replies)} == {(0, "a"), (2, "c")}
    shut.open()
    last = next(replies)
    assert (last.shard, last.value) == (1, "b")
    assert list(replies) == []
    assert not replies.partial
    assert replies.missing == {}


def test_all_gives_the_values_in_the_order_of_shards(rooms):
    assert rooms.ask("echo", 1).all() == [1, 1, 1]
    assert [piece for piece, *_ in rooms.ask("look").all()] == ["a", "b", "c"]
    assert rooms.ask("pieces", 2).all() == [(piece, n) for piece in "abc" for n in range(2)]


def test_all_waits_no_longer_than_it_is_told_in_total_and_may_be_asked_again(rooms, door):
    shut = door()
    replies = rooms.ask("wait_if", "b", shut)
    with pytest.raises(WaitTimeoutError):
        replies.all(0.02)
    shut.open()
    assert replies.all(30) == ["a", "b", "c"]


def test_ask_may_be_put_to_some_shards_only(rooms):
    assert sorted(rooms.ask("look", shards=[2, 0, 2]).all())[0][0] == "a"
    assert [reply.shard for reply in rooms.ask("where", shards={1})] == [1]


def test_in_order_the_first_shards_replies_come_first(rooms, door):
    shut = door()
    replies = rooms.ask("wait_if", "a", shut, in_order=True)
    with pytest.raises(WaitTimeoutError):
        replies.next(0.05)
    shut.open()
    assert [tuple(reply) for reply in replies] == [(0, "a"), (1, "b"), (2, "c")]


@pytest.mark.parametrize("window", [1, 3, 100])
def test_streams_of_all_shards_arrive_each_in_its_order(rooms, window):
    got = list(rooms.ask("pieces", 30, window=window))
    for shard, piece in enumerate("abc"):
        assert [reply.value for reply in got if reply.shard == shard] == [(piece, n) for n in range(30)]
    in_order = list(rooms.ask("pieces", 30, window=window, in_order=True))
    assert [reply.value for reply in in_order] == [(piece, n) for piece in "abc" for n in range(30)]


def test_an_error_of_a_method_is_raised_after_what_came_before_it_and_ends_the_gathering(rooms, door, diary):
    replies = rooms.ask("fail_if", "b", Odd(1, colour="red"), in_order=True)
    assert next(replies) == (0, "a")
    with pytest.raises(Odd):
        next(replies)
    assert list(replies) == []
    with pytest.raises(Odd):
        rooms.ask("fail_if", "b", Odd(1, colour="red")).all()


def test_a_shard_that_is_too_late_is_missing_and_does_not_raise(rooms, door):
    replies = rooms.ask("wait_if", "b", door(), deadline_s=0.1)
    assert {reply.value for reply in replies} == {"a", "c"}
    assert replies.partial
    assert list(replies.missing) == [1]
    assert isinstance(replies.missing[1], DeadlineError)
    assert "shard 1 of group Room" in str(replies.missing[1])


def test_all_raises_when_a_shard_is_missing(rooms, door):
    with pytest.raises(DeadlineError, match="shard 1"):
        rooms.ask("wait_if", "b", door(), deadline_s=0.05).all()


def test_closing_a_gathering_stops_every_shard(rooms, diary, until):
    replies = rooms.ask("count", 10_000_000, diary, window=1)
    until(lambda: diary.lines.count("0") == 3)
    replies.close()
    replies.close()
    until(lambda: diary.lines.count("closed") == 3)
    assert list(replies) == []


def test_a_group_has_handles_of_its_shards_which_keep_it(rooms):
    assert len(rooms) == 3
    assert [handle.look().get()[0] for handle in rooms] == ["a", "b", "c"]
    assert rooms[-1].look().get()[0] == "c"
    with pytest.raises(IndexError):
        rooms[3]
    handle = mh.ActorGroup(Room, ["x"])[0]
    gc.collect()
    assert handle.look().get()[0] == "x"
    handle._group.terminate()


def test_pieces_may_be_any_iterable_and_arguments_follow_them():
    with mh.ActorGroup(Room, (n for n in range(2)), args=[8], kwargs={"colour": "red"}) as rooms:
        assert rooms.ask("look").all() == [(0, (8,), {"colour": "red"}), (1, (8,), {"colour": "red"})]


def test_status_says_how_each_shard_is(rooms):
    status = rooms.status()
    assert [s.shard for s in status] == [0, 1, 2]
    assert {s.state for s in status} == {"ready"}
    assert [s.pid for s in status] == rooms.ask("where").all() == [handle.pid for handle in rooms]
    assert {(s.builds, s.open_requests, s.error) for s in status} == {(1, 0, None)}
    assert "ready" in repr(rooms)
    assert "shard 1 of group Room" in repr(rooms[1])


def test_without_waiting_questions_wait_for_the_shards(door):
    shut = door()
    with mh.ActorGroup(SlowBirth, [shut], wait=False) as rooms:
        result = rooms.ask("echo", 1)
        assert rooms.status()[0].state == "starting"
        assert not rooms.wait_ready(0.01)
        shut.open()
        assert rooms.wait_ready()
        assert result.all() == [1]


@pytest.mark.parametrize("method", ["template", "fork", "spawn"])
def test_every_start_method_will_do(method):
    for context in (method, mh.get_context(method)):
        with mh.ActorGroup(Room, [1, 2], context=context) as rooms:
            assert [piece for piece, *_ in rooms.ask("look").all()] == [1, 2]


# ---- constructors that raise ----


def test_what_the_constructor_raises_is_raised_and_nothing_is_left():
    with pytest.raises(Odd) as caught:
        mh.Actor(Never)
    assert caught.value.colour == "red"
    assert "in __init__" in str(caught.value.__cause__)
    assert caught.value.__notes__[-1] == "[raised while actor Never was built]"


def test_a_groups_error_names_the_shard_and_nothing_is_left():
    with pytest.raises(ValueError, match="two is too many") as caught:
        mh.ActorGroup(NeverThird, range(4))
    assert "shard 2 of group NeverThird" in caught.value.__notes__[-1]


def test_without_waiting_the_questions_to_a_shard_that_cannot_be_built_fail_by_name():
    with mh.ActorGroup(NeverThird, range(4), wait=False) as group:
        for _ in range(2):
            with pytest.raises(ValueError, match="two is too many") as caught:
                group.wait_ready()
        assert len(caught.value.__notes__) == 1
        replies = group.ask("__repr__")
        assert {reply.shard for reply in replies} == {0, 1, 3}
        error = replies.missing[2]
        assert isinstance(error, ActorLostError)
        assert (error.shard, error.reason) == (2, "failed")
        assert "shard 2 of group NeverThird" in str(error)
        assert "two is too many" in str(error)
        assert isinstance(error.__cause__, ValueError)
        assert group.status()[2].state == "failed"
        assert isinstance(group.status()[2].error, ValueError)


@pytest.mark.parametrize("wait", [True, False])
def test_a_piece_that_cannot_be_sent_raises_at_the_call_and_nothing_is_left(wait):
    with pytest.raises(PicklingError, match="lock"):
        mh.ActorGroup(Room, [1, threading.Lock()], wait=wait)


def test_an_object_whose_on_idle_cannot_be_had_cannot_be_built():
    with pytest.raises(KeyError, match="no idleness"):
        mh.Actor(BadIdler)


# ---- asyncio ----


def test_calls_streams_and_gatherings_can_be_awaited(rooms):
    async def main():
        assert await rooms[0].echo(1) == 1
        assert [item async for item in rooms[1].count(100)] == list(range(100))
        assert sorted([reply.value async for reply in rooms.ask("fail_if", 0, None)]) == ["a", "b", "c"]
        assert await rooms.ask("fail_if", 0, None) == ["a", "b", "c"]
        with pytest.raises(Odd):
            await rooms[0].fail(Odd(1, colour="red"))
        stream = rooms[0].fail_after(1, IndexError("mine"))
        assert await anext(stream) == 0
        with pytest.raises(IndexError):
            await anext(stream)

    asyncio.run(main())


def test_hundreds_of_tasks_at_once_each_get_their_own(rooms):
    async def one(n):
        assert await rooms[n % 3].echo(n) == n
        assert await rooms.ask("echo", n) == [n] * 3
        assert [item async for item in rooms[n % 3].count(n % 7)] == list(range(n % 7))

    async def main():
        await asyncio.gather(*(one(n) for n in range(300)))

    asyncio.run(main())


def test_cancelling_a_task_stops_what_it_waits_for(rooms, door, diary, until):
    shut = door()

    async def read(stream):
        return [item async for item in stream]

    async def main():
        tasks = [asyncio.ensure_future(read(rooms.ask("pause_at", shut, diary)))]
        tasks.append(asyncio.ensure_future(_wait(rooms[0].wait_at(shut, diary))))
        while len(diary.lines) < 4:
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    until(lambda: len(diary.lines) == 8)
    assert rooms.ask("echo", 1).all() == [1, 1, 1]


async def _wait(call):
    return await call


def test_breaking_out_of_an_asynchronous_loop_stops_the_shard(room, diary, until):
    async def main():
        async for item in room.count(10_000_000, diary):
            if item == 3:
                break

    asyncio.run(main())
    until(lambda: diary.lines[-1:] == ["closed"])


def test_closing_a_stream_from_one_task_ends_the_wait_of_another(room, door, diary):
    async def main():
        stream = room.pause_at(door(), diary)

        async def read():
            return [item async for item in stream]

        task = asyncio.ensure_future(read())
        while not diary.lines:
            await asyncio.sleep(0)
        stream.close()
        assert await task == []

    asyncio.run(main())


# ---- being idle ----


def test_on_idle_runs_as_long_as_it_says_that_there_is_more():
    with mh.Actor(Idler, 50) as idler:
        _until_asked_gives(idler, 50)


def _until_asked_gives(idler, number):
    while idler.asked().get() < number:
        pass
    assert idler.asked().get() == number


def test_on_idle_yields_to_requests_and_goes_on_after_them():
    with mh.Actor(LongIdler) as idler:
        seen = [idler.asked().get() for _ in range(20)]
        assert seen == sorted(seen)
        while idler.asked().get() <= seen[-1]:
            pass


@pytest.mark.parametrize("kind", [ValueError, SystemExit])
def test_an_error_of_on_idle_is_printed_and_hurts_nobody(capfd, kind):
    with mh.Actor(Idler, 3, kind("idle hands")) as idler:
        _until_asked_gives(idler, 3)
        pid = idler.pid
        assert idler.asked().get() == 3
        assert idler.pid == pid
    assert "idle hands" in capfd.readouterr().err


# ---- large arrays ----


def test_large_arrays_travel_both_ways_and_their_memory_comes_back(room, statistics, until):
    ones = np.ones(500_000)
    here, there = statistics()["given_bytes"], room.given().get()
    assert room.total(ones).get() == 500_001
    assert ones.sum() == 500_000
    zeros = room.zeros(500_000).get()
    assert room.given().get() > there
    zeros[0] = 1
    assert zeros.sum() == 1
    del zeros
    until(lambda: room.given().get() == there)
    until(lambda: statistics()["given_bytes"] == here)


def test_an_array_in_shared_memory_that_waits_to_be_sent_is_kept(door):
    shut = door()
    with mh.ActorGroup(SlowBirth, [shut], wait=False) as rooms:
        ones = mh.empty(200_000)
        ones[:] = 1
        result = rooms.ask("total", ones)
        del ones
        gc.collect()
        others = [mh.empty(200_000) for _ in range(4)]  # would take its place
        for other in others:
            other[:] = 7
        shut.open()
        assert result.all() == [200_001]


def test_items_that_nobody_takes_let_go_of_their_memory(room, until):
    there = room.given().get()
    stream = room.many_zeros(1000, 200_000)
    next(stream)
    until(lambda: room.given().get() > there)
    stream.close()
    until(lambda: room.given().get() == there)


# ---- the end ----


def test_close_answers_what_was_asked_and_takes_no_more(door, diary):
    shut = door()
    rooms = mh.ActorGroup(Room, ["a", "b"])
    slow = rooms[0].wait_at(shut, diary)
    after = [rooms[0].echo(n) for n in range(10)]
    rooms.close()
    with pytest.raises(PoolClosedError, match="was closed or terminated; make a new one"):
        rooms.ask("echo", 1)
    assert not rooms.join(0.01)
    shut.open()
    assert slow.get() == "a"
    assert [result.get() for result in after] == list(range(10))
    assert rooms.join()
    assert rooms.join()
    assert [s.state for s in rooms.status()] == ["gone", "gone"]


def test_join_before_close_is_refused(rooms):
    with pytest.raises(ValueError, match="still open"):
        rooms.join()


def test_terminate_fails_what_is_open_and_whoever_waits_hears_it(door, diary, background, until):
    shut = door()
    rooms = mh.ActorGroup(Room, ["a", "b"])
    stream = rooms[1].count(1000)
    next(stream)
    waits = [background(rooms[0].wait_at(shut, diary).get), background(rooms.ask("wait_at", shut, diary).all)]
    until(lambda: len(diary.lines) == 2)
    rooms.terminate()
    for wait in waits:
        with pytest.raises(PoolClosedError):
            wait()
    with pytest.raises(PoolClosedError):
        list(stream)
    rooms.terminate()
    rooms.close()
    with pytest.raises(PoolClosedError):
        rooms[0].echo(1)
    with pytest.raises(PoolClosedError):
        rooms[0].count(1)


def test_terminating_ends_a_shard_that_is_being_built(door):
    rooms = mh.ActorGroup(SlowBirth, [door()], wait=False)
    result = rooms[0].echo(1)
    rooms.terminate()
    with pytest.raises(PoolClosedError):
        result.get()
    with pytest.raises(PoolClosedError):
        rooms.wait_ready()


def test_close_waits_for_those_whose_shard_is_still_being_built(door):
    shut = door()
    rooms = mh.ActorGroup(SlowBirth, [shut], wait=False)
    result = rooms[0].echo(1)
    rooms.close()
    shut.open()
    assert result.get() == 1
    assert rooms.join()


def test_an_actor_that_is_forgotten_says_so_and_ends(until):
    before = set(threading.enumerate())
    held = [mh.Actor(Room)]
    pid = held[0].pid
    with pytest.warns(ResourceWarning, match=r"Actor was forgotten"):
        held.clear()
    until(lambda: not os.path.exists(f"/proc/{pid}"))
    until(lambda: set(threading.enumerate()) <= before)


def test_whoever_waits_for_a_forgotten_actor_is_told(door, diary, until):
    before = set(threading.enumerate())
    shut = door()
    with pytest.warns(ResourceWarning, match="forgotten"):
        result = mh.Actor(Room).wait_at(shut, diary)
    with pytest.raises(PoolClosedError):
        result.get()
    until(lambda: set(threading.enumerate()) <= before)


def test_an_open_actor_does_not_keep_the_interpreter(script):
    out = script("""
        import os, time
        import manyhands as mh

        class Slow:
            def pid(self):
                return os.getpid()

            def sleep(self):
                time.sleep(1000)

            def count(self):
                while True:
                    yield 1

        actor = mh.Actor(Slow)
        print(actor.pid, actor.call("pid").get())
        stream = actor.count()
        next(stream)
        never = actor.sleep()
    """)
    one, other = out.split()
    assert one == other
    assert not os.path.exists(f"/proc/{one}")


def test_an_actor_belongs_to_its_process(room, rooms, door, diary, forked, ended, until):
    def use():
        for refused in (lambda: room.echo(1), lambda: rooms.ask("echo", 1), pending.get, replies.next):
            with pytest.raises(PoolClosedError, match="forked copy"):
                refused()
        assert not pending.cancel()
        stream.close()
        room.close()
        room.terminate()
        rooms.__exit__()
        os._exit(42)

    shut = door()
    stream = room.stream("count", 40, window=4)
    assert next(stream) == 0
    pending, replies = room.wait_at(shut, diary), rooms.ask("wait_if", "b", shut, shards=[1])
    until(lambda: diary.lines)
    assert ended(forked(use)) == 42
    shut.open()
    assert pending.get() == "a piece"
    assert list(replies) == [(1, "b")]
    assert list(stream) == list(range(1, 40))
    assert rooms.ask("echo", 1).all() == [1, 1, 1]


def test_handles_streams_and_groups_are_not_sent_anywhere(room, rooms):
    for thing in (room, rooms, rooms[1], room.echo(1), room.count(1), rooms.ask("echo", 1)):
        with pytest.raises(TypeError, match="belongs to the process"):
            pickle.dumps(thing)
    with pytest.raises(TypeError, match="belongs to the process"):
        copy.copy(room)
    with pytest.raises(PicklingError, match="belongs to the process"):
        room.echo(rooms)


# ---- bad input ----


def test_bad_arguments_are_refused_at_the_call_by_name(room, rooms):
    for make, words in [
        (lambda: mh.Actor(7), "made of a class"),
        (lambda: mh.ActorGroup(7, [1]), "made of a class"),
        (lambda: mh.ActorGroup(Room, []), "pieces is empty"),
        (lambda: mh.ActorGroup(Room, 7), "pieces must be an iterable"),
        (lambda: mh.ActorGroup(Room, [1], args=7), "args must be an iterable"),
        (lambda: mh.ActorGroup(Room, [1], kwargs=[7]), "kwargs must be a mapping"),
        (lambda: mh.ActorGroup(Room, [1], context="thread"), "no start method 'thread'"),
        (lambda: room.call(7), "name must be a str"),
        (lambda: room.call("echo", deadline_s=0), "deadline_s must be"),
        (lambda: room.call("echo", deadline_s="1"), "deadline_s must be"),
        (lambda: room.stream("count", 1, window=0), "window is 0"),
        (lambda: room.stream("count", 1, window=1.5), "window must be a whole number"),
        (lambda: room.stream("count", 1, window=1 << 40), "window must be"),
        (lambda: room.stream("count", 1, window=None), "window must be"),
        (lambda: rooms.ask(7), "name must be a str"),
        (lambda: rooms.ask("pieces", 1, window=0), "window is 0"),
        (lambda: rooms.ask("echo", 1, shards=[3]), "shards must name some of the shards 0 to 2"),
        (lambda: rooms.ask("echo", 1, shards=[-1]), "shards must name"),
        (lambda: rooms.ask("echo", 1, shards=[]), "shards must name"),
        (lambda: rooms.ask("echo", 1, shards=["a"]), "a shard must be a whole number"),
        (lambda: rooms.ask("echo", 1, shards=1), "shards must be an iterable"),
    ]:
        with pytest.raises(UsageError, match=words):
            make()
    with pytest.raises(UsageError, match="timeout must be"):
        room.count(1).next("soon")
    assert rooms.ask("echo", 1).all() == [1, 1, 1]
