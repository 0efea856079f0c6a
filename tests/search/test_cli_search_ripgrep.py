"""`manyhands search` beside ripgrep 13: the same bytes and the same exit status, over a matrix of options."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from manyhands.cli.main import main


def _is_ripgrep_13() -> bool:
    program = shutil.which("rg")
    if program is None:
        return False
    return subprocess.run(
        [program, "--version"], capture_output=True, check=False, text=True
    ).stdout.startswith("ripgrep 13.")


pytestmark = pytest.mark.skipif(not _is_ripgrep_13(), reason="these are the bytes that ripgrep 13 writes")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder: a small tree with what is odd about files. stdin is empty and no pipe."""
    tree = tmp_path / "d"
    (tree / "sub").mkdir(parents=True)
    (tree / "a.txt").write_bytes(b"foo bar foo\nnothing\nfoo\nx\ny\nz\nlast foo")
    (tree / "b.txt").write_bytes(b"crlf foo\r\nplain\r\n")
    (tree / "c.txt").write_bytes(b"inv \xff foo\nok\n")
    (tree / "none.txt").write_bytes(b"no match\n")
    (tree / "sub" / "m.txt").write_bytes(b"foo1\nfoo2\n\nbar\nfoo\n")
    (tree / "sub" / "utf16.txt").write_bytes(b"\xff\xfe" + "h\u00e9 foo\n".encode("utf-16-le"))
    (tree / "sub" / "\u00e9.py").write_bytes("\u00e9t\u00e9 foo 'foo' \t\"\\ \x07\n".encode())
    (tree / "sub" / ".hidden.txt").write_bytes(b"hidden foo\n")
    (tree / ".ignore").write_bytes(b"ignored.txt\n")
    (tree / "ignored.txt").write_bytes(b"ignored foo\n")
    (tmp_path / "patterns").write_bytes(b"foo1\r\nbar\n")
    (tmp_path / "empty").touch()
    monkeypatch.chdir(tmp_path)
    kept = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    yield tmp_path
    os.dup2(kept, 0)
    os.close(null)
    os.close(kept)


def ours(arguments: list[str], captured: pytest.CaptureFixture[bytes]) -> tuple[int, bytes, bytes]:
    status = main(["search", *arguments])
    out, err = captured.readouterr()
    return status, out, err


