"""`manyhands map`, run as a user runs it: the command line, pipes, signals, a log that outlives its writer."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import manyhands
from manyhands.cli.ahead import Ahead, Window
from manyhands.cli.journal import Journal
from manyhands.cli.main import main
from manyhands.cli.say import Failed

WATCHDOG_S = 50

WORK = '''
import os, signal, sys, threading, time
from pathlib import Path

import helper  # beside this file

FAVOURITES = ["tea"]
HERE = Path(__file__).parent

def upper(text): return text.upper()
def same(value): return value
def process(text): return os.getpid()
def nothing(text): return None
def lines(text): return f"{text}\\n{text}"
def add(a, b=0): return a + b
def helped(text): return helper.help(text)
def number(text): return int(text)
def a_set(value): return {value}
def not_a_number(value): return float("nan")
def cannot_be_pickled(text): return threading.Lock() and text
def leave(text): sys.exit(f"no more {text}")
async def later(text): return text

class Box:
    @staticmethod
    def open(text): return f"[{text}]"

class Odd(Exception):
    def __init__(self, a, b): super().__init__(a, b)
    def __str__(self): return "very odd"

def odd(text): raise Odd(1, 2)

def talk(text):
    print("talking about", text)
    os.system("echo a program about it")
    return text

def die(text):
    if text == "die": os.kill(os.getpid(), signal.SIGKILL)
    return text

def die_once(text):
    if not (HERE / "died").exists():
        (HERE / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return text

def wait(text):
    """Note that it was called; `wait` waits until there is a file `go`."""
    with open(HERE / "called", "a") as file: file.write(f"{text} {os.getpid()}\\n")
    if text == "bad" and not (HERE / "go").exists(): raise ValueError("not yet")
    while text == "wait" and not (HERE / "go").exists(): time.sleep(0.005)
    return text

if __name__ == "__main__":
    raise SystemExit("this is not to run")
'''


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with functions to map."""
    (tmp_path / "work.py").write_text(WORK)
    (tmp_path / "helper.py").write_text("def help(text): return f'helped {text}'\n")
    return tmp_path


