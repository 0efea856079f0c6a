"""A worker's page from Python: leases, scratch, and the loop that runs a batch.

What two processes do to one page at once is tested in ``native/tests/test_page.c``; here one does it all, and what
happens "while the loop runs" is done by the function that it calls.
"""

from __future__ import annotations

import gc
import itertools
import os
import pickle
import struct
import sys
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyhands import _native
from manyhands.errors import CorruptRingError, OutOfMemoryError

DONE, FLUSH, RESULT, ERROR = range(4)
ONE, STAR, CALL = range(3)

SLOT, GENERATION = 3, 5
NEVER = 10**18
SLOTS, ITEMS_MOST = 16, 0xFFFFFF

#: Where two of its fields are in the file; see page.h.
SLOT_AT, FILLED_AT = 204, 216


class Desk:
    """A page with one batch on it, run as a worker does: whatever is unusual is written down, then it goes on."""

    def __init__(
        self, function: Callable[..., Any], items: list[Any], form: int = ONE, scratch_bytes: int = 4096
    ) -> None:
        self.page = _native.Page.create(scratch_bytes)
        self.function, self.items, self.form = function, items, form
        self.page.grant(SLOT, GENERATION, len(items))
        self.page.empty(SLOT, GENERATION, 0)

    def run(self, flush_ns: int = NEVER, timed: bool = False) -> tuple[int, int, Any]:
        return self.page.run(self.function, self.items, self.form, SLOT, GENERATION, flush_ns, timed)

    def run_all(self, flush_ns: int = NEVER) -> list[tuple[int, int, Any]]:
        """Everything for which the loop was left."""
        left = []
        while (outcome := self.run(flush_ns))[0] != DONE:
            left.append(outcome)
        assert outcome == (DONE, 0, None)
        return left

    def results(self) -> list[Any]:
        """What is in the scratch."""
        found = self.page.finished()
        assert found is not None
        assert found[:3] == (SLOT, GENERATION, 0)
        assert found[3] == self.page.count
        return _native.unpack(found[4], 0, found[3], pickle.loads)[0]

    @property
    def begun(self) -> int:
        return self.page.look(SLOT)[1]


def show(*args: Any, **kwargs: Any) -> str:
    return f"{args} {kwargs}"


# ---- running ----


@pytest.mark.parametrize(
    ("form", "item", "result"),
    [
        (ONE, 1, "(1,) {}"),
        (ONE, (1, 2), "((1, 2),) {}"),
        (ONE, None, "(None,) {}"),
        (STAR, (1, 2), "(1, 2) {}"),
        (STAR, (), "() {}"),
        (STAR, [1, 2], "(1, 2) {}"),
        (STAR, "ab", "('a', 'b') {}"),
        (STAR, range(2), "(0, 1) {}"),
        (STAR, iter((7, 8)), "(7, 8) {}"),
        (STAR, {"k": 1}, "('k',) {}"),
        (CALL, ((1,), {"a": 2}), "(1,) {'a': 2}"),
        (CALL, ((), {}), "() {}"),
        (CALL, ([1], {}), "(1,) {}"),
    ],
)
def test_an_item_becomes_a_call_in_three_ways(form: int, item: Any, result: str) -> None:
    desk = Desk(show, [item], form)
    assert desk.run_all() == []
    assert desk.results() == [result]


@given(
    st.lists(
        st.one_of(
            st.integers(-(2**63), 2**63 - 1), st.text(st.characters(codec="utf-8"), max_size=9), st.none()
        )
    )
)
def test_results_lie_in_the_scratch_in_the_order_of_their_items(items: list[Any]) -> None:
    desk = Desk(lambda item: (item, 1), items, scratch_bytes=10**5)
    assert desk.run_all() == []
    assert desk.results() == [(item, 1) for item in items]
    assert desk.begun == len(items)


def test_any_callable_is_called() -> None:
    class Adder:
        def __init__(self, n: int) -> None:
            self.n = n

        def __call__(self, x: int) -> int:
            return x + self.n

        def method(self, x: int) -> int:
            return x * self.n

    for function, results in (
        (Adder(3), [4, 5]),
        (Adder(3).method, [3, 6]),
        (float, [1.0, 2.0]),
        (str, ["1", "2"]),
    ):
        desk = Desk(function, [1, 2])
        assert desk.run_all() == []
        assert desk.results() == results


