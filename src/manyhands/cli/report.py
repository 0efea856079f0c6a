"""What becomes of outcomes: results on stdout, progress and failures on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from manyhands.cli.remote import Outcome, Trouble
from manyhands.cli.say import Failed, one_line, say, short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from manyhands.cli.output import Output
    from manyhands.observe.progress import Progress

FAILED, BAD_INPUT = 1, 2

#: So many failed inputs are listed at the end; the rest is counted. Memory is bounded, the input need not be.
_LISTED = 1000


class _Failure(NamedTuple):
    number: int
    line: str  # shortened
    trouble: str


class Report:
    """Tells the user of each outcome. With `keeps_going` failures are told at the end, else the first one ends all."""

    def __init__(self, output: Output, bar: Progress, keeps_going: bool, is_json: bool) -> None:
        self._output, self._bar = output, bar
        self._keeps_going, self._is_json = keeps_going, is_json
        self._done = self._failed = 0
        self._failures: list[_Failure] = []

    def add(self, first: int, lines: Sequence[str], outcomes: Sequence[Outcome]) -> None:
        """The outcomes of lines, the first of which has that number. Raises `Failed`."""
        for number, (line, outcome) in enumerate(zip(lines, outcomes, strict=True), first):
            self._done += 1
            if isinstance(outcome, bytes):
                self._output.write(outcome)
            else:
                self._fail(number, line, outcome)
        self._bar.advance(len(lines))

    def _fail(self, number: int, line: str, trouble: Trouble) -> None:
        if not self._keeps_going:
            raise self._end(number, line, trouble)
        self._failed += 1
        if len(self._failures) < _LISTED:
            words = f"{trouble.kind}: {one_line(trouble.message)}" if trouble.message else trouble.kind
            self._failures.append(_Failure(number, short(line), words))
        if not self._is_json:
            self._output.write(b"")

    def _end(self, number: int, line: str, trouble: Trouble) -> Failed:
        if trouble.is_usage:
            return Failed(f"line {number}: {trouble.message}: {short(line)}", BAD_INPUT)
        words = trouble.details or f"{trouble.kind}: {trouble.message}"
        if trouble.kind == "TypeError" and not self._is_json:
            words += "\n(Each input is a str; with --json a line such as 7 is a number.)"
        return Failed(f"line {number} failed: {short(line)}\n{words}", FAILED)

    def tell(self, name: str) -> int:
        """At the end: list what failed; the exit status."""
        if not self._failed:
            return 0
        text = [f"{name}: {self._failed} of {self._done} inputs failed:"]
        text += [f"  line {number}: {line}: {trouble}" for number, line, trouble in self._failures]
        if self._failed > len(self._failures):
            text.append(f"  and {self._failed - len(self._failures)} more")
        say("\n".join(text))
        return FAILED
