"""What a tree tells of its files: their names, their lines, and queries about some of them alone."""

from __future__ import annotations

import asyncio
import os
import pickle

import pytest

import manyhands.search
from manyhands.errors import UsageError


def named(forest, *parts):
    return os.path.join(os.fspath(forest), *parts)


def test_names_are_those_of_the_walk_in_order(tree, forest):
    found = sorted(
        os.path.join(folder, name) for folder, _, names in os.walk(os.fsencode(forest)) for name in names
    )
    assert tree.names() == found
    assert tree.names("") == tree.names(".") == found


def test_names_in_a_folder_are_those_that_begin_with_it(tree, forest):
    folder = os.fsencode(named(forest, "deep", "er"))
    wanted = [name for name in tree.names() if name.startswith(folder + b"/")]
    assert tree.names(folder) == tree.names(os.fsdecode(folder) + "/") == wanted != []


def test_a_folder_whose_name_begins_like_another_is_not_that_one(tmp_path):
    for folder in ("a", "a.b", "ab", "a b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x").write_text("text\n")
    with manyhands.search.open(tmp_path) as tree:
        folder = os.fspath(tmp_path / "a")
        assert tree.names(folder) == [os.fsencode(tmp_path / "a" / "x")]
        assert [row.path for row in tree.search("text", under=folder)] == [os.fspath(tmp_path / "a" / "x")]


def test_names_follow_what_is_new_and_what_is_gone(tmp_path):
    (tmp_path / "old").write_text("text\n")
    with manyhands.search.open(tmp_path) as tree:
        assert tree.names() == [os.fsencode(tmp_path / "old")]
        (tmp_path / "old").unlink()
        (tmp_path / "new").write_text("text\n")
        tree.refresh()
        assert tree.names() == [os.fsencode(tmp_path / "new")]


@pytest.mark.parametrize("name", ["late.py", "a b.py"])
def test_under_a_folder_or_a_file_only_these_are_searched(ask, forest, name):
    folder, file = named(forest, "deep", "er"), named(forest, "deep", "er", name)
    every = [row for row in ask("needle") if row.path.startswith(folder + "/")]
    assert ask("needle", under=folder).all() == every != []
    assert ask("needle", under=folder + "/").all() == every
    assert ask("needle", under=file).all() == [row for row in every if row.path == file] != []
    assert ask("needle", under=[file, named(forest, "no such")]).all() == [
        row for row in every if row.path == file
    ]


def test_under_goes_with_the_other_filters(tree, forest):
    folder = named(forest, "deep")
    rows = tree.search("needle", under=folder, file="*.py", not_file="late*").all()
    assert {row.path for row in rows} == {named(forest, "deep", "er", "a b.py")}
    assert tree.count("needle", under=named(forest, "deep", "er")).files == 2
    assert list(tree.files(under=named(forest, "deep", "er"))) == [
        named(forest, "deep", "er", "a b.py"), named(forest, "deep", "er", "late.py"),
    ]  # fmt: skip


@pytest.mark.parametrize("wrong", ["", 7, "a\0b", ["a", None]])
def test_under_what_is_no_path_is_refused_at_the_call(tree, wrong):
    with pytest.raises(manyhands.search.QueryError, match="under must be a") as caught:
        tree.search("x", under=wrong)
    assert caught.value.parameter == "under"


def test_lines_are_those_of_the_file(tree, forest):
    path = named(forest, "deep", "er", "late.py")
    with open(path, "rb") as file:
        text = file.read()
    whole = text.splitlines()
    found = tree.lines(path)
    assert (found.lines, found.first, found.total_lines, found.size_bytes) == (
        whole,
        1,
        len(whole),
        len(text),
    )
    assert found.path == os.fsencode(path)
    assert tree.lines(path, 2, 4).lines == whole[1:4]
    assert tree.lines(os.fsencode(path), 5).lines == whole[4:]
    assert tree.lines(path, 99).lines == tree.lines(path, 3, 2).lines == []
    assert tree.lines(path, 2, 10**6).lines == whole[1:]


