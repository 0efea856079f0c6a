"""What search raises of its own.

::

    ManyhandsError
    ├── UsageError
    │   └── QueryError          what you ask makes no sense: which argument, and where in it
    ├── MissingExtraError       also ImportError: a library of an extra is not installed
    └── NotHeldError            also LookupError: a tree holds no such file

Always true: each is built from facts kept as attributes, says what to do about it, and survives a pickle.
"""

from __future__ import annotations

from manyhands.errors import ManyhandsError, UsageError

#: A longer pattern is not shown: the caret would be lost in it.
_SHOWN_MOST = 100


class QueryError(UsageError):
    """A query makes no sense.

    `parameter` names the argument; `pattern` is the text that is wrong and `position` the index of the character in
    it where that shows, or None. `reason` is what is wrong there in a regex, without the rest of the message.
    """

    def __init__(
        self, message: str, *, pattern: str = "", position: int | None = None, parameter: str = "pattern",
        reason: str = "",
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.reason = reason
        self.pattern = pattern
        self.position = position
        self.parameter = parameter

    def __str__(self) -> str:
        message = str(self.args[0])
        if not self.pattern or len(self.pattern) > _SHOWN_MOST:
            return message
        shown = "".join(char if char.isprintable() else "·" for char in self.pattern)
        caret = "" if self.position is None else f"\n  {' ' * self.position}^"
        return f"{message}\n  {shown}{caret}"


class MissingExtraError(ManyhandsError, ImportError):
    """`what` was asked for needs the library `package`, which is not installed; it belongs to the extra `extra`."""

    def __init__(self, what: str, package: str, extra: str = "search") -> None:
        super().__init__(what, package, extra)
        self.what = what
        self.package = package
        self.extra = extra

    def __str__(self) -> str:
        return (
            f"{self.what} needs {self.package}, which is not installed: pip install 'manyhands[{self.extra}]'"
        )


class NotHeldError(ManyhandsError, LookupError):
    """A tree holds no text of that name. `path` is what was asked for; `reason` why the file was skipped, if it was."""

    def __init__(self, path: bytes, reason: str = "") -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        shown = self.path.decode("utf-8", "replace")
        if self.reason:
            return f"{shown!r} has no text here: it was skipped ({self.reason})"
        return f"{shown!r} is no file of this tree; Tree.names lists them, as the tree names them"
