"""The endpoints that ask the tree: /search, /count, /files, /preview, and DELETE /search/{id}.

Always true: a query that nobody reads any more is stopped, and so is one past its deadline; what is left out is said.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from manyhands.errors import ManyhandsError
from manyhands.search.answer import Answer, Counts, Matching, Preview, Replies
from manyhands.search.columns import Spans
from manyhands.search.errors import QueryError
from manyhands.search.query.matcher import Matcher
from manyhands.search.service.desk import Desk, Seat, cancelled
from manyhands.search.service.effort import check_effort
from manyhands.search.service.events import NDJSON, SSE, Events, place_of
from manyhands.search.service.framing import COLUMNS, Frames
from manyhands.search.service.problem import Problem, busy, problem_of
from manyhands.search.service.question import Question, question_of
from manyhands.search.service.replying import Reply, Watch
from manyhands.search.service.settings import Limits
from manyhands.search.tree import Tree

Said = dict[str, Any]
Form = Events | Frames
Pieces = Callable[[Any, Form, Question], AsyncIterator[bytes]]


class Asking:
    """See the module. Threads: the loop's."""

    def __init__(self, tree: Tree, roots: list[str], desk: Desk, limits: Limits) -> None:
        self._tree, self._desk, self._limits = tree, desk, limits
        self._roots = frozenset(map(os.fsencode, roots))

    # ---- endpoints ----

    async def search(self, reply: Reply, said: Said) -> None:
        """The lines."""
        question = self._question(reply, said, self._limits.rows)

        def ask() -> Answer:
            return self._tree.search(
                question.pattern, deadline_s=question.deadline_s, patient=question.patient, **question.options
            )

        await self._streamed(reply, said, question, ask, _rows)

    async def preview(self, reply: Reply, said: Said) -> None:
        """What a replacement would change."""
        question = self._question(reply, said, None)
        context = question.options.pop("context", 3)

        def ask() -> Preview:
            return self._tree.preview(
                question.pattern, said["replacement"], context=context, deadline_s=question.deadline_s,
                patient=question.patient, **question.options,
            )  # fmt: skip

        await self._streamed(reply, said, question, ask, _diffs)

    async def count(self, reply: Reply, said: Said) -> None:
        """How many lines, by file."""
        question = self._question(reply, said, None)
        most = question.options.pop("limit", self._limits.rows)

        async def ask() -> Counts:
            return await self._tree.count_async(
                question.pattern, deadline_s=question.deadline_s, patient=question.patient, **question.options
            )

        name, counts = await self._read(reply, said, question, ask)
        by_file = counts.by_file_bytes
        if _wants_columns(reply):
            await self._framed(reply, Frames.counts(list(by_file), list(by_file.values())), counts)
            return
        shown = list(by_file.items())[:most]
        await reply.json({
            "id": name, **self._facts_of(counts), "lines": counts.lines, "files": len(by_file),
            "by_file": [{**place_of(path), "lines": lines} for path, lines in shown],
            "by_file_left_out": len(by_file) - len(shown),
        })  # fmt: skip

    async def files(self, reply: Reply, said: Said) -> None:
        """The files with a line that matches, or without."""
        question = self._question(reply, said, None)
        most = question.options.pop("limit", self._limits.rows)

        async def ask() -> Matching:
            return await self._tree.files_async(
                question.pattern, without=said.get("without", False), deadline_s=question.deadline_s,
                patient=question.patient, **question.options,
            )  # fmt: skip

        name, found = await self._read(reply, said, question, ask)
        paths = found.paths_bytes
        if _wants_columns(reply):
            await self._framed(reply, Frames.counts(paths, [0] * len(paths)), found)
            return
        await reply.json({
            "id": name, **self._facts_of(found), "files": len(paths),
            "paths": [place_of(path) for path in paths[:most]], "left_out": max(0, len(paths) - most),
        })  # fmt: skip

    async def cancel(self, reply: Reply, name: str) -> None:
        """End a query."""
        if not self._desk.cancel(name):
            raise Problem(404, "no query of that name is under way", parameter="id")
        await reply.begin("text/plain", 204)
        await reply.body(b"")

    # ---- parts ----

    def _question(self, reply: Reply, said: Said, default_limit: int | None) -> Question:
        question = question_of(said, self._limits, is_trusted=reply.is_trusted, default_limit=default_limit)
        if _wants_columns(reply) and self._tree.watching.startswith(("stopped", "closed")):
            raise Problem(503, "files are not followed any more: what is held may be old")
        check_effort(question.pattern, question.options, self._limits.regex_steps)
        under = question.options.get("under", [])
        if self._roots.issubset(each.rstrip(b"/") for each in under):
            question.options.pop("under", None)  # in everything: nothing is left out by it
        elif not all(map(self._tree.names, under)):
            raise Problem(404, "the tree holds no file there", parameter="under")
        return question

    async def _streamed(
        self, reply: Reply, said: Said, question: Question, ask: Callable[[], Any],
        pieces: Pieces,
    ) -> None:  # fmt: skip
        async with Watch(reply), self._seat(reply, said, question) as seat:
            form = self._form(reply, seat.name, said)
            with _told_of(question):
                answer = ask()
            try:
                async with asyncio.timeout(self._most_s(question, reply)):
                    await self._stream(reply, form, answer, pieces(answer, form, question), seat)
            except TimeoutError:
                raise busy("the client reads too slowly") from None
            except asyncio.CancelledError:
                if not seat.is_evicted or reply.is_gone:
                    raise
                seat.forgive()
                raise busy("the client reads too slowly, and others wait") from None
            finally:
                answer.close()

    def _seat(self, reply: Reply, said: Said, question: Question) -> Seat:
        """A seat for a streamed answer, which is long if it may have more rows than one that says nothing of it."""
        is_long = question.options.get("limit", math.inf) > self._limits.rows
        return self._desk.seat(said.get("id"), reply, is_long=is_long)

    async def _stream(
        self, reply: Reply, form: Form, answer: Any, pieces: AsyncIterator[bytes], seat: Seat
    ) -> None:
        reply.begin_soon(form.content_type, {"x-query-id": seat.name}, form.begin())
        broken: dict[str, bool] = {}
        try:
            async for piece in pieces:
                await reply.body(piece, more=True)
                await seat.come_back()
        except asyncio.CancelledError:
            if not seat.is_cancelled or reply.is_gone:
                raise
            seat.forgive()
            broken = {"cancelled": True}
        except _Late:
            broken = {"timed_out": True, "complete": False}
        except ManyhandsError as error:
            await reply.body(form.problem(problem_of(error)))
            return
        answer.close()  # before its end waits for a client that does not read
        seat.settle()
        await reply.body(form.end({**self._facts_of(answer), **broken}))

    def _facts_of(self, answer: Replies) -> dict[str, Any]:
        return {**facts_of(answer), "trouble": self._tree.trouble_count}

    def _most_s(self, question: Question, reply: Reply) -> float | None:
        """How long an answer may take with its way to the client: who reads slowly holds a place that others want."""
        if reply.is_trusted or question.deadline_s is None:
            return None
        return question.deadline_s + self._limits.delivery_s

    def _form(self, reply: Reply, name: str, said: Said) -> Form:
        if _wants_columns(reply):
            return Frames(with_spans=said.get("spans", False))
        columns = said.get("max_columns", self._limits.columns)
        if columns > self._limits.columns_most:
            most = f"{self._limits.columns_most:,}"
            raise Problem(400, f"max_columns is {columns:,}; the most is {most}", parameter="max_columns")
        return Events(name, SSE if SSE in reply.header(b"accept") else NDJSON, columns)

    async def _read(self, reply: Reply, said: Said, question: Question, ask: Any) -> tuple[str, Any]:
        """What is told all at once."""
        async with Watch(reply), self._desk.seat(said.get("id"), reply, is_long=False) as seat:
            try:
                with _told_of(question):
                    return seat.name, await ask()
            except asyncio.CancelledError:
                if not seat.is_cancelled or reply.is_gone:
                    raise
                seat.forgive()
                raise cancelled() from None

    async def _framed(self, reply: Reply, frames: bytes, answer: Replies) -> None:
        await reply.whole(frames + Frames(with_spans=False).end(self._facts_of(answer)), COLUMNS)


