"""The examples, run as a user runs them, and checked against a plain serial computation."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
WATCHDOG_S = 60

TOTALS = re.compile(
    r"(?P<matches>\d+) matches in (?P<found_in>\d+) files; "
    r"searched (?P<files>\d+) files, (?P<lines>\d+) lines, "
    r"(?P<megabytes>[\d.]+) MB; skipped (?P<skipped>\d+); "
    r"load [\d.]+ s, query [\d.]+ s; processes (?P<pids>[\d, ]+)"
)


@contextmanager
def started(*command: str | Path) -> Iterator[subprocess.Popen[str]]:
    """An example in a session of its own, so that a signal can reach all of it as Ctrl-C would."""
    with subprocess.Popen(
        [sys.executable, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:  # a test that fails half-way leaves nothing running
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Its exit code and both outputs; a hang fails, with what it wrote so far."""
    try:
        out, err = process.communicate(timeout=WATCHDOG_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate(timeout=WATCHDOG_S)
        pytest.fail(f"the example hangs; it wrote {out[-2000:]!r} and {err[-2000:]!r}")
    return process.returncode, out, err


def run(*command: str | Path) -> tuple[int, str, str]:
    with started(*command) as process:
        return finish(process)


# --- much_cpu -------------------------------------------------------------------------------------


def primes_below(limit: int) -> int:
    return sum(all(number % divisor for divisor in range(2, number)) for number in range(2, limit))


@pytest.mark.parametrize(("limit", "hands"), [(2000, 2), (2000, 3), (1, 2), (3, 5)])
def test_much_cpu_counts_the_same_primes_in_all_three_ways(limit: int, hands: int) -> None:
    code, out, err = run(EXAMPLES / "much_cpu.py", "--limit", str(limit), "--hands", str(hands))
    assert (code, err) == (0, "")
    head, *lines = out.splitlines()
    assert head == f"primes below {limit}"
    assert [re.split(r"\s{2,}", line)[0] for line in lines] == [
        "serially",
        f"{hands} threads",
        f"{hands} processes",
    ]
    assert [re.search(r"(\d+) primes", line)[1] for line in lines] == [str(primes_below(limit))] * 3


def test_much_cpu_runs_threads_in_one_process_and_processes_in_others() -> None:
    _, out, _ = run(EXAMPLES / "much_cpu.py", "--limit", "2000", "--hands", "3")
    pids = [line.partition("in process ")[2].split(", ") for line in out.splitlines()[1:]]
    assert [len(some) for some in pids] == [1, 1, 3]
    assert pids[0] == pids[1]
    assert pids[0][0] not in pids[2]


@pytest.mark.parametrize("arguments", [("--limit", "0"), ("--limit", "many"), ("--hands", "-1"), ("more",)])
def test_much_cpu_refuses_arguments_that_make_no_sense(arguments: tuple[str, ...]) -> None:
    code, _, err = run(EXAMPLES / "much_cpu.py", *arguments)
    assert code == 2
    assert "usage" in err
    assert "Traceback" not in err


# --- prime_factors --------------------------------------------------------------------------------


def factors_of(number: int) -> list[int]:
    """By the way that thinks: up to the square root."""
    found, divisor = [], 2
    while divisor * divisor <= number:
        while number % divisor == 0:
            found.append(divisor)
            number //= divisor
        divisor += 1
    return found + [number] * (number > 1)


def taken_apart(out: str) -> dict[int, list[int]]:
    """What was printed: each number with its factors."""
    lines = re.findall(r"^ *(\d+) = ([\dx ]+)$", out, re.MULTILINE)
    return {int(number): [int(factor) for factor in factors.split(" x ")] for number, factors in lines}


def test_prime_factors_prints_the_factors_of_each_number_and_the_speed_up() -> None:
    code, out, err = run(EXAMPLES / "prime_factors.py", "--numbers", "12", "--most", "150000")
    assert (code, err) == (0, "")
    assert "12 random numbers from 100000 to 150000" in out
    found = taken_apart(out)
    assert len(found) == 12
    assert all(100_000 <= number <= 150_000 for number in found)
    assert found == {number: factors_of(number) for number in found}
    loop, pool, ratio = out.splitlines()[-3:]
    assert re.fullmatch(r"one core +\d+\.\d\d s +\(a plain loop\)", loop)
    assert re.fullmatch(r" *\d+ cores +\d+\.\d\d s +\(manyhands.Pool\(\).map\)", pool)
    assert re.fullmatch(r"speed-up +\d+\.\d\d times", ratio)


def test_prime_factors_draws_the_same_numbers_for_the_same_seed() -> None:
    outputs = [
        run(EXAMPLES / "prime_factors.py", "--numbers", "3", "--most", "200000", "--seed", seed)[1]
        for seed in ("5", "5", "6")
    ]
    first, second, other = map(taken_apart, outputs)
    assert first == second != other


def test_prime_factors_compares_as_often_as_it_is_told() -> None:
    _, out, _ = run(EXAMPLES / "prime_factors.py", "--numbers", "2", "--most", "100000", "--repeat", "3")
    assert out.count("speed-up") == 3
    assert len(re.findall(r"^ *100000 = 2 x 2 x 2 x 2 x 2 x 5 x 5 x 5 x 5 x 5$", out, re.MULTILINE)) == 2


def test_the_worker_of_prime_factors_works_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "numbers.txt").write_text("1\n12\n99991\n")
    target = f"{EXAMPLES / 'prime_factors.py'}:prime_factors"
    for wish in ((), ("--json",)):
        code, out, err = run("-m", "manyhands", "map", *wish, target, tmp_path / "numbers.txt")
        assert (code, out, err) == (0, "[]\n[2, 2, 3]\n[99991]\n", "")


