"""An answer as columns, for the command ``manyhands search``: both ends. The standard library alone, and of that what
the command's end needs is there when Python has started.

::

    frame    kind (1 byte), length of the payload (u32), payload
    P lines      u32 rows n, runs m, spans s, kinds k; u32 name_ends[m], run_ends[m], numbers[n], offsets[n + 1];
                 if spans were asked for u32 span_ends[n], spans[2s]; u8 kinds[k]; names; text
    C counts     u32 m, name_ends[m], lines[m]; names
    D a diff     as it is
    S skipped    u32 m; for each u32 path, reason and detail bytes; path, reason, detail
    E the end    text, ``key value`` a line, values percent-encoded; a key may come several times

Numbers are little-endian. A run is the rows of one file that follow one another; `s` is `NO_SPANS` when nobody asked.

Always true: a decoder takes nothing on trust. What is not such a frame raises `FrameError`; no number in it makes a
decoder read further than the payload, or hold more than `FRAME_BYTES_MOST`.
"""

from __future__ import annotations

import sys

from manyhands.errors import ManyhandsError
from manyhands.search.service.percent import quoted, unquoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from manyhands.search.columns import Page, Spans

LINES, COUNTS, DIFF, SKIPPED, END = b"P", b"C", b"D", b"S", b"E"

FRAME_BYTES_MOST = 256 << 20

#: In place of the number of spans.
NO_SPANS = 0xFFFFFFFF

#: Rows with more text than this are sent as several frames, as far as there are rows to part.
_TEXT_BYTES_MOST = 64 << 20

_HEAD_BYTES = 5


class FrameError(ManyhandsError, ValueError):
    """What came is no answer in columns, or what was to be sent does not fit into one."""


# ---- the service's end ----


