"""The tools that a language model's client is given: what they say, what they refuse, and that they stay in the tree."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import pytest
from tests.search.mcp_session import Client, lines_of, text_of

from manyhands.search import MissingExtraError
from manyhands.search.service.mcp.answers import cut
from manyhands.search.service.mcp.names import Names


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder to serve, with a secret beside it."""
    above = tmp_path_factory.mktemp("place")
    (above / "secret.txt").write_text("the secret needle\n")
    root = above / "tree"
    (root / "src" / "deep").mkdir(parents=True)
    (root / "src" / "a.py").write_text("import os\n\n\ndef needle():\n    return 'Needle'\n")
    (root / "src" / "deep" / "b.c").write_text("int needle;\nint hay;\nint needle2;\n")
    (root / "src" / "deep" / "b.h").write_text("extern int needle;\n")
    (root / "many.txt").write_text("".join(f"line {n} of many\n" for n in range(1, 3001)))
    (root / "long.txt").write_text("x" * 5000 + "needle" + "y" * 5000 + "\nshort\n")
    (root / "wide.txt").write_text("".join(f"wide {n} {'w' * 1900}\n" for n in range(300)))
    (root / "empty.txt").write_text("")
    (root / "binary.bin").write_bytes(b"needle\0\0")
    (root / "#odd").write_text("odd\n")
    (root / os.fsdecode(b"caf\xe9.txt")).write_bytes(b"caf\xe9 needle\n")
    (root / "out").symlink_to(above / "secret.txt")
    return root


@pytest.fixture(scope="module")
def client(place):
    with Client(place, shards=2) as opened:
        yield opened


NEEDLES = [
    ("caf\\xe9.txt", 1, "caf\N{REPLACEMENT CHARACTER} needle"),
    ("src/a.py", 4, "def needle():"),
    ("src/a.py", 5, "    return 'Needle'"),
    ("src/deep/b.c", 1, "int needle;"),
    ("src/deep/b.c", 3, "int needle2;"),
    ("src/deep/b.h", 1, "extern int needle;"),
]


# ---- what there is ----


def test_the_client_is_told_of_four_tools_that_only_read(client):
    tools = client.tools()
    assert list(tools) == ["search", "count", "list_files", "read_lines"]
    for tool in tools.values():
        assert tool.annotations.read_only_hint
        assert tool.input_schema["additionalProperties"] is False
        assert {"complete", "truncated_by", "timed_out", "missing"} <= set(tool.output_schema["properties"])


def test_the_greeting_names_the_tree_and_the_version(client, place):
    assert client.greeting.server_info.name == "manyhands"
    assert client.greeting.server_info.version
    assert str(place) in client.greeting.instructions


def test_a_tool_that_there_is_not_is_an_error_of_the_protocol(client):
    with pytest.raises(Exception, match="there is no tool 'serch'; there are search"):
        client.call("serch")


# ---- search ----


def test_a_query_finds_lines_by_file_and_number(client):
    facts = client.facts("search", query="needle -long", not_file="long.txt")
    assert lines_of(facts) == NEEDLES
    assert (facts["lines"], facts["complete"], facts["truncated_by"], facts["missing"]) == (6, True, None, [])
    assert facts["skipped"] == 2


def test_an_answer_can_be_read_as_text(client):
    answer = client.call("search", pattern="needle", under="src/a.py", case="exact", context=1)
    assert text_of(answer).split("\n") == [
        "src/a.py", "3- ", "4: def needle():", "5-     return 'Needle'", "", "1 line in 1 file. That is all there is.",
    ]  # fmt: skip


