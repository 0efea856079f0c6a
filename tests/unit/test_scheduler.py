"""The scheduler, by scenarios: what has happened on the left, what it commands on the right. Nothing is started.

Items are letters. A command reads ``send 1: ab`` (the items to worker 1), ``cut 1: ab`` (take back what it has not
begun; ``half``, or only if ``whole``), ``kill 1``, ``lost a: died``, and so on. Until a function was measured, batches
have one item, so most scenarios give a chunk size, or a pace.
"""

from __future__ import annotations

from typing import Any

import pytest

from manyhands.scheduler.commands import Cut, Dismiss, Kill, Lost, Send, Start, State
from manyhands.scheduler.pace import GROWTH, ITEMS_MOST, TARGET_NS, Pace
from manyhands.scheduler.state import DEATHS_MOST, DEPTH, STARTS_MOST, IllegalMove, Scheduler
from manyhands.scheduler.work import Batch, Calls, Lease, Options, Source

MILLISECOND = 1_000_000


class Call(str):
    """A single call; `Calls` asks whether it is wanted."""

    __slots__ = ("is_wanted",)

    def __new__(cls, name: str) -> Call:
        call = super().__new__(cls, name)
        call.is_wanted = True
        return call


def words(command: Any) -> str:
    kind = type(command)
    if kind is Send:
        return f"send {command.lease.worker}: {''.join(command.lease.batch.items)}"
    if kind is Cut:
        how = " half" * command.half + " whole" * command.whole
        return f"cut {command.lease.worker}: {''.join(command.lease.batch.items)}{how}"
    if kind is Lost:
        return f"lost {command.batch.items[command.place]}: {command.why}"
    return f"{ {Start: 'start', Dismiss: 'dismiss', Kill: 'kill'}[kind] } {command.worker}"


def pace_of(ns: float | None, last: int = ITEMS_MOST) -> Pace:
    pace = Pace()
    if ns is not None:
        pace.ns, pace.last = ns, last
    return pace


class Play:
    """Events in, commands out as words."""

    def __init__(self, hands: int = 1, max_tasks: int | None = None, ready: bool = True) -> None:
        self.scheduler = Scheduler(hands, max_tasks)
        self.scheduler.open()
        self.began = self.says()
        if ready:
            for number in range(1, hands + 1):
                assert self.ready(number) == []

    def says(self) -> list[str]:
        return list(map(words, self.scheduler.commands()))

    def lease(self, items: str) -> Lease:
        return next(x for x in self.scheduler.leases.values() if "".join(x.batch.items) == items)

    def state(self, number: int) -> State:
        return self.scheduler.workers[number].state

    # events

    def map(
        self,
        items: str,
        chunksize: int | None = None,
        retries: int = 0,
        ns: float | None = None,
        growing: bool = False,
    ) -> list[str]:
        options = Options(retries=retries, chunksize=chunksize)
        self.source = Source(None, 0, pace_of(ns), options, owner="a job")
        self.source.growing = growing
        return self.more(items)

    def more(self, items: str, source: Source | None = None) -> list[str]:
        source = source or self.source
        source.add(list(items))
        self.scheduler.submitted(source)
        return self.says()

    def calls(self, items: str, retries: int = 0, ns: float | None = None) -> list[str]:
        source = Calls(None, 2, pace_of(ns), Options(retries=retries))
        source.pending.extend(map(Call, items))
        self.source = source
        self.scheduler.submitted(source)
        return self.says()

    def ready(self, number: int) -> list[str]:
        self.scheduler.worker_ready(number)
        return self.says()

    def done(self, items: str, first: int = 0, count: int | None = None, ns: int = 0) -> list[str]:
        """Of the batch of these items `count` from `first` on are done; all of it, if nothing is said."""
        self.known = self.scheduler.finished(
            self.lease(items), first, len(items) if count is None else count, ns
        )
        return self.says()

    def was_cut(self, items: str, begun: int, end: int) -> list[str]:
        self.scheduler.was_cut(self.lease(items), begun, end)
        return self.says()

    def died(self, number: int, reading: str = "", **begun: int) -> list[str]:
        """A worker is gone; of each batch it had begun so many."""
        numbers = {self.lease(items).number: n for items, n in begun.items()}
        self.scheduler.worker_died(number, numbers, self.lease(reading).number if reading else None)
        return self.says()

    def doom(self, items: str, index: int, why: str = "timeout") -> list[str]:
        self.scheduler.doom(self.lease(items), index, why)
        return self.says()

    def cancel(self, call: str) -> list[str]:
        self.found = self.scheduler.cancel_item(call)
        return self.says()

    def cancel_map(self, kill: bool = True) -> list[str]:
        self.scheduler.cancel_source(self.source, kill)
        return self.says()

    def close(self) -> list[str]:
        self.scheduler.close()
        return self.says()


