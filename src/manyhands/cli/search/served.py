"""A search that a running service answers: what `ask.Search` gives, byte for byte, without reading a file.

A question is sent when an answer is asked for, and what reads the reply is imported while the service works.

Always true: an answer comes whole, or ends in `NotServed`; whether one can still do without the service then depends on
what the user has seen of it.
"""

from __future__ import annotations

import os

from manyhands.cli.search.exchange import Exchange, request_of
from manyhands.cli.search.question import diff_context, left, patterns_of, query_of
from manyhands.cli.search.route import NotServed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, TypeVar

    from manyhands.cli.search.groups import Group
    from manyhands.cli.search.options import Options
    from manyhands.cli.search.reply import ServedAnswer
    from manyhands.cli.search.route import Route
    from manyhands.cli.search.shortfalls import Entry

    T = TypeVar("T")

#: A service takes no longer head than 64 KB.
_REQUEST_BYTES_MOST = 48 << 10


class ServedSearch:
    """See the module. `spans`: it matters where in their lines matches are. Threads: one."""

    stdin_text = b""

    def __init__(self, options: Options, route: Route, spans: bool) -> None:
        self._options, self._route, self._spans = options, route, spans
        self._open: list[Exchange] = []
        self._skipped: list[Entry] | None = None  # not known yet
        self.answers: list[ServedAnswer] = []

    # ---- answers ----

    def groups(self, *, context: bool = True) -> Iterator[Group]:
        """The lines. Without `context`: those that match alone."""
        query = query_of(self._options)
        if not context:
            query["before"] = query["after"] = 0
        exchange = self._ask("/search", {**query, "spans": self._spans})
        from manyhands.cli.search.reply import read_lines

        return self._to_the_end(read_lines(exchange, self._route.shown, self.answers.append))

    def diffs(self) -> Iterator[bytes]:
        """What the replacement would change, a diff for each file."""
        options = self._options
        query = left(query_of(options), "before", "after", "limit")
        query |= {"replacement": options.replace or "", "context": str(diff_context(options))}
        exchange = self._ask("/preview", query)
        from manyhands.cli.search.reply import read_diffs

        found = self._to_the_end(read_diffs(exchange, self.answers.append))
        return map(self._route.shown_diff, found)

    def counts(self) -> Iterator[tuple[bytes, int]]:
        """Each file with lines that match, and how many."""
        return self._counted("/count", left(query_of(self._options), "before", "after", "limit"))

    def files(self, *, without: bool) -> Iterator[bytes]:
        """Files that have a line that matches, or have none."""
        query = left(query_of(self._options), "before", "after", "limit", "limit_per_file")
        return (path for path, _ in self._counted("/files", {**query, "without": without}))

    def _counted(self, path: str, query: dict[str, Any]) -> Iterator[tuple[bytes, int]]:
        """Files and numbers, which come all at once."""
        exchange = self._ask(path, query)
        from manyhands.cli.search.reply import read_counts

        found: dict[bytes, int] = {}
        for name, number in self._to_the_end(read_counts(exchange, self.answers.append)):
            shown = self._route.shown(name)
            found[shown] = found.get(shown, 0) + number
        return iter(found.items())

    def _ask(self, path: str, query: dict[str, Any]) -> Exchange:
        """Send the options' question."""
        options = self._options
        more = {"pattern": patterns_of(options), "deadline_s": options.deadline_s, "patient": True}
        return self._send(path, {**more, **query, **self._places()})

    def _places(self) -> dict[str, Any]:
        """Which files. To name them all would only cost the service a look at each."""
        route = self._route
        return {"under": [] if route.is_whole else route.under, "not_file": route.left_out}

    def _send(self, path: str, query: dict[str, Any]) -> Exchange:
        request = request_of(path, query)
        if len(request) > _REQUEST_BYTES_MOST:
            raise NotServed("that is too much to ask a service for")
        exchange = Exchange(os.fsencode(self._route.socket_path), request, self._options.deadline_s)
        self._open.append(exchange)
        return exchange

    def _to_the_end(self, found: Iterator[T]) -> Iterator[T]:
        """All of it; and then what was not searched, as long as nothing of it has been told."""
        is_found = False
        for one in found:
            is_found = True
            yield one
        (answer,) = self.answers
        if not is_found and (self._route.left_out or not answer.files):
            raise NotServed("perhaps there was no file to search: who walks the tree can tell")
        # Of files that are no trouble only those are told that were named.
        tells = answer.trouble or (answer.skipped and self._route.has_files)
        self._skipped = self._ask_for_skipped() if tells else []

    # ---- at the end ----

    def skipped(self) -> list[Entry]:
        """The files in the places that were not searched: path, reason, detail."""
        return self._ask_for_skipped() if self._skipped is None else self._skipped

    def _ask_for_skipped(self) -> list[Entry]:
        from manyhands.cli.search.reply import read_skipped

        route, found = self._route, []
        for place in route.under:
            for name, reason, detail in read_skipped(self._send("/skipped", {"under": place})):
                if route.lets_through(name):
                    found.append((route.shown(name), reason, detail))
        return sorted(found)

    def searched_files(self) -> int:
        """How many were."""
        from manyhands.cli.search.reply import read_counts

        if self._route.is_whole and not self._route.left_out:
            return sum(answer.files for answer in self.answers)
        # An answer speaks of all files of its service. Those in the places have no line like this one:
        never = {"pattern": os.urandom(16).hex(), "without": True, "patient": True}
        return sum(1 for _ in read_counts(self._send("/files", {**never, **self._places()})))

    def searched_bytes(self) -> int:
        """How much text was looked at."""
        return sum(answer.scanned_bytes for answer in self.answers)

    def close(self) -> None:
        """Want no more of what is being told."""
        for exchange in self._open:
            exchange.close()
