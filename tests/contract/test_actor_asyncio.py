"""Actors asked from asyncio: the loop hears of answers itself, and whoever else waits is heard of, too."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading

import pytest

import manyhands as mh


class Counter:
    """Streams numbers, and tells one."""

    def __init__(self, start):
        self.start = start

    def numbers(self, count):
        yield from range(self.start, self.start + count)

    def one(self):
        return self.start

    def pid(self):
        return os.getpid()


@pytest.fixture
def counters():
    with mh.ActorGroup(Counter, [0, 1000]) as group:
        yield group


async def read(group, count=5):
    return sorted([reply.value async for reply in group.ask("numbers", count)])


WANTED = [*range(5), *range(1000, 1005)]


def test_a_loop_reads_many_streams_at_once(counters):
    async def main():
        return await asyncio.gather(*(read(counters) for _ in range(50)))

    assert asyncio.run(main()) == [WANTED] * 50


def test_one_loop_after_the_other_is_heard(counters):
    for _ in range(3):
        assert asyncio.run(read(counters)) == WANTED
    assert sorted(reply.value for reply in counters.ask("numbers", 5)) == WANTED


def test_loops_in_several_threads_are_heard_at_once(counters):
    found = []

    async def main():
        found.extend([await read(counters) for _ in range(20)])

    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [WANTED] * 60


def test_a_busy_loop_does_not_keep_other_threads_waiting(counters):
    answered, told = threading.Event(), threading.Event()

    async def main():
        stream = aiter(counters.ask("numbers", 1000, window=2))
        await anext(stream)  # from now on the loop is the one that hears
        reader = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        told.set()
        assert answered.wait(30)  # and now it hears nothing, because it is busy here
        await reader

    def ask():
        assert told.wait(30)
        call = counters[0].call("one")
        call.add_done_callback(lambda _: answered.set())  # nobody leads for it

    thread = threading.Thread(target=ask)
    thread.start()
    asyncio.run(main())
    thread.join()


def test_calls_and_streams_of_one_loop_go_together(counters):
    async def main():
        streams = [asyncio.ensure_future(read(counters, 200)) for _ in range(5)]
        calls = [await counters[1].call("one") for _ in range(50)]
        return calls, await asyncio.gather(*streams)

    calls, streams = asyncio.run(main())
    assert calls == [1000] * 50
    assert streams == [[*range(200), *range(1000, 1200)]] * 5


def test_a_death_is_heard_of_while_the_loop_listens(counters):
    async def main():
        stream = counters.ask("numbers", 10**9, window=4, patient=False)
        await anext(stream)
        os.kill(counters[0].pid, signal.SIGKILL)
        async for reply in stream:
            if 0 in stream.missing:
                assert reply.shard == 1
                break
        stream.close()
        return await read(counters)

    assert asyncio.run(main()) == WANTED


class Sleeper:
    """Never answers."""

    def __init__(self, piece):
        self.piece = piece

    def sleep(self):
        threading.Event().wait()
        yield self.piece


def test_a_deadline_is_heard_of_while_the_loop_listens():
    async def main(group):
        stream = group.ask("sleep", deadline_s=0.1)
        assert [reply async for reply in stream] == []
        return [type(error) for error in stream.missing.values()]

    with mh.ActorGroup(Sleeper, [0]) as group:
        assert asyncio.run(main(group)) == [mh.errors.DeadlineError]
        group.terminate()


def test_a_group_is_closed_while_a_loop_listens():
    async def main():
        group = mh.ActorGroup(Counter, [0])
        reader = asyncio.ensure_future(read(group, 10**9))
        while not group.status()[0].open_requests:
            await asyncio.sleep(0)
        group.terminate()
        with pytest.raises(mh.errors.ManyhandsError):
            await reader

    asyncio.run(main())


def test_a_group_outlives_a_loop_that_was_closed_in_the_middle(counters):
    loop = asyncio.new_event_loop()
    reader = loop.create_task(read(counters, 10**6))
    for _ in range(5):
        loop.call_soon(loop.stop)
        loop.run_forever()
    reader.cancel()
    loop.run_until_complete(asyncio.gather(reader, return_exceptions=True))
    loop.close()
    assert counters[1].call("one").get(timeout=30) == 1000
    assert asyncio.run(read(counters)) == WANTED


def test_a_loop_closed_with_a_task_that_still_waits_is_forgotten(counters):
    loop = asyncio.new_event_loop()
    reader = loop.create_task(read(counters, 10**6))
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    reader._log_destroy_pending = False
    assert counters[1].call("one").get(timeout=30) == 1000
    assert asyncio.run(read(counters)) == WANTED
    del reader
    gc.collect()
    assert sorted(reply.value for reply in counters.ask("numbers", 5)) == WANTED


def test_a_loop_hears_after_a_blocking_reader_has_led_and_left(counters):
    def read_blocking():
        return sorted(reply.value for reply in counters.ask("numbers", 5))

    async def main():
        for _ in range(20):
            assert await read(counters) == WANTED  # the bell is the loop's from here on
            assert await asyncio.to_thread(read_blocking) == WANTED  # which leaves it off
        waits = counters[0].stream("numbers", 10**6)
        await anext(waits)
        blocking = counters[1].stream("numbers", 5)
        assert next(blocking) == 1000
        return await read(counters)

    assert asyncio.run(main()) == WANTED


def test_a_forked_copy_that_awaits_is_told_and_its_parent_goes_on_hearing(counters, forked):
    asyncio.run(read(counters))
    stream = counters.ask("numbers", 10**6, window=2)

    def child():
        async def main():
            return [reply async for reply in stream]

        with pytest.raises(mh.errors.ManyhandsError, match="process"):
            asyncio.run(main())

    assert os.waitstatus_to_exitcode(os.waitpid(forked(child), 0)[1]) == 0
    stream.close()
    heard = threading.Event()
    counters[0].call("one").add_done_callback(lambda _: heard.set())
    assert heard.wait(30)


def test_a_loop_without_readers_is_told_by_the_supervisor(counters):
    class Deaf(asyncio.SelectorEventLoop):
        def add_reader(self, *_):
            raise NotImplementedError

    loop = Deaf()
    assert loop.run_until_complete(read(counters)) == WANTED
    loop.close()


def test_a_group_that_ends_before_the_loop_that_listened_leaves_no_descriptor():
    loop = asyncio.new_event_loop()
    with mh.ActorGroup(Sleeper, [0]) as group:

        async def wait():
            return [reply async for reply in group.ask("sleep")]

        reader = loop.create_task(wait())
        reader._log_destroy_pending = False
        loop.run_until_complete(asyncio.sleep(0))
        group.terminate()
    loop.close()  # the leak check of every test looks for what is left


def test_ctrl_c_in_a_turn_of_the_loop_reaches_the_program(counters):
    exchange, whole = counters._exchange, counters._exchange._ear.silence

    def interrupted():
        exchange._ear.silence = whole
        raise KeyboardInterrupt

    async def main():
        await read(counters)
        exchange._ear.silence = interrupted
        return await read(counters)

    loop = asyncio.new_event_loop()
    task = loop.create_task(main())
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(task)
    assert loop.run_until_complete(task) == WANTED
    loop.close()