# ---- dealing ----


def test_it_begins_by_starting_a_worker_for_each_hand() -> None:
    assert Play(3, ready=False).began == ["start 1", "start 2", "start 3"]


def test_a_starting_worker_gets_one_batch_and_a_ready_one_a_second_so_that_it_need_not_wait() -> None:
    play = Play(1, ready=False)
    assert play.map("abc", chunksize=1) == ["send 1: a"]
    assert play.ready(1) == ["send 1: b"]
    assert play.done("a") == ["send 1: c"]
    assert play.done("b") == []
    assert DEPTH == 2


def test_each_worker_gets_one_batch_before_any_gets_a_second_and_ready_ones_come_first() -> None:
    play = Play(3, ready=False)
    play.ready(3)
    assert play.map("abcde", chunksize=1) == ["send 3: a", "send 1: b", "send 2: c", "send 3: d"]


def test_items_are_dealt_one_by_one_until_something_is_known_of_them() -> None:
    play = Play(2)
    assert play.map("abcdefgh") == ["send 1: a", "send 2: b", "send 1: c", "send 2: d"]


def test_batches_grow_with_what_is_measured() -> None:
    play = Play(1)
    assert play.map("x" * 60_000) == ["send 1: x", "send 1: x"]
    sizes = []
    for size in (1, 1, GROWTH, GROWTH**2):
        ((command),) = play.done("x" * size, ns=size * 100)
        sizes.append(len(command) - len("send 1: "))
    assert sizes == [
        GROWTH,
        GROWTH**2,
        GROWTH**3,
        TARGET_NS // 100 if TARGET_NS // 100 < GROWTH**4 else GROWTH**4,
    ]


def test_a_chunk_size_is_obeyed_whatever_is_measured() -> None:
    play = Play(1)
    assert play.map("abcdefgh", chunksize=3, ns=1) == ["send 1: abc", "send 1: def"]
    assert play.done("abc", ns=3) == ["send 1: gh"]


def test_no_batch_is_made_of_two_chunks() -> None:
    play = Play(1, ready=False)
    play.map("ab", chunksize=3, growing=True)
    play.more("cdef")
    assert play.ready(1) == ["send 1: cde"]


def test_two_sources_are_dealt_in_turn() -> None:
    play = Play(1)
    play.map("abcd", chunksize=1)
    play.map("wxyz", chunksize=1)
    dealt = [word for items in "abcwd" for word in play.done(items)]
    assert dealt == ["send 1: c", "send 1: w", "send 1: d", "send 1: x", "send 1: y"]


def test_a_source_may_grow_while_it_is_dealt_and_after() -> None:
    play = Play(1)
    assert play.map("a", growing=True) == ["send 1: a"]
    assert play.more("b") == ["send 1: b"]
    assert play.more("c") == []
    assert play.done("a") == ["send 1: c"]


def test_a_source_without_items_is_not_queued() -> None:
    play = Play(1)
    assert play.map("") == []
    assert play.scheduler.is_idle


def test_it_is_hungry_while_a_worker_has_nothing_to_do() -> None:
    play = Play(1)
    assert play.scheduler.is_hungry
    play.map("a")
    assert not play.scheduler.is_hungry
    play.done("a")
    assert play.scheduler.is_hungry


def test_it_knows_whether_a_slow_item_may_keep_others_back() -> None:
    play = Play(1)
    assert not play.scheduler.stuck
    play.map("a", chunksize=1)
    assert play.scheduler.stuck  # for all that is known its worker sleeps
    (lease,) = play.scheduler.leases.values()
    play.scheduler.rebalance({lease.number: 1})
    assert not play.scheduler.stuck  # it runs, and nothing waits for it
    play.map("b", chunksize=1)
    play.scheduler.rebalance({lease.number: 1})
    assert play.scheduler.stuck


