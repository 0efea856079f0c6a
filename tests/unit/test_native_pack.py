"""Plain values packed and unpacked by the native core: what is plain, what comes back, and what garbage may do."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import math
import pickle
import struct
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manyhands import _native
from manyhands.errors import CorruptRingError

#: What `pack` gives up at, and how deep tuples may be.
LONGEST, DEEPEST = 4096, 4

NONE, FALSE, TRUE, INT32, INT64, FLOAT, STR, BYTES, TUPLE, LIST, DICT, PICKLE = range(12)

#: What may be made of a byte that a stranger wrote: no value, wrong UTF-8, a dict's key that has no hash.
CLEAN = (CorruptRingError, UnicodeDecodeError, TypeError)


def same(a: Any, b: Any) -> bool:
    """Equal all the way down, nan to nan, type to type."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return struct.pack("d", a) == struct.pack("d", b) or (math.isnan(a) and math.isnan(b))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return same(list(a.items()), list(b.items()))
    return bool(a == b)


def packed_size(value: Any, depth: int = 0) -> float:
    """How long `value` is packed; infinite when it is not plain. The rules once more, in Python."""
    kind = type(value)
    if value is None or kind is bool:
        return 1
    if kind is int:
        return 5 if -(2**31) <= value < 2**31 else 9 if -(2**63) <= value < 2**63 else math.inf
    if kind is float:
        return 9
    if kind is bytes:
        return 5 + len(value)
    if kind is str:
        try:
            return 5 + len(value.encode())
        except UnicodeEncodeError:
            return math.inf
    if (kind is tuple and depth < DEEPEST) or (kind is list and depth == 0):
        return 5 + sum(packed_size(part, depth + 1) for part in value)
    if kind is dict and depth == 0:
        return 5 + sum(packed_size(part, depth + 1) for pair in value.items() for part in pair)
    return math.inf


def unpacked(data: Any, count: int = 1, offset: int = 0, loads: Any = pickle.loads) -> list[Any]:
    """What was packed, when nothing raises."""
    values, errors = _native.unpack(data, offset, count, loads)
    assert errors is None
    return values


def pickled(value: Any) -> bytes:
    data = pickle.dumps(value)
    return struct.pack("<BI", PICKLE, len(data)) + data


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-(2**33), 2**33), st.integers(-(2**64), 2**64), st.floats(),
    st.text(), st.text(st.characters(categories=["Cs", "Ll"])), st.binary(),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.one_of(st.text(), st.integers(), st.tuples(st.integers(), st.text())), inner),
    ),
    max_leaves=15,
)
plain = values.filter(lambda value: packed_size(value) <= LONGEST)


# ---- one value ----


@given(values)
def test_a_value_is_packed_when_it_is_plain_and_comes_back_as_it_was(value: Any) -> None:
    packed, size = _native.pack(value), packed_size(value)
    if size > LONGEST:
        assert packed is None
    else:
        assert type(packed) is bytes
        assert len(packed) == size
        (back,) = unpacked(packed)
        assert same(back, value)


@pytest.mark.parametrize(
    "value",
    [
        0, -1, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**63 - 1, -(2**63), 0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324,
        1.7976931348623157e308, "", "\0", "é", "\U0010ffff", b"", b"\0", (), [], {}, ((),), [()], {(): ()}, {1: 2, "a": None},
        ((((1,),),),), [(((1,),),)], True, False, None, {True: 1, 2: False},
    ],
)  # fmt: skip
def test_the_edges_come_back(value: Any) -> None:
    assert same(unpacked(_native.pack(value))[0], value)


class Odd(int):
    """Not an int, strictly."""


class Color(enum.IntEnum):
    """Nor is this."""

    RED = 1


Pair = collections.namedtuple("Pair", "a b")


@pytest.mark.parametrize(
    "value",
    [
        2**63, -(2**63) - 1, 10**100, "\ud800", "a\udfff", Odd(1), Color.RED, Pair(1, 2), 1j, bytearray(), memoryview(b""),
        set(), frozenset(), object(), ..., NotImplemented, int, len, np.int64(1), np.float64(1), np.zeros(1), range(3),
        datetime.date(2000, 1, 1), decimal.Decimal(1), collections.OrderedDict(), collections.defaultdict(int),
        type("S", (str,), {})("a"), type("B", (bytes,), {})(b"a"), type("F", (float,), {})(1.0),
        type("L", (list,), {})(), type("T", (tuple,), {})(), [[]], ([],), {1: []}, {1: {}}, [{}], (1, (2, [3])), (((((1,),),),),),
        [((((1,),),),)], [2**63], {"\ud800": 1}, (None, object()),
    ],
)  # fmt: skip
def test_what_is_not_plain_gives_none_and_never_raises(value: Any) -> None:
    assert packed_size(value) == math.inf
    assert _native.pack(value) is None
    assert _native.pack_many([1, value], 10**6) is None


def test_a_list_that_contains_itself_is_not_plain() -> None:
    value: list[Any] = []
    value.append(value)
    assert _native.pack(value) is None
    assert _native.pack({1: value}) is None


