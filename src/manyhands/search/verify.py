"""What the native store leaves open, decided: conditions on the line and on the file, words beyond ASCII. Part of the
search room.

Always true: lines go in in order and come out in order; only those of the answer come out.
"""

from __future__ import annotations

from array import array
from typing import Any

from manyhands import _search
from manyhands.search.query.matcher import Matcher
from manyhands.search.query.plan import Filter, Needle, Plan


class Verifier:
    """For one plan on one store. Threads: one."""

    def __init__(self, plan: Plan, matcher: Matcher, store: _search.Store) -> None:
        self._plan, self._matcher, self._store = plan, matcher, store
        self._asks_file = plan.request.scope == "file" and bool(plan.all_of or plan.none_of)
        self._file, self._file_matches = -1, False

    def verified(self, hits: Any, by_prefilter: bool = False, by_region: bool = False) -> Any:
        """Those of `hits` that the query asks for, but for `invert`. `by_prefilter`: they only may match; `by_region`:
        they have one of the patterns for sure."""
        for one in self._plan.filters:
            if not len(hits):
                return hits
            hits = _filtered(hits, one)
        decides = self._plan.decides
        if by_prefilter or decides == "never":
            hits = self._matching(hits)
        elif decides == "ascii" and not by_region:
            hits = self._matching(hits, hits.not_ascii())
        return self._in_files(hits) if self._asks_file and not self._plan.request.invert else hits

    def inverted(self, visit: Any, hits: Any) -> Any:
        """The other lines of the present region; with conditions on the file, of those files for which they hold."""
        others = visit.others(hits)
        return self._in_files(others) if self._asks_file else others

    def spans_of_file(self, visit: Any, text: memoryview) -> Any:
        """The lines of a multi-line query's matches in the present file; those of one match are one line here."""
        data = bytes(text)
        if not self._matcher.file_matches(data):
            return visit.spans(b"")
        flat = [offset for span in self._matcher.text_spans(data) for offset in span]
        return visit.spans(array("I", flat).tobytes())

    def _matching(self, hits: Any, doubtful: bytes | None = None) -> Any:
        """Those that the matcher says match, or are not doubtful."""
        if not len(hits) or (doubtful is not None and 1 not in doubtful):
            return hits
        matches = self._matcher.matches
        if doubtful is None:
            return hits.keep(bytes(map(matches, hits.lines())))
        pairs = zip(doubtful, hits.lines(), strict=True)
        return hits.keep(bytes(not doubt or matches(line) for doubt, line in pairs))

    def _in_files(self, hits: Any) -> Any:
        """Those whose file as a whole is asked for."""
        files = memoryview(hits.files()).cast("I")
        return hits.keep(bytes(map(self._is_wanted, files))) if len(files) else hits

    def _is_wanted(self, file: int) -> bool:
        if file != self._file:
            self._file = file
            self._file_matches = self._matcher.file_matches(self._store.text(file) or b"")
        return self._file_matches


def _filtered(hits: Any, one: Filter) -> Any:
    return hits.containing(one.needle.text, flags_of(one.needle), one.wanted)


def flags_of(needle: Needle) -> int:
    """How the store is to look for it."""
    return (_search.CASELESS if needle.caseless else 0) | (_search.WORD if needle.word else 0)