@contextmanager
def started(here: Path, *arguments: str, **how: object) -> Iterator[subprocess.Popen[bytes]]:
    """The command in a session of its own, so that a signal can reach all of it as Ctrl-C would."""
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, "-m", "manyhands", *arguments]
    with subprocess.Popen(
        command, cwd=here, bufsize=0, start_new_session=True, **{**streams, **how}
    ) as process:
        try:
            yield process
        finally:  # a test that fails half-way leaves nothing running
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def finish(process: subprocess.Popen[bytes], text: bytes | None = None) -> tuple[int, str, str]:
    """Give it the input; its exit code and both outputs."""
    try:
        out, err = process.communicate(text, timeout=WATCHDOG_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        pytest.fail(f"the command hangs; it wrote {out[-2000:]!r} and {err[-2000:]!r}")
    decoded = [(stream or b"").decode("utf-8", "surrogateescape") for stream in (out, err)]
    return process.returncode, decoded[0], decoded[1]


def run(here: Path, *arguments: str, given: str | bytes = "") -> tuple[int, str, str]:
    """``manyhands map ARGUMENTS`` with that input."""
    text = given.encode() if isinstance(given, str) else given
    with started(here, "map", *arguments) as process:
        return finish(process, text)


def output(here: Path, *arguments: str, given: str | bytes = "") -> str:
    """The same, when all goes well."""
    code, out, err = run(here, *arguments, given=given)
    assert (code, err) == (0, "")
    return out


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def called(here: Path) -> list[str]:
    """The inputs that `wait` was called with, and by which process."""
    path = here / "called"
    return path.read_text().splitlines() if path.exists() else []


def numbers(count: int) -> str:
    return "".join(f"{n}\n" for n in range(count))


# ---- inputs and results ----


def test_each_line_gives_a_line_in_the_order_of_the_input(here: Path) -> None:
    assert output(here, "work.py:upper", given="a\nb\nc\n") == "A\nB\nC\n"
    assert output(here, "work.py:number", given=numbers(3000)) == numbers(3000)


def test_the_input_may_be_a_file_or_a_dash(here: Path) -> None:
    (here / "input").write_text("a\nb\n")
    assert output(here, "work.py:upper", "input") == "A\nB\n"
    assert output(here, "work.py:upper", "-", given="c\n") == "C\n"
    assert output(here, "work.py:upper", given="") == ""


def test_an_input_is_a_line_without_its_end(here: Path) -> None:
    assert output(here, "work.py:same", "--workers", "1", given="a \r\n\n  b") == "a \n\n  b\n"


def test_a_line_may_be_longer_than_any_buffer(here: Path) -> None:
    text = "x" * 3_000_000 + "\n" + "y" * 100_000 + "\n"
    assert output(here, "work.py:same", given=text) == text


def test_bytes_that_are_no_utf8_come_out_as_they_went_in(here: Path) -> None:
    text = b"caf\xe9 \xc3\xa9\n"
    assert output(here, "work.py:same", given=text).encode("utf-8", "surrogateescape") == text


def test_none_gives_an_empty_line_and_line_ends_in_results_stay(here: Path) -> None:
    assert output(here, "work.py:nothing", given="a\nb\n") == "\n\n"
    assert output(here, "work.py:lines", given="a\nb\n") == "a\na\nb\nb\n"


def test_with_json_inputs_and_results_are_lines_of_json(here: Path) -> None:
    text = '[1, 2]\n{"a": "é"}\n"x\\ny"\nnull\n1.5\n"\\ud800"\n'
    assert output(here, "--json", "work.py:same", given=text) == text


def test_with_star_arrays_are_arguments_and_objects_keywords(here: Path) -> None:
    text = '[1, 2]\n["a"]\n{"a": 3}\n{"b": 4, "a": 5}\n'.replace('["a"]', "[7]")
    assert output(here, "--json", "--star", "work.py:add", given=text) == "3\n7\n3\n9\n"


@pytest.mark.parametrize("function", ["a_set", "not_a_number"])
def test_a_result_that_json_cannot_express_is_a_failure_of_its_input(here: Path, function: str) -> None:
    code, out, err = run(here, "--json", f"work.py:{function}", given="1\n")
    assert (code, out) == (1, "")
    assert err.startswith("manyhands map: line 1 failed: '1'\nbad result: JSON cannot express it: ")


def test_what_functions_print_goes_to_stderr(here: Path) -> None:
    code, out, err = run(here, "work.py:talk", given="tea\n")
    assert (code, out) == (0, "tea\n")
    assert sorted(err.splitlines()) == ["a program about it", "talking about tea"]


def test_results_and_exceptions_need_not_be_fit_for_pickling(here: Path) -> None:
    assert output(here, "work.py:cannot_be_pickled", given="a\n") == "a\n"
    code, _, err = run(here, "work.py:odd", given="a\n")
    assert code == 1
    assert err.rstrip().endswith("Odd: very odd")


def test_a_result_is_printed_before_the_next_input_is_there(here: Path) -> None:
    with started(here, "map", "work.py:upper") as process:
        for letter in b"abc":
            process.stdin.write(b"%c\n" % letter)
            assert process.stdout.readline() == b"%c\n" % (letter - 32)
        assert finish(process) == (0, "", "")


# ---- where functions come from ----


@pytest.mark.parametrize("target", ["work.py:Box.open", "work:Box.open", "./work.py:Box.open"])
def test_a_function_is_found_in_a_file_or_a_module(here: Path, target: str) -> None:
    assert output(here, target, given="a\n") == "[a]\n"


def test_a_function_may_come_from_any_module_that_python_has(here: Path) -> None:
    assert output(here, "--json", "math:sqrt", given="4\n9\n") == "2.0\n3.0\n"


def test_a_file_imports_what_lies_beside_it_from_anywhere(here: Path) -> None:
    (here / "elsewhere").mkdir()
    assert output(here / "elsewhere", "../work.py:helped", given="a\n") == "helped a\n"


@pytest.mark.parametrize(
    "name", ["json.py", "queue.py", "numpy.py", "two-words.py", "helper.d/tool", "helper.d/__main__.py"]
)
def test_a_file_may_have_any_name(here: Path, name: str) -> None:
    (here / "elsewhere").mkdir()
    (here / name).parent.mkdir(exist_ok=True)
    text = "import dataclasses\n@dataclasses.dataclass\nclass Pair:\n    a: str\n"
    (here / name).write_text(f"{text}def pair(a): return Pair(a)\n")
    assert output(here / "elsewhere", f"../{name}:pair", given="x\n") == "Pair(a='x')\n"


def test_the_work_is_shared_among_processes_that_are_not_this_one(
    here: Path, until: Callable[..., object]
) -> None:
    with started(here, "map", "work.py:wait", "-w", "2") as process:
        process.stdin.write(b"wait\nwait\n")
        until(lambda: len(called(here)) == 2)
        pids = {int(line.split()[1]) for line in called(here)}
        (here / "go").touch()
        assert finish(process) == (0, "wait\nwait\n", "")
        assert len(pids - {process.pid}) == 2
        assert not any(map(is_running, pids))


@pytest.mark.parametrize("engine", ["threads", "inline"])
def test_other_engines_work_in_this_process(here: Path, engine: str) -> None:
    pytest.importorskip(f"manyhands.engines.{engine}")
    with started(here, "map", "--engine", engine, "work.py:process") as process:
        code, out, err = finish(process, numbers(200).encode())
    assert (code, err, set(out.split())) == (0, "", {str(process.pid)})


@pytest.mark.parametrize("engine", ["threads", "inline"])
def test_other_engines_tell_of_failures_as_processes_do(here: Path, engine: str) -> None:
    pytest.importorskip(f"manyhands.engines.{engine}")
    code, out, err = run(here, "--engine", engine, "work.py:number", given="1\nx\n3\n")
    assert (code, out) == (1, "1\n")
    assert "line 2 failed: 'x'" in err
    assert err.rstrip().endswith("ValueError: invalid literal for int() with base 10: 'x'")


@pytest.mark.parametrize("chunksize", ["1", "7", "10000"])
def test_chunks_change_nothing_but_the_time_it_takes(here: Path, chunksize: str) -> None:
    arguments = ("-k", "--chunksize", chunksize, "work.py:number")
    code, out, err = run(here, *arguments, given=numbers(100) + "x\n" + numbers(5))
    assert (code, out) == (1, numbers(100) + "\n" + numbers(5))
    assert "  line 101: 'x': ValueError" in err


# ---- failures ----


def test_the_first_failure_ends_the_run_and_shows_where_it_came_from(here: Path) -> None:
    code, out, err = run(here, "work.py:number", given="1\n2\nx\n4\ny\n")
    assert (code, out) == (1, "1\n2\n")
    first, *rest = err.splitlines()
    assert first == "manyhands map: line 3 failed: 'x'"
    assert rest[0] == "Traceback (most recent call last):"
    assert rest[-1] == "ValueError: invalid literal for int() with base 10: 'x'"
    assert [line for line in rest if "File" in line] == [line for line in rest if "work.py" in line] != []
    assert "remote.py" not in err


def test_a_failed_input_is_shown_shortened(here: Path) -> None:
    _, _, err = run(here, "-k", "work.py:number", given="x" * 5000 + "\n")
    assert "(5000 characters)" in err
    assert len(err) < 1000


def test_a_type_error_of_a_text_says_how_to_pass_numbers(here: Path) -> None:
    _, _, err = run(here, "math:sqrt", given="4\n")
    assert "with --json a line such as 7 is a number" in err


def test_sys_exit_in_a_function_is_a_failure(here: Path) -> None:
    code, _, err = run(here, "work.py:leave", given="tea\n")
    assert code == 1
    assert err.rstrip().endswith("SystemExit: no more tea")


def test_keep_going_leaves_an_empty_line_and_lists_the_failures_at_the_end(here: Path) -> None:
    code, out, err = run(here, "--keep-going", "work.py:number", given="1\nx\n3\ny z\n5\n")
    assert (code, out) == (1, "1\n\n3\n\n5\n")
    assert err.splitlines() == [
        "manyhands map: 2 of 5 inputs failed:",
        "  line 2: 'x': ValueError: invalid literal for int() with base 10: 'x'",
        "  line 4: 'y z': ValueError: invalid literal for int() with base 10: 'y z'",
    ]


def test_keep_going_with_json_leaves_failed_inputs_out(here: Path) -> None:
    code, out, err = run(here, "-k", "--json", "work.py:number", given='1\n"x"\n[]\nnonsense\n"5"\n')
    assert (code, out) == (1, "1\n5\n")
    assert re.findall(r"^  line (\d): .*?: (\w+ ?\w+): ", err, re.M) == [
        ("2", "ValueError"), ("3", "TypeError"), ("4", "bad input"),
    ]  # fmt: skip


def test_no_more_than_a_thousand_failures_are_listed(here: Path) -> None:
    code, _, err = run(here, "-k", "work.py:number", given="x\n" * 1234)
    first, *listed, last = err.splitlines()
    assert (code, first, last) == (1, "manyhands map: 1234 of 1234 inputs failed:", "  and 234 more")
    assert len(listed) == 1000


def test_a_worker_that_dies_fails_its_input_alone(here: Path) -> None:
    code, out, err = run(here, "-k", "work.py:die", given="1\ndie\n3\n4\n")
    assert (code, out) == (1, "1\n\n3\n4\n")
    assert re.search(r"line 2: 'die': WorkerLostError: its worker \(pid \d+\) was killed by SIGKILL", err)


def test_retries_try_an_input_again_when_its_worker_died(here: Path) -> None:
    assert output(here, "--retries", "1", "work.py:die_once", given="1\n") == "1\n"
    assert (here / "died").exists()


def test_an_input_that_takes_too_long_fails(here: Path) -> None:
    code, out, err = run(here, "-k", "--task-timeout", "0.2", "work.py:wait", given="1\nwait\n3\n")
    assert (code, out) == (1, "1\n\n3\n")
    assert "line 2: 'wait': TaskTimeoutError: it took longer than --task-timeout allows" in err


# ---- bad usage ----


def test_bad_json_is_named_with_its_line_after_the_results_before(here: Path) -> None:
    code, out, err = run(here, "--json", "work.py:same", given="1\n[2\n3\n")
    assert (code, out) == (2, "1\n")
    assert err == "manyhands map: line 2: this is not JSON: Expecting ',' delimiter at column 3: '[2'\n"


def test_star_needs_arrays_or_objects(here: Path) -> None:
    code, _, err = run(here, "--json", "--star", "work.py:add", given="[1]\n7\n")
    assert (code, err) == (
        2, "manyhands map: line 2: with --star a line must be a JSON array or a JSON object: '7'\n",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["work.py:uper"], "there is no function 'uper' in work.py; did you mean 'upper'"),
        (["work.py:Box.opne"], "there is no function 'opne' in work.py:Box; did you mean 'open'?"),
        (["wrk.py:upper"], "'wrk.py' is no such file; did you mean 'work.py'?"),
        (["./nowhere/x:f"], "'./nowhere/x' is no such file"),
        (["wrok:upper"], "there is no module 'wrok'; did you mean 'work'"),
        (["os.paht:join"], "there is no module 'os.paht'"),
        (["work.py"], "TARGET is FILE.py:function or module:function, not 'work.py'"),
        (["work.py:FAVOURITES"], "'FAVOURITES' in work.py is no function but a list"),
        (["work.py:later"], "is a coroutine function"),
        (["work.py:upper", "nowhere"], "the input 'nowhere' cannot be read: No such file or directory"),
        (["work.py:upper", "."], "the input '.' cannot be read: Is a directory"),
        (["--star", "work.py:add"], "--star needs --json"),
        (["-w", "0", "work.py:upper"], "--workers 0 would do nothing"),
        (["-w", "few", "work.py:upper"], "'few' is not a whole number"),
        (["--chunksize", "0", "work.py:upper"], "'0' is not a whole number from 1 up"),
        (["--task-timeout", "0", "work.py:upper"], "'0' is not a number above 0"),
        (["--task-timeout", "nan", "work.py:upper"], "'nan' is not a number above 0"),
        (["--retries", "-1", "work.py:upper"], "'-1' is not a whole number from 0 up"),
        (["--engine", "steam", "work.py:upper"], "invalid choice: 'steam'"),
        (["--resume", "nowhere/log", "work.py:upper"], "the log 'nowhere/log' cannot be opened"),
        (["--resume", "/dev/null", "work.py:upper"], "the log '/dev/null' is no regular file"),
        ([], "the following arguments are required: TARGET"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_sentence(here: Path, arguments: list[str], said: str) -> None:
    code, out, err = run(here, *arguments, given="1\n")
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import nowhere", "ModuleNotFoundError: No module named 'nowhere'"),
        ("def f(:", "SyntaxError"),
    ],
)
def test_a_file_that_cannot_be_imported_shows_its_own_traceback(here: Path, source: str, said: str) -> None:
    (here / "broken.py").write_text(source)
    for target in ("broken.py:f", "broken:f"):
        code, _, err = run(here, target)
        assert code == 2
        assert re.match(r"manyhands map: broken(.py)? cannot be imported:\n", err)
        assert said in err
        assert "target.py" not in err
        assert "importlib" not in err