def test_lines_between_contexts_that_are_left_out_are_marked(client):
    answer = client.call(
        "search", pattern="of many", under="many.txt", regex=False, all_of=["5 of"], limit=2, context=1
    )
    assert text_of(answer).split("\n")[1:8] == [
        "4- line 4 of many", "5: line 5 of many", "6- line 6 of many", "--",
        "14- line 14 of many", "15: line 15 of many", "16- line 16 of many",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "paths"),
    [
        ({"pattern": "needle2?;", "regex": True}, ["src/deep/b.c", "src/deep/b.h"]),
        ({"pattern": "needle", "lang": "python"}, ["src/a.py"]),
        ({"pattern": "needle", "file": ["*.{c,h}"]}, ["src/deep/b.c", "src/deep/b.h"]),
        ({"query": "needle file:*.{c,h} -extern"}, ["src/deep/b.c"]),
        ({"query": "needle lang:c", "not_file": "*.h"}, ["src/deep/b.c"]),
        ({"pattern": "needle", "under": ["src/deep", "src/a.py"]}, ["src/a.py", "src/deep/b.c", "src/deep/b.h"]),
        ({"pattern": "needle", "under": "./src//deep/"}, ["src/deep/b.c", "src/deep/b.h"]),
        ({"pattern": "needle", "none_of": ["int"], "case": "exact", "file": "src/**"}, ["src/a.py"]),
        ({"pattern": "os\n\n\ndef", "multiline": True}, ["src/a.py"]),
        ({"pattern": "NEEDLE", "case": "ignore", "under": "src/deep", "word": True}, ["src/deep/b.c", "src/deep/b.h"]),
        ({"pattern": "odd", "file": "#odd"}, ["#odd"]),
    ],
)  # fmt: skip
def test_what_is_asked_narrows_the_answer(client, asked, paths):
    facts = client.facts("search", **asked)
    assert [file["path"] for file in facts["files"]] == paths
    assert facts["complete"]


def test_nothing_found_is_a_complete_answer(client):
    answer = client.call("search", pattern="there is no such line")
    assert answer.structured_content["complete"]
    assert text_of(answer) == "No line matches."


def test_a_regex_that_was_meant_as_one_is_hinted_at(client):
    assert "regex=true" in text_of(client.call("search", pattern="needle.*nothing"))
    assert "regex=true" not in text_of(client.call("search", pattern="needle.*nothing", regex=True))


def test_a_limit_is_said_with_what_to_do(client):
    answer = client.call("search", pattern="of many")
    facts = answer.structured_content
    assert len(lines_of(facts)) == facts["lines"] == 50
    assert (facts["complete"], facts["truncated_by"]) == (False, "limit")
    assert "There are more: narrow it by under" in text_of(answer)


def test_the_limit_per_file_is_said(client):
    facts = client.facts("search", pattern="of many", limit_per_file=2)
    assert (facts["lines"], facts["complete"], facts["truncated_by"]) == (2, False, "limit_per_file")


def test_a_long_line_is_cut_around_its_first_match(client):
    [(_, _, text)] = lines_of(client.facts("search", pattern="needle", under="long.txt", max_columns=40))
    [line] = client.facts("search", pattern="needle", under="long.txt", max_columns=40)["files"][0]["lines"]
    assert (len(text), line["length"], line["from"]) == (40, 10_006, 4990)
    assert text == "x" * 10 + "needle" + "y" * 24


def test_a_line_is_cut_inside_its_ends():
    assert cut(1, "needle" + "x" * 50, 20, 0).text == "needle" + "x" * 14
    assert cut(1, "x" * 50 + "needle", 20, 50).text == "x" * 14 + "needle"
    assert cut(1, "x" * 20, 20, 10) == (1, "x" * 20, True, 0, None)


def test_an_answer_of_long_lines_ends_when_it_is_full(client):
    answer = client.call("search", pattern="wide", limit=500, max_columns=2000)
    facts = answer.structured_content
    assert (facts["complete"], facts["truncated_by"]) == (False, "size")
    assert 200_000 <= sum(len(text) for _, _, text in lines_of(facts)) < 202_000
    assert "lower max_columns" in text_of(answer)


# ---- count ----


def test_counting_tells_how_many_lines_and_where(client):
    answer = client.call("count", pattern="needle", under="src")
    facts = answer.structured_content
    assert facts["by_file"] == [
        {"path": "src/a.py", "lines": 2}, {"path": "src/deep/b.c", "lines": 2}, {"path": "src/deep/b.h", "lines": 1},
    ]  # fmt: skip
    assert (facts["lines"], facts["files"], facts["by_file_left_out"], facts["complete"]) == (5, 3, 0, True)
    assert "5 lines in 3 files." in text_of(answer)