def test_calls_that_are_appended_meanwhile_are_dealt_too() -> None:
    play = Play(1)
    play.calls("ab")
    play.source.pending.append(Call("c"))  # any thread does so at any time, and says so later
    play.scheduler.submitted(play.source)
    assert play.says() == []
    assert play.done("a") == ["send 1: c"]
    assert not play.source.listed
    play.source.pending.append(Call("d"))
    play.scheduler.submitted(play.source)
    assert play.source.listed
    assert play.done("b") == ["send 1: d"]


# ---- results ----


def test_results_that_come_twice_are_known() -> None:
    play = Play(1)
    play.map("abcd", chunksize=4)
    play.done("abcd", 0, 2)
    assert play.known == 0
    play.done("abcd", 0, 3)
    assert play.known == 2
    lease = play.lease("abcd")
    play.done("abcd", 3, 1)
    assert play.scheduler.finished(lease, 3, 1, 0) == 1


def test_a_measurement_goes_to_the_pace_of_its_function() -> None:
    play = Play(1)
    play.map("ab", chunksize=2)
    play.done("ab", ns=10 * MILLISECOND)
    assert play.source.pace.ns == 5 * MILLISECOND


# ---- stealing ----


def steal_from(items: str, **options: Any) -> Play:
    """Worker 1 has these items, worker 2 has nothing; what is commanded is in `began`."""
    play = Play(2, ready=False)
    play.ready(1)
    play.map(items, **options)
    play.began = play.ready(2)
    return play


def test_of_what_a_worker_runs_half_is_taken() -> None:
    play = steal_from("abcdefgh", ns=1_000_000 / 4, growing=True)
    assert play.began == ["cut 1: abcdefgh half"]
    assert play.was_cut("abcdefgh", 1, 4) == ["send 2: efgh"]


def test_who_is_idle_again_steals_again_though_nothing_was_heard_of_the_first() -> None:
    play = steal_from("abcdefgh", ns=1_000_000 / 4, growing=True)
    play.was_cut("abcdefgh", 1, 4)
    assert play.done("efgh") == ["cut 1: abcdefgh half"]
    assert play.was_cut("abcdefgh", 1, 2) == ["send 2: cd"]
    assert play.done("cd") == ["cut 1: abcdefgh half"]
    assert play.was_cut("abcdefgh", 1, 1) == ["send 2: b"]
    assert play.done("b") == []


def test_who_had_nothing_to_give_is_not_asked_again_until_something_is_heard_of_it() -> None:
    play = steal_from("abcdefgh", ns=1_000_000 / 4, growing=True)
    assert play.was_cut("abcdefgh", 8, 8) == []
    play.scheduler.close()
    assert play.says() == []
    assert play.done("abcdefgh", 0, 5) == ["cut 1: abcdefgh half"]


def test_of_two_that_are_not_begun_one_stays_so_that_they_are_not_handed_round_and_round() -> None:
    play = steal_from("ab", ns=MILLISECOND, growing=True)
    assert play.began == ["cut 1: ab half"]
    assert play.was_cut("ab", 0, 1) == ["send 2: b"]


def test_a_batch_that_waits_behind_another_is_taken_whole() -> None:
    play = Play(2)
    assert play.map("abcdef", ns=MILLISECOND, growing=True) == ["send 1: ab", "send 2: cd", "send 1: ef"]
    assert play.done("cd") == ["cut 1: ef"]
    assert play.was_cut("ef", 0, 0) == ["send 2: ef"]


def test_a_chunk_stays_whole_and_only_one_that_waits_behind_another_is_stolen() -> None:
    play = Play(2, ready=False)
    play.ready(1)
    play.map("abcd", chunksize=2)
    play.more("e")
    assert [lease.worker for lease in play.scheduler.leases.values()] == [1, 2, 1]
    play.ready(2)
    assert play.done("cd") == ["cut 1: e whole"]
    assert play.was_cut("e", 0, 0) == ["send 2: e"]
    assert play.done("e") == []


def test_a_starting_workers_batch_is_taken_when_another_is_idle() -> None:
    play = Play(2, ready=False)
    play.ready(1)
    assert play.map("ab", chunksize=1) == ["send 1: a", "send 2: b"]
    assert play.done("a") == ["cut 2: b whole"]
    assert play.was_cut("b", 0, 0) == ["send 1: b"]


def test_what_is_quick_is_not_worth_taking_unless_it_is_stuck() -> None:
    play = steal_from("abcdefgh", ns=1_000, growing=True)
    assert play.began == []
    play.scheduler.rebalance()
    assert play.says() == ["cut 1: abcdefgh half"]


