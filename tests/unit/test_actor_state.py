"""The actors' state machine and their deadlines, by scenarios: events in, commands out, no process and no clock."""

from __future__ import annotations

import pytest

from manyhands.actor.deadlines import Deadlines
from manyhands.actor.protocol import Request
from manyhands.actor.state import (
    ATTEMPTS_MOST,
    SENT_MOST,
    STARTS_MOST,
    Cancel,
    Dismiss,
    Fail,
    IllegalMove,
    Kill,
    Machine,
    Send,
    Start,
    State,
)


class Story:
    """A machine that is checked after each event, and what it says."""

    def __init__(self, shards: int = 1, rebuild: bool = True, ready: bool = True) -> None:
        self.machine = Machine(shards, rebuild)
        self.numbers = iter(range(1, 1 << 30))
        assert self.do("opened") == [Start(number) for number in range(shards)]
        if ready:
            for number in range(shards):
                assert self.do("ready", number) == []

    def do(self, event: str, *args: object) -> list:
        getattr(self.machine, event)(*args)
        self.machine.check()
        return self.machine.commands()

    def ask(self, shard: int = 0, **facts) -> tuple[Request, list]:
        request = Request(next(self.numbers), shard, "method", b"", None, **facts)
        return request, self.do("asked", request)

    def state(self, shard: int = 0) -> State:
        return self.machine.shards[shard].state


def test_a_request_to_a_ready_shard_is_sent_at_once():
    request, commands = Story().ask()
    assert commands == [Send(request)]


def test_a_request_to_a_shard_that_starts_waits_and_is_sent_when_it_is_ready():
    story = Story(ready=False)
    first, commands = story.ask()
    assert commands == []
    second, _ = story.ask()
    assert story.do("ready", 0) == [Send(first), Send(second)]


def test_a_request_that_has_ended_is_forgotten():
    story = Story()
    request, _ = story.ask()
    assert story.machine.ended(request.id) is request
    assert story.machine.ended(request.id) is None
    assert story.machine.requests == {}
    assert story.machine.shards[0].open == 0


def test_no_more_than_so_many_are_sent_and_each_end_sends_the_next():
    story = Story()
    sent = [story.ask()[0] for _ in range(SENT_MOST)]
    waits, commands = story.ask()
    assert commands == []
    story.machine.ended(sent[7].id)
    assert story.machine.commands() == [Send(waits)]


def test_who_comes_later_does_not_overtake_those_that_wait():
    story = Story()
    sent = [story.ask()[0] for _ in range(SENT_MOST)]
    first, second = story.ask()[0], story.ask()[0]
    assert story.do("withdrawn", sent[0].id) == [Cancel(sent[0]), Send(first)]
    third, commands = story.ask()
    assert commands == []
    assert story.do("withdrawn", sent[1].id) == [Cancel(sent[1]), Send(second)]
    assert story.do("withdrawn", sent[2].id) == [Cancel(sent[2]), Send(third)]


# ---- deaths ----


def test_a_request_whose_shard_dies_is_sent_again_to_the_next_incarnation():
    story = Story()
    request, _ = story.ask()
    assert story.do("died", 0) == [Start(0)]
    assert story.do("ready", 0) == [Send(request)]
    assert request.attempts == 2


def test_a_request_that_has_killed_twice_fails_and_the_shard_is_built_again():
    story = Story()
    request, _ = story.ask()
    for _ in range(ATTEMPTS_MOST - 1):
        story.do("died", 0)
        story.do("ready", 0)
    assert story.do("died", 0) == [Fail(request, "died"), Start(0)]
    assert story.do("ready", 0) == []


def test_what_is_asked_again_comes_before_what_has_never_been_asked_and_in_its_order():
    story = Story()
    sent = [story.ask()[0] for _ in range(SENT_MOST)]
    waits, _ = story.ask()
    story.do("died", 0)
    assert story.do("ready", 0) == [Send(request) for request in sent]
    story.machine.ended(sent[0].id)
    assert story.machine.commands() == [Send(waits)]


def test_a_stream_that_has_begun_to_arrive_is_not_asked_again():
    story = Story()
    request, _ = story.ask(stream=True)
    assert story.machine.delivered(request.id) is request
    assert story.do("died", 0) == [Fail(request, "died"), Start(0)]