def test_an_item_is_claimed_before_it_is_begun_and_the_result_before_is_there_by_then() -> None:
    seen = []

    def look(item: int) -> int:
        seen.append((desk.begun, desk.page.count))
        return item

    desk = Desk(look, [0, 1, 2])
    desk.run_all()
    assert seen == [(1, 0), (2, 1), (3, 2)]


def test_an_empty_batch_is_done_at_once() -> None:
    desk = Desk(show, [])
    assert desk.run() == (DONE, 0, None)
    assert desk.page.finished() == (SLOT, GENERATION, 0, 0, b"")


# ---- why it is left ----


def test_an_exception_leaves_the_loop_with_its_traceback_and_the_next_run_goes_on() -> None:
    def fail(item: int) -> int:
        if item % 2:
            raise ValueError(item)
        return item

    desk = Desk(fail, [0, 1, 2, 3])
    (first, second) = desk.run_all()
    assert (first[0], first[1], second[0], second[1]) == (ERROR, 1, ERROR, 3)
    assert isinstance(first[2], ValueError)
    assert first[2].args == (1,)
    assert first[2].__traceback__.tb_frame.f_code is fail.__code__
    assert desk.results() == [0, 2]


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt, SystemExit, GeneratorExit, StopIteration, MemoryError, BaseException]
)
def test_whatever_is_raised_is_that_items_outcome(error: type[BaseException]) -> None:
    def fail(item: int) -> None:
        raise error(item)

    ((why, index, value),) = Desk(fail, [7]).run_all()
    assert (why, index, type(value), value.args) == (ERROR, 0, error, (7,))


def test_the_cause_of_an_exception_is_kept() -> None:
    def fail(item: int) -> None:
        try:
            raise KeyError(item)
        except KeyError as error:
            raise ValueError from error

    ((_, _, value),) = Desk(fail, [7]).run_all()
    assert isinstance(value.__cause__, KeyError)


@pytest.mark.parametrize(
    ("form", "item", "kind"),
    [
        (STAR, 3, TypeError),
        (STAR, None, TypeError),
        (CALL, 3, SystemError),
        (CALL, (), IndexError),
        (CALL, ((1,),), IndexError),
        (CALL, ((1,), None), TypeError),
        (CALL, ((1,), [1]), TypeError),
        (CALL, (3, {}), TypeError),
        (CALL, ((1,), {2: 3}), TypeError),
    ],
)
def test_an_item_that_makes_no_call_is_an_error_of_its_own(
    form: int, item: Any, kind: type[Exception]
) -> None:
    desk = Desk(show, [item, ((), {})], form)
    ((why, index, value),) = desk.run_all()
    assert (why, index, type(value)) == (ERROR, 0, kind)
    assert len(desk.results()) == 1


def test_an_iterator_that_raises_is_an_error_of_its_item() -> None:
    def broken() -> Any:
        yield 1
        raise KeyError("half way")

    ((why, _, value),) = Desk(show, [broken()], STAR).run_all()
    assert (why, type(value)) == (ERROR, KeyError)


def test_what_is_not_callable_is_an_error_of_each_item() -> None:
    desk = Desk(3, [1, 2])  # type: ignore[arg-type]
    assert [(why, index, type(value)) for why, index, value in desk.run_all()] == [
        (ERROR, 0, TypeError),
        (ERROR, 1, TypeError),
    ]


@pytest.mark.parametrize("value", [{1}, object(), 2**64, "\ud800", [[]], 1j, show])
def test_a_result_that_is_not_plain_is_handed_over_as_it_is(value: Any) -> None:
    desk = Desk([1, value, 2].__getitem__, [0, 1, 2])
    ((why, index, result),) = desk.run_all()
    assert (why, index) == (RESULT, 1)
    assert result is value
    assert desk.results() == [1, 2]