def test_a_file_that_is_only_a_program_is_told_how_to_be_a_module(here: Path) -> None:
    (here / "program.py").write_text("import sys\nsys.exit(3)\n")
    code, _, err = run(here, "program.py:f")
    assert code == 2
    assert 'under ``if __name__ == "__main__":``' in err


def test_without_a_standard_input_a_file_is_asked_for(here: Path) -> None:
    command = [sys.executable, "-m", "manyhands", "map", "work.py:upper"]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *command], cwd=here, capture_output=True, text=True, timeout=WATCHDOG_S,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (2, "manyhands map: there is no standard input; name a file\n")


def test_an_input_that_cannot_be_read_to_its_end_is_an_error(here: Path) -> None:
    code, _, err = run(here, "work.py:upper", "/proc/self/mem")
    assert (code, err) == (1, "manyhands map: the input cannot be read: Input/output error\n")


def test_a_full_disk_under_the_results_is_an_error(here: Path) -> None:
    with open("/dev/full", "wb") as full, started(here, "map", "work.py:upper", stdout=full) as process:
        code, _, err = finish(process, b"a\n")
    assert (code, err) == (1, "manyhands map: the results cannot be written: No space left on device\n")


# ---- ends from outside ----


def test_an_endless_input_ends_quietly_when_nobody_reads_on(here: Path) -> None:
    with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as yes:
        with started(here, "map", "work.py:upper", stdin=yes.stdout) as process:
            yes.stdout.close()  # the command's alone now
            assert [process.stdout.readline() for _ in range(3)] == [b"Y\n"] * 3
            process.stdout.close()
            process.stdout = None
            assert finish(process) == (141, "", "")
        assert yes.wait() == -signal.SIGPIPE


