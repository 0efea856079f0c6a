"""An answer as events: NDJSON, or Server-Sent Events.

Always true: each event is one JSON object, carries the query's id, and is whole in one piece of the stream; text
that is no UTF-8 has U+FFFD where it is none, and paths have a percent-encoded twin in ``href``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote_from_bytes

import orjson

from manyhands.search.columns import Page, Spans
from manyhands.search.preview import FileDiff
from manyhands.search.service.problem import Problem

FindSpans = Callable[[bytes], Spans]

NDJSON, SSE = "application/x-ndjson", "text/event-stream"

#: Others wait so long at most for rows that are put into events, or for one of them.
_TURN_S = 0.005

#: Of a line that is cut, one part in so many is shown before its first match.
_LEAD = 4

#: Matches are looked for in so many bytes of a line: it may have a million of them.
_SPANS_BYTES = 1 << 16

#: Of a character, at most; and how much further it is looked when there is no match yet.
_CHARACTER_BYTES, _FURTHER = 4, 4


class Events:
    """The form of a stream that people's programs read. `most`: characters of a line."""

    #: Rows that are put into events without a pause for others.
    chunk = 256

    def __init__(self, name: str, content_type: str, most: int) -> None:
        self.content_type = content_type
        #: Seconds that it took to put rows into events.
        self.spent_s = 0.0
        self._name, self._most = name, most

    def _event(self, kind: str, facts: Mapping[str, Any]) -> bytes:
        data = orjson.dumps({"type": kind, "id": self._name, **facts})
        return (
            b"event: %b\ndata: %b\n\n" % (kind.encode(), data) if self.content_type == SSE else data + b"\n"
        )

    def begin(self) -> bytes:
        """The query has begun."""
        return self._event("begin", {})

    def rows(self, page: Page, start: int, stop: int, find: FindSpans) -> tuple[bytes, int]:
        """Some rows of a page, and where to go on: earlier if it takes long, because lines have many matches. `find`
        tells what to highlight in a line."""
        began, pieces = time.perf_counter(), []
        for a, b in runs(page, start, stop):
            lines = self._lines(page, a, b, find, began + _TURN_S)
            pieces.append(self._event("lines", {**place_of(page.path(a)), "lines": lines}))
            stop = a + len(lines)
            if time.perf_counter() > began + _TURN_S:
                break
        self.spent_s += time.perf_counter() - began
        return b"".join(pieces), stop

    def _lines(self, page: Page, start: int, stop: int, find: FindSpans, until: float) -> list[Any]:
        """One at least."""
        lines: list[Any] = []
        for row in range(start, stop):
            lines.append(self._line(page, row, find))
            if time.perf_counter() > until:
                break
        return lines

    def _line(self, page: Page, row: int, find: FindSpans) -> dict[str, Any]:
        line, is_match = page.line(row), page.is_match(row)
        spans = self._spans(line, find) if is_match else []
        return line_of(page.numbers[row], line, spans, self._most, is_match=is_match)

    def _spans(self, line: bytes, find: FindSpans) -> Spans:
        """Those that are shown, in what is looked at: no more of a long line than it takes, from its start on."""
        shown = self._most if line.isascii() else _CHARACTER_BYTES * self._most
        end = min(len(line), _SPANS_BYTES)
        reach = min(shown, end)
        while True:
            found = find(line[:reach])
            wanted = found[0][0] + shown if found else _FURTHER * reach
            if reach == end or (found and wanted <= reach):
                return found
            reach = min(wanted, end)

    def diff(self, diff: FileDiff) -> bytes:
        """The diff of one file."""
        path = diff.path.encode("utf-8", "surrogateescape")
        text = diff.diff.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        return self._event("diff", {**place_of(path), "lines": diff.lines, "diff": text})

    def end(self, facts: Mapping[str, Any]) -> bytes:
        """All has been said."""
        return self._event("end", facts)

    def problem(self, problem: Problem) -> bytes:
        """Something went wrong on the way."""
        return self._event("error", {"problem": problem.body()})


def place_of(path: bytes) -> dict[str, str]:
    """A file as events name it."""
    return {"path": path.decode("utf-8", "replace"), "href": f"/file?path={quote_from_bytes(path, safe='/')}"}


def runs(page: Page, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """The rows of each file among some rows of a page."""
    files, first = page.files, start
    for row in range(start + 1, stop):
        if files[row] != files[first]:
            yield first, row
            first = row
    if first < stop:
        yield first, stop


def line_of(number: int, line: bytes, spans: Spans, most: int, *, is_match: bool) -> dict[str, Any]:
    """A line as events have it. `spans` are in bytes; those of the result in characters.

    >>> line_of(7, "é needle".encode(), [(3, 9)], 100, is_match=True)
    {'number': 7, 'text': 'é needle', 'spans': [(2, 8)], 'match': True}
    >>> line_of(7, b"0123456789 needle 0123456789", [(11, 17)], 10, is_match=True)
    {'number': 7, 'text': '9 needle 0', 'spans': [(2, 8)], 'match': True, 'from': 9, 'length': 28}
    """
    text = line.decode("utf-8", "replace")
    if not line.isascii():
        spans = in_characters(line, spans)
    if len(text) <= most:
        return {"number": number, "text": text, "spans": spans, "match": is_match}
    return _cut(number, text, spans, most, is_match)


def in_characters(line: bytes, spans: Spans) -> Spans:
    """Spans of bytes, in characters."""
    found, at, characters = [], 0, 0
    for start, end in spans:
        begin = characters + len(line[at:start].decode("utf-8", "replace"))
        characters = begin + len(line[start:end].decode("utf-8", "replace"))
        found.append((begin, characters))
        at = end
    return found


def _cut(number: int, text: str, spans: Spans, most: int, is_match: bool) -> dict[str, Any]:
    first = spans[0][0] if spans else 0
    begin = 0 if first < most - most // _LEAD else min(first - most // _LEAD, len(text) - most)
    end = begin + most
    kept = [(max(a, begin) - begin, min(b, end) - begin) for a, b in spans if a < end and b > begin]
    return {
        "number": number, "text": text[begin:end], "spans": kept, "match": is_match, "from": begin, "length": len(text),
    }  # fmt: skip
