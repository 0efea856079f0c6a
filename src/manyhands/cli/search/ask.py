"""The questions to `manyhands.search` that the options ask, and what was left out of the answers.

Always true: an answer that was asked for is in `Search.answers`; `close` stops them all.
"""

from __future__ import annotations

from manyhands.cli.search.account import count_searched, skipped_in
from manyhands.cli.search.groups import Group, count_lines, groups_of_pages
from manyhands.cli.search.places import STDIN, Places, read_stdin
from manyhands.cli.search.question import diff_context, filters_of, left, patterns_of, query_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from manyhands.cli.search.options import Options
    from manyhands.search.answer import Answer, Replies
    from manyhands.search.corpus.skipped import Skipped
    from manyhands.search.query.matcher import Matcher


class Search:
    """One search of some places. Nothing is read before an answer is. Threads: one."""

    def __init__(self, options: Options, places: Places) -> None:
        self._options, self._places = options, places
        self.answers: list[Replies] = []
        #: What was searched as stdin.
        self.stdin_text = read_stdin() if places.reads_stdin else b""

    # ---- answers ----

    def groups(self, *, context: bool = True) -> Iterator[Group]:
        """The lines. Without `context`: those that match alone."""
        query = query_of(self._options)
        if not context:
            query["before"] = query["after"] = 0
        for answer in self._ask(query):
            self.answers.append(answer)
            found = groups_of_pages(answer.pages())
            yield from self._with_newlines(found) if self._options.multiline else found

    def _with_newlines(self, groups: Iterator[Group]) -> Iterator[Group]:
        """The spans of matches that go on behind the end of their line, which rows do not have."""
        find = matcher_of(self._options).spans
        for group in groups:
            yield group.replace_spans(lambda line: find(line + b"\n"))

    def counts(self) -> Iterator[tuple[bytes, int]]:
        """Each file with lines that match, and how many."""
        from manyhands.search.oneshot import scan_counts

        query = left(query_of(self._options), "before", "after", "limit")
        if self._places.reads_stdin:
            yield from count_lines(self.groups(context=False))
        elif self._places.paths:
            found = scan_counts(self._places.paths, patterns_of(self._options), **self._whole(query))
            self.answers.append(found)
            yield from found.by_file_bytes.items()

    def files(self, *, without: bool) -> Iterator[bytes]:
        """Files that have a line that matches, or have none."""
        from manyhands.search.oneshot import scan_files

        if self._places.reads_stdin:
            yield from self._stdin_listed(without)
        if self._places.paths:
            query = left(query_of(self._options), "before", "after", "limit", "limit_per_file")
            found = scan_files(
                self._places.paths, patterns_of(self._options), without=without, **self._whole(query)
            )
            self.answers.append(found)
            yield from found.paths_bytes

    def diffs(self) -> Iterator[bytes]:
        """What the replacement would change, a diff for each file; stdin is none."""
        from manyhands.search.oneshot import scan_preview

        options = self._options
        query = left(query_of(self._options), "before", "after", "limit")
        if self._places.paths:
            found = scan_preview(
                self._places.paths,
                patterns_of(self._options),
                options.replace or "",
                context=diff_context(options),
                **self._whole(query),
            )
            self.answers.append(found)
            for diff in found:
                yield diff.diff.encode("utf-8", "surrogateescape")

    def _stdin_listed(self, without: bool) -> Iterator[bytes]:
        answer = self._ask_stdin(left(query_of(self._options), "before", "after") | {"limit": 1})
        self.answers.append(answer)
        if any(True for _ in answer) != without:
            yield STDIN

    def _ask(self, query: dict[str, Any]) -> Iterator[Answer]:
        from manyhands.search.oneshot import scan

        if self._places.reads_stdin:
            yield self._ask_stdin(query)
        if self._places.paths:
            yield scan(self._places.paths, patterns_of(self._options), **self._whole(query))

    def _ask_stdin(self, query: dict[str, Any]) -> Answer:
        from manyhands.search.oneshot import scan_bytes

        return scan_bytes(self.stdin_text, STDIN, patterns_of(self._options), **query)

    def _whole(self, query: dict[str, Any]) -> dict[str, Any]:
        return {**query, **filters_of(self._options), "deadline_s": self._options.deadline_s}

    # ---- at the end ----

    def skipped(self) -> Skipped:
        """The files that were not searched, and why."""
        return skipped_in(self.answers)

    def searched_files(self) -> int:
        """How many were."""
        return count_searched(self.answers)

    def searched_bytes(self) -> int:
        """How much text was looked at."""
        return sum(answer.scanned_bytes for answer in self.answers)

    def close(self) -> None:
        """Want no more."""
        for answer in self.answers:
            answer.close()


def matcher_of(options: Options) -> Matcher:
    """Of the options' question: where its matches are, and what they become."""
    from manyhands.search.query.matcher import Matcher
    from manyhands.search.query.plan import make_plan
    from manyhands.search.query.request import make_request

    return Matcher(make_plan(make_request(patterns_of(options), **query_of(options))))