def test_a_result_without_room_is_handed_over_and_what_is_there_stays() -> None:
    desk = Desk(lambda n: "x" * n, [10, 100, 5, 29, 1], scratch_bytes=64)
    assert desk.run() == (RESULT, 1, "x" * 100)
    assert desk.results() == ["x" * 10]
    assert desk.run() == (RESULT, 4, "x")
    assert desk.results() == ["x" * 10, "x" * 5, "x" * 29]
    assert len(desk.page.finished()[4]) == 15 + 10 + 34


def test_a_result_that_fits_only_in_part_leaves_nothing_behind() -> None:
    desk = Desk(lambda _: ("y" * 30, "z" * 30, 2**40), [0], scratch_bytes=70)
    assert desk.run()[0] == RESULT
    assert memoryview(desk.page).nbytes == 0


def test_results_that_are_old_enough_are_to_be_sent() -> None:
    desk = Desk(str, list(range(40)))
    left = desk.run_all(flush_ns=0)
    assert [(why, value) for why, _, value in left] == [(FLUSH, None)] * 40
    assert [index for _, index, _ in left] == list(range(40))
    assert len(desk.results()) == 40


def test_a_flush_is_asked_for_soon_after_something_has_taken_long() -> None:
    def slow(item: int) -> int:
        until = time.monotonic_ns() + (3_000_000 if item == 20 else 0)
        while time.monotonic_ns() < until:
            pass
        return item

    desk = Desk(slow, list(range(200)))
    left = desk.run_all(flush_ns=2_000_000)
    assert {why for why, _, _ in left} == {FLUSH}
    assert any(20 <= index < 20 + 16 for _, index, _ in left)  # quick items are timed sixteen at a time
    assert desk.results() == list(range(200))


# ---- the time of the running item ----


def test_while_an_item_runs_its_page_says_since_when() -> None:
    seen: list[int] = []
    before = time.monotonic_ns()
    desk = Desk(lambda _: seen.append(desk.page.began_ns), list(range(100)))
    assert desk.page.began_ns == 0
    desk.run()
    assert desk.page.began_ns == 0
    assert before <= seen[0]
    assert seen == sorted(seen)
    assert seen[-1] <= time.monotonic_ns()


def test_items_with_a_limit_are_timed_one_by_one() -> None:
    times: list[tuple[int, int]] = []
    desk = Desk(lambda _: times.append((desk.page.began_ns, time.monotonic_ns())), list(range(100)))
    desk.run(timed=True)
    for (_, before), (began, after) in itertools.pairwise(times):
        assert before <= began <= after


# ---- what the owner does meanwhile ----


def test_what_is_cut_while_the_loop_runs_is_not_begun() -> None:
    def cut(item: int) -> int:
        if item == 2:
            assert desk.page.cut(SLOT, GENERATION, False, False) == (GENERATION, 3, 3)
        return item

    desk = Desk(cut, list(range(9)))
    assert desk.run_all() == []
    assert desk.results() == [0, 1, 2]


def test_half_may_be_taken_while_the_loop_runs() -> None:
    desk = Desk(lambda item: desk.page.cut(SLOT, GENERATION, True, False)[2], list(range(9)))
    desk.run_all()
    assert desk.results() == [5, 3, 3]


def test_a_batch_that_was_begun_is_not_taken_as_a_whole() -> None:
    desk = Desk(lambda item: desk.page.cut(SLOT, GENERATION, False, True)[2], list(range(3)))
    desk.run_all()
    assert desk.results() == [3, 3, 3]


def test_a_batch_that_was_not_begun_is_taken_as_a_whole() -> None:
    desk = Desk(show, list(range(3)))
    assert desk.page.cut(SLOT, GENERATION, False, True) == (GENERATION, 0, 0)
    assert desk.run_all() == []
    assert desk.results() == []


def test_the_loop_ends_when_its_slot_was_granted_anew() -> None:
    def regrant(item: int) -> int:
        desk.page.grant(SLOT, GENERATION + 1, 5)
        return item

    desk = Desk(regrant, list(range(9)))
    assert desk.run() == (DONE, 0, None)
    assert desk.page.look(SLOT) == (GENERATION + 1, 0, 5)