def test_counts_of_many_files_are_cut_and_say_so(client):
    answer = client.call("count", query="needle", limit=2)
    assert len(answer.structured_content["by_file"]) == 2
    assert (answer.structured_content["files"], answer.structured_content["by_file_left_out"]) == (5, 3)
    assert "and 3 more files" in text_of(answer)


# ---- list_files ----


def test_a_folder_is_listed_with_its_folders_and_files(client):
    facts = client.facts("list_files")
    assert facts["folders"] == [{"path": "src", "files": 3}]
    assert facts["files"] == [
        "#odd", "binary.bin", "caf\\xe9.txt", "empty.txt", "long.txt", "many.txt", "wide.txt",
    ]  # fmt: skip
    assert client.facts("list_files", under="src")["files"] == ["src/a.py"]
    assert client.facts("list_files", under="src/")["folders"] == [{"path": "src/deep", "files": 2}]


def test_globs_go_into_all_folders(client):
    assert client.facts("list_files", glob="*.{c,h}")["files"] == ["src/deep/b.c", "src/deep/b.h"]
    assert client.facts("list_files", glob=["*.py", "*.c"], under="src/deep")["files"] == ["src/deep/b.c"]
    assert client.facts("list_files", under="src", recursive=True)["files"] == [
        "src/a.py",
        "src/deep/b.c",
        "src/deep/b.h",
    ]


def test_pages_of_a_listing_follow_each_other(client):
    paths, after, pages = [], {}, 0
    while True:
        facts = client.facts("list_files", recursive=True, limit=3, **after)
        paths += facts["files"]
        pages += 1
        assert facts["complete"] is (facts["next_after"] is None)
        if facts["complete"]:
            break
        after = {"after": facts["next_after"]}
    assert (paths, pages) == (client.facts("list_files", recursive=True)["files"], 4)
    assert len(set(paths)) == 10


def test_a_file_alone_can_be_listed(client):
    assert client.facts("list_files", under="many.txt")["files"] == ["many.txt"]


# ---- read_lines ----


def test_lines_of_a_file_are_read(client):
    answer = client.call("read_lines", path="src/deep/b.c", first=2)
    facts = answer.structured_content
    assert [(line["number"], line["text"]) for line in facts["lines"]] == [
        (2, "int hay;"),
        (3, "int needle2;"),
    ]
    assert (facts["total_lines"], facts["size_bytes"], facts["complete"], facts["next_first"]) == (
        3,
        34,
        True,
        None,
    )
    assert text_of(answer).split("\n") == [
        "src/deep/b.c: lines 2 to 3 of 3",
        "2: int hay;",
        "3: int needle2;",
    ]


def test_at_most_two_thousand_lines_are_read_at_once(client):
    facts = client.facts("read_lines", path="many.txt", last=100_000)
    assert (len(facts["lines"]), facts["truncated_by"], facts["next_first"]) == (2000, "limit", 2001)
    rest = client.facts("read_lines", path="many.txt", first=facts["next_first"], last=100_000)
    assert (len(rest["lines"]), rest["complete"], rest["lines"][-1]["number"]) == (1000, True, 3000)


def test_a_part_that_was_asked_for_is_complete(client):
    facts = client.facts("read_lines", path="many.txt", first=10, last=12)
    assert (len(facts["lines"]), facts["complete"], facts["next_first"]) == (3, True, None)


def test_without_a_last_line_a_part_of_a_long_file_is_read(client):
    answer = client.call("read_lines", path="many.txt")
    assert len(answer.structured_content["lines"]) == 500
    assert not answer.structured_content["complete"]
    assert "ask again with first=501" in text_of(answer)


def test_reading_long_lines_ends_when_the_answer_is_full(client):
    facts = client.facts("read_lines", path="wide.txt", max_columns=2000)
    assert facts["truncated_by"] == "size"
    assert facts["next_first"] == len(facts["lines"]) + 1 < 300


