"""What was not searched, and why an answer is not whole: lines for stderr. No file is lost silently.

Always true: `is_wrong` tells whether something went wrong that was not asked for; the exit status says so, too.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from manyhands.cli.search.options import Options
    from manyhands.cli.search.reply import ServedAnswer
    from manyhands.search.answer import Replies
    from manyhands.search.corpus.skipped import Skipped

    Entry = tuple[bytes, str, str]
    Say = Callable[[str], object]


class Shortfalls:
    """Tells as it is told. Threads: one."""

    def __init__(self, options: Options, say: Say) -> None:
        self._options, self._say = options, say
        self.is_wrong = False

    def missing(self, paths: Iterable[tuple[str, str]]) -> None:
        """Paths that were named and are not there."""
        for path, trouble in paths:
            self._trouble(f"{path}: {trouble}")

    def answers(self, answers: Sequence[Replies | ServedAnswer]) -> None:
        """What answers say of themselves at their end."""
        for answer in answers:
            self._hear(answer)
        if answers and not any(answer.shards.total for answer in answers):
            self._note("no file was searched: there is none, or ignore rules, globs or types leave none")

    def _hear(self, answer: Replies | ServedAnswer) -> None:
        if answer.timed_out:
            seconds = self._options.deadline_s
            self._trouble(f"the deadline of {seconds:g} s came first: there may be more than what was found")
        elif answer.missing:
            reasons = "; ".join(str(error) for error in answer.missing.values())
            self._trouble(f"a part of the files was not searched: {reasons}")
        if answer.truncated_by == "limit" and not self._options.quiet:
            self._note(f"there are more lines than --limit {self._options.limit}")

    def skipped(self, skipped: Skipped | Sequence[Entry], named: Iterable[bytes]) -> None:
        """Files that were not searched. `named`: those that the user named one by one."""
        if len(skipped):
            self._tell_each(skipped, frozenset(named))
        if self._options.skipped:
            self._say(f"not searched: {skipped}" if skipped else "every file was searched")

    def _tell_each(self, entries: Iterable[Entry], named: frozenset[bytes]) -> None:
        from manyhands.search.corpus import skipped as why

        for path, reason, detail in entries:
            line = f"{os.fsdecode(path)}: {reason}" + (f" ({detail})" if detail else "")
            if reason in why.TROUBLE:
                self._trouble(line)
            elif self._options.skipped:
                self._say(line)
            elif path in named:
                self._note(f"{line}; -a searches it all the same" if reason == why.BINARY else line)

    def _trouble(self, text: str) -> None:
        self.is_wrong = True
        self._note(text)

    def _note(self, text: str) -> None:
        if self._options.messages:
            self._say(f"manyhands search: {text}")