def test_a_cut_of_another_generation_changes_nothing_and_shows_what_is() -> None:
    desk = Desk(show, [1, 2])
    assert desk.page.cut(SLOT, GENERATION + 1, False, False) == (GENERATION, 0, 2)
    assert desk.page.look(SLOT) == (GENERATION, 0, 2)


def test_results_can_be_looked_at_while_the_loop_runs() -> None:
    seen = []

    def look(item: int) -> int:
        seen.append(_native.unpack(desk.page.finished()[4], 0, desk.page.count, None)[0])
        return item

    desk = Desk(look, [5, 6, 7])
    desk.run()
    assert seen == [[], [5], [5, 6]]


# ---- lists that do not hold what they should ----


def test_a_lease_of_more_items_than_there_are_gives_errors() -> None:
    desk = Desk(str, [1, 2])
    desk.page.grant(SLOT, GENERATION, 4)
    assert [(why, index, type(value)) for why, index, value in desk.run_all()] == [
        (ERROR, 2, IndexError),
        (ERROR, 3, IndexError),
    ]
    assert desk.results() == ["1", "2"]


def test_the_list_may_change_while_the_loop_runs() -> None:
    class Item:
        def __repr__(self) -> str:
            items.clear()
            gc.collect()
            return f"{type(self).__name__}"

    items = [Item(), Item(), Item()]
    desk = Desk(repr, items)
    left = desk.run_all()
    assert [type(value) for _, _, value in left] == [IndexError, IndexError]
    assert desk.results() == ["Item"]


def test_nothing_is_kept_of_items_functions_and_results() -> None:
    class Thing:
        """Can be watched."""

    item, result = Thing(), Thing()

    def function(_: Thing) -> Thing:
        return result

    def fail(_: Thing) -> None:
        raise ValueError(result)

    before = [sys.getrefcount(x) for x in (item, result, function, fail)]
    for form, given_item in ((ONE, item), (STAR, (item,)), (STAR, [item]), (CALL, ((item,), {}))):
        for what in (function, fail, str, 3):
            Desk(what, [given_item] * 3, form).run_all()  # type: ignore[arg-type]
    del given_item, what
    gc.collect()
    assert [sys.getrefcount(x) for x in (item, result, function, fail)] == before


# ---- claiming and keeping from Python ----


def test_items_may_be_claimed_one_by_one() -> None:
    desk = Desk(show, [0, 1])
    assert desk.page.claim(SLOT, GENERATION) == 0
    assert 0 < desk.page.began_ns <= time.monotonic_ns()
    assert desk.page.claim(SLOT, GENERATION + 1) is None
    assert desk.page.claim(SLOT, GENERATION) == 1
    assert desk.page.claim(SLOT, GENERATION) is None
    assert desk.page.began_ns == 0  # nothing runs any more
    assert desk.page.claim(SLOT + 1, GENERATION) is None


def test_a_result_may_be_packed_elsewhere_and_kept() -> None:
    desk = Desk(str, [1, 2], scratch_bytes=32)
    desk.page.claim(SLOT, GENERATION)
    assert desk.page.keep(_native.pack("first"))
    desk.run()
    assert desk.results() == ["first", "2"]
    assert not desk.page.keep(b"x" * 17)
    assert desk.page.keep(b"\0" * 16)
    assert desk.page.count == 3
    assert not desk.page.keep(b"\0")
    assert memoryview(desk.page).nbytes == 32


def test_the_scratch_can_be_sent_as_a_buffer_and_not_written() -> None:
    desk = Desk(str, [1, 2])
    desk.run()
    view = memoryview(desk.page)
    assert view.readonly
    assert view.format == "B"
    assert _native.unpack(view, 0, 2, None)[0] == ["1", "2"]
    assert bytes(view) == desk.page.finished()[4]


def test_an_emptied_scratch_begins_anew() -> None:
    desk = Desk(str, [1, 2])
    desk.run()
    desk.page.empty(7, 9, 1000)
    assert desk.page.count == 0
    assert memoryview(desk.page).nbytes == 0
    assert desk.page.finished() == (7, 9, 1000, 0, b"")
    desk.page.keep(_native.pack(5))
    assert desk.page.finished() == (7, 9, 1000, 1, _native.pack(5))