# ---- deaths ----


def test_what_a_dead_worker_had_not_begun_is_dealt_again_and_it_is_replaced() -> None:
    play = Play(1)
    play.map("abcd", chunksize=2)
    assert play.died(1) == ["start 2", "send 2: ab"]
    assert play.ready(2) == ["send 2: cd"]


def test_the_item_that_a_worker_ran_is_lost_and_all_others_go_on() -> None:
    play = Play(2)
    play.map("abcdef", chunksize=3)
    play.done("abc", 0, 1)
    assert play.died(1, abc=2) == ["lost b: died", "start 3", "send 3: c"]
    assert play.done("def") == ["cut 3: c whole"]  # which is still starting


def test_all_that_were_begun_and_never_heard_of_are_lost() -> None:
    play = Play(1)
    play.map("abcd", chunksize=4)
    assert play.died(1, abcd=3) == ["lost c: died", "lost b: died", "lost a: died", "start 2", "send 2: d"]


def test_results_that_were_heard_count_whatever_the_page_says() -> None:
    play = Play(1)
    play.map("abcd", chunksize=4)
    play.done("abcd", 0, 2)
    assert play.died(1, abcd=0) == ["start 2", "send 2: cd"]


def test_an_item_is_tried_again_as_often_as_its_retries_allow() -> None:
    play = Play(1)
    play.map("ab", chunksize=2, retries=1)
    assert play.died(1, ab=1) == ["start 2", "send 2: a"]
    assert play.ready(2) == ["send 2: b"]
    assert play.died(2, a=1, b=0) == ["lost a: died", "start 3", "send 3: b"]


def test_an_item_that_has_killed_three_workers_is_quarantined_whatever_its_retries() -> None:
    play = Play(1)
    play.map("a", retries=99)
    for number in (1, 2):
        play.ready(number)
        assert play.died(number, a=1) == [f"start {number + 1}", f"send {number + 1}: a"]
    play.ready(3)
    assert play.died(3, a=1) == ["lost a: quarantined", "start 4"]
    assert DEATHS_MOST == 3


def test_retries_go_before_what_waits() -> None:
    play = Play(1)
    play.map("abcdef", chunksize=2, retries=1)
    assert play.died(1, ab=1) == ["start 2", "send 2: a"]
    assert play.ready(2) == ["send 2: b"]
    assert play.done("a") == ["send 2: cd"]


def test_who_dies_reading_several_items_has_them_dealt_one_by_one() -> None:
    play = Play(1)
    play.map("abc", chunksize=3)
    assert play.died(1, reading="abc") == ["start 2", "send 2: a"]
    assert play.ready(2) == ["send 2: b"]
    assert play.died(2, reading="a") == ["lost a: died", "start 3", "send 3: b"]


def test_deaths_of_workers_that_have_nothing_cost_nothing() -> None:
    play = Play(2)
    assert play.died(1) == ["start 3"]
    assert play.map("a") == ["send 2: a"]


def test_three_workers_in_a_row_that_do_not_start_break_it_and_all_that_waits_is_lost() -> None:
    play = Play(2, ready=False)
    assert play.map("abcd", chunksize=2) == ["send 1: ab", "send 2: cd"]
    assert play.died(1) == ["start 3", "send 3: ab"]
    assert play.died(2) == ["start 4", "send 4: cd"]
    assert play.died(3) == ["lost a: start", "lost b: start"]
    assert play.scheduler.broken
    assert play.died(4) == ["lost c: start", "lost d: start"]
    assert play.map("xy") == ["lost x: start", "lost y: start"]
    assert play.scheduler.is_idle
    assert STARTS_MOST == 3


def test_a_worker_that_starts_makes_up_for_those_that_did_not() -> None:
    play = Play(1, ready=False)
    for number in (1, 2):
        assert play.died(number) == [f"start {number + 1}"]
    play.ready(3)
    for number in (3, 4, 5):
        assert play.died(number) == [f"start {number + 1}"]
    assert not play.scheduler.broken
    play.died(6)
    assert play.scheduler.broken


def test_workers_that_retire_before_they_have_started_count_as_not_started() -> None:
    play = Play(1, max_tasks=1, ready=False)
    play.map("abcd")
    for number in (1, 2, 3):
        play.died(number)
    assert play.scheduler.broken
    assert play.scheduler.is_idle


