"""The desk of the service: who gets a place, and who gives it away."""

from __future__ import annotations

import asyncio
import functools

import pytest

pytest.importorskip("orjson")

from manyhands.search.service.desk import Desk, Seat
from manyhands.search.service.problem import Problem
from manyhands.search.service.settings import Limits

#: How long a test may take.
PATIENCE_S = 30


class Client:
    """What the desk asks of a reply. `behind_s`: for how long the client has taken nothing."""

    is_trusted = False

    def __init__(self, behind_s: float = 0.0) -> None:
        self.behind_s = behind_s

    def is_behind(self, seconds: float) -> bool:
        return self.behind_s > seconds


class Command(Client):
    is_trusted = True


def sit(desk: Desk, client: Client | None = None, *, is_long: bool = False) -> asyncio.Task[Seat]:
    """A query that asks for a place."""

    async def enter() -> Seat:
        return await desk.seat(None, client or Client(), is_long=is_long).__aenter__()

    return asyncio.create_task(enter())


async def rise(seated: asyncio.Task[Seat]) -> None:
    await seated.result().__aexit__(None, None, None)


async def settled() -> None:
    """All have done what they can do without time passing."""
    for _ in range(10):
        await asyncio.sleep(0)


def in_loop(scenario):
    """A test that runs in a loop of its own."""

    @functools.wraps(scenario)
    def test():
        asyncio.run(asyncio.wait_for(scenario(), PATIENCE_S))

    return test


@in_loop
async def test_at_most_so_many_run_and_whoever_leaves_gives_the_place_to_the_next():
    desk = Desk(Limits(running=2))
    first, second, third, fourth = (sit(desk) for _ in range(4))
    await settled()
    assert [one.done() for one in (first, second, third, fourth)] == [True, True, False, False]
    assert (desk.running, desk.waiting) == (2, 2)
    await rise(second)
    await settled()
    assert third.done()
    assert not fourth.done()
    fourth.cancel()
    await settled()
    assert (desk.running, desk.waiting) == (2, 0)


@in_loop
async def test_short_answers_do_not_wait_for_the_long_ones_that_wait():
    desk = Desk(Limits(running=8))
    long = [sit(desk, is_long=True) for _ in range(50)]
    await settled()
    assert [one.done() for one in long] == [True, True, *[False] * 48]
    short = [sit(desk) for _ in range(7)]
    await settled()
    assert [one.done() for one in short] == [*[True] * 6, False]
    await rise(long[0])
    await settled()
    assert short[6].done()
    assert not long[2].done()
    await rise(short[0])
    await settled()
    assert long[2].done()
    assert not long[3].done()
    for one in long:
        one.cancel()


@in_loop
async def test_a_long_one_that_is_cancelled_between_its_places_keeps_none():
    desk = Desk(Limits(running=4))
    short = [sit(desk) for _ in range(4)]
    await settled()
    long = sit(desk, is_long=True)
    await settled()
    assert desk.waiting == 1
    long.cancel()
    await settled()
    await rise(short[0])
    again = sit(desk, is_long=True)
    await settled()
    assert again.done()


@in_loop
async def test_one_place_is_enough_for_all():
    desk = Desk(Limits(running=1))
    long, short = sit(desk, is_long=True), sit(desk)
    await settled()
    assert long.done()
    assert not short.done()
    await rise(long)
    assert await short


@in_loop
async def test_the_commands_queries_have_places_of_their_own():
    desk = Desk(Limits(running=1))
    other, command, waiting = sit(desk), sit(desk, Command(), is_long=True), sit(desk, Command())
    await settled()
    assert other.done()
    assert command.done()
    assert not waiting.done()
    await rise(command)
    assert await waiting


@in_loop
async def test_a_query_whose_client_takes_nothing_stands_aside_and_the_second_time_at_once():
    desk, client = Desk(Limits(running=1)), Client(behind_s=0.01)
    slow = sit(desk, client, is_long=True)
    await settled()
    first = sit(desk)
    await settled()
    assert not first.done()  # a hundredth of a second is not long
    client.behind_s = 10
    assert await first
    client.behind_s = 0
    back = asyncio.create_task(slow.result().come_back())
    await settled()
    assert not back.done()
    await rise(first)
    await back
    client.behind_s = 0.01
    while desk._looking is not None:  # nobody waits, so it looks no more
        await asyncio.sleep(0.01)
    second = sit(desk)
    await settled()
    assert second.done()


@in_loop
async def test_of_too_many_that_stand_aside_the_first_are_ended():
    desk, ended = Desk(Limits(running=1, aside=1)), []

    async def query(number):
        async with desk.seat(None, Client(behind_s=10), is_long=True) as seat:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ended.append((number, seat.is_evicted))
                raise

    queries = [asyncio.create_task(query(number)) for number in range(3)]
    await asyncio.wait(queries[:1])
    assert ended == [(0, True)]
    for one in queries:
        one.cancel()


@in_loop
async def test_more_than_may_wait_are_refused():
    desk = Desk(Limits(running=1, waiting=1))
    running, waiting = sit(desk), sit(desk, is_long=True)
    await settled()
    with pytest.raises(Problem) as refused:
        await sit(desk)
    assert refused.value.status == 503
    assert running.done()
    assert not waiting.done()
    waiting.cancel()