def test_in_a_pipeline_head_is_enough_to_end_it(here: Path) -> None:
    command = f"yes | {sys.executable} -m manyhands map work.py:upper | head -n 2"
    done = subprocess.run(
        ["sh", "-c", command], cwd=here, capture_output=True, text=True, timeout=WATCHDOG_S, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "Y\nY\n", "")


def test_ctrl_c_ends_it_with_one_line_and_leaves_no_worker(here: Path, until: Callable[..., object]) -> None:
    with started(here, "map", "work.py:wait", "-w", "2") as process:
        process.stdin.write(b"1\n2\nwait\nwait\n5\n6\n")
        until(lambda: len([line for line in called(here) if line.startswith("wait")]) == 2)
        assert [process.stdout.readline() for _ in range(2)] == [b"1\n", b"2\n"]
        os.killpg(process.pid, signal.SIGINT)
        assert finish(process) == (130, "", "manyhands map: interrupted\n")
        pids = {int(line.split()[1]) for line in called(here)}
        until(lambda: not any(map(is_running, pids)))


def test_ctrl_c_while_it_waits_for_input_ends_it_too(here: Path) -> None:
    with started(here, "map", "work.py:upper") as process:
        process.stdin.write(b"a\n")
        assert process.stdout.readline() == b"A\n"
        os.killpg(process.pid, signal.SIGINT)
        assert finish(process) == (130, "", "manyhands map: interrupted\n")