def encode_page(page: Page, start: int, stop: int, with_spans: bool) -> bytes:
    """The rows from `start` up to `stop` (not with it) of a page, as one frame; as several if they have much text."""
    first, last = page.offsets[start], page.offsets[stop]
    if last - first > _TEXT_BYTES_MOST and stop - start > 1:
        middle = (start + stop) // 2
        return encode_page(page, start, middle, with_spans) + encode_page(page, middle, stop, with_spans)
    from itertools import accumulate

    names, run_ends = _runs(page, start, stop)
    kinds = bytes(page.kinds[start:stop])
    each = [page.spans(row) for row in range(start, stop)] if with_spans else []
    spans = [number for spans in each for span in spans for number in span]
    columns = [
        *accumulate(map(len, names)),
        *run_ends,
        *page.numbers[start:stop],
        *[offset - first for offset in page.offsets[start : stop + 1].tolist()],
        *accumulate(map(len, each)),
        *spans,
    ]
    head = (stop - start, len(names), len(spans) // 2 if with_spans else NO_SPANS, len(kinds))
    return _frame(LINES, _u32s(*head), _u32s(*columns), kinds, *names, page.text[first:last])


def encode_counts(names: Sequence[bytes], lines: Sequence[int]) -> bytes:
    """Files, each with its number of lines."""
    from itertools import accumulate

    return _frame(COUNTS, _u32s(len(names), *accumulate(map(len, names)), *lines), *names)


def encode_diff(diff: bytes) -> bytes:
    """What would change in one file."""
    return _frame(DIFF, diff)


def encode_skipped(entries: Iterable[tuple[bytes, str, str]], counts: Mapping[str, int]) -> bytes:
    """Files that were not searched, as `manyhands.search.Tree.skipped` has them, and the end, which has the counts."""
    parts = [b""]
    for path, reason, detail in entries:
        texts = (path, reason.encode(), detail.encode("utf-8", "surrogateescape"))
        parts += (_u32s(*map(len, texts)), *texts)
    parts[0] = _u32s((len(parts) - 1) // 4)
    said = [f"{quoted(reason.encode())} {number}" for reason, number in counts.items()]
    return _frame(SKIPPED, *parts) + _end(f"count {one}" for one in said)


def encode_end(facts: Mapping[str, object]) -> bytes:
    """The end of an answer. A flag is ``true`` or ``false``; None is left out; of a list or tuple each has a line."""
    said = []
    for key, value in facts.items():
        for one in value if isinstance(value, (list, tuple)) else () if value is None else (value,):
            text = str(one).lower() if isinstance(one, bool) else str(one)
            said.append(f"{key} {quoted(text.encode('utf-8', 'surrogateescape'))}")
    return _end(said)


def _end(lines: Iterable[str]) -> bytes:
    return _frame(END, "".join([f"{line}\n" for line in lines]).encode("ascii"))


def _runs(page: Page, start: int, stop: int) -> tuple[list[bytes], list[int]]:
    """The names of the files whose rows follow one another, and where each's rows end."""
    from itertools import groupby

    names, ends, at = [], [], 0
    for _, run in groupby(page.files[start:stop].tolist()):
        names.append(page.path(start + at))
        at += sum(1 for _ in run)
        ends.append(at)
    return names, ends


def _u32s(*numbers: int) -> bytes:
    from struct import pack

    return pack(f"<{len(numbers)}I", *numbers)


def _frame(kind: bytes, *parts: bytes) -> bytes:
    size = sum(map(len, parts))
    if size > FRAME_BYTES_MOST:
        raise FrameError(f"a frame of {size} bytes is too large; the most is {FRAME_BYTES_MOST}")
    return b"".join((kind, _u32s(size), *parts))


# ---- the command's end ----


def read_frames(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """(kind, payload) of each frame, as soon as it is there, from pieces that were cut anywhere."""
    have = bytearray()
    need = _HEAD_BYTES
    for chunk in chunks:
        have += chunk
        while len(have) >= need:
            if need == _HEAD_BYTES and (size := _payload_bytes(have)):
                need += size
                continue
            yield bytes(have[:1]), bytes(memoryview(have)[_HEAD_BYTES:need])
            del have[:need]
            need = _HEAD_BYTES
    if have:
        raise FrameError(f"the answer breaks off: {len(have)} bytes of a frame of {need} have come")


def _payload_bytes(head: bytearray) -> int:
    """How long a frame's payload is."""
    kind = bytes(head[:1])
    if kind not in (LINES, COUNTS, DIFF, SKIPPED, END):
        raise FrameError(f"a frame begins with {kind!r}, which is no kind of frame")
    size = int.from_bytes(head[1:_HEAD_BYTES], "little")
    if size > FRAME_BYTES_MOST:
        raise FrameError(f"a frame says that it has {size} bytes; the most is {FRAME_BYTES_MOST}")
    return size


class _Fields:
    """A payload, taken from its beginning to its end."""

    def __init__(self, payload: bytes) -> None:
        self._payload, self._at = payload, 0

    def u32s(self, count: int) -> list[int]:
        """So many numbers."""
        raw = self.take(4 * count)
        if sys.byteorder == "little":
            return memoryview(raw).cast("I").tolist()
        return memoryview(raw[::-1]).cast("I").tolist()[::-1]

    def ends(self, count: int) -> list[int]:
        """The same; none is smaller than the one before it."""
        found = self.u32s(count)
        if any(map(int.__gt__, found, found[1:])):
            raise FrameError("places in a frame go backwards")
        return found

    def take(self, size: int) -> bytes:
        """So many bytes."""
        at = self._at
        if size > len(self._payload) - at:
            raise FrameError(f"a frame of {len(self._payload)} bytes has no room for what it says it holds")
        self._at = at + size
        return self._payload[at : self._at]

    def finish(self) -> None:
        """That must have been all."""
        if self._at != len(self._payload):
            raise FrameError(f"a frame has {len(self._payload) - self._at} bytes too many")


class Lines:
    """A decoded `LINES` frame. `names` and `run_ends` are by run; the rest is by row; `kinds` is empty when all are
    matches. Without spans that were asked for, `span_ends` is empty."""

    __slots__ = ("_spans", "kinds", "names", "numbers", "offsets", "run_ends", "span_ends", "text")

    def __init__(self, payload: bytes) -> None:
        fields = _Fields(payload)
        rows, runs, spans, kinds = fields.u32s(4)
        if kinds not in (0, rows):
            raise FrameError(f"a frame has {kinds} kinds for {rows} rows")
        name_ends, self.run_ends = fields.ends(runs), fields.ends(runs)
        self.numbers, self.offsets = fields.u32s(rows), fields.ends(rows + 1)
        self.span_ends: list[int] = []
        self._spans: list[int] = []
        if spans != NO_SPANS:
            self.span_ends, self._spans = fields.ends(rows), fields.u32s(2 * spans)
        self.kinds = fields.take(kinds)
        self.names = _cut(fields.take(name_ends[-1] if name_ends else 0), name_ends)
        self.text = fields.take(self.offsets[-1])
        fields.finish()
        self._check(rows, 0 if spans == NO_SPANS else spans)

    def _check(self, rows: int, spans: int) -> None:
        if (self.run_ends[-1] if self.run_ends else 0) != rows:
            raise FrameError("the runs of a frame are not its rows")
        if (self.span_ends[-1] if self.span_ends else 0) != spans:
            raise FrameError("the spans of a frame do not belong to its rows")
        if self.kinds.strip(b"\0\1"):
            raise FrameError("a row of a frame is neither a match nor context")

    def lines(self, start: int, stop: int) -> list[bytes]:
        """The lines of some rows."""
        text, offsets = self.text, self.offsets
        return [text[a:b] for a, b in zip(offsets[start:stop], offsets[start + 1 : stop + 1], strict=True)]

    def spans(self, row: int) -> Spans:
        """Where the matches of a row are; none when nobody asked for spans."""
        if not self.span_ends:
            return []
        first, last = self.span_ends[row - 1] if row else 0, self.span_ends[row]
        flat = self._spans[2 * first : 2 * last]
        return list(zip(flat[::2], flat[1::2], strict=True))


def decode_counts(payload: bytes) -> list[tuple[bytes, int]]:
    """The files of a `COUNTS` frame, each with its number of lines."""
    fields = _Fields(payload)
    (count,) = fields.u32s(1)
    ends, lines = fields.ends(count), fields.u32s(count)
    names = _cut(fields.take(ends[-1] if ends else 0), ends)
    fields.finish()
    return list(zip(names, lines, strict=True))


def decode_skipped(payload: bytes) -> list[tuple[bytes, str, str]]:
    """(path, reason, detail) of each file in a `SKIPPED` frame."""
    fields, found = _Fields(payload), []
    (count,) = fields.u32s(1)
    for _ in range(count):
        path, reason, detail = map(fields.take, fields.u32s(3))
        found.append((path, reason.decode("utf-8", "replace"), detail.decode("utf-8", "surrogateescape")))
    fields.finish()
    return found


def decode_end(payload: bytes) -> dict[str, list[str]]:
    """What an `END` frame says: key → its values."""
    facts: dict[str, list[str]] = {}
    try:
        for line in payload.decode("ascii").splitlines():
            key, _, value = line.partition(" ")
            facts.setdefault(key, []).append(unquoted(value).decode("utf-8", "surrogateescape"))
    except ValueError as error:
        raise FrameError(f"the end of an answer cannot be read: {error}") from None
    return facts


def _cut(whole: bytes, ends: Sequence[int]) -> list[bytes]:
    return [whole[a:b] for a, b in zip((0, *ends), ends, strict=False)]
