"""Whatever goes into a queue comes out equal, with the same type, and as it was when it was put."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import manyhands as mh
from manyhands.errors import PicklingError
from manyhands.memory.serialize import INLINE_MOST

SETTINGS = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
K64, K128 = 64 << 10, 128 << 10
EDGES = sorted({n + d for n in (0, 64, K64, K128, 1 << 20) for d in (-65, -1, 0, 1, 65) if n + d >= 0})

atoms = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.complex_numbers(), st.text(st.characters()),
    st.text(st.characters(categories=["Cs"]), min_size=1), st.binary(), st.binary().map(bytearray),
    st.integers(min_value=10**4000, max_value=10**4001), st.dates(), st.fractions(),
)  # fmt: skip
hashable = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(), st.binary(), st.tuples(st.integers(), st.text())
)
objects = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner),
        st.dictionaries(hashable, inner),
        st.lists(inner).map(tuple),
        st.sets(hashable),
        st.frozensets(hashable),
    ),
    max_leaves=20,
)
dtypes = st.one_of(
    hnp.boolean_dtypes(), hnp.integer_dtypes(endianness="="), hnp.integer_dtypes(endianness=">"), hnp.floating_dtypes(),
    hnp.complex_number_dtypes(), hnp.datetime64_dtypes(), hnp.byte_string_dtypes(), hnp.unicode_string_dtypes(),
    hnp.array_dtypes(),
)  # fmt: skip
arrays = hnp.arrays(dtypes, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6))


@pytest.fixture(scope="module")
def q():
    made = mh.Queue()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _no_leaks():
    """The queue of the module stays open between tests."""


def through(q, obj):
    q.put(obj)
    return q.get(timeout=30)


def same(a, b):
    """Equal all the way down, nan to nan, type to type."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    if isinstance(a, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray):
        return (
            a.dtype == b.dtype
            and a.shape == b.shape
            and a.tobytes() == b.tobytes()
            and a.flags.writeable == b.flags.writeable
        )
    return a == b


@SETTINGS
@given(objects)
def test_any_object_comes_out_equal_and_of_the_same_type(q, obj):
    assert same(obj, through(q, obj))


@SETTINGS
@given(st.lists(objects, max_size=12))
def test_put_many_and_get_many_change_nothing(q, items):
    q.put_many(items)
    got = []
    while len(got) < len(items):
        got += q.get_many(timeout=30)
    assert same(items, got)


@SETTINGS
@given(objects)
def test_a_pipe_changes_nothing(obj):
    a, b = mh.Pipe(duplex=False)
    with a, b:
        b.send(obj)
        assert same(obj, a.recv())


@SETTINGS
@given(arrays, st.booleans(), st.booleans(), st.booleans())
def test_an_array_keeps_values_dtype_shape_and_permission(q, array, transposed, reversed_, frozen):
    if transposed:
        array = array.T
    if reversed_ and array.ndim:
        array = array[::-1]
    if frozen:
        array.flags.writeable = False
    got = through(q, array)
    expected = pickle.loads(
        pickle.dumps(array, 5)
    )  # of strided big-endian arrays numpy itself keeps the values only
    assert (got.dtype, got.shape, got.flags.writeable) == (
        expected.dtype,
        array.shape,
        expected.flags.writeable,
    )
    assert got.tobytes() == expected.tobytes()