def test_what_was_printed_before_ctrl_c_is_whole_lines(here: Path, until: Callable[..., object]) -> None:
    with subprocess.Popen(["yes", "x" * 1000], stdout=subprocess.PIPE) as yes:
        with started(here, "map", "work.py:upper", stdin=yes.stdout) as process:
            yes.stdout.close()
            process.stdout.readline()  # now it prints, and is soon stuck, because we do not read on
            os.killpg(process.pid, signal.SIGINT)
            code, out, err = finish(process)
        assert yes.wait() == -signal.SIGPIPE
    assert (code, err) == (130, "manyhands map: interrupted\n")
    assert set(out.splitlines(keepends=True)) <= {"X" * 1000 + "\n"}


# ---- the log ----


def records(log: Path) -> list[dict[str, object]]:
    """What stands in a log about inputs."""
    found = [json.loads(line) for line in log.read_bytes().split(b"\n")[:-1]]
    return [record for record in found if "line" in record]


def test_a_second_run_prints_from_the_log_and_runs_nothing(here: Path) -> None:
    for _ in range(2):
        assert output(here, "--resume", "log", "work.py:wait", given="a\nb\né\n") == "a\nb\né\n"
    assert len(called(here)) == 3
    assert {record["line"]: record["output"] for record in records(here / "log")} == {1: "a", 2: "b", 3: "é"}