@pytest.mark.parametrize("head", [5, 4])
def test_pack_ends_at_four_kilobytes(head: int) -> None:
    for value in (b"x" * (LONGEST - head), "x" * (LONGEST - head), (b"x" * (LONGEST - head - 5),)):
        packed = _native.pack(value)
        assert packed is None if head == 4 else len(packed) == LONGEST


# ---- many values ----


@given(st.lists(plain, max_size=30))
def test_many_values_are_packed_one_behind_the_other(items: list[Any]) -> None:
    packed = _native.pack_many(items, 10**9)
    assert type(packed) is bytearray
    assert packed == b"".join(map(_native.pack, items))
    assert same(unpacked(packed, len(items)), items)


@given(st.lists(values, max_size=6))
def test_one_that_is_not_plain_makes_all_of_them_none(items: list[Any]) -> None:
    packed = _native.pack_many(items, 10**9)
    assert (packed is None) == any(packed_size(item) == math.inf for item in items)


def test_long_values_are_packed_too() -> None:
    items = ["x" * 100_000, b"y" * 300_000, 1, ("z" * 5000,)]
    assert unpacked(_native.pack_many(items, 10**6), 4) == items
    assert unpacked(_native.pack_many([0] * 100_000, 10**6), 100_000) == [0] * 100_000


@pytest.mark.parametrize("items", [[], [1], [1, 2, 3], ["x" * 1000], [b"x" * 10, "y" * 1000, 1], [1] * 500])
def test_no_more_bytes_than_allowed_are_given(items: list[Any]) -> None:
    size = int(sum(map(packed_size, items)))
    assert len(_native.pack_many(items, size)) == size
    if items:
        assert _native.pack_many(items, size - 1) is None
        assert _native.pack_many(items, 0) is None
    assert not _native.pack_many([], 0)


def test_what_is_too_long_is_not_copied_to_see_that() -> None:
    items = [1, b"x" * 50_000_000]
    tracemalloc.start()
    try:
        assert _native.pack_many(items, 100_000) is None
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "args", [(), ([1],), ((1,), 10), (iter([]), 10), ([1], "x"), ([1], None), ([1], 10, 10)]
)
def test_pack_many_wants_a_list_and_a_number(args: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        _native.pack_many(*args)


# ---- unpacking ----


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: np.frombuffer(data, np.uint8)])
def test_any_buffer_will_do_and_what_is_before_and_behind_does_not_matter(kind: Any) -> None:
    data = b"head" + _native.pack((1, "a")) + _native.pack(2) + b"\xff\xff"
    assert unpacked(kind(data), 2, offset=4) == [(1, "a"), 2]


def test_a_part_of_a_view_will_do() -> None:
    data = b"xx" + _native.pack("abc") + b"xx"
    assert unpacked(memoryview(data)[2:-2]) == ["abc"]
    with pytest.raises(BufferError):
        unpacked(memoryview(data)[::2])


@pytest.mark.parametrize(
    ("offset", "count"),
    [(-1, 1), (0, -1), (6, 0), (5, 1), (0, 6), (2**62, 1), (0, 2**62), (-(2**62), 1), (2**63 - 1, 2**63 - 1)],
)
def test_numbers_that_do_not_fit_the_buffer_are_refused(offset: int, count: int) -> None:
    with pytest.raises(CorruptRingError):
        _native.unpack(_native.pack(1), offset, count, None)


