"""Where a line lies in its file, and whether it ends there: what JSON tells, and answers do not.

Always true: offsets are those of the text as it is searched; for UTF-16 that is the decoded text.
"""

from __future__ import annotations

#: Text whose newlines are counted at once.
_STRIDE = 512


class Original:
    """The text of a file, gone over once from its beginning to its end."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._number, self._at = 1, 0
        self.size_bytes = len(text)

    def offset(self, number: int) -> int | None:
        """Where a line begins; numbers may only grow. None: the text has no such line, so the file has changed."""
        text = self._text
        while self._number < number:
            newlines = text.count(b"\n", self._at, self._at + _STRIDE)
            if self._number + newlines < number and self._at + _STRIDE < len(text):  # not in this stretch
                self._number, self._at = self._number + newlines, self._at + _STRIDE
                continue
            end = text.find(b"\n", self._at)
            if end < 0:
                return None
            self._number, self._at = self._number + 1, end + 1
        return self._at

    def newline(self, offset: int, line: bytes) -> bytes:
        """What stands behind the line: a newline, or nothing at the end of a file that does not end in one."""
        return b"" if offset + len(line) == len(self._text) else b"\n"


def original_of(path: bytes) -> Original | None:
    """The text of a file; None when it cannot be read any more."""
    from manyhands.search.corpus.decode import decode

    try:
        with open(path, "rb") as file:
            return Original(decode(file.read()))
    except (OSError, ValueError):
        return None