def test_when_it_is_given_up_what_workers_hold_is_lost_with_them() -> None:
    play = Play(2, ready=False)
    play.map("abc", chunksize=1)
    play.scheduler.give_up()
    assert play.says() == ["lost c: start"]
    assert play.died(1) == ["lost a: start"]
    assert play.died(2) == ["lost b: start"]


# ---- doom ----


def test_a_worker_is_killed_only_after_everything_that_it_has_not_begun_was_taken_back() -> None:
    play = Play(1)
    play.map("abcd", chunksize=2)
    assert play.doom("ab", 0) == ["cut 1: cd", "cut 1: ab"]
    assert play.was_cut("cd", 0, 0) == []  # it gets nothing new
    assert play.was_cut("ab", 1, 1) == ["kill 1", "start 2", "send 2: b"]
    assert play.died(1, ab=1) == ["lost a: timeout"]
    assert play.ready(2) == ["send 2: cd"]


def test_an_item_that_ran_too_long_is_not_tried_again() -> None:
    play = Play(1)
    play.map("a", retries=5)
    play.doom("a", 0)
    play.was_cut("a", 1, 1)
    assert play.died(1, a=1) == ["lost a: timeout"]


def test_an_item_that_was_not_begun_is_dropped_and_nobody_is_killed() -> None:
    play = Play(1)
    play.map("abcd", chunksize=4)
    assert play.doom("abcd", 2) == ["cut 1: abcd"]
    assert play.was_cut("abcd", 1, 1) == ["lost c: timeout", "send 1: b"]
    assert play.done("abcd", 0, 1) == ["send 1: d"]
    assert play.state(1) is State.READY


def test_nobody_is_killed_for_an_item_that_has_ended_meanwhile() -> None:
    play = Play(1)
    play.map("abc", chunksize=3)
    play.doom("abc", 0)
    play.done("abc", 0, 1)
    assert play.was_cut("abc", 2, 2) == ["send 1: c"]
    assert play.state(1) is State.READY


def test_nobody_is_killed_for_an_item_whose_result_is_on_its_way_while_another_runs() -> None:
    play = Play(1)
    play.map("abc", chunksize=3)
    play.doom("abc", 0)
    assert play.was_cut("abc", 2, 2) == ["send 1: c"]
    assert play.done("abc", 0, 2) == []


def test_nobody_is_killed_for_an_item_when_the_batch_behind_it_was_begun() -> None:
    play = Play(1)
    play.map("abcd", chunksize=2)
    play.doom("ab", 1)
    assert play.was_cut("cd", 1, 1) == []
    assert play.was_cut("ab", 2, 2) == []
    assert play.state(1) is State.READY
    assert play.done("ab") == ["send 1: d"]


def test_a_cut_for_another_reason_does_not_decide() -> None:
    play = steal_from("abcdefgh", ns=1_000_000 / 4, growing=True)
    assert play.began == ["cut 1: abcdefgh half"]
    assert play.doom("abcdefgh", 0) == ["cut 1: abcdefgh"]
    assert play.was_cut("abcdefgh", 1, 4) == ["send 2: efgh"]
    assert play.was_cut("abcdefgh", 1, 1) == ["kill 1", "start 3", "send 3: bcd"]


def test_two_items_of_a_batch_may_be_doomed() -> None:
    play = Play(1)
    play.map("abcd", chunksize=4)
    play.doom("abcd", 0)
    play.doom("abcd", 2, "cancelled")
    assert play.was_cut("abcd", 1, 1) == ["lost c: cancelled", "kill 1", "start 2", "send 2: b"]
    assert play.was_cut("abcd", 1, 1) == []
    assert play.died(1, abcd=1) == ["lost a: timeout"]
    assert play.ready(2) == ["send 2: d"]


def test_a_doomed_item_that_was_not_begun_when_its_worker_died_is_lost() -> None:
    play = Play(1)
    play.map("abc", chunksize=3)
    play.doom("abc", 1)
    lease = play.lease("abc")
    assert play.died(1, abc=1) == ["lost b: timeout", "lost a: died", "start 2", "send 2: c"]
    play.scheduler.was_cut(lease, 1, 1)
    assert play.says() == []


def test_a_result_that_comes_after_the_kill_counts() -> None:
    play = Play(1)
    play.map("a")
    play.doom("a", 0)
    assert play.was_cut("a", 1, 1) == ["kill 1", "start 2"]
    assert play.done("a") == []
    assert play.died(1) == []