@pytest.mark.parametrize("size", EDGES)
@pytest.mark.parametrize("kind", [bytes, bytearray, str, memoryview, list, tuple, dict, "wide str"])
def test_every_size_at_a_limit_arrives_whole(q, kind, size):
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    obj = {
        bytes: data, bytearray: bytearray(data), str: data.decode("latin-1").replace("\xff", "x"), memoryview: memoryview(data),
        list: [data, 1], tuple: (data, data[:-1]), dict: {"k": data, 1: "a" * size}, "wide str": "\N{SNOWMAN}" * (size // 3),
    }[kind]  # fmt: skip
    got = through(q, obj)
    assert got == obj
    assert type(got) is type(obj)


@pytest.mark.parametrize("size", [(64 << 20) - 4096, (64 << 20) + 1])
def test_sizes_around_a_segment_arrive_whole(q, size):
    array = np.zeros(size, "u1")
    array[[0, -1]] = 7
    got = through(q, array)
    assert (got.nbytes, got[0], got[-1], got[1:-1].any()) == (size, 7, 7, False)


@pytest.mark.parametrize("nbytes", [8, K64, INLINE_MOST + 8, 1 << 20])
@pytest.mark.parametrize("writable", [True, False])
def test_a_received_array_is_writable_if_the_sent_was(q, nbytes, writable):
    array = np.arange(nbytes // 8)
    array.flags.writeable = writable
    got = through(q, [array])[0]
    assert got.flags.writeable is writable
    if writable:
        got[:] = -1
        assert array[-1] == nbytes // 8 - 1


@pytest.mark.parametrize("size", [10, K64 + 1, 1 << 20])
@pytest.mark.parametrize(
    "make",
    [
        lambda n: np.ones(n, "u1"),
        lambda n: bytearray(b"\1" * n),
        lambda n: [np.ones(n, "u1")],
        lambda n: [bytearray(b"\1" * n)],
    ],
)
def test_what_is_received_is_what_it_was_when_it_was_put(q, make, size):
    obj = make(size)
    q.put(obj)
    inner = obj[0] if isinstance(obj, list) else obj
    inner[:] = bytes(len(inner)) if isinstance(inner, bytearray) else 0
    got = q.get()
    assert set((got[0] if isinstance(got, list) else got)[:]) == {1}


VIEWS = {
    "bytes": memoryview(b"abc"), "writable": memoryview(bytearray(b"abc")), "empty": memoryview(b""),
    "floats": memoryview(np.arange(4.0)), "2-d": memoryview(np.arange(6.0).reshape(2, 3)), "strided": memoryview(b"abcdef")[::2],
    "fortran": memoryview(np.asfortranarray(np.arange(6.0).reshape(2, 3))), "0-d": memoryview(np.array(3.0)),
    "zeros in shape": memoryview(np.ones((0, 3))), "large": memoryview(np.arange(100_000.0)), "reversed": memoryview(b"abc")[::-1],
}  # fmt: skip


@pytest.mark.parametrize("name", VIEWS)
def test_a_memoryview_arrives_equal_or_is_refused_as_not_picklable(q, name):
    view = VIEWS[name]
    try:
        q.put(view)
    except PicklingError:
        return
    got = q.get()
    assert (got.tolist(), got.format, got.shape) == (view.tolist(), view.format, view.shape)


@pytest.mark.parametrize("name", ["bytes", "writable"])
def test_a_memoryview_keeps_its_permission(q, name):
    assert through(q, VIEWS[name]).readonly is VIEWS[name].readonly


@pytest.mark.parametrize(
    "array",
    [
        np.array(3.5), np.empty(0), np.empty((0, 3)), np.ones((3, 4), order="F"), np.ones((50, 60))[::3, ::-2], np.ones((500, 600))[::3, ::-2],
        np.array([1, "x", None], object), np.zeros(5, "i4,f8,(2,3)u1"), np.array(["a", "bc"]), np.broadcast_to(np.arange(3), (4, 3)),
        np.ma.array([1, 2], mask=[0, 1]), np.recarray(3, "i4,f8"), np.arange(5)[np.newaxis].T, np.float64(1.5), np.bool_(True),
        np.zeros(3, [("a", "i4"), ("b", "O")]),
    ],
    ids=lambda a: f"{type(a).__name__}-{a.dtype}-{a.shape}"[:50],
)  # fmt: skip
def test_special_arrays(q, array):
    got = through(q, array)
    assert type(got) is type(array)
    assert (got.dtype, got.shape) == (array.dtype, array.shape)
    assert repr(np.asarray(got).tolist()) == repr(np.asarray(array).tolist())


@pytest.mark.parametrize("rows", [0, 10, 100_000])
def test_arrow_tables(q, rows):
    table = pa.table(
        {
            "i": pa.array(range(rows), pa.int64()),
            "s": [str(i) for i in range(rows)],
            "n": pa.nulls(rows, pa.float32()),
        }
    )
    assert through(q, table).equals(table)
    assert through(q, {"slice": table.slice(rows // 2)})["slice"].equals(table.slice(rows // 2))


def test_arrow_buffers(q):
    for size in (0, 3, 1 << 20):
        buffer = pa.py_buffer(b"x" * size)
        got = through(q, buffer)
        assert isinstance(got, pa.Buffer)
        assert got.equals(buffer)


@pytest.mark.parametrize(
    "data", [b"", b"abc", bytearray(b"abc"), b"x" * (1 << 20)], ids=lambda d: f"{type(d).__name__}{len(d)}"
)
def test_pickle_buffers_arrive_as_their_bytes(q, data):
    got = through(q, [pickle.PickleBuffer(data)])[0]
    assert bytes(got) == data


def test_thousands_of_buffers_in_one_item(q):
    for each in (np.empty(0), np.arange(1)):
        got = through(q, [each.copy() for _ in range(5000)])
        assert len(got) == 5000
        assert (got[-1] == each).all()
    assert len(through(q, [pickle.PickleBuffer(b"") for _ in range(4200)])) == 4200


def test_a_pickle_buffer_with_gaps_is_refused_as_not_picklable(q):
    with pytest.raises(PicklingError):
        q.put([pickle.PickleBuffer(memoryview(b"abcdef")[::2])])


def test_views_of_one_array_arrive_each_whole(q):
    array = np.arange(100_000)
    got = through(q, [array, array, array[10:], array[:5].copy()])
    assert [part.tolist() for part in got[2:]] == [array[10:].tolist(), [0, 1, 2, 3, 4]]
    assert got[0] is got[1]


@pytest.mark.parametrize("size", [10, K64])
def test_a_list_that_holds_itself(q, size):
    ring = ["x" * size, b"y" * size]
    ring.append(ring)
    got = through(q, ring)
    assert got[2] is got
    assert got[:2] == ring[:2]


@pytest.mark.parametrize("size", [10, K64])
def test_a_list_that_holds_itself_one_level_down(q, size):
    ring = ["x" * size]
    ring.append([ring])
    got = through(q, ring)
    assert got[1][0] is got


@pytest.mark.parametrize("size", [10, K64])
def test_the_same_string_twice_is_one_string_again(q, size):
    text = "x" * size
    got = through(q, [text, text])
    assert got[0] is got[1]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x", 1),
        KeyError("k"),
        OSError(2, "no", "file"),
        UnicodeDecodeError("u", b"x", 0, 1, "r"),
        StopIteration(3),
        ExceptionGroup("g", [ValueError()]),
    ],
    ids=repr,
)
def test_exceptions(q, error):
    error.__notes__ = ["a note"]
    got = through(q, error)
    assert (type(got), repr(got.args), got.__notes__) == (type(error), repr(error.args), ["a note"])


def test_lambdas_and_closures(q):
    base = 40
    assert through(q, lambda x: x + base)(2) == 42


def test_what_lives_in_main_arrives_in_every_kind_of_child(script):
    out = script("""
        import manyhands as mh
        class Point:
            def __init__(self, x): self.x = x
            def __eq__(self, other): return self.x == other.x
        def double(x): return 2 * x
        def child(there, back):
            function, point = there.get()
            back.put((function(point.x), point, lambda: point.x + 1))
        for method in ("template", "fork", "spawn"):
            there, back = mh.Queue(), mh.Queue()
            process = mh.get_context(method).Process(target=child, args=(there, back))
            process.start()
            there.put((double, Point(21)))
            doubled, point, function = back.get(timeout=30)
            process.join()
            print(doubled, point == Point(21), function(), type(point) is Point)
    """)
    assert out.splitlines() == ["42 True 22 True"] * 3
