"""Trees to search, and one that is open."""

from __future__ import annotations

import os

import pytest

import manyhands.search

WORDS = [
    "needle",
    "Needle",
    "NEEDLE",
    "needles",
    "hay",
    "kiss",
    "stack",
    "héllo",
    "ß",
    "\u017ftack",
    "\u212aiss",
    "",
]


@pytest.fixture(scope="session")
def forest(tmp_path_factory):
    """A tree with everything that is odd about text."""
    root = tmp_path_factory.mktemp("forest")
    (root / "deep" / "er").mkdir(parents=True)
    for number in range(40):
        words = [WORDS[(number * 7 + place * place) % len(WORDS)] for place in range(60)]
        (root / "deep" / f"f{number:02}.txt").write_text("\n".join(words) + "\n" * (number % 3 > 0))
    (root / "empty.c").write_bytes(b"")
    (root / "newline.c").write_bytes(b"\n")
    (root / "crlf.c").write_bytes(b"a needle\r\nhay\r\nneedle\r\n")
    (root / "bom8.txt").write_bytes(b"\xef\xbb\xbfneedle in utf-8\n")
    (root / "bom16le.txt").write_bytes(b"\xff\xfe" + "needle h\u00e9llo\nhay\n".encode("utf-16-le"))
    (root / "bom16be.txt").write_bytes(b"\xfe\xff" + "hay\nneedle\n".encode("utf-16-be"))
    (root / "latin1.txt").write_bytes(b"caf\xe9 needle\nna\xefve\n")
    (root / "binary.bin").write_bytes(b"needle\0needle\n" * 10)
    (root / "late_nul.txt").write_bytes(b"hay\n" * 3000 + b"needle \0 here\n")
    (root / "long.txt").write_bytes(b"x" * 300_000 + b"needle" + b"y" * 100_000 + b"\nshort needle\n")
    (root / "big.py").write_bytes(b"".join(b"def f%d(): return 'hay%d'\n" % (n, n) for n in range(30_000)))
    (root / "deep" / "er" / "a b.py").write_text("import os\n# needle\nclass Needle:\n    pass\n")
    (root / "deep" / "er" / "late.py").write_text("one\ntwo needle\nthree\nfour\nfive needle\nsix\n")
    (root / os.fsdecode(b"odd\xffname.txt")).write_text("needle\n")
    return root


@pytest.fixture(scope="session")
def tree(forest):
    """The forest, open in two shards, indexed."""
    with manyhands.search.open(forest, shards=2) as opened:
        opened.wait_indexed()
        yield opened


@pytest.fixture(params=["resident", "one-shot"])
def ask(request, forest, tree):
    """``ask(pattern, **options)``: an Answer, by each way of getting one."""
    if request.param == "resident":
        return tree.search
    return lambda pattern, **options: manyhands.search.scan([forest], pattern, **options)
