"""What the tools say: text to read, and the same as facts, with how complete it is.

Always true:

1. An answer is at most `SIZE_MOST` characters of lines, however long the lines are; what is left out is said.
2. The facts of an answer fit the tool's output schema. A refusal has no facts: clients check them against it.
3. All text can be sent: what is not UTF-8 has been replaced or escaped.

Threads: any.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from mcp_types import CallToolResult, TextContent

#: Characters of lines in one answer: about what a model can take in at once.
SIZE_MOST = 200_000


class Line(NamedTuple):
    """A line, or what was cut out of a long one: `left_out` characters are missing in front, `length` were there."""

    number: int
    text: str
    is_match: bool = True
    left_out: int = 0
    length: int | None = None

    def facts(self) -> dict[str, Any]:
        """As it is sent."""
        made: dict[str, Any] = {"number": self.number, "text": self.text}
        if self.length is not None:
            made |= {"from": self.left_out, "length": self.length}
        return made

    def __str__(self) -> str:
        mark = ":" if self.is_match else "-"
        if self.length is None:
            return f"{self.number}{mark} {self.text}"
        head, tail = "…" * (self.left_out > 0), "…" * (self.left_out + len(self.text) < self.length)
        return f"{self.number}{mark} {head}{self.text}{tail} (of {self.length:,} characters)"


def cut(number: int, text: str, most: int, start: int = 0, is_match: bool = True) -> Line:
    """A line of at most so many characters, with `start` (where the first match begins) in it.

    >>> cut(7, "a" * 30 + "needle" + "b" * 30, 20, 30).text
    'aaaaaneedlebbbbbbbbb'
    """
    if len(text) <= most:
        return Line(number, text, is_match)
    left_out = max(0, min(start - most // 4, len(text) - most))
    return Line(number, text[left_out : left_out + most], is_match, left_out, len(text))


class Page:
    """Lines of an answer as they come, by file, until it is full."""

    def __init__(self) -> None:
        self._files: list[tuple[str, list[Line]]] = []
        self._size = 0

    @property
    def is_full(self) -> bool:
        """Is there no room for another line?"""
        return self._size >= SIZE_MOST

    def put(self, path: str, line: Line) -> None:
        """Another line."""
        if not self._files or self._files[-1][0] != path:
            self._files.append((path, []))
            self._size += len(path)
        self._files[-1][1].append(line)
        self._size += len(line.text)

    @property
    def lines(self) -> list[Line]:
        """All of them."""
        return [line for _, lines in self._files for line in lines]

    def facts(self) -> list[dict[str, Any]]:
        """As it is sent."""
        return [
            {"path": path, "lines": [line.facts() | {"match": line.is_match} for line in lines]}
            for path, lines in self._files
        ]

    def __str__(self) -> str:
        return "\n\n".join("\n".join([path, *_with_gaps(lines)]) for path, lines in self._files)


def _with_gaps(lines: list[Line]) -> list[str]:
    """With a mark where lines are left out between others; where there is context, that is."""
    has_context = any(not line.is_match for line in lines)
    shown: list[str] = []
    for before, line in zip([None, *lines], lines, strict=False):
        if has_context and before is not None and line.number > before.number + 1:
            shown.append("--")
        shown.append(str(line))
    return shown


def completeness(answer: Any, truncated_by: str | None = None) -> dict[str, Any]:
    """How complete an answer of the tree is; `truncated_by`: what has cut it here."""
    return {
        "complete": answer.complete and truncated_by is None,
        "truncated_by": truncated_by or answer.truncated_by,
        "timed_out": answer.timed_out,
        "missing": [
            {"shard": shard, "why": plain(str(why))} for shard, why in sorted(answer.missing.items())
        ],
    }


def complete(truncated_by: str | None = None) -> dict[str, Any]:
    """The same, where no shard can be missing or late."""
    return {"complete": truncated_by is None, "truncated_by": truncated_by, "timed_out": False, "missing": []}


def advice(facts: Mapping[str, Any], deadline_s: float) -> str:
    """What the completeness of a question's answer means, and what to do about it; empty when it is complete."""
    said = []
    if facts["truncated_by"] is not None:
        said.append(_TRUNCATED[facts["truncated_by"]])
    if facts["timed_out"]:
        said.append(
            f"The deadline of {deadline_s:g} s came first, so this is not all: narrow it, or give a longer deadline_s."
        )
    elif facts["missing"]:
        gone = ", ".join(str(one["shard"]) for one in facts["missing"])
        said.append(
            f"Not all files were searched: a process that holds a part of the tree (shard {gone}) has died and is being"
            " started again. Ask again for the whole answer."
        )
    return " ".join(said)


