"""`manyhands search`, run as a user runs it: pipes, a terminal, signals, limits, and what was left out."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from manyhands.cli.main import main

WATCHDOG_S = 50


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with a few files."""
    (tmp_path / "a.txt").write_text("one foo\ntwo\nthree foo\nfour\n")
    (tmp_path / "b.txt").write_text("foo and bar\n")
    (tmp_path / "c.py").write_text("import foo\n")
    (tmp_path / "binary").write_bytes(b"foo\0foo\n")
    return tmp_path


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "manyhands", "search", *arguments]


def run(here: Path, *arguments: str, given: bytes | None = None) -> tuple[int, bytes, str]:
    """Its exit status and both outputs. Without `given` stdin is no pipe."""
    stdin = {"input": given} if given is not None else {"stdin": subprocess.DEVNULL}
    done = subprocess.run(
        command(*arguments), cwd=here, capture_output=True, check=False, timeout=WATCHDOG_S, **stdin
    )
    return done.returncode, done.stdout, done.stderr.decode()


@contextmanager
def started(here: Path, *arguments: str, **how: object) -> Iterator[subprocess.Popen[bytes]]:
    """The command in a session of its own, so that a signal can reach all of it as Ctrl-C would."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(
        command(*arguments), cwd=here, bufsize=0, start_new_session=True, **{**streams, **how}
    ) as process:
        try:
            yield process
        finally:  # a test that fails half-way leaves nothing running
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


# ---- stdin ----


def test_what_is_piped_in_is_searched(here: Path) -> None:
    assert run(here, "-n", "foo", given=b"bar\na foo\n") == (0, b"2:a foo\n", "")


def test_a_file_as_stdin_is_searched(here: Path) -> None:
    with (here / "a.txt").open("rb") as file:
        done = subprocess.run(
            command("foo"), cwd=here, stdin=file, capture_output=True, check=False, timeout=WATCHDOG_S
        )
    assert done.stdout == b"one foo\nthree foo\n"


def test_a_dash_among_paths_is_stdin(here: Path) -> None:
    status, out, _ = run(here, "foo", "-", "b.txt", given=b"a foo\n")
    assert (status, out) == (0, b"<stdin>:a foo\nb.txt:foo and bar\n")


def test_a_path_keeps_stdin_out(here: Path) -> None:
    assert run(here, "foo", "b.txt", given=b"a foo\n") == (0, b"foo and bar\n", "")


@pytest.mark.parametrize(
    ("option", "out"),
    [("-c", b"1\n"), ("--count-matches", b"2\n"), ("-l", b"<stdin>\n"), ("-H", b"<stdin>:foo foo\n"),
     ("-q", b""), ("-o", b"foo\nfoo\n")],
)  # fmt: skip
def test_stdin_has_every_kind_of_output(option: str, out: bytes, here: Path) -> None:
    assert run(here, option, "foo", given=b"foo foo\nbar\n") == (0, out, "")


def test_stdin_without_a_match_is_named(here: Path) -> None:
    assert run(here, "--files-without-match", "foo", given=b"bar\n") == (0, b"<stdin>\n", "")
    assert run(here, "--files-without-match", "foo", given=b"foo\n") == (1, b"", "")


def test_stdin_with_a_byte_order_mark_is_decoded(here: Path) -> None:
    assert run(here, "foo", given=b"\xff\xfe" + "a foo\n".encode("utf-16-le")) == (0, b"a foo\n", "")


def test_json_of_stdin_has_offsets(here: Path) -> None:
    _, out, _ = run(here, "--json", "foo", given=b"bar\na foo")
    match = json.loads(out.splitlines()[1])["data"]
    assert (match["path"], match["absolute_offset"], match["lines"]) == (
        {"text": "<stdin>"},
        4,
        {"text": "a foo"},
    )


def test_patterns_from_stdin_leave_the_folder_to_search(here: Path) -> None:
    assert run(here, "-c", "-f", "-", given=b"one\nfour\n") == (0, b"a.txt:2\n", "")


# ---- beyond ripgrep ----


def test_and_and_not_are_about_the_same_line(here: Path) -> None:
    assert run(here, "foo", "--and", "and")[1] == b"b.txt:foo and bar\n"
    assert run(here, "foo", "--not", "one", "--not", "bar")[1] == b"a.txt:three foo\nc.py:import foo\n"


def test_with_scope_they_are_about_the_file(here: Path) -> None:
    assert run(here, "foo", "--and", "two", "--scope", "file")[1] == b"a.txt:one foo\na.txt:three foo\n"
    assert run(here, "-l", "foo", "--not", "two", "--scope", "file")[1] == b"b.txt\nc.py\n"


def test_a_limit_is_over_all_files_and_says_that_there_is_more(here: Path) -> None:
    status, out, err = run(here, "--limit", "2", "foo")
    assert (status, out) == (0, b"a.txt:one foo\na.txt:three foo\n")
    assert err == "manyhands search: there are more lines than --limit 2\n"


def test_a_limit_that_is_not_reached_says_nothing(here: Path) -> None:
    assert run(here, "--limit", "4", "foo")[2] == ""


def test_a_limit_cuts_the_context_of_the_next_match_off(here: Path) -> None:
    assert run(here, "--limit", "1", "-nC1", "foo")[1] == b"a.txt:1:one foo\na.txt-2-two\n"


@pytest.mark.parametrize(("option", "out"), [("-l", b"a.txt\n"), ("-c", b"a.txt:1\n")])
def test_a_limit_limits_paths_and_counts(option: str, out: bytes, here: Path) -> None:
    assert run(here, "--limit", "1", option, "foo")[:2] == (0, out)


def test_a_deadline_that_comes_first_is_an_error_and_never_looks_like_no_results(here: Path) -> None:
    status, _, err = run(here, "--deadline", "0.000001", "foo")
    assert status == 2
    assert "the deadline of 1e-06 s came first: there may be more" in err


def test_a_deadline_that_is_kept_says_nothing(here: Path) -> None:
    assert run(here, "--deadline", "1000", "-c", "foo", "b.txt") == (0, b"1\n", "")


# ---- what was left out ----


def test_skipped_lists_what_was_not_searched_and_why(here: Path) -> None:
    status, out, err = run(here, "--skipped", "-l", "import")
    assert (status, out) == (0, b"c.py\n")
    assert err == "binary: binary\nnot searched: 1 binary\n"


def test_skipped_says_when_nothing_was(here: Path) -> None:
    assert run(here, "--skipped", "-l", "import", "c.py")[2] == "every file was searched\n"


def test_a_binary_file_that_was_named_is_never_skipped_in_silence(here: Path) -> None:
    assert run(here, "foo", "binary") == (
        1, b"", "manyhands search: binary: binary; -a searches it all the same\n",
    )  # fmt: skip


def test_a_binary_file_is_searched_when_it_is_asked_for(here: Path) -> None:
    assert run(here, "-a", "-c", "foo", "binary") == (0, b"1\n", "")


def test_a_search_of_no_file_says_so(here: Path) -> None:
    status, out, err = run(here, "-t", "rust", "foo")
    assert (status, out) == (1, b"")
    assert "no file was searched" in err


def test_messages_about_files_can_be_silenced_but_not_their_exit_status(here: Path) -> None:
    assert run(here, "--no-messages", "two", "a.txt", "nope") == (2, b"a.txt:two\n", "")


def test_quiet_that_has_found_something_forgives_a_missing_path(here: Path) -> None:
    assert run(here, "-q", "foo", "a.txt", "nope")[:2] == (0, b"")


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_an_error(here: Path) -> None:
    (here / "b.txt").chmod(0)
    status, out, err = run(here, "-l", "foo")
    assert (status, out) == (2, b"a.txt\nc.py\n")
    assert err == "manyhands search: b.txt: no permission\n"


# ---- what is wrong ----


def test_a_broken_regex_shows_where(here: Path) -> None:
    status, out, err = run(here, "fo(o")
    assert (status, out) == (2, b"")
    assert "\n  fo(o\n    ^\n" in err


def test_errors_speak_of_options_and_not_of_python(here: Path) -> None:
    assert "use -F" in run(here, "fo(o")[2]
    assert "--replace: no pattern has a group 'x'" in run(here, "-r", "$x", "foo")[2]


def test_an_unknown_type_says_what_it_may_be(here: Path) -> None:
    status, _, err = run(here, "-t", "pyton", "foo")
    assert status == 2
    assert "did you mean python" in err


# ---- a terminal ----


def on_terminal(command: list[str], here: Path, *, stdin: int = subprocess.DEVNULL) -> bytes:
    """What it writes on a terminal."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    environment.pop("NO_COLOR", None)
    with subprocess.Popen(command, cwd=here, stdin=stdin, stdout=theirs, env=environment) as process:
        os.close(theirs)
        found = b""
        try:
            while block := os.read(ours, 4096):
                found += block
        except OSError:  # the end
            pass
        finally:
            os.close(ours)
        assert process.wait(WATCHDOG_S) == 0
    return found