# ---- cancelling ----


def test_a_call_that_waits_is_filtered_when_its_turn_comes() -> None:
    play = Play(1)
    assert play.calls("abcd") == ["send 1: a", "send 1: b"]
    play.source.pending[0].is_wanted = False
    assert play.cancel("c") == []
    assert not play.found
    play.source.sift = True
    assert play.done("a") == ["send 1: d"]


def test_a_call_that_was_dealt_and_not_begun_is_taken_back() -> None:
    play = Play(1)
    play.calls("ab")
    assert play.cancel("b") == ["cut 1: a", "cut 1: b"]
    assert play.was_cut("a", 1, 1) == []
    assert play.was_cut("b", 0, 0) == ["lost b: cancelled"]
    assert play.state(1) is State.READY


def test_a_call_that_runs_costs_its_worker_its_life() -> None:
    play = Play(1)
    play.calls("a")
    assert play.cancel("a") == ["cut 1: a"]
    assert play.was_cut("a", 1, 1) == ["kill 1", "start 2"]
    assert play.died(1, a=1) == ["lost a: cancelled"]


def test_a_call_whose_result_is_on_its_way_hurts_nobody() -> None:
    play = Play(1)
    play.calls("abc", ns=1)
    play.cancel("a")
    assert play.was_cut("abc", 2, 2) == ["send 1: c"]
    assert play.state(1) is State.READY


def test_a_call_that_came_back_and_waits_is_dropped() -> None:
    play = Play(1)
    play.calls("abc", ns=1)
    play.calls("xyz", ns=1)
    play.doom("abc", 0)
    play.was_cut("xyz", 0, 0)  # and nobody is there to take it
    assert play.cancel("y") == ["lost y: cancelled"]
    assert play.was_cut("abc", 1, 1) == ["kill 1", "start 2", "send 2: bc"]
    assert play.ready(2) == ["send 2: x"]
    assert play.done("bc") == ["send 2: z"]


def test_a_call_that_is_unknown_is_not_found() -> None:
    play = Play(1)
    play.calls("a")
    play.done("a")
    assert play.cancel("a") == []
    assert not play.found


def test_items_of_a_map_are_not_taken_for_calls() -> None:
    play = Play(1)
    play.map("a")
    assert play.cancel("a") == []
    assert not play.found


def test_a_cancelled_map_is_dropped_and_whoever_runs_it_is_killed() -> None:
    play = Play(2)
    play.map("abcdefgh", chunksize=2)
    each_twice = [
        "cut 1: ef",
        "cut 1: ab",
        "cut 2: gh",
        "cut 2: cd",
        "cut 1: ab",
        "cut 1: ef",
        "cut 2: cd",
        "cut 2: gh",
    ]
    assert play.cancel_map() == each_twice
    for items in ("ef", "gh"):
        assert play.was_cut(items, 0, 0) == []
    assert play.was_cut("ab", 1, 1) == ["kill 1", "start 3"]
    assert play.was_cut("cd", 0, 0) == []
    assert play.state(2) is State.READY


def test_a_cancelled_map_kills_for_whichever_item_runs() -> None:
    play = Play(1)
    play.map("abcdef", chunksize=4)
    assert play.cancel_map() == ["cut 1: ef", "cut 1: abcd", "cut 1: abcd", "cut 1: ef"]
    assert play.was_cut("ef", 0, 0) == []
    assert play.was_cut("abcd", 3, 3) == ["kill 1", "start 2"]
    assert play.done("abcd", 0, 2) == []
    assert play.died(1, abcd=3) == ["lost c: cancelled"]
    assert play.scheduler.is_idle


def test_a_map_may_be_dropped_without_killing() -> None:
    play = Play(1)
    play.map("abcdef", chunksize=2)
    assert play.cancel_map(kill=False) == ["cut 1: ab", "cut 1: cd"]
    assert play.was_cut("ab", 1, 1) == []
    assert play.was_cut("cd", 0, 0) == []
    assert play.done("ab", 0, 1) == []
    assert play.scheduler.is_idle
    assert play.state(1) is State.READY


def test_other_work_goes_on_when_a_map_is_cancelled() -> None:
    play = Play(1)
    play.map("ab", chunksize=1)
    first = play.source
    play.map("xy", chunksize=1)
    play.scheduler.cancel_source(first)
    assert play.says() == ["cut 1: b", "cut 1: a", "cut 1: a", "cut 1: b"]
    play.was_cut("b", 0, 0)
    assert play.was_cut("a", 1, 1) == ["kill 1", "start 2", "send 2: x"]