@pytest.mark.parametrize(
    "args",
    [(), (b"", 0, 0), (b"", "x", 0, None), (b"", 0, None, None), ("text", 0, 0, None), (None, 0, 0, None)],
)
def test_unpack_wants_a_buffer_two_numbers_and_a_function(args: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        _native.unpack(*args)


def test_nothing_is_unpacked_from_nothing() -> None:
    assert _native.unpack(b"", 0, 0, None) == ([], None)


# ---- pickles among them ----


@given(st.lists(st.one_of(plain, st.builds(complex), st.lists(st.lists(st.integers())))))
def test_pickles_lie_among_plain_values(items: list[Any]) -> None:
    data = b"".join(_native.pack(item) or pickled(item) for item in items)
    assert same(unpacked(data, len(items)), items)


@pytest.mark.parametrize("kind", [ValueError, MemoryError, SystemExit, RecursionError])
def test_what_a_pickle_raises_is_the_error_of_that_item_alone(kind: type[BaseException]) -> None:
    def loads(data: bytes) -> Any:
        if data == b"bad":
            raise kind("bad")
        return pickle.loads(data)

    bad = struct.pack("<BI", PICKLE, 3) + b"bad"
    values, errors = _native.unpack(
        _native.pack(1) + bad + pickled({1j}) + bad + _native.pack("x"), 0, 5, loads
    )
    assert values == [1, None, {1j}, None, "x"]
    assert errors is not None
    assert list(errors) == [1, 3]
    assert [type(error) for error in errors.values()] == [kind, kind]
    assert errors[1] is not errors[3]
    assert errors[1].__traceback__.tb_frame.f_code is loads.__code__


def test_a_pickle_is_given_as_bytes() -> None:
    seen: list[Any] = []
    data = struct.pack("<BI", PICKLE, 2) + b"ab" + struct.pack("<BI", PICKLE, 0)
    assert unpacked(data, 2, loads=seen.append) == [None, None]
    assert seen == [b"ab", b""]


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_pickle_that_is_cut_short_spoils_all_because_nobody_knows_where_the_next_begins(cut: int) -> None:
    data = _native.pack(1) + struct.pack("<BI", PICKLE, 3) + b"\0\0\0"
    with pytest.raises(CorruptRingError):
        _native.unpack(data[:-cut] + b"", 0, 2, pickle.loads)


def test_the_buffer_may_change_while_a_pickle_is_loaded() -> None:
    data = bytearray(pickled([1j]) + _native.pack("tail"))

    def loads(pickle_data: bytes) -> Any:
        with pytest.raises(BufferError):
            data.clear()  # it is held
        data[-4:] = b"TAIL"
        return pickle.loads(pickle_data)

    assert unpacked(data, 2, loads=loads) == [[1j], "TAIL"]
    data.clear()


# ---- garbage ----


def survives(data: bytes, count: int, loads: Any = pickle.loads) -> None:
    """Values, or a clean error."""
    try:
        values, errors = _native.unpack(data, 0, count, loads)
    except CLEAN:
        return
    assert len(values) == count
    assert errors is None or all(0 <= place < count for place in errors)


def refuse(data: bytes) -> None:
    raise ValueError(data)


@settings(max_examples=1000)
@given(
    st.lists(st.one_of(st.binary(max_size=6), st.integers(0, 12).map(lambda tag: bytes([tag]))), max_size=20),
    st.integers(-1, 9),
)
def test_random_bytes_are_values_or_a_clean_error(parts: list[bytes], count: int) -> None:
    survives(b"".join(parts), count, refuse)


@given(st.lists(plain, min_size=1, max_size=5), st.data())
def test_a_changed_byte_gives_values_or_a_clean_error(items: list[Any], data: st.DataObject) -> None:
    packed = _native.pack_many(items, 10**9)
    for _ in range(data.draw(st.integers(1, 3))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    survives(bytes(packed), len(items), refuse)


@given(st.lists(plain, min_size=1, max_size=5), st.data())
def test_what_is_cut_short_is_refused(items: list[Any], data: st.DataObject) -> None:
    packed = bytes(_native.pack_many(items, 10**9))
    with pytest.raises(CorruptRingError):
        _native.unpack(packed[: data.draw(st.integers(0, len(packed) - 1))], 0, len(items), None)


@pytest.mark.parametrize("tag", [STR, BYTES, TUPLE, LIST, DICT, PICKLE])
@pytest.mark.parametrize("count", [5, 2**31 - 1, 2**31, 2**32 - 1])
def test_a_count_that_cannot_be_is_refused_before_memory_is_asked_for(tag: int, count: int) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(CorruptRingError):
            _native.unpack(struct.pack("<BI", tag, count) + b"\0" * 4, 0, 1, refuse)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_containers_within_containers_take_no_absurd_memory() -> None:
    size = 1_000_000
    heads = b"".join(struct.pack("<BI", TUPLE, size - 5 * (i + 1)) for i in range(DEEPEST))
    tracemalloc.start()
    try:
        with pytest.raises(CorruptRingError):
            _native.unpack(heads + b"\xff" * (size - len(heads)), 0, 1, None)
        assert tracemalloc.get_traced_memory()[1] < 10 * 8 * size
    finally:
        tracemalloc.stop()


def test_containers_that_are_too_deep_are_refused() -> None:
    for tag in (TUPLE, LIST, DICT):
        head = struct.pack("<BI", tag, 1)
        with pytest.raises(CorruptRingError):
            _native.unpack(head * 100_000, 0, 1, None)


def test_an_unknown_tag_is_refused() -> None:
    for tag in range(PICKLE + 1, 256):
        with pytest.raises(CorruptRingError):
            _native.unpack(bytes([tag]) * 20, 0, 1, None)


def test_keys_without_a_hash_are_a_clean_error() -> None:
    with pytest.raises(TypeError):
        _native.unpack(struct.pack("<BIBIB", DICT, 1, LIST, 0, NONE), 0, 1, None)


def test_wrong_utf_8_is_a_clean_error() -> None:
    with pytest.raises(UnicodeDecodeError):
        _native.unpack(struct.pack("<BI", STR, 2) + b"\xff\xff", 0, 1, None)


def test_nothing_leaks_whatever_is_unpacked() -> None:
    bad = struct.pack("<BI", TUPLE, 3) + _native.pack("x" * 100) + b"\xff\xff\xff"
    good = _native.pack([1, "a", (2.0, b"b")]) + pickled({1: 2})

    def once() -> None:
        survives(bad, 1)
        survives(good, 2)
        survives(good, 2, refuse)
        survives(good[:-3], 2)
        _native.pack_many([1, [[]]], 100)
        _native.pack_many(["x" * 1000], 100)

    once()
    tracemalloc.start()
    try:
        for _ in range(50):
            once()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(500):
            once()
        assert tracemalloc.get_traced_memory()[0] - before < 20_000
    finally:
        tracemalloc.stop()