def test_an_empty_file_has_no_lines(client):
    facts = client.facts("read_lines", path="empty.txt")
    assert (facts["lines"], facts["total_lines"], facts["complete"]) == ([], 0, True)


def test_a_name_that_is_not_utf8_is_shown_and_understood(client):
    facts = client.facts("read_lines", path="caf\\xe9.txt")
    assert (facts["path"], facts["lines"][0]["text"]) == (
        "caf\\xe9.txt",
        "caf\N{REPLACEMENT CHARACTER} needle",
    )
    assert client.facts("count", pattern="needle", under="caf\\xe9.txt")["lines"] == 1


def test_an_absolute_path_in_the_tree_is_understood(client, place):
    assert client.facts("read_lines", path=f"{place}/src/a.py")["path"] == "src/a.py"
    assert client.facts("list_files", under=str(place / "src"))["files"] == ["src/a.py"]


# ---- refusals ----


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("search", {}, "give query (the language of search boxes) or pattern"),
        ("search", {"query": "a", "pattern": "b"}, "one of them"),
        ("search", {"pattern": "abc[def", "regex": True}, "(argument pattern, at character 3)"),
        ("search", {"pattern": "a", "all_of": ["b", "c["], "regex": True}, "(argument all_of, at character 1)"),
        ("search", {"query": "needle /abc[def/"}, "(argument query, at character 11)"),
        ("search", {"query": "needle OR"}, "(argument query, at character 7)"),
        ("search", {"query": "needle", "regex": True}, "regex goes with pattern; a query says /regex/"),
        ("search", {"pattern": "a\nb"}, "use multiline=True"),
        ("search", {"pattern": "a", "limit": 501}, "limit must be a whole number from 1 to 500, not 501"),
        ("search", {"pattern": "a", "limit": 0}, "limit must be a whole number from 1 to 500, not 0"),
        ("search", {"pattern": "a", "limit": "9"}, "limit must be a whole number from 1 to 500, not '9'"),
        ("search", {"pattern": "a", "limit": 1.5}, "limit must be a whole number"),
        ("search", {"pattern": "a", "limit": True}, "limit must be a whole number"),
        ("search", {"pattern": "a", "context": 21}, "context must be a whole number from 0 to 20"),
        ("search", {"pattern": "a", "deadline_s": 121}, "deadline_s must be a number from 0.01 to 120, not 121"),
        ("search", {"pattern": 7}, "pattern must be a text, not 7"),
        ("search", {"pattern": "a", "case": "loud"}, "case must be one of smart, ignore, exact, not 'loud'"),
        ("search", {"pattern": "a", "word": "yes"}, "word must be true or false, not 'yes'"),
        ("search", {"pattern": "a", "file": ["["]}, "file: glob '[' can match nothing"),
        ("search", {"pattern": "a", "file": "*.{c,h"}, "file: glob '*.{c,h' has a { without a }"),
        ("search", {"pattern": "a", "file": "!*.c"}, "not_file leaves out files"),
        ("search", {"pattern": "a", "lang": "pyton"}, "there is no language 'pyton'; did you mean python"),
        ("search", {"pattern": "a", "under": "nowhere"}, "under: the tree has nothing at 'nowhere'; list_files says"),
        ("search", {"patern": "a"}, "there is no argument 'patern'; did you mean pattern?"),
        ("count", {"pattern": "a", "context": 3}, "there is no argument 'context'"),
        ("list_files", {"glob": "["}, "glob: glob '[' can match nothing"),
        ("list_files", {"under": "nowhere"}, "the tree has nothing at 'nowhere'"),
        ("read_lines", {}, "read_lines needs path"),
        ("read_lines", {"path": "src"}, "src is a folder: list_files says what is in it"),
        ("read_lines", {"path": "many.txt", "first": 4000}, "first is 4000, but many.txt has 3000 lines"),
        ("read_lines", {"path": "many.txt", "first": 9, "last": 8}, "last must not be before first (9), but is 8"),
        ("read_lines", {"path": "binary.bin"}, "binary.bin is not held: binary"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_the_tools_error_and_says_what_to_do(client, tool, arguments, words):
    refusal = client.refusal(tool, **arguments)
    assert words in refusal
    assert "Traceback" not in refusal


def test_null_counts_as_left_out(client):
    assert client.facts("count", pattern="hay", query=None, under=None, limit=None)["lines"] == 1


# ---- staying inside ----


@pytest.mark.parametrize("tool", ["read_lines", "list_files", "search", "count"])
@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt",
        "src/../../secret.txt",
        "out",
        "out/",
        "/etc/passwd",
        "/",
        "..",
        "src/\x00",
        "~",
        "\\x2e\\x2e/secret.txt",
    ],
)
def test_nothing_outside_of_the_tree_is_told(client, place, tool, path):
    said = {"read_lines": {"path": path}, "list_files": {"under": path}}.get(
        tool, {"pattern": "secret", "under": path}
    )
    answer = client.call(tool, **said)
    assert "secret needle" not in text_of(answer)
    assert "root:" not in text_of(answer)
    if path != "/":  # which is the tree's own root here
        assert answer.is_error