def test_a_cancelled_source_does_not_grow() -> None:
    play = Play(1)
    play.map("ab", growing=True)
    play.cancel_map(kill=False)
    assert play.more("cd") == []
    assert not play.source.waiting
    assert not play.source.listed


def test_what_is_left_of_a_cancelled_map_does_not_come_back_with_a_death() -> None:
    play = Play(1)
    play.map("abcd", chunksize=2, retries=5)
    play.cancel_map(kill=False)
    assert play.died(1, ab=1) == ["lost a: cancelled", "start 2"]
    assert play.scheduler.is_idle


# ---- workers that retire ----


def test_a_worker_that_retires_is_replaced_before_its_last_item_is_done() -> None:
    play = Play(1, max_tasks=2)
    assert play.map("abc") == ["send 1: a", "send 1: b", "start 2"]
    assert play.ready(2) == []  # there is one hand, and worker 1 still works
    assert play.done("a") == []
    assert play.done("b") == ["dismiss 1", "send 2: c"]
    assert play.died(1) == []


def test_a_queue_of_items_does_not_start_a_worker_for_each() -> None:
    play = Play(2, max_tasks=1)
    assert play.map("abcdefgh") == ["send 1: a", "start 3", "send 2: b", "start 4"]
    assert play.ready(3) == []
    assert play.ready(4) == []
    assert play.done("b") == ["dismiss 2", "send 3: c", "start 5"]


def test_no_worker_gets_more_than_its_share_also_of_what_came_back() -> None:
    play = Play(1, max_tasks=3)
    assert play.map("abcdef", chunksize=3) == ["send 1: abc", "start 2"]
    assert play.died(1, abc=1) == ["lost a: died", "send 2: bc"]
    assert play.ready(2) == ["send 2: d", "start 3"]
    play.died(2, bc=0, d=0)
    assert [batch.items for batch in play.scheduler.returned] == [["d"]]
    assert play.ready(3) == ["send 3: d", "start 4"]


def test_what_was_taken_back_does_not_count() -> None:
    play = Play(2, max_tasks=4)
    play.map("abc", ns=MILLISECOND / 2, growing=True)
    assert play.scheduler.workers[1].dealt == 3
    play.cancel_map(kill=False)
    play.was_cut("abc", 1, 1)
    assert play.scheduler.workers[1].dealt == 1


def test_a_worker_that_retires_and_dies_leaves_its_items_to_the_next() -> None:
    play = Play(1, max_tasks=2)
    play.map("ab", chunksize=2)
    play.ready(2)
    assert play.died(1, ab=1) == ["lost a: died", "send 2: b"]


def test_results_may_be_heard_before_the_worker_says_that_it_is_ready() -> None:
    play = Play(1, max_tasks=1, ready=False)
    assert play.map("ab") == ["send 1: a"]
    assert play.done("a") == ["start 2", "dismiss 1", "send 2: b"]
    assert play.ready(1) == []


# ---- the end ----


def test_an_idle_scheduler_dismisses_all_at_once_when_it_is_closed() -> None:
    play = Play(2)
    assert play.close() == ["dismiss 1", "dismiss 2"]
    play.died(1)
    assert not play.scheduler.is_over
    play.died(2)
    assert play.scheduler.is_over


def test_a_closed_scheduler_ends_what_it_has_first() -> None:
    play = Play(1)
    play.map("abc", chunksize=1)
    assert play.close() == []
    assert play.done("a") == ["send 1: c"]
    play.done("b")
    assert play.done("c") == ["dismiss 1"]


def test_a_closed_scheduler_replaces_a_dead_worker_only_while_there_is_work() -> None:
    play = Play(2)
    play.map("ab", chunksize=1)
    play.close()
    assert play.died(1, a=0) == ["start 3", "send 3: a"]
    assert play.died(2, b=1) == ["lost b: died", "start 4"]
    assert play.died(3, a=1) == ["lost a: died", "dismiss 4"]
    assert play.died(4) == []
    assert play.scheduler.is_over


def test_a_worker_that_is_told_to_leave_and_dies_otherwise_is_not_replaced() -> None:
    play = Play(1)
    play.close()
    assert play.died(1) == []
    assert play.scheduler.is_over


