"""Load a tree of text files into memory, then search it again and again.

    python examples/tree_search.py                     # the standard library of this Python
    python examples/tree_search.py FOLDER PATTERN...   # any folder, any regexes

The first question costs as much as the last: the text and its index stay in the processes, one shard in each.
"""

from __future__ import annotations

import sys
import sysconfig
import time

import manyhands.search

PATTERNS = ["def walk", r"class \w+Error\(", r"\d{3}-\d{4}", "no such text anywhere"]


def main(folder: str, patterns: list[str], globs: list[str]) -> None:
    began = time.perf_counter()
    with manyhands.search.open(folder, globs=globs) as tree:
        status = tree.status()
        print(
            f"{status.files:,} files, {status.text_bytes / 1e6:,.1f} MB of text, in {len(status.shards)} processes,"
            f" loaded in {time.perf_counter() - began:.2f} s ({tree.skipped() or 'nothing'} left out)"
        )
        tree.wait_indexed()
        for pattern in patterns:
            ask(tree, pattern)


def ask(tree: manyhands.search.Tree, pattern: str) -> None:
    tree.search(pattern, regex=True, limit=1).all()  # compiles the pattern in each process
    began = time.perf_counter()
    answer = tree.search(pattern, regex=True)
    rows = answer.all()
    ms = (time.perf_counter() - began) * 1e3
    print(
        f"\n{pattern}: {answer.lines:,} lines in {answer.files:,} files, {ms:.2f} ms, complete: {answer.complete}"
    )
    for row in rows[:3]:
        print(f"  {row.path.rsplit('/', 1)[-1]}:{row.line_number}: {row.line.strip()[:90]}")


if __name__ == "__main__":
    if sys.argv[1:]:
        main(sys.argv[1], sys.argv[2:] or PATTERNS, [])
    else:
        main(sysconfig.get_path("stdlib"), PATTERNS, ["!site-packages"])