def test_on_a_terminal_there_are_headings_numbers_and_colours(here: Path) -> None:
    red, end = b"\x1b[0m\x1b[1m\x1b[31m", b"\x1b[0m"
    assert on_terminal(command("and"), here) == (
        b"\x1b[0m\x1b[35mb.txt\x1b[0m\r\n\x1b[0m\x1b[32m1\x1b[0m:foo " + red + b"and" + end + b" bar\r\n"
    )


@pytest.mark.skipif(shutil.which("rg") is None, reason="there is no ripgrep")
@pytest.mark.parametrize("arguments", [["foo"], ["-C1", "three"], ["-c", "foo"], ["-l", "foo"], ["--vimgrep", "foo"],
                                       ["--no-heading", "foo"], ["-N", "foo", "a.txt"]])  # fmt: skip
def test_a_terminal_shows_what_ripgrep_shows(arguments: list[str], here: Path) -> None:
    (here / "binary").unlink()
    theirs = on_terminal(["rg", "--no-config", "--sort", "path", *arguments], here)
    assert on_terminal(command(*arguments), here) == theirs


def test_with_hyperlink_paths_are_links(here: Path) -> None:
    shown = on_terminal(command("--hyperlink", "-l", "and"), here)
    url = f"file://{os.uname().nodename}{here}/b.txt".encode()
    assert shown.startswith(b"\x1b]8;;" + url + b"\x1b\\")