# ---- streams ----


class _Late(Exception):
    """To tell what was found takes longer than the query may."""


async def _rows(answer: Answer, form: Form, question: Question) -> AsyncIterator[bytes]:
    find, most_s = _highlighter(answer.matcher), question.deadline_s or math.inf
    async for page in answer.pages_async():
        start = 0
        while start < len(page):
            piece, start = form.rows(page, start, min(start + form.chunk, len(page)), find)
            yield piece
            if form.spent_s > most_s:  # lines with a million matches are found at once, but not told
                raise _Late
            if start < len(page):
                await asyncio.sleep(0)  # others have their turn


def _highlighter(matcher: Matcher) -> Callable[[bytes], Spans]:
    """All words of a question are worth a colour, and not only the one that is called its pattern."""
    request = matcher.plan.request
    has_more = matcher.plan.all_of and not (request.multiline or request.invert)
    return matcher.highlights if has_more else matcher.line_spans


async def _diffs(answer: Preview, form: Form, _question: Question) -> AsyncIterator[bytes]:
    async for diff in answer:
        yield form.diff(diff)


def facts_of(answer: Replies) -> dict[str, Any]:
    """What an answer says of itself at its end."""
    files, text_bytes = answer.searched
    facts = {
        "complete": answer.complete, "truncated_by": answer.truncated_by, "timed_out": answer.timed_out,
        "cancelled": False,
        "missing": [{"shard": shard, "why": str(error)} for shard, error in sorted(answer.missing.items())],
        "shards": {"answered": answer.shards.answered, "total": answer.shards.total},
        "searched": {"files": files, "bytes": text_bytes}, "scanned_bytes": answer.scanned_bytes,
        "skipped": answer.skipped, "elapsed_ms": round(answer.elapsed_s * 1000, 3),
    }  # fmt: skip
    if isinstance(answer, Answer):
        facts |= {"lines": answer.lines, "files": answer.files}
    return facts


@contextlib.contextmanager
def _told_of(question: Question) -> Iterator[None]:
    try:
        yield
    except QueryError as error:
        raise question.problem_of(error) from None


def _wants_columns(reply: Reply) -> bool:
    return reply.is_trusted and reply.header(b"accept") == COLUMNS