def test_a_killed_run_goes_on_where_it_was(here: Path, until: Callable[..., object]) -> None:
    text = "1\n2\nwait\n4\n5\n"
    with started(here, "map", "--resume", "log", "-w", "2", "work.py:wait") as process:
        process.stdin.write(text.encode())
        # What comes after the input that waits is recorded too: it would be lost if the log kept the order.
        until(lambda: len(called(here)) == 5 and len(records(here / "log")) == 4)
        process.kill()
        assert finish(process)[0] == -signal.SIGKILL
    (here / "go").touch()
    assert output(here, "--resume", "log", "-w", "2", "work.py:wait", given=text) == text
    assert sorted(line.split()[0] for line in called(here)) == ["1", "2", "4", "5", "wait", "wait"]


def test_ctrl_c_says_how_to_go_on(here: Path) -> None:
    with started(here, "map", "--resume", "log", "work.py:wait") as process:
        process.stdin.write(b"1\nwait\n")
        assert process.stdout.readline() == b"1\n"
        os.killpg(process.pid, signal.SIGINT)
        assert finish(process) == (
            130,
            "",
            "manyhands map: interrupted; the same command goes on from 'log'\n",
        )
    assert len(records(here / "log")) == 1


def test_changed_failed_and_new_inputs_are_run_again(here: Path) -> None:
    assert run(here, "-k", "--resume", "log", "work.py:wait", given="1\nbad\n3\n")[:2] == (1, "1\n\n3\n")
    (here / "go").touch()
    (here / "called").unlink()
    assert output(here, "--resume", "log", "work.py:wait", given="1\nbad\nC\n4\n") == "1\nbad\nC\n4\n"
    assert sorted(line.split()[0] for line in called(here)) == ["4", "C", "bad"]