# ---- ends ----


def test_ctrl_c_while_it_reads_stdin_ends_it_at_once(here: Path) -> None:
    with started(here, "foo", stdin=subprocess.PIPE) as process:
        process.stdin.write(b"bar\n" * 100_000)  # more than a pipe holds: it reads, so it is under way
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=WATCHDOG_S)
    assert (process.returncode, out, err) == (130, b"", b"")


def test_ctrl_c_while_it_prints_ends_it_at_once(here: Path) -> None:
    for number in range(300):
        (here / f"{number}.txt").write_text("foo\n" * 5000)
    with started(here, "foo") as process:
        process.stdout.read(1)  # now it prints, and is soon stuck, because we do not read on
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=WATCHDOG_S)
    assert (process.returncode, err) == (130, b"")


@pytest.mark.parametrize("option", ["-n", "-o", "--json", "-nC1"])
def test_a_closed_pipe_ends_it_quietly(option: str, here: Path) -> None:
    for number in range(20):
        (here / f"{number}.txt").write_text("foo\n" * 50_000)
    with started(here, option, "foo") as process:
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(WATCHDOG_S) == 141


def test_results_that_cannot_be_written_are_an_error(here: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command("foo"),
            cwd=here,
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=WATCHDOG_S,
        )
    assert done.returncode == 2
    assert done.stderr == b"manyhands search: the results cannot be written: No space left on device\n"


# ---- the command itself ----


def test_help_version_and_types_are_printed(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    said = []
    for option in ("--help", "--version", "--type-list"):
        assert main(["search", option]) == 0
        said.append(capsysbinary.readouterr().out)
    assert said[0].startswith(b"usage: manyhands search")
    assert said[1].startswith(b"manyhands 0.")
    assert b"\npy: *.py, " in said[2]


def test_the_command_lists_search(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "search " in capsys.readouterr().out


def test_ctrl_c_means_what_it_meant_before(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.chdir(here)
    assert main(["search", "-q", "foo", "a.txt"]) == 0
    assert signal.getsignal(signal.SIGINT) is before


def test_starting_imports_nothing_heavy(here: Path) -> None:
    heavy = (
        "argparse",
        "json",
        "rich",
        "asyncio",
        "multiprocessing",
        "difflib",
        "subprocess",
        "manyhands.cli.map",
    )
    program = (
        "import sys; from manyhands.cli.main import main; main(['search', '-F', 'foo', 'a.txt']);"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=here,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("one foo\nthree foo\n[]\n", "")


def test_telling_the_version_imports_no_search(here: Path) -> None:
    program = (
        "import sys; from manyhands.cli.main import main; main(['search', '--version']);"
        "print([name for name in sys.modules if name.startswith('manyhands.search')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=here, capture_output=True, check=False, text=True
    )
    assert done.stdout.splitlines()[1:] == ["[]"]


def test_names_that_are_no_text_are_printed_as_they_are(here: Path) -> None:
    odd = os.fsencode(here) + b"/odd\xff.txt"
    with open(odd, "wb") as file:
        file.write(b"foo\n")
    assert b"odd\xff.txt\n" in run(here, "-l", "foo")[1]
    event = json.loads(run(here, "--json", "foo", os.fsdecode(odd))[1].splitlines()[0])
    assert set(event["data"]["path"]) == {"bytes"}


def test_a_diff_shows_what_a_replacement_would_change(tmp_path):
    (tmp_path / "a.txt").write_text("one\nneedle here\nthree\n")
    (tmp_path / "b.txt").write_text("none\n")
    code, out, err = run(tmp_path, "-r", "<$0>", "--diff", "-C1", "need+le")
    assert (code, err) == (0, "")
    assert out == b"--- a.txt\n+++ a.txt\n@@ -1,3 +1,3 @@\n one\n-needle here\n+<needle> here\n three\n"
    assert (tmp_path / "a.txt").read_text() == "one\nneedle here\nthree\n"
    assert run(tmp_path, "-r", "x", "--diff", "absent")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--diff", "x"], "--diff shows what --replace would change"),
        (["--diff", "-r", "y", "--json", "x"], "--diff prints diffs, and --json something else"),
        (["--diff", "-r", "y", "-l", "x"], "--diff prints diffs, and listing paths something else"),
        (["--diff", "-r", "$9", "x"], "$9"),
    ],
)
def test_a_diff_that_makes_no_sense_is_refused(tmp_path, arguments, message):
    code, _, err = run(tmp_path, *arguments)
    assert code == 2
    assert message in err
