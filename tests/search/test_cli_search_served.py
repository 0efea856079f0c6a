"""`manyhands search` answered by a service: the same output, errors and exit status as without one."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

import pytest
from tests.search.serving import Serving

from manyhands.cli.main import main

ASKING = ("/search", "/count", "/files", "/preview")


@pytest.fixture(scope="module")
def runtime():
    """A folder with a short path: sockets are in it."""
    folder = tempfile.mkdtemp(prefix="mh")
    yield folder
    shutil.rmtree(folder)


def plant(root: Path) -> None:
    """A tree with everything that is odd about names and text."""
    for folder in ("sub/deep", "sub-b", "x.md", "build", "node.min.js", ".dotted", ".git", "empty"):
        (root / folder).mkdir(parents=True)
    (root / ".gitignore").write_text("build/\n*.log\n!kept.log\n")
    (root / "a.txt").write_bytes(b"one foo\ntwo\nthree foo foo\nfour\nfive\nsix\nFOO seven\n")
    (root / "sub.txt").write_bytes(b"foo between sub- and sub/\n")
    (root / "with space.txt").write_bytes(b"foo\r\nbar foobar\r\nlast foo without a newline")
    (root / "sub" / "needle.c").write_bytes(b"int foo(void);\n\n\nint bar;\nfoo();\n")
    (root / "sub" / "a b.py").write_bytes(b"import foo\n\tfoo()\n")
    (root / "sub" / "deep" / "latin.txt").write_bytes(b"caf\xe9 foo\nna\xefve \xff foo\n")
    (root / "sub" / "deep" / "utf16.txt").write_bytes(b"\xff\xfe" + "a foo h\u00e9\nno\n".encode("utf-16-le"))
    (root / "sub-b" / "h\u00e9llo.txt").write_text("h\u00e9 foo \u00e9\u00e9 foo\n", "utf-8")
    (root / os.fsdecode(b"odd\xff.txt")).write_bytes(b"foo in a name that is no text\n")
    (root / "line\nbreak.txt").write_bytes(b"foo in a name of two lines\n")
    (root / "x.md" / "readme").write_bytes(b"foo in a folder like a file\n")
    (root / "node.min.js" / "code.js").write_bytes(b"foo in another\n")
    (root / "b.min.js").write_bytes(b"var foo=1;" * 300 + b"\n")
    (root / "many.txt").write_bytes(b"".join(b"%d foo bar\n" % n for n in range(20_000)))
    (root / "binary.bin").write_bytes(b"foo\0foo\n")
    (root / "empty.txt").write_bytes(b"")
    (root / "none.txt").write_bytes(b"nothing\n")
    (root / "build" / "made.txt").write_bytes(b"foo that is ignored\n")
    (root / "noise.log").write_bytes(b"foo that is ignored\n")
    (root / "kept.log").write_bytes(b"foo that is kept\n")
    (root / ".hidden.py").write_bytes(b"foo that is hidden\n")
    (root / ".dotted" / "file.txt").write_bytes(b"foo in a hidden folder\n")
    (root / "link.txt").symlink_to("a.txt")
    (root / "sub" / "link").symlink_to("../sub-b")


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("served") / "tree"
    root.mkdir()
    plant(root)
    return root


@pytest.fixture(scope="module")
def service(tree, runtime):
    with Serving(tree, runtime=runtime, options=("--port", "0", "--shards", "2")) as serving:
        yield serving


def asked(service: Serving) -> int:
    """How many questions the service has answered."""
    status, _, body = service.get("/metrics")
    assert status == 200
    found = re.findall(
        rb'^manyhands_requests_total\{endpoint="([^"]+)",status="(\d+)"\} (\S+)', body, re.MULTILINE
    )
    return sum(
        int(float(n)) for path, code, n in found if path.decode() in ASKING and code in (b"200", b"499")
    )


@pytest.fixture
def run(monkeypatch, capsysbinary):
    """``run(folder, runtime, *arguments)``: the command's exit status and both outputs."""

    def run(here: Path, runtime: str, *arguments: str) -> tuple[int, bytes, bytes]:
        monkeypatch.chdir(here)
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        status = main(["search", *arguments])
        return status, *capsysbinary.readouterr()

    return run