def test_a_stream_of_which_nothing_has_come_is_asked_again():
    story = Story()
    request, _ = story.ask(stream=True)
    story.do("died", 0)
    assert story.do("ready", 0) == [Send(request)]


def test_an_impatient_request_fails_with_its_shard_whether_sent_or_waiting():
    story = Story()
    for _ in range(SENT_MOST - 1):
        story.ask()
    sent, waits = story.ask(patient=False)[0], story.ask(patient=False)[0]
    commands = story.do("died", 0)
    assert commands == [Fail(sent, "died"), Fail(waits, "down"), Start(0)]


def test_an_impatient_request_to_a_shard_that_is_rebuilt_fails_at_once():
    story = Story()
    story.do("died", 0)
    request, commands = story.ask(patient=False)
    assert commands == [Fail(request, "down")]


def test_an_impatient_request_waits_for_a_shard_that_is_built_for_the_first_time():
    story = Story(ready=False)
    request, commands = story.ask(patient=False)
    assert commands == []
    assert story.do("died", 0) == [Start(0)]  # it was never there: that is not "down"
    assert story.do("ready", 0) == [Send(request)]


def test_the_death_of_one_shard_is_no_news_for_the_others():
    story = Story(2)
    story.ask(0)
    story.do("died", 0)
    other, commands = story.ask(1)
    assert commands == [Send(other)]


def test_a_shard_that_dies_again_and_again_before_it_is_ready_is_given_up():
    story = Story(ready=False)
    request, _ = story.ask()
    for _ in range(STARTS_MOST - 1):
        assert story.do("died", 0) == [Start(0)]
    assert story.do("died", 0) == [Fail(request, "failed")]
    assert story.state() is State.FAILED
    assert story.machine.is_over


def test_being_ready_once_forgives_the_failed_starts():
    story = Story(ready=False)
    for _ in range(3):
        for _ in range(STARTS_MOST - 1):
            assert story.do("died", 0) == [Start(0)]
        story.do("ready", 0)
        assert story.do("died", 0) == [Start(0)]


def test_a_constructor_that_raises_fails_what_waits_and_what_is_asked_later():
    story = Story(ready=False)
    waits, _ = story.ask()
    assert story.do("refused", 0) == [Fail(waits, "failed")]
    later, commands = story.ask()
    assert commands == [Fail(later, "failed")]
    assert story.do("died", 0) == []


def test_without_rebuild_a_death_fails_everything_of_that_shard_for_good():
    story = Story(2, rebuild=False)
    sent, _ = story.ask(0)
    assert story.do("died", 0) == [Fail(sent, "died")]
    assert story.state(0) is State.FAILED
    later, commands = story.ask(0)
    assert commands == [Fail(later, "failed")]
    assert story.ask(1)[1] != []


def test_without_rebuild_a_shard_that_was_never_ready_is_started_again():
    story = Story(rebuild=False, ready=False)
    assert story.do("died", 0) == [Start(0)]


# ---- giving up ----


def test_withdrawing_a_sent_request_tells_the_shard_and_one_that_waits_does_not():
    story = Story()
    sent, _ = story.ask()
    assert story.do("withdrawn", sent.id) == [Cancel(sent)]
    story.do("died", 0)
    waits, _ = story.ask()
    assert story.do("withdrawn", waits.id) == []
    assert story.do("ready", 0) == []


def test_what_comes_of_a_withdrawn_request_is_nobodys():
    story = Story()
    request, _ = story.ask(stream=True)
    story.do("withdrawn", request.id)
    assert story.machine.delivered(request.id) is None
    assert story.machine.ended(request.id) is None
    assert story.machine.withdrawn(request.id) is None


def test_an_answer_from_a_shard_that_was_not_asked_is_an_illegal_move():
    story = Story(ready=False)
    request, _ = story.ask()
    with pytest.raises(IllegalMove, match="was not asked"):
        story.machine.ended(request.id)


def test_a_shard_that_is_ready_twice_is_an_illegal_move():
    with pytest.raises(IllegalMove, match="cannot become ready"):
        Story().machine.ready(0)


