"""Lines with their matches replaced, as ``--replace`` shows them. Files stay as they are.

Always true: the spans that come back are where the replacements lie in the new line.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from manyhands.search.columns import Spans
    from manyhands.search.query.matcher import Matcher


class Replacer:
    """Gives lines with `template` in place of each match. Threads: any."""

    def __init__(self, matcher: Matcher, template: str) -> None:
        self._newline = b"\n" if matcher.plan.request.multiline else b""  # a match may take it
        plain = template.encode("utf-8", "surrogateescape")
        matcher.replace(b"", plain)  # raises QueryError now if it makes no sense, before anything is printed
        # A mark that no text has stands around each replacement, so that one can see where they are.
        self._mark = b"\0" + os.urandom(12).hex().encode() + b"\0"
        self._template = self._mark + plain + self._mark
        self._matcher = matcher

    def __call__(self, line: bytes) -> tuple[bytes, Spans]:
        """The new line, and where the replacements lie."""
        replaced = self._matcher.replace(line + self._newline, self._template)
        pieces = replaced.removesuffix(self._newline).split(self._mark)
        spans, at = [], 0
        for place, piece in enumerate(pieces):
            if place % 2:
                spans.append((at, at + len(piece)))
            at += len(piece)
        return b"".join(pieces), spans