def test_an_absolute_path_outside_is_refused(client, place):
    path = f"{place.parent}/secret.txt"
    assert "the tree has nothing at" in client.refusal("read_lines", path=path)
    assert "the tree has nothing at" in client.refusal("search", pattern="secret", under=path)


def test_a_symlink_that_leads_out_is_not_followed(client):
    assert client.facts("count", pattern="secret")["lines"] == 0
    assert "out" not in client.facts("list_files", recursive=True)["files"]


# ---- names ----


def test_names_of_several_roots_begin_as_they_were_given():
    names = Names(["src", "../other"])
    assert names.shown(b"src/a.py") == "src/a.py"
    assert names.meant("src/a.py", {b"src/a.py"}.__contains__) == b"src/a.py"
    assert names.find("", lambda _: [], "under") == b""


def test_a_name_with_a_real_backslash_is_found_before_an_escaped_one():
    has = {b"/r/a\\xff", b"/r/a\xff", b"/r/b\xff"}.__contains__
    names = Names(["/r"])
    assert names.meant("a\\xff", has) == b"/r/a\\xff"
    assert names.meant("b\\xff", has) == b"/r/b\xff"


def test_control_characters_are_shown_escaped():
    names = Names(["/r"])
    assert names.shown(b"/r/a\nb") == "a\\x0ab"
    assert names.meant("a\\x0ab", {b"/r/a\nb"}.__contains__) == b"/r/a\nb"


def test_several_roots_are_listed_as_the_roots(place, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "c.txt").write_text("needle\n")
    (tmp_path / "alone.txt").write_text("needle\n")
    with Client(place / "src", "other", "alone.txt", cwd=tmp_path) as client:
        facts = client.facts("list_files")
        assert facts["folders"] == [{"path": str(place / "src"), "files": 3}, {"path": "other", "files": 1}]
        assert facts["files"] == ["alone.txt"]
        assert client.facts("list_files", under="other")["files"] == ["other/c.txt"]
        assert client.facts("read_lines", path="other/c.txt")["lines"][0]["text"] == "needle"
        assert client.facts("count", pattern="needle", under="other")["by_file"] == [
            {"path": "other/c.txt", "lines": 1}
        ]


# ---- without the library ----


@pytest.mark.parametrize("library", ["mcp", "mcp_types", "anyio"])
def test_without_the_library_it_says_what_to_install(library):
    code = f"""if True:
        import sys
        sys.modules[{library!r}] = None
        from manyhands.search import MissingExtraError
        from manyhands.search.service.mcp import serve_mcp
        try:
            serve_mcp(["."])
        except MissingExtraError as error:
            print(error, file=sys.stderr)
        """
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
    )
    assert "pip install 'manyhands[mcp]'" in done.stderr
    assert done.stdout == ""


def test_the_extra_that_is_missing_survives_a_pickle():
    error = pickle.loads(pickle.dumps(MissingExtraError("this", "that", "mcp")))
    assert (error.what, error.package, error.extra) == ("this", "that", "mcp")
    assert str(MissingExtraError("this", "that")).endswith("pip install 'manyhands[search]'")
