"""A preview of a replacement is a diff that patch takes, and patch makes of the files what was previewed."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess

import pytest

import manyhands.search
from manyhands.search import QueryError
from manyhands.search.preview import Change, changes_in, split_lines, unified


@pytest.fixture
def texts(tmp_path):
    """A few files, with everything that is odd about line ends."""
    (tmp_path / "plain.txt").write_text("".join(f"line {n} of hay\n" for n in range(60)) + "old end")
    (tmp_path / "crlf.txt").write_bytes(b"old one\r\nhay\r\nold two\r\n")
    (tmp_path / "many.txt").write_text("".join("old\n" if n % 9 == 0 else "hay\n" for n in range(100)))
    (tmp_path / "none.txt").write_text("hay\n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 old\n")
    (tmp_path / "start.txt").write_text("old\nhay\nhay\nhay\nhay\nhay\nhay\nhay\nold")
    return tmp_path


@pytest.fixture(params=["resident", "one-shot"])
def preview(request, texts):
    if request.param == "one-shot":
        yield lambda *args, **options: manyhands.search.scan_preview([texts], *args, **options)
        return
    with manyhands.search.open(texts, shards=2) as tree:
        yield tree.preview


def applied(diffs, folder, path_of=lambda path: path):
    """What patch makes of the files below a folder."""
    text = "".join(diff.diff for diff in diffs).encode("utf-8", "surrogateescape")
    subprocess.run(["patch", "-p0", "--binary", "-d", "/", "-f"], input=text, check=True, capture_output=True)
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix == ".txt"}


@pytest.mark.skipif(shutil.which("patch") is None, reason="needs patch")
@pytest.mark.parametrize(
    ("pattern", "replacement", "options"),
    [
        ("old", "brand new", {}),
        (r"(\w+) (\d+)", "$2 $1", {"regex": True}),
        ("old", "two\nlines", {}),
        ("old", "", {"context": 0}),
        (r"old$", "end", {"regex": True, "context": 1}),
        (r"hay\nold", "both", {"regex": True, "multiline": True}),
    ],
)
def test_patch_takes_it_and_makes_what_was_said(preview, texts, pattern, replacement, options):
    def expected(text):
        source = pattern if options.get("regex") else re.escape(pattern)
        template = re.sub(r"\$(\d)", r"\\\1", replacement)
        return re.sub(source.encode(), template.encode(), text, flags=re.MULTILINE)

    before = {path.name: path.read_bytes() for path in texts.iterdir()}
    answer = preview(pattern, replacement, case="exact", **options)
    diffs = list(answer)
    assert answer.complete
    assert [diff.path for diff in diffs] == sorted(
        str(texts / name) for name, text in before.items() if expected(text) != text
    )
    assert {path.name: path.read_bytes() for path in texts.iterdir()} == before
    assert applied(diffs, texts) == {name: expected(text) for name, text in before.items()}


def test_lines_are_counted_and_what_stays_the_same_is_left_out(preview):
    assert [
        (diff.path.rsplit("/", 1)[-1], diff.lines) for diff in preview("old", "new", file="[cm]*.txt")
    ] == [
        ("crlf.txt", 2),
        ("many.txt", 12),
    ]
    assert list(preview("old", "old")) == []
    assert list(preview("old", "$0")) == []


def test_nonsense_is_refused(preview):
    with pytest.raises(QueryError, match="invert makes no sense"):
        preview("old", "new", invert=True)
    with pytest.raises(QueryError, match="limit makes no sense"):
        preview("old", "new", limit=3)
    with pytest.raises(QueryError, match="replacement must be str or bytes"):
        preview("old", 3)
    with pytest.raises(QueryError, match=r"\$1"):
        preview("old", "$1")
    with pytest.raises(QueryError, match="context must be a whole number"):
        preview("old", "new", context=-1)


def test_without_blocking_the_loop(texts):
    async def main():
        with manyhands.search.open(texts, shards=2) as tree:
            return [diff.path.rsplit("/", 1)[-1] async for diff in tree.preview("old", "new")]

    assert asyncio.run(main()) == ["crlf.txt", "latin.txt", "many.txt", "plain.txt", "start.txt"]


def test_the_form_of_a_diff():
    text = b"a\nb\nc\nd\ne"
    changes = list(changes_in(text, [(2, b"b"), (5, b"e")], bytes.upper))
    assert changes == [Change(2, [b"b\n"], [b"B\n"]), Change(5, [b"e"], [b"E"])]
    assert unified(b"x", text, changes, 1) == (
        b"--- x\n+++ x\n@@ -1,5 +1,5 @@\n a\n-b\n+B\n c\n d\n"
        b"-e\n\\ No newline at end of file\n+E\n\\ No newline at end of file\n"
    )
    assert unified(b"x", text, changes[:1], 0) == b"--- x\n+++ x\n@@ -2 +2 @@\n-b\n+B\n"
    assert unified(b"x", text, [], 3) == b""
    assert split_lines(b"") == []