_NARROW = "narrow it by under, file or lang, or by a longer text; count tells how many there are"
_TRUNCATED = {
    "limit": f"There are more: {_NARROW}, and limit says how many are shown.",
    "limit_per_file": "There are more in some files: limit_per_file left them out.",
    "size": f"There are more, but the lines are long and the answer was full: {_NARROW}, or lower max_columns.",
}


# ---- what each tool says ----


def found(page: Page, answer: Any, truncated_by: str | None, deadline_s: float, hint: str) -> CallToolResult:
    """Of ``search``; `hint`: what may be wrong when nothing is found."""
    facts = completeness(answer, truncated_by)
    if answer.lines:
        head = f"{page}\n\n{several(answer.lines, 'line')} in {several(answer.files, 'file')}."
        end = advice(facts, deadline_s) or "That is all there is."
    else:
        head, end = "No line matches.", advice(facts, deadline_s) or hint
    return told(f"{head} {end}", {"files": page.facts(), "lines": answer.lines} | facts | _skipped(answer))


def counted(shown: list[tuple[str, int]], counts: Any, deadline_s: float) -> CallToolResult:
    """Of ``count``; `shown`: the first of the files."""
    facts = completeness(counts)
    left_out = counts.files - len(shown)
    lines = [f"{lines:>7,}  {path}" for path, lines in shown]
    if left_out:
        lines.append(f"... and {several(left_out, 'more file')}: limit says how many are named.")
    lines.append(
        f"{several(counts.lines, 'line')} in {several(counts.files, 'file')}. {advice(facts, deadline_s)}"
    )
    by_file = [{"path": path, "lines": lines} for path, lines in shown]
    numbers = {"lines": counts.lines, "files": counts.files, "by_file": by_file, "by_file_left_out": left_out}
    return told("\n".join(lines), numbers | facts | _skipped(counts))


def entries(
    folders: list[tuple[str, int]], files: list[str], left_out: int, next_after: str | None
) -> CallToolResult:
    """Of ``list_files``."""
    lines = [f"{path}/  ({several(count, 'file')})" for path, count in folders] + files
    if left_out:
        lines.append(
            f"... and {left_out:,} more: ask again with after={next_after!r}, or narrow it by under or glob."
        )
    elif not lines:
        lines.append("There is no such file.")
    facts = {
        "folders": [{"path": path, "files": count} for path, count in folders],
        "files": files,
        "left_out": left_out,
        "next_after": next_after,
    }
    return told("\n".join(lines), facts | complete("limit" if left_out else None))


def read(path: str, held: Any, last: int, most: int) -> CallToolResult:
    """Of ``read_lines``; `last`: what was asked for, as far as there is so much; `most`: characters of a line."""
    page = Page()
    for number, line in enumerate(held.lines, held.first):
        if page.is_full:
            break
        page.put(path, cut(number, line.decode("utf-8", "replace"), most))
    lines = page.lines
    end = held.first + len(lines) - 1
    truncated_by = None if end >= last else "size" if page.is_full else "limit"
    next_first = None if truncated_by is None else end + 1
    text = [
        f"{path}: lines {held.first} to {end} of {held.total_lines:,}" if lines else f"{path} has no lines"
    ]
    text += map(str, lines)
    if next_first is not None:
        text.append(f"There is more: ask again with first={next_first}.")
    facts = {
        "path": path, "first": held.first, "lines": [line.facts() for line in lines],
        "total_lines": held.total_lines, "size_bytes": held.size_bytes, "next_first": next_first,
    }  # fmt: skip
    return told("\n".join(text), facts | complete(truncated_by))


def _skipped(answer: Any) -> dict[str, int]:
    return {"skipped": answer.skipped}


def told(text: str, facts: dict[str, Any]) -> CallToolResult:
    """An answer."""
    return CallToolResult(content=[TextContent(text=text.rstrip())], structured_content=facts)


def refused(message: str) -> CallToolResult:
    """What a tool says instead of an answer."""
    return CallToolResult(content=[TextContent(text=plain(message))], is_error=True)


def plain(text: str) -> str:
    """Text that can be sent: a lone surrogate, which no UTF-8 has, is escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def several(count: int, what: str) -> str:
    """A number of things.

    >>> several(1, "line"), several(1200, "file")
    ('1 line', '1,200 files')
    """
    return f"{count:,} {what}" + "s" * (count != 1)