@pytest.fixture
def check(run):
    """``check(folder, runtime, arguments)``: with and without a service it is all the same."""

    def check(here: Path, runtime: str, arguments: list[str]) -> None:
        alone, served = run(here, runtime, "--no-service", *arguments), run(here, runtime, *arguments)
        assert without_times(served[1]) == without_times(alone[1])
        assert served[2] == alone[2]
        assert served[0] == alone[0]

    return check


def without_times(output: bytes) -> bytes:
    """What differs from run to run, and how many bytes were scanned, is left out."""
    for pattern in (
        rb"\d+\.\d+ seconds", rb"\d+ bytes searched", rb'"bytes_searched":\d+', rb'"bytes_printed":\d+',
        rb'"nanos":\d+', rb'"human":"[^"]+"', rb'"secs":\d+',
    ):  # fmt: skip
        output = re.sub(pattern, b"", output)
    return output


SERVED = """
foo
-n foo
-n foo .
-n foo ./
-n foo sub
-n foo sub/
-n foo ./sub/deep
-n foo ../tree/sub
-n foo a.txt
-Hn foo a.txt
foo link.txt
foo sub/link
foo sub/deep sub.txt sub-b
-n foo sub sub-b sub.txt
-n foo sub.txt sub-b sub
foo a.txt many.txt
foo binary.bin
-c foo
-c foo sub
-cv foo sub
--count-matches foo
--count-matches -o foo sub
-l foo
-l foo --limit 2
--files-without-match foo
--files-without-match foo sub
-q foo
-q nothing-like-this
nothing-like-this
-q --files-without-match foo
-o foo
-on foo sub
--column foo
--column -v foo sub
--vimgrep foo
--color always -n foo
--color always --heading -n foo sub
--pretty foo sub
--color always --hyperlink foo sub
-C1 -n foo
-A2 foo a.txt
-B 1 --heading foo sub
-C1 --limit 1 foo a.txt
-C1 -m1 foo
-v foo a.txt
-vn foo sub
-i FOO
-S foo
-s FOO
-w foo
-x two
-wi FOO sub
foo --and bar
foo --not foo.*foo
foo --and bar --scope file
-e foo -e two -n
-F foo( sub
fo+ sub
^$
-e=
-m 1 foo
-m 3 -c foo
--limit 5 foo
--limit 3 -n foo sub sub.txt
--limit 20026 foo
--stats foo
--stats foo sub
--stats -c foo sub
--stats -l foo sub
--stats --limit 4 foo sub
--json foo
--json foo sub
--json -C1 foo sub
--json -v foo sub
--json nothing-like-this sub
--diff --replace bar foo
--diff -r $0$0 foo sub
--diff -r x -C1 fo+ a.txt
-0 -l foo
--null foo sub
--no-messages foo
-I foo sub
-g !*.txt foo
-g !sub foo
-g !sub -g !*.js foo
-g !*.c foo sub
--stats -g !*.txt foo
--deadline 40 foo
-f /dev/null
"""

UNSERVED = """
foo --no-service
foo build
foo noise.log
foo .dotted
foo .hidden.py
foo sub nowhere-at-all
foo sub-b build
foo sub sub/deep
foo sub sub
foo .. sub
foo ..
foo empty
-. foo
--no-ignore foo
-u foo
-a foo
-L foo
--max-filesize 1K foo
-t py foo
-T py foo
-g *.py foo
-g !sub/deep foo
-g !a?.txt foo
-g !sub foo sub/deep
-g !*.txt foo a.txt
-g !* foo
-g !*.c nothing-like-this
--skipped foo
--files
-U foo
-r bar foo
foo(
--deadline 0
"""


def lines(table: str) -> list[list[str]]:
    return [line.split(" ") for line in table.strip().split("\n")]


@pytest.mark.parametrize("arguments", lines(SERVED), ids=" ".join)
def test_a_service_answers_as_a_search_of_the_files_does(arguments, tree, runtime, service, check) -> None:
    before = asked(service)
    check(tree, runtime, arguments)
    assert asked(service) > before


@pytest.mark.parametrize("arguments", lines(UNSERVED), ids=" ".join)
def test_what_a_service_would_answer_otherwise_is_searched_here(
    arguments, tree, runtime, service, check
) -> None:
    check(tree, runtime, arguments)


# ---- services of other files ----

