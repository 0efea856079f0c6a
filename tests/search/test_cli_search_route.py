"""Which searches a service may answer, and what is loaded for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tests.search.serving import Serving

from manyhands.cli.search.arguments import read
from manyhands.cli.search.places import read_places
from manyhands.cli.search.route import Route, find_routes, matches
from manyhands.search.service import register


@pytest.fixture
def here(monkeypatch, tmp_path):
    """A folder with folders in it; the working folder."""
    runtime = tempfile.mkdtemp(prefix="mh")
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    for name in ("a", "a-b", "b/x.js/c", "other"):
        (tmp_path / "root" / name).mkdir(parents=True)
    (tmp_path / "root" / "a.txt").touch()
    (tmp_path / "beside").symlink_to("root/b")
    monkeypatch.chdir(tmp_path / "root")
    yield tmp_path / "root"
    shutil.rmtree(runtime)


def routes(*arguments: str) -> list[Route]:
    options = read(["foo", *arguments])
    return find_routes(options, read_places(options))


def is_served(root: Path, *arguments: str, **filters: object) -> bool:
    with register.claim([root], filters) as claimed:
        claimed.publish()
        return bool(routes(*arguments))


@pytest.mark.parametrize(
    "places",
    [
        ".",
        "a",
        "a-b a a.txt",
        "a.txt a a-b",
        "./b",
        "../root/a",
        "../beside",
        "b/x.js/c a.txt",
        "../beside ../root/other",
    ],
)
def test_places_in_a_root_are_served(places, here) -> None:
    assert is_served(here, *places.split(" "))


@pytest.mark.parametrize(
    ("places", "why"),
    [
        ("..", "it has more than the root"),
        ("a a", "a file would come twice"),
        ("a ./a", "and once more"),
        ("b ../beside", "nor by a link"),
        ("b b/x.js", "nor by a folder in it"),
        ("../beside a", "names come in another order than real paths"),
        ("../root", "it is not there"),
    ],
)
def test_places_of_which_a_service_has_not_all_in_order_are_not_served(places, why, here) -> None:
    where = here / "other" if "not there" in why else here
    assert not is_served(where, *places.split(" ")), why


def test_nothing_is_served_without_a_service(here) -> None:
    assert routes() == []


def test_a_root_that_is_a_file_is_served(here) -> None:
    assert is_served(here / "a.txt", "a.txt")
    assert not is_served(here / "a.txt", ".")


def test_a_service_with_another_root_in_the_place_does_not_answer_for_it(here) -> None:
    with register.claim([here, here / "a"], {}) as claimed:
        claimed.publish()
        assert routes() == []
        assert len(routes("a")) == len(routes("b")) == 1


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("-.", {"hidden": True}), ("--no-ignore", {"ignore": False}), ("-a", {"binary": True}), ("-L", {"follow": True}),
        ("--max-filesize=5K", {"max_file_bytes": 5120}), ("-tpy", {"types": ["py"]}), ("-Tpy", {"not_types": ["py"]}),
        ("-g*.py", {"globs": ["*.py"]}),
    ],
)  # fmt: skip
def test_filters_must_be_the_same(option, told, here) -> None:
    assert is_served(here, option, **told)
    assert not is_served(here, option)
    assert not is_served(here, **told)


def test_the_order_of_globs_matters(here) -> None:
    assert is_served(here, "-g*.py", "-g!a.py", globs=["*.py", "!a.py"])
    assert not is_served(here, "-g!a.py", "-g*.py", globs=["*.py", "!a.py"])


def test_globs_with_folders_are_relative_to_something_else_for_a_service(here) -> None:
    assert not is_served(here, "-g!a/*.py", globs=["!a/*.py"])


@pytest.mark.parametrize("glob", ["!*.js", "!vendor", "!*.min.*", "!a*", "!v1.2"])
def test_globs_that_leave_out_by_names_are_asked_for(glob, here) -> None:
    with register.claim([here], {}) as claimed:
        claimed.publish()
        (route,) = routes("-g", glob)
        assert route.left_out == [glob[1:]]


@pytest.mark.parametrize(
    "glob",
    [
        "*.js",
        "!*",
        "!**",
        "!a/b",
        "!a/",
        "!/a",
        "!a?",
        "![a]",
        "!{a,b}",
        "!\\a",
        "!#a",
        "!!a",
        "!a ",
        "!\u00e9",
        "!**.js",
    ],
)
def test_other_globs_are_not(glob, here) -> None:
    assert not is_served(here, "-g", glob)


def test_a_glob_that_matches_a_folder_above_the_place_is_not_asked_for(here) -> None:
    assert is_served(here, "-g!*.js", "b")
    assert not is_served(here, "-g!*.js", "b/x.js/c")
    assert not is_served(here, "-g!*.js", "b/x.js")
    assert not is_served(here, "-g!*.txt", "a.txt")


def test_links_are_followed_as_far_as_the_place_so_a_root_alone_is_served(here) -> None:
    assert not is_served(here, "-L", "a", follow=True)


@pytest.mark.parametrize("option", ["--no-service", "-U", "--skipped", "-rx"])
def test_what_a_service_does_not_do_is_not_asked(option, here) -> None:
    assert is_served(here)
    assert not is_served(here, option)
    assert is_served(here, "--diff", "-rx")


@pytest.mark.parametrize(
    ("glob", "name", "is_match"),
    [
        ("a", "a", True), ("a", "ab", False), ("a*", "ab", True), ("*a", "ba", True), ("*a", "ab", False),
        ("a*a", "a", False), ("a*a", "aa", True), ("*b*", "abc", True), ("*b*", "ac", False), ("a*b*c", "abbc", True),
        ("a*b*c", "ac", False), ("*a*b*", "ba", False), ("*a*b*", "xaxbx", True), ("ab*bc", "abc", False),
    ],
)  # fmt: skip
def test_a_glob_of_stars(glob, name, is_match) -> None:
    assert matches(glob, name) is is_match


@pytest.mark.parametrize("name", [b"a.txt", b"odd\xff", b"x\n+++ y", b"x\n+++ x", b"-- \n+++ \n"])
def test_a_diff_has_the_users_name_in_both_its_headers(name, here) -> None:
    with register.claim([here], {}) as claimed:
        claimed.publish()
        (route,) = routes("../root/")
    real, body = os.fsencode(here) + b"/" + name, b"\n@@ -1 +1 @@\n-a\n+b\n"
    shown = b"../root/" + name
    assert route.shown_diff(b"--- %b\n+++ %b%b" % (real, real, body)) == b"--- %b\n+++ %b%b" % (
        shown,
        shown,
        body,
    )


PROGRAM = """
import sys
before = set(sys.modules)
from manyhands.cli.main import main
main(["search", "foo"])
print(*sorted(set(sys.modules) - before), file=sys.stderr)
"""


def test_an_answer_of_a_service_is_printed_without_loading_a_search_engine(tmp_path) -> None:
    (tmp_path / "a.txt").write_text("a foo\n")
    runtime = tempfile.mkdtemp(prefix="mh")
    try:
        with Serving(tmp_path, runtime=runtime) as serving:
            done = subprocess.run(
                [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{PROGRAM}"],
                cwd=tmp_path, env=serving.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
            )  # fmt: skip
    finally:
        shutil.rmtree(runtime)
    assert done.stdout == "a.txt:a foo\n"
    loaded = set(done.stderr.split())
    assert {"manyhands.cli.search.served", "manyhands.search.service.frames"} <= loaded
    slow = {"re", "json", "typing", "pathlib", "enum", "socket", "selectors", "struct", "threading", "signal", "hashlib",
            "urllib", "http", "argparse", "subprocess", "logging", "asyncio", "tempfile", "shutil", "random"}  # fmt: skip
    assert loaded & slow == set()
    assert {
        "manyhands.search.oneshot",
        "manyhands._search",
        "manyhands.search.answer",
        "manyhands.search.query",
    } & loaded == set()
