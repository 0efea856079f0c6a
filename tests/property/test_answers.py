"""Whatever the text and the question: the answer is that of a look at every line."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from manyhands.search import scan_bytes

PIECES = ["a", "b", "ab", "k", "K", "s", "S", "ks", " ", "_", "1", "\u017f", "\u212a", "é", "É", "\r"]
BYTES = st.lists(
    st.sampled_from([*(piece.encode() for piece in PIECES), b"\n", b"\n", b"\xe9", b"\xff"]), max_size=40
)
texts = BYTES.map(b"".join)
ascii_texts = st.lists(st.sampled_from(list("abks_1 .-\n\n")), max_size=60).map("".join).map(str.encode)
literals = st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map("".join)

atoms = st.sampled_from(
    ["a", "b", "k", "s", "1", r"\d", r"\w", r"\s", r"[ab]", r"[^a]", ".", r"\.", "-", r"\b", "(?:ab)"]
)
repeated = st.tuples(atoms, st.sampled_from(["", "", "", "*", "+", "?", "{2}"])).map(
    lambda pair: pair[0] + ("" if pair[0] == r"\b" else pair[1])
)
sequences = st.lists(repeated, min_size=1, max_size=4).map("".join)
regexes = st.tuples(
    st.sampled_from(["", "", "^"]),
    st.lists(sequences, min_size=1, max_size=3).map("|".join),
    st.sampled_from(["", "", "$"]),
).map(lambda parts: f"{parts[0]}(?:{parts[1]}){parts[2]}")


def lines_of(text: bytes) -> list[bytes]:
    lines = text.split(b"\n")
    return lines[:-1] if not lines[-1] else lines


def found(text: bytes, pattern: str, **options: object) -> list[tuple[int, bytes]]:
    answer = scan_bytes(text, "text", pattern, **options)
    rows = [(row.line_number, row.line_bytes) for row in answer]
    assert answer.complete
    return rows


def folded(text: bytes) -> str:
    """As Unicode folds letters one by one; bytes that are no UTF-8 stay apart from all characters."""
    return text.decode("utf-8", "surrogateescape").lower().replace("\u017f", "s").replace("\u212a", "k")


@given(texts, literals)
@settings(max_examples=300, deadline=None)
def test_literals(text, pattern):
    wanted = [(n, line) for n, line in enumerate(lines_of(text), 1) if pattern.encode() in line]
    assert found(text, pattern, case="exact") == wanted
    rest = [(n, line) for n, line in enumerate(lines_of(text), 1) if pattern.encode() not in line]
    assert found(text, pattern, case="exact", invert=True) == rest


@given(texts, literals)
@settings(max_examples=300, deadline=None)
def test_literals_in_any_case(text, pattern):
    wanted = [
        (n, line) for n, line in enumerate(lines_of(text), 1) if folded(pattern.encode()) in folded(line)
    ]
    assert found(text, pattern, case="ignore") == wanted


@given(ascii_texts, regexes)
@settings(max_examples=400, deadline=None)
def test_regexes(text, pattern):
    expression = re.compile(pattern.encode())
    wanted = [(n, line) for n, line in enumerate(lines_of(text), 1) if expression.search(line)]
    assert found(text, pattern, regex=True, case="exact") == wanted


@given(ascii_texts, regexes, regexes, st.booleans())
@settings(max_examples=200, deadline=None)
def test_conditions(text, pattern, other, wanted_too):
    one, two = re.compile(pattern.encode()), re.compile(other.encode())
    options = {"all_of" if wanted_too else "none_of": [other]}
    lines = enumerate(lines_of(text), 1)
    wanted = [(n, line) for n, line in lines if one.search(line) and bool(two.search(line)) == wanted_too]
    assert found(text, pattern, regex=True, case="exact", **options) == wanted


@given(ascii_texts, regexes, st.integers(0, 2), st.integers(0, 2))
@settings(max_examples=200, deadline=None)
def test_context(text, pattern, before, after):
    expression, lines = re.compile(pattern.encode()), lines_of(text)
    hits = {n for n, line in enumerate(lines) if expression.search(line)}
    near = {n + step for n in hits for step in range(-before, after + 1)} & set(range(len(lines)))
    answer = scan_bytes(text, "text", pattern, regex=True, case="exact", before=before, after=after)
    rows = [(row.line_number - 1, row.line_bytes, row.is_match) for row in answer]
    assert rows == [(n, lines[n], n in hits) for n in sorted(near)]