#: What a service was told, and what is asked of it: the same filters, if the answer shall come from it.
FILTERED = [
    (
        "-. --no-ignore -a",
        ["-uuu -n foo", "-uu -a foo sub", "-. --no-ignore --text -c foo build", "foo", "-uu foo"],
    ),
    ("-t py", ["-t py -n foo", "-t py foo sub", "-t py foo a.txt", "foo sub", "-T py foo sub"]),
    ("-T py -g !*.txt", ["-T py -g !*.txt foo", "-g !*.txt -T py -n foo sub", "-g !*.txt foo"]),
    ("-g *.c", ["-g *.c foo", "-g *.c foo sub", "-g *.py foo", "-g *.c -g !sub foo"]),
    ("-L", ["-L -n foo", "-L foo sub", "-L foo sub/link", "foo"]),
    (
        "--max-filesize 100",
        ["--max-filesize 100 foo", "--max-filesize 100 foo a.txt", "--max-filesize 100 foo many.txt"],
    ),
]


@pytest.mark.parametrize(("told", "commands"), FILTERED, ids=[told for told, _ in FILTERED])
def test_a_service_with_filters_answers_those_that_have_the_same(
    told, commands, tree, runtime, check
) -> None:
    options = ("--port", "0", *told.split(" "))
    with Serving(tree, runtime=os.path.join(runtime, "filtered"), options=options) as serving:
        check(tree, serving.runtime, commands[0].split(" "))
        assert asked(serving) == 1
        for command in commands[1:]:
            check(tree, serving.runtime, command.split(" "))


@pytest.fixture(scope="module")
def several(tree, runtime):
    roots = [tree / "sub", tree / "a.txt", tree / "build", tree / "sub" / "deep"]
    with Serving(*roots, runtime=os.path.join(runtime, "several")) as serving:
        yield serving


@pytest.mark.parametrize(
    "command",
    ["-n foo", "-n foo sub", "foo a.txt", "foo sub/deep", "foo sub-b", "foo b.min.js", "--stats foo sub", "foo build",
     "foo a.txt build", "foo build sub/deep", "--stats foo build sub/deep"],
)  # fmt: skip
def test_a_service_of_several_roots_answers_for_each(command, tree, several, check) -> None:
    check(tree, several.runtime, command.split(" "))


def test_a_file_that_is_not_what_its_mark_promises_is_told(tmp_path, runtime, run, check) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "wrong.txt").write_bytes(b"\xff\xfef\0o\0o\0\x00\xd8")
    (tmp_path / "sub" / "right.txt").write_bytes(b"foo\n")
    (tmp_path / "wrong.c").write_bytes(b"\xff\xfef\0o\0o\0\x00\xd8")
    with Serving(tmp_path, runtime=os.path.join(runtime, "wrong")) as serving:
        for command in (
            "foo",
            "foo sub",
            "foo .",
            "-g !*.txt foo",
            "-q foo",
            "foo sub/wrong.txt",
            "--no-messages foo",
        ):
            check(tmp_path, serving.runtime, command.split(" "))
        assert run(tmp_path, serving.runtime, "foo", "sub") == (
            2,
            b"sub/right.txt:foo\n",
            b"manyhands search: sub/wrong.txt: not the encoding that its byte order mark promises\n",
        )


def test_what_is_saved_is_found_by_the_command(tmp_path, runtime, run) -> None:
    (tmp_path / "a.txt").write_bytes(b"foo\n")
    with Serving(tmp_path, runtime=os.path.join(runtime, "saved")) as serving:
        (tmp_path / "b.txt").write_bytes(b"foo too\n")
        while b"b.txt" not in run(tmp_path, serving.runtime, "foo")[1]:
            pass
        assert asked(serving) > 0


def test_a_service_that_was_killed_is_done_without(tree, runtime, check) -> None:
    serving = Serving(tree, runtime=os.path.join(runtime, "killed"))
    serving.kill()
    check(tree, serving.runtime, ["-n", "foo", "sub"])


def test_a_folder_in_place_of_the_served_one_is_searched_here(tmp_path, runtime, run) -> None:
    root = tmp_path / "tree"
    root.mkdir()
    (root / "a.txt").write_bytes(b"old foo\n")
    with Serving(root, runtime=os.path.join(runtime, "replaced")) as serving:
        root.rename(tmp_path / "moved")
        root.mkdir()
        (root / "a.txt").write_bytes(b"new foo\n")
        assert run(root, serving.runtime, "foo") == (0, b"a.txt:new foo\n", b"")
