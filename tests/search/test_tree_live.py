"""A tree that is watched follows its files: what is saved is found, what is gone is not, without being asked to look."""

from __future__ import annotations

import os

import pytest

import manyhands.search

pytest.importorskip("watchfiles")


@pytest.fixture
def live(tmp_path):
    for number in range(20):
        (tmp_path / f"f{number:02}.txt").write_text(f"word{number:02}\n" * 10)
    with manyhands.search.open(tmp_path, shards=2, watch=True) as tree:
        yield tree


def names(answer):
    return [os.path.basename(row.path) for row in answer]


def test_a_saved_file_is_found(live, tmp_path, until):
    (tmp_path / "f03.txt").write_text("fresh\n")
    until(lambda: names(live.search("fresh")) == ["f03.txt"])
    assert live.search("word03").all() == []


def test_a_new_file_is_found_in_its_place(live, tmp_path, until):
    (tmp_path / "f035.txt").write_text("word03 and word04\n")
    until(lambda: len(live) == 21)
    until(lambda: "f035.txt" in names(live.search("word0")))
    found = names(live.search("word0", limit_per_file=1))
    assert found == sorted(found)


def test_a_deleted_file_is_not(live, tmp_path, until):
    (tmp_path / "f07.txt").unlink()
    until(lambda: live.search("word07").all() == [])
    assert len(live) == 19


def test_a_renamed_file_is_found_under_its_new_name(live, tmp_path, until):
    (tmp_path / "f07.txt").rename(tmp_path / "zz.txt")
    until(lambda: set(names(live.search("word07"))) == {"zz.txt"})


def test_a_file_saved_by_renaming_over_it_is_found(live, tmp_path, until):
    (tmp_path / "f01.txt.new~").write_text("replaced\n")
    (tmp_path / "f01.txt.new~").rename(tmp_path / "f01.txt")
    until(lambda: names(live.search("replaced")) == ["f01.txt"])


def test_a_new_folder_brings_its_files_and_a_deleted_one_takes_them(live, tmp_path, until):
    folder = tmp_path / "new" / "deep"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("inside\n")
    (folder / "b.txt").write_text("inside\n")
    until(lambda: names(live.search("inside")) == ["a.txt", "b.txt"])
    (tmp_path / "new").rename(tmp_path / ".hidden")
    until(lambda: live.search("inside").all() == [])


def test_files_that_turn_binary_or_empty_are_said(live, tmp_path, until):
    (tmp_path / "f02.txt").write_bytes(b"\0binary")
    until(lambda: live.search("word02").all() == [])
    until(lambda: (os.fsencode(tmp_path / "f02.txt"), "binary", "") in live.skipped().entries)
    (tmp_path / "f02.txt").write_text("text again\n")
    until(lambda: names(live.search("text again")) == ["f02.txt"])
    assert live.skipped().entries == []


def test_many_changes_at_once_and_queries_meanwhile(live, tmp_path, until):
    for round_ in range(5):
        for number in range(20):
            (tmp_path / f"f{number:02}.txt").write_text(f"round{round_} of {number}\n" * 10)
        assert live.search("word").complete is False  # not read to its end
        live.search("round").all()
    until(lambda: live.count("round4").lines == 200)
    assert live.count("round").lines == 200
    assert live.count("word").lines == 0


def test_status_says_that_it_watches(live):
    assert live.status().watching.startswith("watching")
