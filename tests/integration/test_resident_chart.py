"""The resident chart, as a user runs it and as its shards answer, against plain numpy on small tables."""

from __future__ import annotations

import contextlib
import csv
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import manyhands as mh

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
WATCHDOG_S = 50
ERROR = 1 / 512  # what the program promises of its quantiles


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))


@pytest.fixture(autouse=True, scope="module")
def _what_arrow_keeps_open(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Its first reading opens a pipe for good: that is no leak of ours."""
    from pyarrow import csv as arrow_csv

    arrow_csv.read_csv(write_csv(tmp_path_factory.mktemp("arrow") / "t.csv", a_table(3)))


def run(*arguments: object, **env: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "resident_chart.py"), *map(str, arguments)],
        capture_output=True, text=True, timeout=WATCHDOG_S, env=os.environ | env, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


Table = tuple[np.ndarray, np.ndarray]  # numbers, and their groups' names


def a_table(rows: int = 5000) -> Table:
    """Numbers of both signs and many sizes, some of them equal, some zero, in groups of very different sizes."""
    random = np.random.default_rng(3)
    values = np.round(random.standard_normal(rows) * 10.0 ** random.integers(-3, 6, rows), 3)
    values[::50] = 0.0
    return values, random.choice(["a", "b, quoted", "Ä", "rare"], rows, p=[0.5, 0.3, 0.195, 0.005])


def write_csv(path: Path, table: Table) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["group", "nothing", "x"])
        out.writerows((group, "", repr(float(value))) for value, group in zip(*table, strict=True))
    return path


def write_parquet(path: Path, table: Table, kind: Any = np.float64) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"group": pa.array(table[1]).dictionary_encode(), "x": pa.array(table[0].astype(kind))}
    pq.write_table(pa.table(columns), path, row_group_size=700)
    return path


def pieces_of(source: str, folder: Path, table: Table, workers: int) -> list[Any]:
    from resident_table.csv_part import csv_pieces
    from resident_table.parquet_part import parquet_pieces

    if source == "parquet":
        return parquet_pieces(write_parquet(folder / "t.parquet", table), "x", "group", workers)
    return csv_pieces(
        write_csv(folder / "t.csv", table), "x", "group", workers, by_numpy=source == "csv by numpy"
    )


def answer_of(pieces: list[Any], bins: int = 37) -> Any:
    """All groups, from the smallest number to the largest."""
    from resident_table import answer
    from resident_table.shard import Shard

    with mh.ActorGroup(Shard, pieces) as shards:
        ask = answer.of_group(shards)
        held = answer.held(ask)
        return answer.summary(ask, answer.edges_between(held.low, held.high, bins))


def check_against_numpy(found: Any, table: Table, bins: int = 37) -> None:
    values, names = table
    edges = np.histogram_bin_edges(values, bins)
    assert np.array_equal(found.edges, edges)
    assert sorted(found.groups) == sorted(set(names))
    for name, part in found.groups.items():
        own = values[names == name]
        assert part.count == len(own)
        assert np.array_equal(part.counts, np.histogram(own, edges)[0])
        assert part.total == pytest.approx(own.sum(dtype=np.float64), rel=1e-9, abs=1e-6)
    assert np.array_equal(found.whole.counts, np.histogram(values, bins)[0])


# --- answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("source", ["csv", "csv by numpy", "parquet"])
def test_each_group_of_a_file_is_counted_as_numpy_counts_it(
    source: str, workers: int, tmp_path: Path
) -> None:
    table = a_table()
    pieces = pieces_of(source, tmp_path, table, workers)
    assert len(pieces) == workers
    check_against_numpy(answer_of(pieces), table)


@pytest.mark.parametrize("workers", [1, 3])
def test_quantiles_are_as_near_as_they_promise(workers: int, tmp_path: Path) -> None:
    table = a_table()
    found = answer_of(pieces_of("parquet", tmp_path, table, workers))
    for name, part in [*found.groups.items(), ("all", found.whole)]:
        own = table[0] if name == "all" else table[0][table[1] == name]
        for share in np.linspace(0, 1, 41):
            exact = np.quantile(own, share, method="lower")
            assert abs(part.sketch.quantile(share) - exact) <= ERROR * abs(exact)


def test_float32_of_a_parquet_file_stays_float32(tmp_path: Path) -> None:
    from resident_table.parquet_part import parquet_pieces
    from resident_table.shard import Shard

    values, names = a_table(900)
    path = write_parquet(tmp_path / "t.parquet", (values, names), np.float32)
    pieces = parquet_pieces(path, "x", None, 2)
    assert sum(Shard(piece).held().size_bytes for piece in pieces) == 4 * 900
    check_against_numpy(answer_of(pieces), (values.astype(np.float32), np.array(["all"] * 900)))


def made_up(rows: int, seed: int, workers: int) -> Table:
    """The made-up table, as one array."""
    from resident_table.made_up import made_up_pieces

    chunks = [chunk for piece in made_up_pieces(rows, seed, workers) for chunk in piece.chunks()]
    names = [np.array(chunk.labels)[chunk.codes] for chunk in chunks]
    return np.concatenate([chunk.values for chunk in chunks]), np.concatenate(names)


def test_the_made_up_table_is_the_same_for_every_number_of_processes() -> None:
    rows = 600_001  # more than two blocks, and not a whole number of them
    values, names = made_up(rows, 4, 1)
    assert len(values) == rows
    again, names_again = made_up(rows, 4, 7)
    assert np.array_equal(values, again)
    assert np.array_equal(names, names_again)
    assert not np.array_equal(values, made_up(rows, 5, 1)[0])


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_means_of_the_made_up_table_are_exact(workers: int) -> None:
    from resident_table.made_up import made_up_pieces

    table = made_up(400_000, 1, 1)
    found = answer_of(made_up_pieces(400_000, 1, workers))
    check_against_numpy(found, table)
    for name, part in found.groups.items():
        assert part.total / part.count == table[0][table[1] == name].mean(dtype=np.float64)


@pytest.mark.parametrize("share", [0.01, 0.2, 0.49])
def test_a_question_about_a_range_leaves_the_rest_out(share: float) -> None:
    from resident_table import answer
    from resident_table.made_up import made_up_pieces
    from resident_table.shard import Shard

    rows = 300_000
    values = made_up(rows, 2, 1)[0]
    low, high = np.quantile(values, [share, 1 - share], method="lower")
    edges = answer.edges_between(low, high, 11)
    with mh.ActorGroup(Shard, made_up_pieces(rows, 2, 3)) as shards:
        whole = answer.summary(answer.of_group(shards), edges).whole
    inside = values[(values >= low) & (values <= high)]
    assert np.array_equal(whole.counts, np.histogram(values, edges)[0])
    assert (whole.count, whole.total) == (len(inside), inside.sum(dtype=np.float64))
    median = np.quantile(inside, 0.5, method="lower")
    assert whole.sketch.quantile(0.5) == pytest.approx(median, rel=ERROR)


def test_rows_without_a_finite_number_are_counted_and_left_out(tmp_path: Path) -> None:
    from resident_table.csv_part import csv_pieces
    from resident_table.shard import Shard

    path = tmp_path / "holes.csv"
    path.write_text("x,y\n1,a\n,a\nNA,b\ninf,b\n-2,\n\n3,a\n")
    for by_numpy in (False, True):
        (piece,) = csv_pieces(path, "x", "y", 1, by_numpy)
        shard = Shard(piece)
        assert shard.held()[:3] == (3, 24, 3)
        assert {label: part.count for label, part in shard.summary(np.array([-2.0, 3.0])).items()} == {
            "(empty)": 1,
            "a": 2,
        }


# --- sketches -------------------------------------------------------------------------------------


def test_adding_sketches_in_any_order_gives_the_sketch_of_all_numbers() -> None:
    from resident_table.sketch import Sketch, added, keys_of

    values = a_table(3000)[0]
    parts = [Sketch(*np.unique(keys_of(part), return_counts=True)) for part in np.split(values, 6)]
    whole = np.unique(keys_of(values), return_counts=True)
    for order in (parts, parts[::-1], [added(parts[:4]), added(parts[4:])]):
        assert all(np.array_equal(one, other) for one, other in zip(added(order), whole, strict=True))


@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, -1.0, 1e-300, -1e300, 1.7976931348623157e308, np.pi])
def test_a_buckets_middle_is_near_each_number_in_it(value: float) -> None:
    from resident_table.sketch import keys_of, middle_of

    (key,) = keys_of(np.array([value]))
    assert abs(middle_of(int(key)) - value) <= ERROR * abs(value)


# --- deaths ---------------------------------------------------------------------------------------


@pytest.fixture
def shards() -> Iterator[Any]:
    from resident_table.made_up import made_up_pieces
    from resident_table.shard import Shard

    with mh.ActorGroup(Shard, made_up_pieces(30_000, 1, 3)) as group:
        yield group


def test_an_answer_without_a_killed_shard_says_partial_and_the_next_is_whole(
    shards: Any, until: Callable[..., object], background: Callable[..., Any]
) -> None:
    from resident_table import answer

    edges = answer.edges_between(np.float32(-80), np.float32(80), 16)
    victim = shards[1].pid
    os.kill(victim, signal.SIGSTOP)  # so that the question is there when it dies
    asked = background(answer.summary, answer.of_group(shards, patient=False), edges)
    until(lambda: shards.status()[1].open_requests)
    os.kill(victim, signal.SIGKILL)
    partial = asked()
    assert partial.partial
    assert list(partial.missing) == [1]
    assert f"pid {victim}" in str(partial.missing[1])
    assert partial.whole.count == 20_000
    whole = answer.summary(answer.of_group(shards), edges)
    assert not whole.partial
    assert np.array_equal(whole.whole.counts, np.histogram(made_up(30_000, 1, 1)[0], edges)[0])


def test_a_partial_answer_is_told_and_drawn_as_one(script: Callable[..., str], tmp_path: Path) -> None:
    out = script(
        """
        import sys
        import numpy as np
        import manyhands as mh
        import resident_chart
        from resident_table import answer
        from resident_table.made_up import made_up_pieces
        from resident_table.shard import Shard

        sys.stderr = sys.stdout
        with mh.ActorGroup(Shard, made_up_pieces(3000, 1, 3)) as shards:
            ask = answer.of_group(shards)
            held = answer.held(ask)
            found = answer.summary(ask, answer.edges_between(held.low, held.high, 20))
        found.missing[2] = RuntimeError("it is on holiday")
        resident_chart.show_table(found)
        resident_chart.draw(found, held, resident_chart.options_of(["--out", sys.argv[1]]), "3 processes")
        """,
        str(tmp_path / "out"), PYTHONPATH=str(EXAMPLES),
    )  # fmt: skip
    assert "resident_chart: partial: shard 2 is not in this answer: it is on holiday" in out
    assert "<!-- partial: 1 shard is missing -->" in (tmp_path / "out" / "resident_chart.svg").read_text()


def test_bins_that_the_numbers_cannot_tell_apart_are_refused() -> None:
    from resident_table import answer
    from resident_table.chunk import TableError

    with pytest.raises(TableError, match="--bins 10000 is more than float32 can tell apart"):
        answer.edges_between(np.float32(1e6), np.float32(1e6 + 1), 10_000)


# --- the program ----------------------------------------------------------------------------------


def test_the_program_prints_times_and_means_and_draws_both_charts(tmp_path: Path) -> None:
    code, out, err = run(
        "--rows", 20_000, "--workers", 2, "--queries", 4, "--compare", "--out", tmp_path / "new" / "folder"
    )
    assert (code, err) == (0, "")
    head, two, same, plain, _, *table, drawn = out.splitlines()
    assert head == "20,000 rows of temperature by climate in 2 processes; 0.1 MB held, 4 bytes a row"
    times = (
        r" +load [\d.]+ s, first query [\d.]+ ms, second query [\d.]+ ms, median of 3 later ones [\d.]+ ms"
    )
    assert re.fullmatch("2 processes" + times, two)
    assert re.fullmatch("one process, same code" + times, same)
    assert re.fullmatch("one process, plain numpy" + times, plain)
    values, names = made_up(20_000, 1, 1)
    for line, name in zip(table, [*sorted(set(names)), "all"], strict=True):
        own = values if name == "all" else values[names == name]
        label, rows, mean, *_ = line.split()
        assert (label, rows, mean) == (name, f"{len(own):,}", f"{own.mean(dtype=np.float64):.5g}")
    paths = drawn.removeprefix("drawn: ").split()
    assert [Path(path).name for path in paths] == ["resident_chart.svg", "resident_chart.png"]
    assert Path(paths[1]).read_bytes().startswith(b"\x89PNG")
    assert ElementTree.parse(paths[0]).getroot().tag.endswith("svg")


@pytest.mark.parametrize("write", [write_csv, write_parquet])
def test_the_program_reads_files(write: Callable[..., Path], tmp_path: Path) -> None:
    path = write(tmp_path / f"t.{write.__name__.removeprefix('write_')}", a_table(400))
    code, out, err = run(
        "--file", path, "--column", "x", "--by", "group", "--workers", 3, "--out", tmp_path, "--compare"
    )
    assert (code, err) == (0, "")
    assert out.startswith("400 rows of x by group in 3 processes;")
    assert "b, quoted" in out


def test_a_column_without_groups_is_shown_as_one(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", a_table(50))
    code, out, _ = run("--file", path, "--column", "x", "--out", tmp_path)
    assert code == 0
    assert re.search(r"^all +50 ", out, re.MULTILINE)


@pytest.fixture
def bad_files(tmp_path: Path) -> Path:
    (tmp_path / "t.csv").write_text("name,x,late\na,1,1\nb,2,2\nc,3,no\n")
    (tmp_path / "short.csv").write_text("a,b\n1\n")
    (tmp_path / "head.csv").write_text("a,b\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "many.csv").write_text("id,x\n" + "".join(f"{number},1\n" for number in range(101)))
    (tmp_path / "t.txt").write_text("x\n1\n")
    (tmp_path / "t.parquet").write_text("no Parquet at all")
    write_parquet(tmp_path / "good.parquet", a_table(10))
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--rows 0", "argument --rows: 0 is not between 1 and"),
        ("--rows many", "argument --rows"),
        ("--queries 0", "argument --queries"),
        ("--workers -1", "argument --workers"),
        ("more", "unrecognized arguments: more"),
        ("--column pressure", "has the column temperature and the group column climate"),
        ("--rows 10 --bins 10001", "argument --bins: 10001 is not between 1 and 10000"),
        ("--rows 10 --out t.txt", "--out t.txt cannot be written"),
        ("--file gone.csv --column x", "gone.csv cannot be read: No such file"),
        ("--file gone.parquet --column x", "gone.parquet cannot be read: No such file"),
        ("--file t.txt --column x", "must end in .csv or .parquet"),
        ("--file t.csv", "--column must say which numbers to read: t.csv has the columns name, x"),
        ("--file t.csv --column y", "there is no column 'y' for --column: t.csv has the columns name, x"),
        ("--file t.csv --column x --by y", "there is no column 'y' for --by"),
        ("--file t.csv --column x --by x", "--column and --by are both 'x'"),
        ("--file t.csv --column name --workers 1", "t.csv: "),
        ("--file t.csv --column late", "t.csv: "),
        ("--file short.csv --column b --workers 1", "short.csv: "),
        ("--file head.csv --column b", "not a single number"),
        ("--file empty.csv --column b", "does not begin with a line of column names"),
        ("--file many.csv --column x --by id --workers 1", "--by has more than 100 different values"),
        ("--file t.parquet --column x", "t.parquet is no Parquet file"),
        ("--file good.parquet --column y", "good.parquet has the columns group, x"),
        ("--file good.parquet --column group", "column 'group' of good.parquet has dictionary"),
    ],
)
def test_what_will_not_do_is_told_in_one_line(
    arguments: str, said: str, bad_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bad_files)
    code, _, err = run(*arguments.split())
    assert code == 2, err
    assert len(err.splitlines()) == 1
    assert err.startswith("resident_chart: ")
    assert said in err


def test_without_matplotlib_all_is_told_but_nothing_drawn(tmp_path: Path) -> None:
    (tmp_path / "matplotlib.py").write_text("raise ImportError('not here')")
    code, out, err = run("--rows", 1000, "--out", tmp_path, PYTHONPATH=str(tmp_path))
    assert code == 0
    assert "temperate" in out
    assert (
        err
        == "resident_chart: no chart was drawn: matplotlib is not installed; pip install 'manyhands[examples]'\n"
    )
    assert not (tmp_path / "resident_chart.png").exists()


def test_it_is_quiet_when_nobody_reads(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, str(EXAMPLES / "resident_chart.py"), "--rows", "100", "--out", str(tmp_path)],
            stdout=writer, stderr=subprocess.PIPE, timeout=WATCHDOG_S, check=False,
        )  # fmt: skip
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_ctrl_c_is_taken_with_one_line_and_leaves_no_process(
    tmp_path: Path, until: Callable[..., object]
) -> None:
    with subprocess.Popen(
        [sys.executable, str(EXAMPLES / "resident_chart.py"), "--rows", "1000000000", "--out", str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", start_new_session=True,
    ) as process:  # fmt: skip
        try:
            until(lambda: shards_of(process.pid))  # it is loading, for minutes
            os.killpg(process.pid, signal.SIGINT)
            out, err = process.communicate(timeout=WATCHDOG_S)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert (process.returncode, out, err) == (130, "", "resident_chart: interrupted\n")
    until(lambda: not session_of(process.pid))


def session_of(leader: int) -> list[int]:
    """Who is alive in that session, but for zombies."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, session = path.read_text().rpartition(")")[2].split()[:4]
            if int(session) == leader and state != "Z":
                found.append(int(path.parent.name))
    return found


def shards_of(leader: int) -> list[int]:
    """Processes in that session that hold a good deal of memory, the leader apart."""
    found = []
    for pid in set(session_of(leader)) - {leader}:
        with contextlib.suppress(OSError):
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            found += [pid] * (pages * os.sysconf("SC_PAGE_SIZE") > 60e6)
    return found


def test_the_help_says_that_matplotlib_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    import resident_chart

    for there in (True, False):
        monkeypatch.setattr(
            resident_chart.importlib.util, "find_spec", lambda name, there=there: there or None
        )
        with pytest.raises(SystemExit):
            resident_chart.options_of(["--help"])
        assert ("matplotlib is not installed" in capsys.readouterr().out) is not there
