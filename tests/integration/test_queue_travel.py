"""Queues and pipes on their way to other processes."""

from __future__ import annotations

import functools
import multiprocessing
import operator

import numpy as np
import pytest

import manyhands as mh
from manyhands import descriptors
from manyhands.errors import DescriptorLostError

METHODS = ["template", "fork", "spawn"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["Queue", "SimpleQueue", "JoinableQueue"])
def test_queues_are_arguments_of_processes(method, kind):
    context = mh.get_context(method)
    there, back = getattr(context, kind)(), getattr(context, kind)()

    child = context.Process(
        target=lambda there, back: back.put(there.get() + 1), args=(there,), kwargs={"back": back}
    )
    child.start()
    there.put(np.arange(100_000))
    assert back.get()[-1] == 100_000
    child.join()
    child.close()
    there.close()
    back.close()


@pytest.mark.parametrize("method", METHODS)
def test_pipes_are_arguments_of_processes_and_end_with_them(method):
    context = mh.get_context(method)
    here, there = context.Pipe()
    child = context.Process(target=lambda conn: conn.send(conn.recv() + 1), args=(there,))
    child.start()
    there.close()
    here.send(41)
    assert here.recv() == 42
    child.join()
    with pytest.raises(EOFError):
        here.recv()
    child.close()
    here.close()


@pytest.mark.parametrize("method", METHODS)
def test_a_large_item_outlives_the_first_child_that_puts_it(script, method):
    out = script(f"""
        import manyhands as mh
        def child(q): q.put(bytes(1_000_000))
        q = mh.Queue()
        process = mh.get_context({method!r}).Process(target=child, args=(q,))
        process.start()
        process.join()
        print(len(q.get(timeout=10)))
    """)
    assert out == "1000000\n"


def test_a_large_item_outlives_a_bare_fork_that_puts_it(script):
    out = script("""
        import os
        import manyhands as mh
        q = mh.Queue()
        pid = os.fork()
        if pid == 0:
            q.put(bytes(1_000_000))
            os._exit(0)
        os.waitpid(pid, 0)
        print(len(q.get(timeout=10)))
    """)
    assert out == "1000000\n"


def test_processes_of_multiprocessing_take_our_queues():
    q = mh.Queue()
    child = multiprocessing.get_context("fork").Process(target=q.put, args=([1, 2],))
    child.start()
    assert q.get() == [1, 2]
    child.join()
    child.close()
    q.close()


def test_a_queue_in_a_queue_reaches_another_process(forked, ended):
    carrier = mh.Queue()
    pid = forked(lambda: carrier.get().put("hello"))
    inner = mh.Queue()
    carrier.put({"inner": inner}["inner"])
    assert inner.get() == "hello"
    assert ended(pid) == 0


def test_a_pipe_in_a_queue_reaches_another_process(forked, ended):
    carrier = mh.Queue()

    def child():
        conn = carrier.get()
        conn.send(conn.recv() + 1)

    pid = forked(child)
    here, there = mh.Pipe()
    carrier.put(there)
    here.send(1)
    assert here.recv() == 2
    assert ended(pid) == 0
    here.close()
    there.close()


@pytest.mark.parametrize("drop", ["del", "close"])
def test_a_queue_that_the_sender_let_go_of_arrives(drop):
    carrier, inner = mh.Queue(), mh.Queue()
    inner.put(1)
    carrier.put(inner)
    if drop == "close":
        inner.close()
    del inner
    got = carrier.get()
    assert got.get() == 1
    got.close()
    carrier.close()


@pytest.mark.parametrize("drop", ["del", "close"])
def test_a_connection_that_the_sender_let_go_of_arrives(drop):
    carrier = mh.Queue()
    here, there = mh.Pipe()
    carrier.put(there)
    if drop == "close":
        there.close()
    del there
    got = carrier.get()
    got.send(1)
    assert here.recv() == 1
    got.close()
    here.close()


def test_a_queue_whose_sender_has_died_is_lost_and_the_next_item_works(forked, ended):
    carrier = mh.Queue()
    pid = forked(lambda: (carrier.put(mh.Queue()), carrier.put(mh.Pipe()[0]), carrier.put("fine")))
    assert ended(pid) == 0
    for _ in range(2):
        with pytest.raises(DescriptorLostError, match=rf"process {pid}.*keep the sender alive"):
            carrier.get()
    assert carrier.get() == "fine"


def test_a_connection_that_half_arrives_leaves_no_descriptor_open():
    import gc
    import os
    import pickle

    carrier = mh.Queue()
    here, there = mh.Pipe()
    data = pickle.dumps(there)
    null = os.open("/dev/null", os.O_WRONLY)
    inode = os.fstat(there._sending.fd).st_ino
    (bell,) = [fd for key, fd in descriptors._kept.duplicates.items() if key[2:] == (inode, os.O_WRONLY)]
    os.dup2(null, bell)
    os.close(null)
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(DescriptorLostError):
            pickle.loads(data)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before
    for one in (here, there, carrier):
        one.close()


def test_what_was_put_before_the_fork_is_got_once(forked, ended):
    q, back = mh.Queue(), mh.Queue()
    q.put_many(range(1000))
    pids = [forked(lambda: back.put([q.get() for _ in range(250)])) for _ in range(4)]
    got = sorted(functools.reduce(operator.iadd, (back.get() for _ in pids), []))
    assert got == list(range(1000))
    assert [ended(pid) for pid in pids] == [0] * 4


def test_a_queue_closed_in_the_child_stays_open_in_the_parent(forked, ended):
    q = mh.Queue()
    q.put(np.ones(100_000))
    assert ended(forked(q.close)) == 0
    assert q.get().sum() == 100_000


# ---- a message without its bell ----


def test_a_sender_killed_between_message_and_bell_does_not_delay_the_messages_of_others(forked, ended):
    import os
    import signal

    receiver, sender = mh.Pipe(duplex=False)

    def die_before_the_bell():
        sender._ring_bell = lambda way: os.kill(os.getpid(), signal.SIGKILL)
        sender.send("from the dead")

    assert ended(forked(die_before_the_bell)) == -signal.SIGKILL
    sender.send("from the living")
    assert receiver.recv() == "from the dead"
    assert receiver.poll(1)
    assert receiver.recv() == "from the living"
    receiver.close()
    sender.close()


def test_a_receiver_killed_between_bell_and_message_leaves_the_message_to_others(forked, ended):
    import os
    import signal

    receiver, sender = mh.Pipe(duplex=False)
    sender.send("a message")

    def die_after_the_bell():
        os.read(receiver._receiving.fd, 1)
        os.kill(os.getpid(), signal.SIGKILL)

    assert ended(forked(die_after_the_bell)) == -signal.SIGKILL
    assert receiver.poll(1)
    receiver.close()
    sender.close()
