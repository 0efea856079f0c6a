"""One search, printed: which questions the wanted kind of output asks, and which printer gets the answers.

Always true: when `run` returns, or raises, no answer is open any more.
"""

from __future__ import annotations

from manyhands.cli.say import Failed
from manyhands.cli.search.groups import count_lines, count_matches
from manyhands.cli.search.places import STDIN
from manyhands.cli.search.question import filters_of
from manyhands.cli.search.style import make_style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from manyhands.cli.search.ask import Search
    from manyhands.cli.search.groups import Group
    from manyhands.cli.search.lines import Replace
    from manyhands.cli.search.options import Options
    from manyhands.cli.search.original import Original
    from manyhands.cli.search.places import Places
    from manyhands.cli.search.route import NotServed, Route
    from manyhands.cli.search.served import ServedSearch
    from manyhands.cli.search.shortfalls import Shortfalls
    from manyhands.cli.search.stats import Tally
    from manyhands.cli.search.writer import Writer

_WRONG = 2


class Job:
    """See the module. Threads: one."""

    def __init__(self, options: Options, places: Places, writer: Writer) -> None:
        self._options, self._places, self._writer = options, places, writer
        self._style = make_style(
            options,
            is_terminal=writer.is_terminal,
            has_many=places.has_many,
            is_stdin=places.is_stdin,
        )
        self._tally = self._new_tally()

    def _new_tally(self) -> Tally | None:
        if not self._options.stats:
            return None
        from manyhands.cli.search.stats import Tally

        return Tally()

    def run(self, shortfalls: Shortfalls) -> bool:
        """Print it all; was anything found?"""
        if self._options.list_files:
            return self._list_files(shortfalls)
        is_found = self._run_served(shortfalls)
        if is_found is None:
            from manyhands.cli.search.ask import Search

            is_found = self._run_search(Search(self._options, self._places), shortfalls)
        return is_found

    def _run_served(self, shortfalls: Shortfalls) -> bool | None:
        """The same, answered by a service; None when none does so, and nobody has seen anything."""
        from manyhands.cli.search.route import NotServed, find_routes

        for route in find_routes(self._options, self._places):
            from manyhands.cli.search.served import ServedSearch

            try:
                return self._run_search(ServedSearch(self._options, route, self._wants_spans), shortfalls)
            except NotServed as error:
                self._take_back(route, error)
        return None

    def _take_back(self, route: Route, error: NotServed) -> None:
        """Be as if nothing had been asked."""
        if not self._writer.take_back():
            self._writer.flush()
            raise Failed(
                f"the service (process {route.pid}) has not told everything: {error}; "
                "--no-service searches without it",
                _WRONG,
            )
        self._tally = self._new_tally()

    @property
    def _wants_spans(self) -> bool:
        """Does it matter where in their lines matches are?"""
        options = self._options
        return options.json or options.stats or options.count == "matches" or not self._style.is_plain

    def _run_search(self, search: Search | ServedSearch, shortfalls: Shortfalls) -> bool:
        try:
            is_found = self._print(search)
            if self._tally is not None and not self._options.json:
                self._print_stats(search, self._tally)
            self._writer.flush()
        finally:
            search.close()
        shortfalls.answers(search.answers)
        shortfalls.skipped(search.skipped(), self._places.files)
        return is_found

    # ---- kinds of output ----

    def _print(self, search: Search | ServedSearch) -> bool:
        options = self._options
        if options.quiet:
            return self._find_any(search)
        if options.diff:
            return self._print_diffs(search)
        if options.count:
            return self._print_counts(search)
        if options.listing:
            return self._print_paths(self._listed(search))
        return self._print_events(search) if options.json else self._print_lines(search)

    def _find_any(self, search: Search | ServedSearch) -> bool:
        if self._options.listing == "without" and not self._options.count:
            return any(True for _ in search.files(without=True))
        return any(True for _ in search.groups(context=False))

    def _print_counts(self, search: Search | ServedSearch) -> bool:
        counts, is_found = self._counts(search), False
        from manyhands.cli.search.tallies import CountPrinter

        printer = CountPrinter(self._style, self._writer.write)
        for path, number in counts:
            printer.print(path, number)
            is_found = True
        return is_found

    def _counts(self, search: Search | ServedSearch) -> Iterator[tuple[bytes, int]]:
        options = self._options
        if options.count == "matches":
            return count_matches(self._counted(search.groups(context=False)))
        if self._tally is not None or options.limit is not None:  # what the quick count does not tell
            return count_lines(self._counted(search.groups(context=False)))
        return search.counts()

    def _listed(self, search: Search | ServedSearch) -> Iterator[bytes]:
        if self._options.listing == "without":
            return search.files(without=True)
        if self._tally is not None:
            return (path for path, _ in count_lines(self._counted(search.groups(context=False))))
        return search.files(without=False)

    def _print_paths(self, paths: Iterable[bytes]) -> bool:
        from manyhands.cli.search.tallies import PathPrinter

        printer, number = PathPrinter(self._style, self._writer.write), 0
        for path in paths:
            printer.print(path)
            number += 1
            if number == self._options.limit:
                break
        return number > 0

    def _print_lines(self, search: Search | ServedSearch) -> bool:
        groups, is_found = (
            self._counted(search.groups()),
            False,
        )  # a service works while the printer is imported
        from manyhands.cli.search.lines import LinePrinter

        printer = LinePrinter(self._style, self._writer.write, self._replacer())
        for group in groups:
            printer.print(group)
            is_found = True
        return is_found

    def _print_diffs(self, search: Search | ServedSearch) -> bool:
        is_found = False
        for diff in search.diffs():
            self._writer.write(diff)
            is_found = True
        return is_found

    def _print_events(self, search: Search | ServedSearch) -> bool:
        from manyhands.cli.search.events import EventPrinter
        from manyhands.cli.search.original import Original, original_of

        def original(path: bytes) -> Original | None:
            return Original(search.stdin_text) if path == STDIN else original_of(path)

        printer, is_found = EventPrinter(self._writer.write, original), False
        for group in search.groups():
            printer.print(group)
            is_found = True
        printer.finish()
        printer.summary(search.searched_files(), search.searched_bytes())
        return is_found

    def _list_files(self, shortfalls: Shortfalls) -> bool:
        """The files that would be searched."""
        from manyhands.search.oneshot import listed

        files, skipped = listed(self._places.paths, **filters_of(self._options))
        is_any = bool(files) if self._options.quiet else self._print_paths(files)
        self._writer.flush()
        shortfalls.skipped(skipped, self._places.files)
        return is_any

    # ---- parts ----

    def _counted(self, groups: Iterator[Group]) -> Iterator[Group]:
        return groups if self._tally is None else self._tally.counted(groups)

    def _replacer(self) -> Replace | None:
        if self._options.replace is None:
            return None
        from manyhands.cli.search.ask import matcher_of
        from manyhands.cli.search.replaced import Replacer

        return Replacer(matcher_of(self._options), self._options.replace)

    def _print_stats(self, search: Search | ServedSearch, tally: Tally) -> None:
        from manyhands.cli.search.stats import report

        self._writer.write(
            report(
                tally,
                searched=search.searched_files(),
                printed_bytes=self._writer.written_bytes,
                searched_bytes=search.searched_bytes(),
                searching_s=sum(answer.elapsed_s for answer in search.answers),
            )
        )