def test_chunks_and_the_log_go_together(here: Path) -> None:
    arguments = ("--resume", "log", "--chunksize", "3", "work.py:wait")
    assert output(here, *arguments, given=numbers(10)) == numbers(10)
    text = numbers(10).replace("4\n", "x\n") + numbers(4)
    assert output(here, *arguments, given=text) == text
    assert sorted(line.split()[0] for line in called(here)[10:]) == ["0", "1", "2", "3", "x"]


def test_a_long_log_is_read_while_it_is_written(here: Path) -> None:
    text = numbers(3000)
    assert output(here, "--resume", "log", "work.py:wait", given=text) == text
    changed = re.sub(r"(?m)7$", "seven", text)
    assert output(here, "--resume", "log", "work.py:wait", given=changed) == changed
    assert len(called(here)) == 3000 + 300


@pytest.mark.parametrize("cut", [1, 20])
def test_a_last_record_that_was_cut_off_is_run_again(here: Path, cut: int) -> None:
    assert output(here, "--resume", "log", "-w", "1", "work.py:wait", given=numbers(3)) == numbers(3)
    log = here / "log"
    log.write_bytes(log.read_bytes()[:-cut])
    for _ in range(2):
        assert output(here, "--resume", "log", "work.py:wait", given=numbers(3)) == numbers(3)
    assert [line.split()[0] for line in called(here)] == ["0", "1", "2", "2"]
    assert [record["line"] for record in records(log)] == [1, 2, 3]


def test_a_record_that_cannot_be_read_is_run_again(here: Path) -> None:
    output(here, "--resume", "log", "-w", "1", "work.py:wait", given=numbers(3))
    log = here / "log"
    log.write_bytes(log.read_bytes().replace(b'{"line": 2', b"\0\0\xff[[[[[["))
    assert output(here, "--resume", "log", "work.py:wait", given=numbers(3)) == numbers(3)
    assert [line.split()[0] for line in called(here)] == ["0", "1", "2", "1"]


@pytest.mark.parametrize("kept", [0, 5, 60])
def test_a_log_that_was_cut_off_at_its_beginning_begins_again(here: Path, kept: int) -> None:
    output(here, "--resume", "log", "work.py:upper", given="a\n")
    log = here / "log"
    log.write_bytes(log.read_bytes()[:kept])
    assert output(here, "--resume", "log", "work.py:upper", given="b\n") == "B\n"
    assert len(records(log)) == 1


def test_a_log_of_other_work_is_refused_and_not_touched(here: Path) -> None:
    output(here, "--resume", "log", "work.py:upper", given="a\n")
    before = (here / "log").read_bytes()
    code, out, err = run(here, "--resume", "log", "work.py:same", given="a\n")
    assert (code, out) == (2, "")
    assert f"'log' is the log of {here}/work.py:upper in text mode; take another file" in err
    code, _, err = run(here, "--json", "--resume", "log", "work.py:upper", given="1\n")
    assert code == 2
    assert "in text mode" in err
    assert (here / "log").read_bytes() == before


@pytest.mark.parametrize(
    "content", ["my diary\n", "my diary", "{}\n", "\n", '{"log": "manyhands map", "version": 2}\n']
)
def test_a_file_that_is_no_log_is_refused_and_not_touched(here: Path, content: str) -> None:
    (here / "diary").write_text(content)
    code, _, err = run(here, "--resume", "diary", "work.py:upper", given="a\n")
    assert code == 2
    assert "'diary' is not a log of manyhands map" in err
    assert (here / "diary").read_text() == content


def test_a_second_run_with_the_same_log_says_who_has_it(here: Path, until: Callable[..., object]) -> None:
    with started(here, "map", "--resume", "log", "work.py:wait") as process:
        process.stdin.write(b"wait\n")
        until(lambda: called(here))
        code, out, err = run(here, "--resume", "log", "work.py:wait", given="wait\n")
        assert (code, out) == (2, "")
        assert (
            f"the log 'log' is in use by process {process.pid} on {os.uname().nodename}, which began 2" in err
        )
        (here / "go").touch()
        assert finish(process) == (0, "wait\n", "")


