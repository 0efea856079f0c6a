"""Reading files into the native store: every outcome, alone and many at once."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from manyhands import _search
from manyhands._search import BINARY, ENCODED, FAILED, NOT_REGULAR, OK, TOO_LARGE, Store

PLENTY = 1 << 40
HEAD = 8192


def bytes_of(path: Path | str) -> bytes:
    return os.fsencode(path)


def read(path: Path | str, most_bytes: int = PLENTY) -> tuple[Store, int, int, int]:
    store = Store()
    outcome, size, mtime_ns = store.read(3, bytes_of(path), most_bytes)
    store.check()
    assert (store.text(3) is not None) == (outcome == OK)
    return store, outcome, size, mtime_ns


@pytest.mark.parametrize(
    "text",
    [b"", b"a", b"a\n", b"\r\n", b"a\n" * 100_000, b"x" * 400_000, b"\xef\xbb", b"a\0"[:1] * HEAD + b"\0"],
)
def test_a_file_is_read_as_it_is(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(text)
    store, outcome, size, mtime_ns = read(path)
    assert (outcome, size, mtime_ns) == (OK, len(text), path.stat().st_mtime_ns)
    assert store.text(3) == text


@pytest.mark.parametrize("mtime_ns", [1, -1_500_000_000, 2_000_000_000_123_456_789])
def test_times_are_exact(tmp_path: Path, mtime_ns: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a")
    os.utime(path, ns=(0, mtime_ns))
    assert read(path)[3] == mtime_ns


@pytest.mark.parametrize("text", [b"\0", b"a\n" * (HEAD // 2 - 1) + b"a\0", b"text\0" + b"x" * 900_000])
def test_a_nul_at_the_beginning_makes_a_file_binary(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(text)
    store, outcome, size, _ = read(path)
    assert (outcome, size, store.files) == (BINARY, len(text), 0)


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"])
def test_a_byte_order_mark_makes_a_file_encoded(tmp_path: Path, mark: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(mark + b"a\0b\0")
    assert read(path)[1:3] == (ENCODED, len(mark) + 4)


def test_a_file_may_have_as_many_bytes_as_are_allowed_and_not_one_more(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    assert read(path, 10)[1] == OK
    assert read(path, 9)[1:3] == (TOO_LARGE, 10)


def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for name in ("fifo", "folder", "socket", "/dev/null"):
            assert read(tmp_path / name)[1] == NOT_REGULAR, name


def test_a_file_that_is_not_there_fails_with_its_error_number(tmp_path: Path) -> None:
    assert read(tmp_path / "none")[1:] == (FAILED, errno.ENOENT, 0)
    (tmp_path / "loop").symlink_to("loop")
    assert read(tmp_path / "loop")[1:] == (FAILED, errno.ELOOP, 0)


def test_symlinks_are_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"behind\n")
    (tmp_path / "link").symlink_to("file")
    assert read(tmp_path / "link")[0].text(3) == b"behind\n"


@pytest.mark.parametrize("path", ["/proc/self/limits", "/proc/kallsyms"])
def test_a_file_whose_size_is_not_told_is_read_to_its_end(path: str) -> None:
    text = Path(path).read_bytes()
    store, outcome, size, _ = read(path)
    assert (outcome, size) == (OK, len(text))
    assert store.text(3) == text


# ---- many ----


def outcomes_of(
    store: Store, root: Path, first: int, names: list[bytes], most_bytes: int = PLENTY
) -> list[tuple[int, int]]:
    outcomes, sizes, mtimes = store.read_many(bytes_of(root), first, names, most_bytes)
    assert len(mtimes) == 8 * len(names)
    return list(zip(outcomes, memoryview(sizes).cast("Q"), strict=True))


def test_many_files_are_read_in_one_call(tmp_path: Path) -> None:
    texts = [b"%d\n" % number * (number * 37 % 5000) for number in range(300)]
    for number, text in enumerate(texts):
        (tmp_path / str(number)).write_bytes(text)
    store = Store()
    names = [b"%d" % number for number in range(300)]
    assert outcomes_of(store, tmp_path, 100, names) == [(OK, len(text)) for text in texts]
    assert [store.text(100 + number) for number in range(300)] == texts
    store.check()


def test_each_of_many_files_has_its_own_outcome(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "good").write_bytes(b"good\n")
    (tmp_path / "binary").write_bytes(b"\0")
    (tmp_path / "large").write_bytes(b"12345678")
    store = Store()
    names = [b"deep/good", b"binary", b"deep", b"none", b"", b"large"]
    expected = [
        (OK, 5),
        (BINARY, 1),
        (NOT_REGULAR, 0),
        (FAILED, errno.ENOENT),
        (FAILED, errno.ENOENT),
        (TOO_LARGE, 8),
    ]
    found = outcomes_of(store, tmp_path, 0, names, most_bytes=7)
    assert [each if each[0] != NOT_REGULAR else (NOT_REGULAR, 0) for each in found] == expected
    assert store.files == 1


def test_the_times_of_many_files_are_exact(tmp_path: Path) -> None:
    wanted = [-(10**9), 0, 10**18]
    for number, mtime_ns in enumerate(wanted):
        (tmp_path / str(number)).write_bytes(b"x")
        os.utime(tmp_path / str(number), ns=(0, mtime_ns))
    mtimes = Store().read_many(bytes_of(tmp_path), 0, [b"0", b"1", b"2"], PLENTY)[2]
    assert list(memoryview(mtimes).cast("q")) == wanted


def test_a_root_that_is_not_there_fails_every_file(tmp_path: Path) -> None:
    found = outcomes_of(Store(), tmp_path / "none", 0, [b"a", b"b"])
    assert found == [(FAILED, errno.ENOENT)] * 2


def test_no_files_are_no_trouble(tmp_path: Path) -> None:
    assert Store().read_many(bytes_of(tmp_path), 0, [], PLENTY) == (b"", b"", b"")


def test_a_name_with_a_nul_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(b"good\n")
    store = Store()
    with pytest.raises(ValueError, match="a name is b'a\\\\x00b'"):
        store.read_many(bytes_of(tmp_path), 0, [b"good", b"a\0b"], PLENTY)
    assert store.files == 0


def test_reading_for_which_there_is_no_memory_keeps_none_of_the_files(script, tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / str(number)).write_bytes(b"a line of text\n" * 1_000_000)
    said = script(
        """
        import resource, sys
        from manyhands._search import Store
        import pytest

        resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))
        store = Store()
        store.put(0, b"small\\n")
        with pytest.raises(MemoryError):
            store.read_many(sys.argv[1].encode(), 1, [b"%d" % number for number in range(40)], 1 << 40)
        store.check()
        assert store.files == 1
        assert store.text(0) == b"small\\n"
        """,
        str(tmp_path),
    )
    assert said == ""


def test_the_flags_and_outcomes_are_told_apart() -> None:
    flags = [_search.CASELESS, _search.WORD, _search.FIRST_ONLY, _search.PLAIN_ONLY]
    assert sum(flags) == flags[0] | flags[1] | flags[2] | flags[3]
    assert len({OK, BINARY, ENCODED, NOT_REGULAR, TOO_LARGE, FAILED}) == 6