@pytest.mark.parametrize(
    ("text", "lines"), [(b"", []), (b"\n", [b""]), (b"a", [b"a"]), (b"a\n\nb", [b"a", b"", b"b"])]
)
def test_lines_end_where_the_text_does(tmp_path, text, lines):
    (tmp_path / "file").write_bytes(text)
    with manyhands.search.open(tmp_path) as tree:
        found = tree.lines(os.fspath(tmp_path / "file"))
        assert (found.lines, found.total_lines, found.size_bytes) == (lines, len(lines), len(text))


@pytest.mark.parametrize("wrong", [{"first": 0}, {"first": "1"}, {"last": -1}, {"last": 1.5}])
def test_line_numbers_that_make_no_sense_are_refused(tree, forest, wrong):
    with pytest.raises(UsageError, match=f"{next(iter(wrong))} must be a whole number"):
        tree.lines(named(forest, "crlf.c"), **wrong)


def test_what_the_tree_does_not_hold_is_not_read(tree, forest, tmp_path):
    (tmp_path / "secret").write_text("not yours\n")
    for path in (tmp_path / "secret", "/etc/passwd", f"{forest}/../secret", f"{forest}/deep", "", "\0"):
        with pytest.raises(manyhands.search.NotHeldError, match="is no file of this tree") as caught:
            tree.lines(os.fspath(path))
        assert caught.value.path == os.fsencode(path)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert isinstance(caught.value, LookupError)


def test_a_skipped_file_is_said_to_be_one(tree, forest):
    with pytest.raises(manyhands.search.NotHeldError, match="was skipped"):
        tree.lines(named(forest, "binary.bin"))


def test_without_blocking_the_loop_it_is_all_the_same(tree, forest):
    async def read():
        path = named(forest, "crlf.c")
        return await tree.lines_async(path, 2), await tree.skipped_async(), await tree.status_async()

    lines, skipped, status = asyncio.run(read())
    assert lines == tree.lines(named(forest, "crlf.c"), 2)
    assert skipped == tree.skipped()
    assert status._replace(shards=[]) == tree.status()._replace(shards=[])


def test_pages_stop_at_the_limit_as_rows_do(ask):
    for limit in (1, 5, 700):
        rows = ask("needle", limit=limit, context=1).all()
        answer = ask("needle", limit=limit, context=1)
        assert [row for page in answer.pages() for row in page.rows()] == rows
        assert (answer.lines, answer.truncated_by) == (
            sum(row.is_match for row in rows),
            "limit" if answer.lines == limit else None,
        )
        assert answer.files == len({row.path for row in rows if row.is_match})


def test_pages_come_without_blocking_the_loop(tree):
    async def read():
        async with tree.search("needle", limit=40) as answer:
            return [row async for page in answer.pages_async() for row in page.rows()]

    assert asyncio.run(read()) == tree.search("needle", limit=40).all()


def test_braces_in_globs_are_alternatives(ask, tree, forest):
    wanted = {row.path for row in ask("needle") if row.path.endswith((".py", ".c"))}
    assert {row.path for row in ask("needle", file="*.{py,c}")} == wanted != set()
    assert not any(row.path.endswith((".py", ".c")) for row in ask("needle", not_file=["*.{py,c}"]))
    assert list(tree.files(name="*.{py,c}")) == sorted([*tree.files(name="*.py"), *tree.files(name="*.c")])


@pytest.mark.parametrize("broken", ["*.{c,h", "a}", "[", "\\"])
def test_broken_globs_are_refused_by_name(tree, broken):
    with pytest.raises(manyhands.search.QueryError, match="glob") as caught:
        tree.search("x", file=broken)
    assert caught.value.parameter == "file"
    with pytest.raises(manyhands.search.QueryError, match="glob") as caught:
        tree.files(name=broken)
    assert caught.value.parameter == "name"