@pytest.mark.parametrize(
    "arguments", [("--numbers", "0"), ("--most", "99999"), ("--seed", "x"), ("--repeat", "-1"), ("more",)]
)
def test_prime_factors_refuses_arguments_that_make_no_sense(arguments: tuple[str, ...]) -> None:
    code, out, err = run(EXAMPLES / "prime_factors.py", *arguments)
    assert (code, out) == (2, "")
    assert "usage" in err
    assert "Traceback" not in err


# --- line_search ----------------------------------------------------------------------------------

TREE = {
    "b.txt": b"a needle here\nnothing\nneedle needle\n",
    "a.py": b"no final newline, needle",
    "empty.txt": b"",
    "blank.txt": b"\n\n",
    "deep/er/Café.md": "é needle ü\r\nNeedle is another word\r\n".encode(),
    "deep/binary.dat": b"needle \xff\xfe\n",
    "deep/form.txt": "one\x0ctwo needle\u2028three\nneedle\n".encode(),
    "__pycache__/x.txt": b"needle\n",
    "site-packages/y.txt": b"needle\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, content in TREE.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "broken_link").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


def naive_search(word: str, top: Path) -> tuple[list[str], dict[str, int]]:
    """The expected lines and totals, by the shortest program that could be right."""
    matches, totals = [], {"files": 0, "lines": 0, "bytes": 0, "skipped": 1}  # 1: the broken link
    for path in top.rglob("*"):
        name = path.relative_to(top).as_posix()
        if not path.is_file() or name.startswith(("__pycache__", "site-packages")):
            continue
        try:
            text = path.read_bytes().decode()
        except UnicodeDecodeError:
            totals["skipped"] += 1
            continue
        lines = re.split("\r\n|\n|\r", text)
        if lines[-1] == "":
            lines.pop()
        totals["files"] += 1
        totals["lines"] += len(lines)
        totals["bytes"] += path.stat().st_size
        matches += [(name, number, line) for number, line in enumerate(lines, 1) if word in line]
    return [f"{name}:{number}: {line}" for name, number, line in sorted(matches)], totals


@pytest.mark.parametrize("word", ["needle", "Needle", "é", "needle needle", "absent", " "])
def test_line_search_finds_what_a_naive_search_finds(tree: Path, word: str) -> None:
    code, out, err = run(EXAMPLES / "line_search.py", word, tree)
    assert code == 0, err
    *lines, last = out.removesuffix("\n").split("\n")
    expected, counts = naive_search(word, tree)
    assert lines == expected
    totals = TOTALS.fullmatch(last)
    assert totals is not None, last
    assert int(totals["matches"]) == len(expected)
    assert int(totals["found_in"]) == len({line.partition(":")[0] for line in expected})
    assert {key: int(totals[key]) for key in ("files", "lines", "skipped")} == {
        key: counts[key] for key in ("files", "lines", "skipped")
    }
    assert totals["megabytes"] == f"{counts['bytes'] / 1e6:.2f}"


def test_line_search_names_what_it_skipped(tree: Path) -> None:
    _, _, err = run(EXAMPLES / "line_search.py", "needle", tree)
    skipped = [line for line in err.splitlines() if "skipped" in line]
    assert len(skipped) == 2
    assert "broken_link: No such file" in skipped[0]
    assert "deep/binary.dat: not UTF-8" in skipped[1]


def test_line_search_uses_processes_of_its_own_and_leaves_none(tree: Path) -> None:
    with started(EXAMPLES / "line_search.py", "needle", tree) as process:
        _, out, _ = finish(process)
        pids = [int(pid) for pid in TOTALS.fullmatch(out.splitlines()[-1])["pids"].split(", ")]
        assert len(set(pids)) == len(pids) >= 1
        assert process.pid not in pids
        assert not [pid for pid in pids if is_running(pid)]


def test_line_search_of_an_empty_directory_finds_nothing(tmp_path: Path) -> None:
    code, out, _ = run(EXAMPLES / "line_search.py", "needle", tmp_path)
    assert code == 0
    assert out.startswith("0 matches in 0 files; searched 0 files, 0 lines, 0.00 MB; skipped 0;")


def test_line_search_reads_the_standard_library_by_default() -> None:
    code, out, err = run(EXAMPLES / "line_search.py")
    assert code == 0, err
    *lines, last = out.splitlines()
    totals = TOTALS.fullmatch(last)
    assert int(totals["matches"]) == len(lines) > 0
    assert int(totals["files"]) > 100
    assert any(line.startswith("threading.py:") for line in lines)
    assert all(re.match(r"[^:]+\.py:\d+: .*deadlock", line) for line in lines)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["word", "/there/is/no/such/directory"], "is not a directory"),
        (["word", EXAMPLES / "line_search.py"], "is not a directory"),
        (["", EXAMPLES], "WORD is empty"),
        (["word", EXAMPLES, "more"], "unrecognized arguments"),
    ],
)
def test_line_search_refuses_wrong_arguments(arguments: list[str | Path], said: str) -> None:
    code, out, err = run(EXAMPLES / "line_search.py", *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


@pytest.fixture
def talkative_tree(tmp_path: Path) -> Path:
    """So many matches that printing them blocks until somebody reads."""
    (tmp_path / "many.txt").write_text("needle in a long line of a long file\n" * 50_000)
    (tmp_path / "more.txt").write_text("needle\n")
    return tmp_path


def test_line_search_is_quiet_when_its_reader_has_seen_enough(talkative_tree: Path) -> None:
    with started(EXAMPLES / "line_search.py", "needle", talkative_tree) as process:
        assert process.stdout.readline() == "many.txt:1: needle in a long line of a long file\n"
        process.stdout.close()
        process.stdout = None
        code, _, err = finish(process)
        assert code == 141
        assert len(err.splitlines()) == 1
        assert "Traceback" not in err


def test_line_search_takes_ctrl_c_with_one_line(talkative_tree: Path) -> None:
    with started(EXAMPLES / "line_search.py", "needle", talkative_tree) as process:
        process.stdout.readline()  # now it is printing, and stuck until we read on
        os.killpg(process.pid, signal.SIGINT)
        code, _, err = finish(process)
        assert code == 130
        first, *rest = err.splitlines()
        assert rest == ["line_search: interrupted"]
        assert not [pid for pid in loading_pids(first) if is_running(pid)]


def test_line_search_says_so_when_a_process_dies(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_bytes(b"x\n" * 3_000_000)  # takes longer to load than a signal to arrive
    with started(EXAMPLES / "line_search.py", "needle", tmp_path) as process:
        pids = loading_pids(process.stderr.readline())
        os.kill(pids[0], signal.SIGKILL)
        code, out, err = finish(process)
        assert (code, out) == (1, "")
        assert f"process {pids[0]} (exit code -9) died" in err
        assert "Traceback" not in err


def loading_pids(line: str) -> list[int]:
    """The process ids in the line that says that loading has begun."""
    return [int(pid) for pid in line.partition("in process ")[2].split(", ")]


def is_running(pid: int) -> bool:
    """Is there such a process, other than as a zombie that its parent will collect?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_tree_search_answers_over_a_tree_of_its_own(tmp_path):
    (tmp_path / "a.py").write_text("def walk(tree):\n    return tree\n")
    (tmp_path / "b.txt").write_text("call 555-1234\nnothing\n")
    with started(EXAMPLES / "tree_search.py", tmp_path, "def walk", r"\d{3}-\d{4}", "absent") as process:
        out, err = process.communicate(timeout=WATCHDOG_S)
    assert (process.returncode, err) == (0, "")
    assert "2 files, 0.0 MB of text" in out
    assert re.search(
        r"def walk: 1 lines in 1 files, [\d.]+ ms, complete: True\n  a.py:1: def walk\(tree\):", out
    )
    assert re.search(r"b.txt:1: call 555-1234", out)
    assert re.search(r"absent: 0 lines in 0 files, [\d.]+ ms, complete: True", out)