def theirs(arguments: list[str]) -> tuple[int, bytes, bytes]:
    command = ["rg", "--no-config", "--sort", "path", *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return done.returncode, done.stdout, done.stderr


def check_same(arguments: list[str], captured: pytest.CaptureFixture[bytes]) -> None:
    status, out, err = ours(arguments, captured)
    expected_status, expected_out, expected_err = theirs(arguments)
    assert out == expected_out
    assert (status, bool(err)) == (expected_status, bool(expected_err)), (err, expected_err)


# Each line is a command; what is in a line with \\n is a regex, not a newline.
LINES = r"""
foo d
foo
foo .
foo ./
foo d/
foo ./d
foo d/a.txt
foo d/a.txt d/b.txt
nomatch d
-n foo d
-n foo d/a.txt
-nH foo d/a.txt
-nI foo d
-N foo d
-i FOO d
-s FOO d
-S FOO d
-S Foo d
-S foo d
-w foo d
-x foo d
-wx foo d
-xw foo d
-F . d
-F a( d
-e foo -e x d
-e=x d
-f patterns d
-f empty d
-f patterns -e x -n d
-v foo d
-vn foo d
-vo foo d
-v --column foo d/a.txt
-v --vimgrep foo d
-o foo d
-on foo d
-o \w+ d/a.txt
-o .$ d
--column foo d
--vimgrep foo d
--vimgrep -o foo d
--vimgrep -N foo d/a.txt
--vimgrep -I foo d/a.txt
--vimgrep --no-column foo d/a.txt
-A1 foo d
-B1 foo d
-C1 foo d
-nC1 foo d
-n -A1 -B2 x d
-C2 -A1 -n x d
-A1 -C2 -n x d
-C0 foo d
--vimgrep -C1 foo d
-o -C1 foo d
-v -nC1 foo d
--column -C1 foo d
-m1 foo d
-m1 -n foo d
-c foo d
-c foo d/a.txt
-cH foo d/a.txt
-cI foo d
-co foo d
-cv foo d
-c -m1 foo d
--count-matches foo d
--count-matches -v foo d
-l foo d
-lI foo d
-lv foo d
-l -m1 foo d
-l -c foo d
-l nomatch d
--files-without-match foo d
--files-without-match nomatch d
--files-without-match . d
-0 foo d
-0n foo d
-0l foo d
-0c foo d
-0 --files-without-match foo d
-0nC1 foo d
--heading foo d
--heading -n foo d
--heading -C1 foo d
--heading -I foo d
--heading -0 foo d
--heading -l foo d
--heading -c foo d
-r X foo d
-r X$0 foo d
-r [$1] (o+) d
-r ${a}! (?P<a>o+)\d d
-r $$ foo d
-or <$0> foo d
--vimgrep -r LONGER foo d
--column -r LONGER foo d
-r X -C1 foo d/a.txt
-q foo d
-q nomatch d
-q -c foo d
--color always foo d
--color always -n foo d
--color always -nC1 foo d
--color always -on foo d
--color always -c foo d
--color always -l foo d
--color always --vimgrep foo d
--color always --column foo d
--color always -r BAR foo d
--color always -or BAR foo d
--color always -v foo d
--color always -0 foo d
-p foo d
-p -C1 foo d
-g *.py foo
-g !a.txt foo d
-g *.txt -g !b.txt foo d
-g {a,b}.txt foo d
-tpy foo d
-Tpy foo d
--hidden foo d
--no-ignore foo d
-u foo d
-uu foo d
-u -u --ignore foo d
--max-filesize 20 foo d
--max-filesize 1K foo d
--files d
--files
--files -0 d
--files -g *.py d
--files -uu d
--files -q d
-U foo\n d
-Un foo1\nfoo2 d
-Un oo1\nfoo d
-U --column oo1\nfoo d
-U --vimgrep oo1\nfoo d
-oUn oo1\nfoo d
-oU foo\n d
-cU foo1\nfoo2 d
-U --count-matches foo1\nfoo2 d
-Un -C1 oo1\nfoo d
-U --color always -n oo1\nfoo d
-U --color always 2\n\nb d
-lU foo1\nfoo2 d
""".strip().splitlines()


@pytest.mark.parametrize("line", LINES)
def test_lines_counts_and_paths_are_ripgreps(
    line: str, here: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    check_same(line.split(" "), capsysbinary)


@pytest.mark.parametrize(
    "line", ["foo d nope", "foo nope", "-c foo d nope", "-q nomatch d nope", "--files nope"]
)
def test_a_path_that_is_not_there_is_said_and_the_rest_is_searched(
    line: str, here: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    check_same(line.split(" "), capsysbinary)


@pytest.mark.parametrize(
    "line",
    ["", "-A x foo", "-A", "--foo d", "--color blue foo", "--json -c foo", "--json --files", "a( d", "-t nope foo",
     "--max-filesize 1X foo"],
)  # fmt: skip
def test_what_makes_no_sense_is_2_for_both(
    line: str, here: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    arguments = line.split(" ") if line else []
    status, out, err = ours(arguments, capsysbinary)
    assert (status, out) == theirs(arguments)[:2]
    assert err.startswith(b"manyhands search: ")


# ---- JSON ----

JSON_LINES = r"""
foo d
foo d/a.txt
-n foo d
-v foo d
-C1 foo d
-o foo d
-m1 foo d
-i FOO d
-r X foo d
-e foo -e bar d
nomatch d
-uu foo d
-U foo1\nfoo2 d
-U foo\n d
-U foo\d d
""".strip().splitlines()

#: Times, and how much was read to find out, are each program's own.
_OWN = ("elapsed", "elapsed_total", "searches", "bytes_searched")


def without_own(event: Any) -> Any:
    if not isinstance(event, dict):
        return event
    return {key: None if key in _OWN else without_own(value) for key, value in event.items()}


def events(out: bytes) -> list[str]:
    """In a form that keeps the order of keys."""
    return [json.dumps(without_own(json.loads(line))) for line in out.splitlines()]


@pytest.mark.parametrize("line", JSON_LINES)
def test_json_is_ripgreps(line: str, here: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    arguments = ["--json", *line.split(" ")]
    status, out, _ = ours(arguments, capsysbinary)
    expected_status, expected, _ = theirs(arguments)
    assert events(out) == events(expected)
    assert status == expected_status


def test_events_but_the_last_are_ripgreps_to_the_byte(
    here: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    arguments = ["--json", "-C1", "foo", "d"]
    own = (b'{"type":"end"', b'{"data":{"elapsed_total"')
    lines = [
        [line for line in out.splitlines() if not line.startswith(own)]
        for out in (ours(arguments, capsysbinary)[1], theirs(arguments)[1])
    ]
    assert lines[0] == lines[1]


def test_quiet_json_is_nothing(here: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    check_same(["--json", "-q", "foo", "d"], capsysbinary)


def test_stats_are_ripgreps_but_for_time_and_what_was_read(
    here: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    def lines(out: bytes) -> list[bytes]:
        return [line for line in out.splitlines() if b"seconds" not in line and b"bytes searched" not in line]

    arguments = ["--stats", "foo", "d"]
    assert lines(ours(arguments, capsysbinary)[1]) == lines(theirs(arguments)[1])
