"""Lines as JSON: one event a line, in ripgrep's form.

``begin`` and ``end`` stand around the lines of a file, which are ``match`` and ``context``; ``summary`` comes last.

Always true: bytes that are no UTF-8 come as base64; `absolute_offset` is null when the file has changed meanwhile.
"""

from __future__ import annotations

from json.encoder import encode_basestring

from manyhands.cli.search.stats import Tally

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from manyhands.cli.search.groups import Group
    from manyhands.cli.search.original import Original

    Write = Callable[[bytes], object]


class EventPrinter:
    """Prints groups as they come. `original_of`: the text that a path was searched with. Threads: one."""

    def __init__(self, write: Write, original_of: Callable[[bytes], Original | None]) -> None:
        self._write, self._original_of = write, original_of
        self._path: bytes | None = None
        self._original: Original | None = None
        self._tally = self._total = Tally()
        self._file_bytes = self._bytes = 0

    def print(self, group: Group) -> None:
        """The lines of a group."""
        if group.path != self._path:
            self._end_file()
            self._begin_file(group.path)
        path = data(group.path)
        out = [self._line(group, place, path) for place in range(len(group.numbers))]
        self._put("".join(out))

    def finish(self) -> None:
        """No more lines come."""
        self._end_file()

    def summary(self, searched: int, searched_bytes: int) -> None:
        """The last event. Its keys are in alphabetical order, unlike those of the others, because ripgrep's are."""
        total = self._total
        took = f'{{"human":"{total.elapsed_s:.6f}s","nanos":{nanos(total.elapsed_s)},"secs":{int(total.elapsed_s)}}}'
        stats = (
            f'{{"bytes_printed":{self._bytes},"bytes_searched":{searched_bytes},"elapsed":{took},'
            f'"matched_lines":{total.lines},"matches":{total.matches},"searches":{searched},'
            f'"searches_with_match":{total.files}}}'
        )
        self._write(f'{{"data":{{"elapsed_total":{took},"stats":{stats}}},"type":"summary"}}\n'.encode())

    def _begin_file(self, path: bytes) -> None:
        self._path, self._original = path, self._original_of(path)
        self._tally, self._file_bytes = Tally(), 0
        self._put(f'{{"type":"begin","data":{{"path":{data(path)}}}}}\n')

    def _end_file(self) -> None:
        if self._path is None:
            return
        tally, total = self._tally, self._total
        total.lines, total.matches, total.files = (
            total.lines + tally.lines, total.matches + tally.matches, total.files + 1,
        )  # fmt: skip
        self._write(
            f'{{"type":"end","data":{{"path":{data(self._path)},"binary_offset":null,'
            f'"stats":{{"elapsed":{elapsed(tally.elapsed_s)},"searches":1,"searches_with_match":1,'
            f'"bytes_searched":{self._searched_bytes()},"bytes_printed":{self._file_bytes},'
            f'"matched_lines":{tally.lines},"matches":{tally.matches}}}}}}}\n'.encode()
        )
        self._path = None

    def _searched_bytes(self) -> int:
        return 0 if self._original is None else self._original.size_bytes

    def _line(self, group: Group, place: int, path: str) -> str:
        number, line = group.numbers[place], group.lines[place]
        offset, newline = None, b"\n"
        if self._original is not None and (offset := self._original.offset(number)) is not None:
            newline = self._original.newline(offset, line)
        whole, is_match = line + newline, group.is_match(place)
        spans = group.spans(place) if is_match else []
        if is_match:
            self._tally.add_line(line, len(spans))
        submatches = ",".join(
            [f'{{"match":{data(whole[start:end])},"start":{start},"end":{end}}}' for start, end in spans]
        )
        return (
            f'{{"type":"{"match" if is_match else "context"}","data":{{"path":{path},"lines":{data(whole)},'
            f'"line_number":{number},"absolute_offset":{"null" if offset is None else offset},'
            f'"submatches":[{submatches}]}}}}\n'
        )

    def _put(self, text: str) -> None:
        encoded = text.encode()
        self._file_bytes += len(encoded)
        self._bytes += len(encoded)
        self._write(encoded)


def data(text: bytes) -> str:
    """Text, or bytes when it is none.

    >>> data(b"caf\\xc3\\xa9\\n"), data(b"\\xff")
    ('{"text":"café\\\\n"}', '{"bytes":"/w=="}')
    """
    try:
        return f'{{"text":{encode_basestring(text.decode())}}}'
    except UnicodeDecodeError:
        from binascii import b2a_base64

        return f'{{"bytes":"{b2a_base64(text, newline=False).decode()}"}}'


def elapsed(seconds: float) -> str:
    """A time as ripgrep tells it."""
    return f'{{"secs":{int(seconds)},"nanos":{nanos(seconds)},"human":"{seconds:.6f}s"}}'


def nanos(seconds: float) -> int:
    """What of a time is no whole second.

    >>> nanos(1.25)
    250000000
    """
    return int((seconds - int(seconds)) * 1_000_000_000)