# ---- the page itself ----


def test_both_sides_see_one_page() -> None:
    desk = Desk(str, [1, 2, 3])
    other = _native.Page.attach(os.dup(desk.page.fd))
    assert other.cut(SLOT, GENERATION, True, False) == (GENERATION, 0, 1)
    desk.run()
    assert other.finished() == (SLOT, GENERATION, 0, 1, _native.pack("1"))
    assert other.count == 1


def test_a_descriptor_is_closed_with_its_page_and_not_before_its_last_view_is_gone() -> None:
    page = _native.Page.create(100)
    fd = page.fd
    view = memoryview(page)
    del page
    os.fstat(fd)
    view.release()
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(fd)


def test_what_is_no_page_is_refused_and_stays_the_callers() -> None:
    fds = [os.memfd_create("no page"), os.open(os.devnull, os.O_RDWR), *os.pipe()]
    for fd in fds:
        with pytest.raises(CorruptRingError):
            _native.Page.attach(fd)
        os.close(fd)
    with pytest.raises(CorruptRingError):
        _native.Page.attach(-1)


@pytest.mark.parametrize("size", [0, 2**30 + 1, 2**63, 2**64 - 1])
def test_an_absurd_size_is_refused(size: int) -> None:
    with pytest.raises(OutOfMemoryError):
        _native.Page.create(size)


@pytest.mark.parametrize(
    ("method", "args", "error"),
    [
        ("grant", (SLOTS, 0, 1), ValueError),
        ("grant", (0, 0x10000, 1), ValueError),
        ("grant", (0, 0, ITEMS_MOST + 1), ValueError),
        ("grant", (-1, 0, 1), OverflowError),
        ("grant", (0, 0), TypeError),
        ("grant", (0, 0, None), TypeError),
        ("cut", (SLOTS, 0, False, False), ValueError),
        ("cut", (0, 0), TypeError),
        ("look", (SLOTS,), ValueError),
        ("look", (), TypeError),
        ("claim", (2**40, 0), ValueError),
        ("empty", (SLOTS, 0, 0), ValueError),
        ("keep", ("text",), TypeError),
        ("run", (str, [], 0, SLOTS, 0, 0, False), ValueError),
        ("run", (str, [], 3, 0, 0, 0, False), ValueError),
        ("run", (str, (), 0, 0, 0, 0, False), TypeError),
        ("run", (str, []), TypeError),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    method: str, args: tuple[Any, ...], error: type[Exception]
) -> None:
    page = _native.Page.create(64)
    with pytest.raises(error):
        getattr(page, method)(*args)


def test_the_largest_lease_is_granted() -> None:
    page = _native.Page.create(64)
    page.grant(SLOTS - 1, 0xFFFF, ITEMS_MOST)
    assert page.look(SLOTS - 1) == (0xFFFF, 0, ITEMS_MOST)


def test_a_page_is_not_made_by_calling_its_type() -> None:
    with pytest.raises(TypeError):
        _native.Page()  # type: ignore[call-arg]


@pytest.mark.parametrize("used", [65, 4096, 2**31, 2**32 - 1])
def test_a_page_that_was_overwritten_is_not_read_past_its_end(used: int) -> None:
    desk = Desk(str, [1, 2], scratch_bytes=64)
    os.pwrite(desk.page.fd, struct.pack("<Q", 1 << 32 | used), FILLED_AT)
    assert desk.page.finished() is None
    with pytest.raises(CorruptRingError):
        memoryview(desk.page)
    assert not desk.page.keep(b"x")
    assert desk.run() == (RESULT, 0, "1")


def test_a_slot_that_cannot_be_is_not_salvaged() -> None:
    desk = Desk(str, [1])
    desk.run()
    os.pwrite(desk.page.fd, struct.pack("<I", SLOTS), SLOT_AT)
    assert desk.page.finished() is None


def test_a_page_is_gone_when_nobody_holds_it() -> None:
    class Holder:
        def __init__(self) -> None:
            self.page = _native.Page.create(64)

    holder = Holder()
    gone, fd = weakref.ref(holder), holder.page.fd
    del holder
    assert gone() is None
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(fd)
