"""The contract of channels, queues and pipes, for every implementation and against multiprocessing's own.

A new transport adds a line to `CHANNELS`; a test that takes ``oracle_queue`` runs against both libraries.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import pickle
import queue
import selectors
import signal
import threading

import pytest

import manyhands as mh
from manyhands.channel.ring import RingHandle
from manyhands.errors import ClosedResourceError
from manyhands.memory import serialize

CHANNELS = {"ring": lambda max_items=0: RingHandle.create(max_items)}
LIBRARIES = {"manyhands": mh, "multiprocessing": multiprocessing.get_context("fork")}
PLAIN = [None, True, False, 0, -1, 2**63 - 1, -(2**63), 0.5, float("inf"), b"", b"x", "", "é", "a" * 1000]


@pytest.fixture(params=CHANNELS)
def channel_of(request):
    made = []

    def make(max_items=0):
        made.append(CHANNELS[request.param](max_items))
        return made[-1].native

    yield make
    for handle in made:
        handle.close()


@pytest.fixture
def channel(channel_of):
    return channel_of()


@pytest.fixture(params=LIBRARIES)
def library(request):
    return LIBRARIES[request.param]


@pytest.fixture
def new(library):
    """Make a queue of either library; it is closed in the end."""
    made = []

    def make(kind="Queue", *args):
        made.append(getattr(library, kind)(*args))
        return made[-1]

    yield make
    for one in made:
        one.close()
        if hasattr(one, "join_thread"):
            one.join_thread()
        for end in (getattr(one, "_reader", None), getattr(one, "_writer", None)):
            if end is not None:  # multiprocessing leaves them to the garbage collector
                with contextlib.suppress(OSError):
                    end.close()


# ---- the channel ----


@pytest.mark.parametrize("item", PLAIN, ids=repr)
def test_a_plain_object_comes_out_as_it_went_in(channel, item):
    assert channel.put(item, None) is True
    got = channel.get(None)
    assert (got, type(got)) == (item, type(item))


@pytest.mark.parametrize(
    "item", [[], {}, 2**63, (1,), bytearray(), "\ud800", b"x" * (1 << 20)], ids=lambda x: f"{x!r:.20}"
)
def test_what_is_not_plain_is_refused_and_leaves_nothing(channel, item):
    assert channel.put(item, None) is False
    assert channel.unread == 0


def test_messages_come_in_order(channel):
    for i in range(100):
        channel.put(i, None)
    assert [channel.get(0) for _ in range(100)] == list(range(100))


def test_unread_counts_exactly(channel):
    for i in range(5):
        assert channel.unread == i
        channel.put(i, None)
    channel.get(0)
    assert channel.unread == 4


def test_a_full_channel_refuses_without_blocking(channel_of):
    channel = channel_of(2)
    channel.put(1, 0)
    channel.put(2, 0)
    with pytest.raises(queue.Full):
        channel.put(3, 0)
    assert channel.unread == 2


def test_max_items_says_the_limit(channel_of):
    assert [channel_of(n).max_items for n in (0, 1, 7)] == [0, 1, 7]


def test_an_empty_channel_refuses_without_blocking(channel):
    with pytest.raises(queue.Empty):
        channel.get(0)


@pytest.mark.parametrize("timeout", [0.0, 0.01, -1])
def test_a_time_out_of_get_says_empty(channel, timeout):
    with pytest.raises(queue.Empty):
        channel.get(timeout)


def test_a_time_out_of_put_says_full(channel_of):
    channel = channel_of(1)
    channel.put(1, None)
    with pytest.raises(queue.Full):
        channel.put(1, 0.01)


def test_put_plain_stops_at_the_first_that_is_not_plain(channel):
    assert channel.put_plain([1, "two", [3], 4], 0) == 2
    assert channel.put_plain([1, "two", [3], 4], 3) == 1
    assert [channel.get(0) for _ in range(3)] == [1, "two", 4]


def test_put_plain_stops_where_there_is_no_room(channel_of):
    channel = channel_of(3)
    assert channel.put_plain([1, 2, 3, 4], 0) == 3


def test_send_joins_its_parts_at_multiples_of_64(channel):
    channel.send(serialize.BYTEARRAY, (b"a" * 10, b"b"), 0, None)
    assert channel.get(0) == b"a" * 10 + bytes(54) + b"b"


def test_queue_put_and_queue_get_take_any_object_by_position_or_name(channel_of):
    channel = channel_of(2)
    channel.queue_put([1])
    channel.queue_put(obj={2}, block=True, timeout=5)
    with pytest.raises(queue.Full):
        channel.queue_put(3, False)
    assert (channel.queue_get(), channel.queue_get(True, timeout=5)) == ([1], {2})
    with pytest.raises(queue.Empty):
        channel.queue_get(block=False)
    for wrong in (
        channel.queue_put,
        lambda: channel.queue_put(1, True, 1, 2),
        lambda: channel.queue_put(1, now=2),
        lambda: channel.queue_get(True, block=1),
    ):
        with pytest.raises(TypeError):
            wrong()


def test_get_many_takes_what_is_there_up_to_most(channel):
    channel.put_plain(list(range(10)), 0)
    assert channel.get_many(4, 0) == [0, 1, 2, 3]
    assert channel.get_many(100, 0) == [4, 5, 6, 7, 8, 9]
    with pytest.raises(queue.Empty):
        channel.get_many(1, 0)


def test_wait_looks_without_taking(channel):
    assert channel.wait(0) is False
    channel.put(1, None)
    assert channel.wait(None) is True
    assert channel.unread == 1


def test_join_waits_until_all_is_done(channel):
    assert channel.join(0) is True
    channel.put(1, None)
    assert channel.join(0.01) is False
    channel.done()
    assert channel.join(None) is True
    with pytest.raises(ValueError, match="task_done"):
        channel.done()


@pytest.mark.parametrize(
    "use",
    [
        lambda c: c.put(1, 0), lambda c: c.put_plain([1], 0), lambda c: c.send(5, (b"",), 0, 0), lambda c: c.get(0), lambda c: c.queue_put([1]), lambda c: c.queue_get(),
        lambda c: c.get_many(1, 0), lambda c: c.wait(0), lambda c: c.done(),
        lambda c: c.join(0), lambda c: c.unread, lambda c: c.max_items,
    ],
)  # fmt: skip
def test_a_closed_channel_says_so(channel, use):
    channel.close()
    channel.close()
    assert channel.closed
    with pytest.raises(ClosedResourceError, match="closed in this process"):
        use(channel)


@pytest.mark.parametrize("call", ["get", "put", "join", "wait", "get_many"])
def test_closing_wakes_a_thread_that_waits_inside(channel_of, background, until, call):
    channel = channel_of(1)
    if call in ("put", "join"):
        channel.put(1, None)
    waits = {
        "get": lambda: channel.get(None), "put": lambda: channel.put(2, None), "join": lambda: channel.join(None),
        "wait": lambda: channel.wait(None), "get_many": lambda: channel.get_many(5, None),
    }  # fmt: skip
    entered = threading.Event()
    result = background(lambda: (entered.set(), waits[call]()))
    entered.wait()
    until(lambda: _asleep(threading.enumerate()[-1].native_id))
    channel.close()
    with pytest.raises(ClosedResourceError):
        result()


def _asleep(tid):
    with open(f"/proc/self/task/{tid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "S"


# ---- queues, both libraries ----


@pytest.mark.parametrize("kind", ["Queue", "JoinableQueue", "SimpleQueue"])
def test_a_queue_is_first_in_first_out(new, kind):
    q = new(kind)
    for i in range(200):
        q.put((i, [i]))
    assert [q.get() for _ in range(200)] == [(i, [i]) for i in range(200)]


@pytest.mark.parametrize("kind", ["Queue", "JoinableQueue", "SimpleQueue"])
def test_a_queue_says_whether_it_is_empty(new, kind, until):
    q = new(kind)
    assert q.empty()
    q.put(1)
    until(lambda: not q.empty())
    q.get()
    assert q.empty()


@pytest.mark.parametrize("kind", ["Queue", "JoinableQueue"])
def test_maxsize_is_exact(new, kind):
    q = new(kind, 3)
    for i in range(3):
        assert not q.full()
        q.put_nowait(i)
    assert (q.full(), q.qsize()) == (True, 3)
    for refused in (
        lambda: q.put_nowait(3),
        lambda: q.put(3, False),
        lambda: q.put(3, True, 0.01),
        lambda: q.put(3, timeout=0),
    ):
        with pytest.raises(queue.Full):
            refused()
    assert q.get() == 0
    q.put(3, timeout=5)
    assert [q.get() for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize("how", [(False,), (True, 0.01), (True, 0), (True, -1)], ids=repr)
def test_an_empty_queue_says_empty(new, how):
    with pytest.raises(queue.Empty):
        new().get(*how)


def test_get_nowait_of_an_empty_queue_says_empty(new):
    with pytest.raises(queue.Empty):
        new().get_nowait()


def test_a_queue_without_maxsize_is_never_full(new):
    q = new()
    q.put(1)
    assert not q.full()
    q.get()


def test_block_false_ignores_the_time_out(new):
    with pytest.raises(queue.Empty):
        new().get(False, 1000)


def test_task_done_and_join(new, background):
    q = new("JoinableQueue")
    q.put(1)
    q.put(2)
    joined = background(q.join)
    for _ in range(2):
        q.get()
        q.task_done()
    joined()
    with pytest.raises(ValueError, match="task_done"):
        q.task_done()


def test_the_thread_methods_exist_and_do_no_harm():
    q = mh.Queue()
    q.put(1)
    q.get()
    q.cancel_join_thread()
    q.close()
    q.join_thread()
    q.close()


@pytest.mark.parametrize("use", [lambda q: q.put(1), lambda q: q.get(), lambda q: q.get_nowait()])
def test_using_a_closed_queue_is_a_value_error(new, use):
    q = new()
    q.close()
    with pytest.raises(ValueError):
        use(q)


def test_a_getter_waits_for_a_putter_in_a_forked_child(new, forked, ended):
    q = new()
    pid = forked(lambda: (q.put("from the child"), q.close(), q.join_thread()))
    assert q.get() == "from the child"
    assert ended(pid) == 0


def test_a_queue_passes_what_a_child_sends_back(new, forked, ended):
    there, back = new(), new()
    pid = forked(lambda: (back.put(there.get() * 2), back.close(), back.join_thread()))
    there.put(21)
    assert back.get() == 42
    assert ended(pid) == 0


# ---- queues, ours alone ----


def test_put_many_and_get_many_keep_the_order():
    q = mh.Queue()
    items = [0, "a", [1], None, b"x", {"k": 2}, 2**70, 1.5] * 700
    q.put_many(iter(items))
    assert q.qsize() == len(items)
    got = []
    while not q.empty():
        got += q.get_many(999)
    assert got == items


def test_put_many_says_how_many_were_put():
    q = mh.Queue(5)
    with pytest.raises(queue.Full) as caught:
        q.put_many(range(10), timeout=0.01)
    assert caught.value.items_put == 5
    assert q.get_many() == [0, 1, 2, 3, 4]


def test_put_many_has_put_what_came_before_an_error_of_the_iterator():
    q = mh.Queue()

    def broken():
        yield 1
        yield 2
        raise LookupError

    with pytest.raises(LookupError):
        q.put_many(broken())
    assert q.qsize() == 2


def test_put_many_hands_over_before_the_iterator_has_ended():
    q = mh.Queue()

    def talks_to_the_reader():
        yield 1
        yield q.get(timeout=1) + 1

    q.put_many(talks_to_the_reader())
    assert q.get() == 2


class Explosive:
    def __reduce__(self):
        return int, ("no number",)


def test_get_many_loses_nothing_when_one_item_cannot_be_rebuilt():
    q = mh.Queue()
    q.put_many([1, 2, Explosive(), 3])
    got = []
    errors = 0
    while not q.empty():
        try:
            got += q.get_many()
        except ValueError:
            errors += 1
    assert (got, errors) == ([1, 2, 3], 1)


def test_join_says_whether_it_was_in_time():
    q = mh.JoinableQueue()
    assert q.join(0) is True
    q.put(1)
    assert q.join(0.01) is False


# ---- pipes, both libraries ----


@pytest.fixture
def pipe(library):
    ends = library.Pipe()
    yield ends
    for end in ends:
        end.close()


@pytest.mark.parametrize("item", [1, "x", b"y", [1, {2: 3}], None, 2**80], ids=repr)
def test_a_pipe_goes_both_ways(pipe, item):
    a, b = pipe
    a.send(item)
    b.send([item])
    assert (b.recv(), a.recv()) == (item, [item])


def test_bytes_go_as_bytes(pipe):
    a, b = pipe
    for args, expected in [
        ((b"abcdef",), b"abcdef"),
        ((b"abcdef", 2), b"cdef"),
        ((b"abcdef", 2, 3), b"cde"),
        ((b"",), b""),
    ]:
        a.send_bytes(*args)
        assert b.recv_bytes() == expected


def test_wide_buffers_are_sent_as_bytes(pipe):
    import array

    a, b = pipe
    numbers = array.array("i", [1, 2, 3])
    a.send_bytes(numbers)
    assert b.recv_bytes() == numbers.tobytes()


def test_strided_buffers_are_sent_as_bytes(pipe):
    a, b = pipe
    a.send_bytes(bytes(memoryview(b"a.b.c.")[::2]))
    assert b.recv_bytes() == b"abc"


def test_a_pickle_sent_as_bytes_is_received_as_the_object(pipe):
    a, b = pipe
    a.send_bytes(pickle.dumps([1, 2]))
    assert b.recv() == [1, 2]


def test_an_object_is_received_as_bytes_of_its_pickle(pipe):
    a, b = pipe
    a.send({"k": 1})
    assert pickle.loads(b.recv_bytes()) == {"k": 1}


@pytest.mark.parametrize("args", [(b"abc", -1), (b"abc", 4), (b"abc", 0, -1), (b"abc", 1, 3)], ids=repr)
def test_send_bytes_refuses_what_is_outside_of_the_buffer(pipe, args):
    with pytest.raises(ValueError):
        pipe[0].send_bytes(*args)


def test_recv_bytes_refuses_what_is_longer_than_maxlength(pipe):
    a, b = pipe
    a.send_bytes(b"abc")
    assert b.recv_bytes(3) == b"abc"
    a.send_bytes(b"abcd")
    with pytest.raises(OSError):
        b.recv_bytes(3)
    with pytest.raises(ValueError):
        a.recv_bytes(-1)


def test_recv_bytes_into_fills_a_buffer_from_an_offset(pipe):
    a, b = pipe
    a.send_bytes(b"abc")
    room = bytearray(8)
    assert b.recv_bytes_into(room, 2) == 3
    assert room == b"\0\0abc\0\0\0"


def test_recv_bytes_into_a_wide_buffer_counts_bytes(pipe):
    import array

    a, b = pipe
    a.send_bytes(array.array("i", [7, 8]))
    room = array.array("i", [0] * 3)
    assert b.recv_bytes_into(room, 4) == 8
    assert list(room) == [0, 7, 8]


def test_a_buffer_that_is_too_short_gets_the_message_in_the_error(pipe):
    a, b = pipe
    a.send_bytes(b"abcdef")
    with pytest.raises(multiprocessing.BufferTooShort) as caught:
        b.recv_bytes_into(bytearray(3))
    assert caught.value.args == (b"abcdef",)
    with pytest.raises(ValueError):
        b.recv_bytes_into(bytearray(3), 4)
    with pytest.raises(ValueError):
        b.recv_bytes_into(bytearray(3), -1)


def test_poll_says_whether_there_is_a_message(pipe):
    a, b = pipe
    assert (b.poll(), b.poll(0.01), b.poll(0)) == (False, False, False)
    a.send(1)
    assert (b.poll(), b.poll(None), b.poll(5)) == (True, True, True)
    b.recv()
    assert b.poll() is False


def test_poll_says_true_when_the_other_end_is_gone(pipe):
    a, b = pipe
    a.close()
    assert b.poll(None) is True


def test_what_was_sent_before_the_end_closed_arrives_and_then_eof(pipe):
    a, b = pipe
    a.send(1)
    a.send_bytes(b"2")
    a.close()
    assert (b.recv(), b.recv_bytes()) == (1, b"2")
    for receive in (b.recv, b.recv_bytes, lambda: b.recv_bytes_into(bytearray(1))):
        with pytest.raises(EOFError):
            receive()


def test_sending_to_a_closed_end_is_a_broken_pipe(pipe):
    a, b = pipe
    b.close()
    for send in (lambda: a.send(1), lambda: a.send_bytes(b"1")):
        with pytest.raises(BrokenPipeError):
            send()


def test_a_one_way_pipe_goes_one_way(library):
    receiver, sender = library.Pipe(duplex=False)
    with receiver, sender:
        assert (receiver.readable, receiver.writable, sender.readable, sender.writable) == (
            True,
            False,
            False,
            True,
        )
        sender.send(1)
        assert receiver.recv() == 1
        for wrong in (
            lambda: receiver.send(1),
            sender.recv,
            sender.poll,
            lambda: receiver.send_bytes(b""),
            sender.recv_bytes,
        ):
            with pytest.raises(OSError):
                wrong()


@pytest.mark.parametrize(
    "use",
    [
        lambda c: c.send(1),
        lambda c: c.recv(),
        lambda c: c.poll(),
        lambda c: c.fileno(),
        lambda c: c.recv_bytes(),
    ],
)
def test_a_closed_connection_is_an_os_error(pipe, use):
    a, _ = pipe
    assert not a.closed
    a.close()
    a.close()
    assert a.closed
    with pytest.raises(OSError):
        use(a)


def test_the_end_of_a_with_block_closes(library):
    a, b = library.Pipe()
    with a as inside:
        assert inside is a
    assert a.closed
    b.close()


def test_the_standard_wait_takes_connections(pipe):
    a, b = pipe
    wait = multiprocessing.connection.wait
    assert wait([a, b], 0) == []
    a.send(1)
    assert wait([a, b]) == [b]
    b.recv()
    assert wait([a, b], 0.01) == []
    b.close()
    assert wait([a]) == [a]


def test_selectors_take_connections(pipe):
    a, b = pipe
    with selectors.DefaultSelector() as selector:
        selector.register(b, selectors.EVENT_READ)
        assert selector.select(0) == []
        a.send([1])
        a.send([2])
        for expected in ([1], [2]):
            assert [key.fileobj for key, _ in selector.select()] == [b]
            assert b.recv() == expected
        assert selector.select(0) == []


def test_a_connection_wakes_its_receiver_in_a_child(pipe, forked, ended):
    a, b = pipe
    pid = forked(lambda: b.send(b.recv() + 1))
    a.send(41)
    assert a.recv() == 42
    assert ended(pid) == 0


def test_a_receiver_hears_that_the_sender_was_killed(library, forked):
    receiver, sender = library.Pipe(duplex=False)
    pid = forked(lambda: (sender.send("last words"), signal.pause()))
    sender.close()
    assert receiver.recv() == "last words"
    import os

    os.kill(pid, signal.SIGKILL)
    with pytest.raises(EOFError):
        receiver.recv()
    receiver.close()


def test_a_sender_that_waits_for_room_hears_that_the_receiver_is_gone(background, until):
    receiver, sender = mh.Pipe(duplex=False)
    sent = []

    def fill():
        while True:
            sender.send(b"x" * 60_000)
            sent.append(1)

    result = background(fill)
    until(lambda: len(sent) > 2)
    receiver.close()
    with pytest.raises(BrokenPipeError):
        result()
    sender.close()
