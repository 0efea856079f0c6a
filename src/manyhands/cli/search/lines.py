"""Lines as text: ``path:number:column:line``, or below a heading.

Two ways: a fast one, a few operations a line, when nobody need know where the matches are; and one that does it all.

Always true: both write the same where both can be used; a line's bytes come out as they are in the file.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from manyhands.cli.search.groups import Group
    from manyhands.cli.search.style import Style
    from manyhands.search.columns import Spans

    Replace = Callable[[bytes], tuple[bytes, Spans]]


class LinePrinter:
    """Prints groups as they come. `replace`: what becomes of a line, and where its matches are then. Threads: one."""

    def __init__(
        self, style: Style, write: Callable[[bytes], object], replace: Replace | None = None
    ) -> None:
        self._style, self._write, self._replace = style, write, replace
        self._path: bytes | None = None
        self._prefixes = b"", b""  # of the present file: before context, before matches
        self._next = 0  # the number of the line that would follow the last one

    def print(self, group: Group) -> None:
        """The lines of a group, with what stands between them."""
        out: list[bytes] = []
        if group.path != self._path:
            self._begin_file(group, out)
        if self._style.is_plain and self._replace is None:
            self._print_plain(group, out)
        else:
            self._print_detailed(group, out)
        self._write(b"".join(out))

    # ---- between files and lines ----

    def _begin_file(self, group: Group, out: list[bytes]) -> None:
        style = self._style
        if self._path is not None and style.heading:
            out.append(b"\n")
        elif self._path is not None and style.separates:
            out.append(b"--\n")
        self._path, self._next = group.path, group.numbers[0]
        self._prefixes = self._prefix(group.path, b"-"), self._prefix(group.path, b":")
        if style.heading and style.paths:
            out.append(style.paint.path(group.path) + (b"\0" if style.null else b"\n"))

    def _gap(self, number: int, line: bytes, out: list[bytes]) -> None:
        """Say that lines were left out before this one."""
        if number != self._next and self._style.separates:
            out.append(b"--\n")
        self._next = number + 1 + (line.count(b"\n") if b"\n" in line else 0)

    def _prefix(self, path: bytes, mark: bytes) -> bytes:
        style = self._style
        if style.heading or not style.paths:
            return b""
        return style.paint.path(path) + (b"\0" if style.null else mark)

    # ---- the fast way ----

    def _print_plain(self, group: Group, out: list[bytes]) -> None:
        prefix, numbers, lines = self._prefixes[1], group.numbers, group.lines
        if self._style.finds_several:
            self._print_several(group, out)
        elif self._style.separates:
            self._print_context(group, out)
        elif self._style.numbers:
            out += [b"%b%d:%b\n" % (prefix, at, line) for at, line in zip(numbers, lines, strict=True)]
        else:
            out += (prefix, (b"\n" + prefix).join(lines), b"\n")

    def _print_context(self, group: Group, out: list[bytes]) -> None:
        shows, (before, match) = self._style.numbers, self._prefixes
        kinds = group.kinds or b"\1" * len(group.lines)
        follows = self._next
        for number, line, kind in zip(group.numbers, group.lines, kinds, strict=True):
            if number != follows:
                out.append(b"--\n")
            follows = number + 1
            if not shows:
                out += (match if kind else before, line, b"\n")
            elif kind:
                out.append(b"%b%d:%b\n" % (match, number, line))
            else:
                out.append(b"%b%d-%b\n" % (before, number, line))
        self._next = follows

    def _print_several(self, group: Group, out: list[bytes]) -> None:
        """Matches may go over several lines."""
        prefixes, shows = self._prefixes, self._style.numbers
        kinds = group.kinds or b"\1" * len(group.lines)
        for number, line, kind in zip(group.numbers, group.lines, kinds, strict=True):
            self._gap(number, line, out)
            for at, each in enumerate(line.split(b"\n"), number):
                out += (prefixes[kind], b"%d%b" % (at, b"-:"[kind : kind + 1]) if shows else b"", each, b"\n")

    # ---- the way that does it all ----

    def _print_detailed(self, group: Group, out: list[bytes]) -> None:
        for place, (number, line) in enumerate(zip(group.numbers, group.lines, strict=True)):
            self._gap(number, line, out)
            if group.is_match(place):
                shown = (line, group.spans(place)) if self._replace is None else self._replace(line)
                self._print_match(number, *shown, out)
            else:
                out += (self._label(number, None, b"-"), line, b"\n")

    def _print_match(self, number: int, line: bytes, spans: Spans, out: list[bytes]) -> None:
        style = self._style
        if not spans:  # an inverted search, or only empty matches
            column = None if style.finds_inverted else 1
            if not style.only_matching or style.finds_inverted:
                self._print_whole(number, line, [], column, out)
        elif style.only_matching:
            self._print_parts(number, line, spans, out)
        elif style.each_match:
            for span in spans:
                at, each, start, end = line_of_span(line, span)
                label = self._label(number + at, start + 1, b":")
                out += (label, style.paint.line(each, [(start, end)]), b"\n")
        else:
            self._print_whole(number, line, spans, column_of(line, spans[0][0]), out)

    def _print_whole(
        self, number: int, line: bytes, spans: Spans, column: int | None, out: list[bytes]
    ) -> None:
        if b"\n" not in line and (not spans or spans[-1][1] <= len(line)):
            out += (self._label(number, column, b":"), self._style.paint.line(line, spans), b"\n")
            return
        for at, (each, its_spans) in enumerate(by_line(line, spans), number):
            out += (self._label(at, column, b":"), self._style.paint.line(each, its_spans), b"\n")

    def _print_parts(self, number: int, line: bytes, spans: Spans, out: list[bytes]) -> None:
        """The matches alone."""
        style = self._style
        if not (style.columns or style.paint.is_on or b"\n" in line):
            label = self._label(number, None, b":")
            out += [label + line[start:end] + b"\n" for start, end in spans]
            return
        for start, end in spans:
            first, column = number + line.count(b"\n", 0, start), column_of(line, start)
            for at, each in enumerate(line[start:end].removesuffix(b"\n").split(b"\n"), first):
                out += (self._label(at, column, b":"), style.paint.match(each), b"\n")

    def _label(self, number: int, column: int | None, mark: bytes) -> bytes:
        style = self._style
        label = self._prefixes[mark == b":"]
        if style.numbers:
            label += style.paint.number(number) + mark
        if style.columns and column is not None:
            label += style.paint.column(column) + mark
        return label


def column_of(line: bytes, start: int) -> int:
    """The column of a byte in its own line, from 1 on."""
    return start - line.rfind(b"\n", 0, start)


def by_line(text: bytes, spans: Spans) -> Iterator[tuple[bytes, Spans]]:
    """Each line of a match over several, with what of the spans lies in it.

    >>> list(by_line(b"ab\\ncd", [(1, 4)]))
    [(b'ab', [(1, 2)]), (b'cd', [(0, 1)])]
    """
    if b"\n" not in text:
        yield text, [(start, min(end, len(text))) for start, end in spans]
        return
    begin = 0
    for line in text.split(b"\n"):
        stop = begin + len(line)
        cut = [(max(start, begin) - begin, min(end, stop) - begin) for start, end in spans]
        yield line, [(start, end) for start, end in cut if start < end]
        begin = stop + 1


def line_of_span(text: bytes, span: tuple[int, int]) -> tuple[int, bytes, int, int]:
    """The line in which a span begins: which one it is, the line, and the part of the span that lies in it.

    >>> line_of_span(b"ab\\ncd\\n", (4, 6))
    (1, b'cd', 1, 2)
    """
    start, end = span
    begin = text.rfind(b"\n", 0, start) + 1
    stop = text.find(b"\n", start)
    line = text[begin:] if stop < 0 else text[begin:stop]
    return text.count(b"\n", 0, start), line, start - begin, min(end - begin, len(line))
