"""Short texts about what users pass: what they say, how long they may get, and how little is looked at for them."""

from __future__ import annotations

import itertools
import operator
from array import array
from collections import deque
from functools import partial
from typing import Any
from unittest.mock import MagicMock, Mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manyhands.scheduler.brief import brief, brief_call, name_of

ONE, STAR, CALL = 0, 1, 2
LONG = 1_000_000


class Hostile:
    """Whatever is asked of it raises."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __repr__(self) -> str:
        raise self.error

    def __getattr__(self, name: str) -> Any:
        raise self.error if name in ("shape", "dtype", "func") else AttributeError(name)

    def __len__(self) -> int:
        raise self.error

    def __hash__(self) -> int:
        return 1

    def __call__(self) -> None:
        """It can be given as a task."""


class Watched:
    """Counts how often it is shown."""

    shown = 0

    def __repr__(self) -> str:
        Watched.shown += 1
        return "W"


def work(depth: int, width: int) -> Any:
    """Containers within containers."""
    return Watched() if depth == 0 else [work(depth - 1, width)] * width


# ---- what they say ----


@pytest.mark.parametrize(
    "value",
    [
        None, True, 3, -1.5, 1j, "text", "it's", b"bytes", bytearray(b"x"), [], (), {}, set(), frozenset(), [1, "a"], (1,),
        (1, 2), {1}, {"a": 1, 2: [3]}, frozenset({1}), [[[1]]], range(10**9), array("i", [1, 2]), deque([1]), int,
    ],
)  # fmt: skip
def test_what_is_short_is_shown_as_it_is(value: Any) -> None:
    assert brief(value) == repr(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (list(range(20)), "[0, 1, 2, 3, 4, 5, 6, 7, … 20 in all]"),
        (tuple(range(9)), "(0, 1, 2, 3, 4, 5, 6, 7, … 9 in all)"),
        (
            dict.fromkeys(range(9)),
            "{0: None, 1: None, 2: None, 3: None, 4: None, 5: None, 6: None, 7: None, … 9 in all}",
        ),
        ([[[[1, 2]]]], "[[[[…]]]]"),
        (np.zeros((3, 4)), "<ndarray of shape (3, 4), float64>"),
        (np.zeros(5, "i2"), "<ndarray of shape (5,), int16>"),
        (deque(range(5000)), "<deque of 5000 items>"),
        (array("d", bytes(80_000)), "<array of 10000 items>"),
        (Hostile(ValueError()), "<Hostile whose repr raised ValueError>"),
        ([1, Hostile(KeyError()), 2], "[1, <Hostile whose repr raised KeyError>, 2]"),
        (Hostile(SystemExit()), "<Hostile whose repr raised SystemExit>"),
    ],
)
def test_what_is_long_or_hostile_is_shown_in_short(value: Any, text: str) -> None:
    assert brief(value) == text


def test_numbers_of_numpy_are_shown_as_numbers() -> None:
    assert brief(np.float64(1.5)) == repr(np.float64(1.5))
    assert brief(np.int32(3)) == repr(np.int32(3))


@pytest.mark.parametrize("text", ["x" * LONG, b"x" * LONG, bytearray(LONG)])
def test_a_long_text_shows_its_beginning_and_its_length(text: Any) -> None:
    short = brief(text)
    assert short.startswith(repr(text[:20])[:-1].rstrip("')"))
    assert short.endswith("… (1000000 long)")
    assert len(short) <= 120


def test_ctrl_c_goes_through() -> None:
    with pytest.raises(KeyboardInterrupt):
        brief(Hostile(KeyboardInterrupt()))


# ---- how long they get ----


def self_containing() -> list[Any]:
    inner: list[Any] = []
    inner += [inner, inner, {1: inner}]
    return inner


LONG_THINGS = [
    "x" * LONG, "\x00" * LONG, b"\xff" * LONG, list(range(LONG)), dict.fromkeys(range(LONG)), set(range(LONG)), 10**4000,
    ["y" * LONG] * 20, {"k" * LONG: "v" * LONG}, [["z" * LONG]], self_containing(), np.zeros(LONG), [np.zeros(LONG)] * 9,
    np.zeros(1, dtype=[(f"field{i}", "f8") for i in range(500)]), MagicMock(), Mock(), type("T" * LONG, (), {})(),
    ((((((((((1,) * 9,) * 9,) * 9,) * 9,) * 9,) * 9,) * 9,) * 9,) * 9,), 10**5000, Hostile(type("E" * LONG, (Exception,), {})()),
]  # fmt: skip


@pytest.mark.parametrize("most", [1, 10, 60, 120])
@pytest.mark.parametrize("value", LONG_THINGS, ids=lambda value: type(value).__name__[:10])
def test_no_text_is_longer_than_it_may_be(value: Any, most: int) -> None:
    assert len(brief(value, most)) <= max(most, 25)  # the length of a text is told whole


@given(
    st.recursive(
        st.one_of(st.none(), st.integers(), st.floats(), st.text(), st.binary()),
        lambda inner: st.one_of(
            st.lists(inner),
            st.lists(inner).map(tuple),
            st.dictionaries(st.text(), inner),
            st.frozensets(st.integers()),
        ),
    ),
    st.integers(30, 200),
)
def test_anything_plain_is_brief(value: Any, most: int) -> None:
    text = brief(value, most)
    assert len(text) <= most
    assert repr(value)[:1] == text[:1]


# ---- how little is looked at ----


@pytest.mark.parametrize(("depth", "width"), [(1, 1000), (3, 50), (4, 50), (9, 8)])
def test_few_parts_of_a_container_are_looked_at(depth: int, width: int) -> None:
    Watched.shown = 0
    brief(work(depth, width))
    assert Watched.shown <= 8**3


def test_only_the_first_items_of_an_iterator_are_taken() -> None:
    class Endless(list):  # type: ignore[type-arg]
        def __len__(self) -> int:
            return LONG

        def __iter__(self) -> Any:
            return itertools.count()

    assert brief_call(work, STAR, Endless()) == "work(0, 1, 2, 3, 4, 5, 6, 7, …)"
    assert brief(Endless()) == "<Endless of 1000000 items>"


def test_a_shape_that_never_ends_is_not_followed() -> None:
    class Odd:
        shape = itertools.count()
        dtype = "odd"

        def __repr__(self) -> str:
            return "Odd()"

    assert brief(Odd()) == "Odd()"


# ---- calls ----


@pytest.mark.parametrize(
    ("form", "item", "text"),
    [
        (ONE, 3, "work(3)"),
        (ONE, (1, 2), "work((1, 2))"),
        (STAR, (1, 2), "work(1, 2)"),
        (STAR, [1, "a"], "work(1, 'a')"),
        (STAR, "ab", "work('a', 'b')"),
        (STAR, range(20), "work(0, 1, 2, 3, 4, 5, 6, 7, …)"),
        (STAR, 3, "work(*3)"),
        (STAR, iter([1, 2]), None),
        (CALL, ((1,), {"key": "a"}), "work(1, key='a')"),
        (CALL, ((), {}), "work()"),
        (
            CALL,
            ((), {f"k{i}": i for i in range(9)}),
            "work(k0=0, k1=1, k2=2, k3=3, k4=4, k5=5, k6=6, k7=7, …)",
        ),
        (CALL, 3, "work(*3)"),
        (CALL, ((1,), None), "work(*((1,), None))"),
        (
            CALL,
            ("<arguments that do not unpickle here>",),
            "work(*('<arguments that do not unpickle here>',))",
        ),
    ],
)
def test_a_call_is_shown_as_it_would_be_written(form: int, item: Any, text: str | None) -> None:
    shown = brief_call(work, form, item)
    assert shown == text if text is not None else shown.startswith("work(*<list_iterator")


@pytest.mark.parametrize("form", [ONE, STAR, CALL])
@pytest.mark.parametrize("item", LONG_THINGS, ids=lambda value: type(value).__name__[:10])
def test_a_call_is_short_whatever_it_is_given(form: int, item: Any) -> None:
    given_item = item if form != CALL else ((item,) * 50, {"k" * LONG: item, "l": item})
    assert len(brief_call(work, form, given_item)) <= 16 * 130


@pytest.mark.parametrize("error", [ValueError(), AttributeError(), SystemExit()])
def test_a_hostile_argument_does_not_hide_the_others(error: BaseException) -> None:
    shown = brief_call(work, CALL, ((1, Hostile(error)), {"key": Hostile(error)}))
    name = type(error).__name__
    assert shown == f"work(1, <Hostile whose repr raised {name}>, key=<Hostile whose repr raised {name}>)"


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (work, "work"),
        (len, "len"),
        (str.upper, "str.upper"),
        ([].append, "list.append"),
        (partial(work, 1), "work"),
        (partial(partial(work, 1), 2), "work"),
        (Hostile, "Hostile"),
        (Mock(), "Mock"),
        (operator.itemgetter(1), "itemgetter"),
        (Hostile(ValueError()), "Hostile"),
        (Hostile(AttributeError()), "Hostile"),
    ],
)
def test_a_function_is_called_by_its_name(function: Any, name: str) -> None:
    assert name_of(function) == name
    assert brief_call(function, ONE, 1) == f"{name}(1)"


def test_a_long_name_is_cut() -> None:
    def function() -> None:
        """Nothing."""

    function.__qualname__ = "f" * LONG
    assert len(name_of(function)) <= 120
