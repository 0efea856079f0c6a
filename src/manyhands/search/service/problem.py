"""What is wrong with a request, as RFC 9457 has it: ``application/problem+json``.

Always true: a problem says what was wrong and where, and never shows a token.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from manyhands.errors import ActorLostError, ClosedResourceError, DeadlineError, ManyhandsError, UsageError
from manyhands.search.errors import NotHeldError, QueryError

CONTENT_TYPE = "application/problem+json"


class Problem(Exception):
    """A request that cannot be answered. `position` is the index of a character in the parameter's value."""

    def __init__(
        self, status: int, detail: str, *, parameter: str | None = None, position: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(detail)
        self.status, self.detail, self.parameter, self.position = status, detail, parameter, position
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "type": "about:blank", "title": HTTPStatus(self.status).phrase, "status": self.status,
            "detail": self.detail, "parameter": self.parameter, "position": self.position,
        }  # fmt: skip


def problem_of(error: ManyhandsError) -> Problem:
    """The problem that an error of the search engine is."""
    if isinstance(error, QueryError):
        return Problem(400, _detail_of(error), parameter=error.parameter, position=error.position)
    if isinstance(error, UsageError):
        return Problem(400, str(error))
    if isinstance(error, NotHeldError):
        return Problem(404, str(error), parameter="path")
    if isinstance(error, ClosedResourceError):
        return Problem(503, "the service is ending", headers={"retry-after": "5"})
    if isinstance(error, (ActorLostError, DeadlineError)):
        return busy(str(error))
    return Problem(500, f"{type(error).__name__}: {error}")


def _detail_of(error: QueryError) -> str:
    """In words of HTTP's parameters."""
    if not error.reason:
        return str(error.args[0])
    where = "" if error.position is None else f" at character {error.position}"
    return f"{error.parameter} is no regex{where}: {error.reason}; for the text itself, leave out regex"


def busy(detail: str) -> Problem:
    """Come again in a moment."""
    return Problem(503, detail, headers={"retry-after": "1"})