def test_when_everything_is_dropped_what_runs_may_end_and_nothing_else_is_begun() -> None:
    play = Play(1)
    play.map("abcdef", chunksize=2, retries=3)
    play.scheduler.closing = True
    play.scheduler.drop_everything()
    assert play.says() == ["cut 1: ab", "cut 1: cd"]
    assert play.was_cut("ab", 1, 1) == []
    assert play.was_cut("cd", 0, 0) == []
    assert play.more("xy") == []
    assert play.done("ab", 0, 1) == ["dismiss 1"]


# ---- what cannot be ----


def test_results_with_a_gap_before_them_cannot_be() -> None:
    play = Play(1)
    play.map("abcd", chunksize=4)
    with pytest.raises(IllegalMove, match=r"items 1\+2 .* finished, which cannot be"):
        play.done("abcd", 1, 2)


def test_results_of_items_that_were_taken_back_cannot_be() -> None:
    play = Play(1)
    play.map("abcd", chunksize=4)
    play.cancel_map(kill=False)
    play.was_cut("abcd", 1, 1)
    with pytest.raises(IllegalMove):
        play.done("abcd", 0, 2)


@pytest.mark.parametrize(("begun", "end"), [(0, 2), (3, 2), (2, 5), (5, 5)])
def test_a_cut_that_does_not_fit_cannot_be(begun: int, end: int) -> None:
    play = Play(1)
    play.map("abcd", chunksize=4)
    play.done("abcd", 0, 1)
    with pytest.raises(IllegalMove, match="was cut at"):
        play.was_cut("abcd", begun, end)


def test_an_illegal_move_tells_the_recent_story() -> None:
    play = Play(1)
    worker = play.scheduler.workers[1]
    play.scheduler._move(worker, State.DYING)
    with pytest.raises(IllegalMove, match=r"dying to ready") as caught:
        play.scheduler._move(worker, State.READY)
    assert "(1, 'starting', 'ready'); (1, 'ready', 'dying')" in str(caught.value)
    assert isinstance(caught.value, AssertionError)


def test_nobody_dies_twice() -> None:
    play = Play(1)
    play.died(1)
    with pytest.raises(KeyError):
        play.died(1)


# ---- sources, batches and pace ----


def test_a_source_gives_its_items_in_order_and_counts_them() -> None:
    source = Source(None, 0, Pace())
    source.add([1, 2, 3])
    source.add([])
    source.add([4])
    taken = []
    while (batch := source.take(2)) is not None:
        taken.append((batch.first, batch.items))
    assert taken == [(0, [1, 2]), (2, [3]), (3, [4])]
    assert source.waiting == 0


def test_a_part_of_a_batch_knows_where_it_began() -> None:
    batch = Batch(Source(None, 0, Pace()), list("abcd"), 10)
    part = batch.part(1, 3, deaths=2)
    assert (part.items, part.first, part.deaths) == (["b", "c"], 11, 2)


def test_calls_that_nobody_wants_any_more_are_never_dealt() -> None:
    play = Play(1, ready=False)
    source = Calls(None, 2, Pace(), Options())
    source.pending.extend(map(Call, "abc"))
    source.sift = True
    for call in source.pending:
        call.is_wanted = False
    play.scheduler.submitted(source)
    assert play.says() == []
    assert play.scheduler.is_idle
    assert not source.listed


def test_a_batch_takes_about_two_milliseconds() -> None:
    assert pace_of(10_000).size(10**6, 1, True) == TARGET_NS // 10_000
    assert pace_of(10 * TARGET_NS).size(10**6, 1, True) == 1
    assert pace_of(0.001).size(10**6, 1, True) == ITEMS_MOST


def test_one_lucky_measurement_gathers_few_items() -> None:
    pace = pace_of(1, last=1)
    assert [pace.size(10**6, 1, True) for _ in range(4)] == [GROWTH, GROWTH**2, GROWTH**3, GROWTH**4]


def test_batches_get_smaller_towards_the_end() -> None:
    sizes, left = [], 100
    pace = pace_of(1)
    while left:
        sizes.append(pace.size(left, 2, False))
        left -= sizes[-1]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 1


def test_a_slow_measurement_counts_at_once_and_a_much_quicker_one_is_believed() -> None:
    pace = Pace()
    pace.measured(1, 1000)
    assert pace.ns == 1000
    pace.measured(2, 6000)
    assert pace.ns == 2000
    pace.measured(10, 1000)
    assert pace.ns == 100