def test_a_log_that_cannot_be_written_ends_the_run(here: Path) -> None:
    journal = Journal(str(here / "log"), {})
    with open("/dev/full", "wb") as full:
        os.dup2(full.fileno(), journal._fd)
    journal.check()
    journal.record(1, "a", b"A")
    with pytest.raises(Failed, match="log' cannot be written: No space left on device"):
        journal.check()
    journal.close()


# ---- progress ----


def test_progress_is_shown_where_it_is_asked_for(here: Path) -> None:
    (here / "input").write_text("a\nb\nc")
    code, out, err = run(here, "--progress", "work.py:upper", "input")
    assert (code, out) == (0, "A\nB\nC\n")
    assert err.startswith("3 of 3 (100%) in ")


@pytest.mark.parametrize("is_shown", [True, False])
def test_on_a_terminal_a_bar_is_shown_unless_it_is_not_wanted(here: Path, is_shown: bool) -> None:
    (here / "input").write_text("a\nb\nc\n")
    ours, theirs = pty.openpty()
    wish = () if is_shown else ("--no-progress",)
    with started(here, "map", *wish, "work.py:upper", "input", stderr=theirs) as process:
        os.close(theirs)
        code, out, _ = finish(process)
    shown = read_all(ours)
    assert (code, out) == (0, "A\nB\nC\n")
    assert ("3/3" in shown or "3 of 3" in shown) is is_shown


def test_results_and_a_bar_on_one_terminal_do_not_mix(here: Path) -> None:
    pytest.importorskip("tqdm")
    (here / "input").write_text("a\nb\nc\n")
    ours, theirs = pty.openpty()
    with started(here, "map", "work.py:upper", "input", stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        code, _, _ = finish(process)
    shown = read_all(ours)
    assert code == 0
    for letter in "ABC":  # each at the start of a line that has been cleared, or right after another result
        assert re.search(rf"(\x1b\[K|[ABC]\r\n){letter}\r\n", shown), shown


def read_all(fd: int) -> str:
    """What was written on a pseudo-terminal that nobody holds any more."""
    found = b""
    try:
        while block := os.read(fd, 4096):
            found += block
    except OSError:  # the end
        pass
    finally:
        os.close(fd)
    return found.decode()


# ---- the command itself ----


def test_alone_it_prints_its_help(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "map" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["map", "--help"]])
def test_help_and_version_are_printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 0
    assert "manyhands" in capsys.readouterr().out


def test_an_unknown_command_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["mop"])
    assert end.value.code == 2
    assert "'mop'" in capsys.readouterr().err


def test_the_package_installs_the_command() -> None:
    root = Path(__file__).parents[2]
    (script,) = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["script-files"]
    said = subprocess.run(
        [sys.executable, root / script, "-V"], capture_output=True, text=True, check=True
    ).stdout
    assert said == f"manyhands {manyhands.__version__}\n"


# ---- running ahead ----


def test_the_input_is_not_read_further_ahead_than_the_window() -> None:
    made, taken = 0, 0

    def items() -> Iterator[int]:
        nonlocal made
        for item in range(1000):
            made += 1
            assert made <= taken + 9  # the window, and the one that is in the consumer's hands
            yield item

    ahead = Ahead(items(), Window(8, 8), size=lambda _: 1, idle=lambda: None)
    ahead.start()
    try:
        for item in ahead:
            assert item == taken
            taken += 1
    finally:
        ahead.stop()
    assert (made, taken) == (1000, 1000)


def test_an_error_of_the_input_comes_after_the_items_before() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("it broke")

    ahead = Ahead(items(), Window(8, 8), size=lambda _: 1, idle=lambda: None)
    ahead.start()
    assert next(ahead) == 1
    with pytest.raises(OSError, match="it broke"):
        next(ahead)
    ahead.stop()


def test_who_waits_for_room_can_be_stopped() -> None:
    endless = iter(int, 1)
    ahead = Ahead(endless, Window(2, 2), size=lambda _: 1, idle=lambda: None)
    ahead.start()
    assert next(ahead) == 0
    ahead.stop()  # joins