# ---- the end ----


def test_close_dismisses_idle_shards_at_once_and_busy_ones_when_they_have_answered():
    story = Story(2)
    request, _ = story.ask(1)
    assert story.do("close") == [Dismiss(0)]
    story.machine.ended(request.id)
    assert story.do("close") == [Dismiss(1)]
    assert story.do("died", 0) == []
    assert not story.machine.is_over
    assert story.do("died", 1) == []
    assert story.machine.is_over


def test_withdrawing_the_last_request_of_a_closed_shard_dismisses_it():
    story = Story()
    request, _ = story.ask()
    assert story.do("close") == []
    assert story.do("withdrawn", request.id) == [Cancel(request), Dismiss(0)]


def test_close_keeps_a_shard_that_is_rebuilt_for_those_that_wait_for_it():
    story = Story()
    request, _ = story.ask()
    story.do("died", 0)
    assert story.do("close") == []
    assert story.do("ready", 0) == [Send(request)]
    story.machine.ended(request.id)
    assert story.machine.commands() == [Dismiss(0)]


def test_a_closed_shard_that_dies_with_nothing_to_be_asked_again_is_not_built_again():
    story = Story()
    request, _ = story.ask(patient=False)
    story.do("close")
    assert story.do("died", 0) == [Fail(request, "died")]
    assert story.state() is State.GONE
    assert story.machine.is_over


def test_a_request_to_a_shard_that_leaves_fails():
    story = Story()
    story.do("close")
    request, commands = story.ask()
    assert commands == [Fail(request, "stopped")]
    story.do("died", 0)
    request, commands = story.ask()
    assert commands == [Fail(request, "stopped")]


def test_stop_fails_everything_and_kills_whoever_lives():
    story = Story(3)
    story.do("died", 1)
    story.do("died", 2)
    for _ in range(STARTS_MOST):
        story.do("died", 2)
    sent, waits = story.ask(0)[0], story.ask(1)[0]
    assert story.state(2) is State.FAILED
    commands = story.do("stop")
    assert commands == [Fail(sent, "stopped"), Fail(waits, "stopped"), Kill(0), Kill(1)]
    story.do("died", 0)
    story.do("died", 1)
    assert story.machine.is_over


def test_stop_after_close_kills_those_that_are_leaving():
    story = Story()
    story.do("close")
    assert story.do("stop") == [Kill(0)]


def test_a_shard_that_becomes_ready_while_it_is_ended_stays_ended():
    story = Story(ready=False)
    assert story.do("close") == [Dismiss(0)]
    assert story.do("ready", 0) == []
    assert story.do("refused", 0) == []
    assert story.state() is State.LEAVING
    story.do("died", 0)
    assert story.state() is State.GONE


# ---- deadlines ----


def test_deadlines_come_due_in_the_order_of_their_times():
    deadlines = Deadlines({1, 2, 3})
    for when, number in ((30, 3), (10, 1), (20, 2)):
        deadlines.add(when, number, when / 10)
    assert deadlines.first_ns == 10
    assert list(deadlines.due(20)) == [(1, 1.0), (2, 2.0)]
    assert list(deadlines.due(20)) == []
    assert deadlines.first_ns == 30


def test_the_deadline_of_a_request_that_has_ended_wakes_nobody():
    is_open = {1, 2}
    deadlines = Deadlines(is_open)
    deadlines.add(10, 1, 1)
    deadlines.add(20, 2, 2)
    is_open.remove(1)
    assert deadlines.first_ns == 20
    is_open.clear()
    assert deadlines.first_ns == 0


def test_far_deadlines_of_answered_requests_do_not_pile_up():
    is_open = {0}
    deadlines = Deadlines(is_open)
    deadlines.add(1, 0, 1)  # the first one stays open, so nothing behind it is looked at
    for number in range(1, 10_000):
        is_open.add(number)
        deadlines.add(1 << 60, number, 1)
        is_open.remove(number)
    assert len(deadlines) <= 130
    is_open.update(range(20_000, 21_000))
    for number in range(20_000, 21_000):
        deadlines.add(1 << 50, number, 1)
    assert len(list(deadlines.due(1 << 61))) >= 1001
