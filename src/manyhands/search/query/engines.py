"""The libraries that match: RE2 and Hyperscan, imported when a query first needs them.

Importing them takes 5 to 15 ms each, which a search for a plain word should not pay. Compiled patterns are kept:
compiling takes 0.1 to 1 ms. RE2 objects may be used by any thread at once; a Hyperscan database by one at a time
(`Automaton.scan` says so by None).
"""

from __future__ import annotations

import functools
import importlib
from array import array
from collections.abc import Sequence
from typing import Any

from manyhands.search.errors import MissingExtraError

#: A compiled RE2 may take so much with its cache; the second is for patterns that do not fit into the first.
_MEMORY_BYTES = (8 << 20, 64 << 20)


#: RE2 allows its program a sixth of its memory: 16 bytes a step, and a little for the program itself.
_STEP_BYTES, _PROGRAM_BYTES = 6 * 16, 16 << 10


class Refused(Exception):
    """RE2 does not take the pattern; the message is its own."""


def re2_module() -> Any:
    """The module `re2`. Raises `MissingExtraError`."""
    try:
        return importlib.import_module("re2")
    except ImportError:
        raise MissingExtraError("searching with a regex", "google-re2") from None


def has_re2() -> bool:
    """Whether RE2 can be had."""
    try:
        re2_module()
    except MissingExtraError:
        return False
    return True


def _options(never_newline: bool, captures: bool, memory_bytes: int) -> Any:
    options = re2_module().Options()
    options.never_nl = never_newline
    options.never_capture = not captures
    options.max_mem = memory_bytes
    options.log_errors = False
    return options


@functools.lru_cache(256)
def compiled(source: bytes, never_newline: bool, captures: bool = False) -> Any:
    """`source` compiled by RE2. `never_newline`: no class and no dot matches one. Raises `Refused`."""
    re2, refusal = re2_module(), ""
    for memory_bytes in _MEMORY_BYTES:
        try:
            return re2.compile(source, _options(never_newline, captures, memory_bytes))
        except re2.error as error:
            refusal = _text(error)
            if "too large" not in refusal:
                break
    raise Refused(refusal)


@functools.lru_cache(256)
def program_steps(source: bytes, most: int) -> int | None:
    """How many steps the regex is compiled to; None: more than `most`, which is told without making them. Raises
    `Refused` when it is no regex."""
    re2 = re2_module()
    try:
        made = re2.compile(source, _options(False, False, _STEP_BYTES * most + _PROGRAM_BYTES))
    except re2.error as error:
        if "too large" in _text(error):
            return None
        raise Refused(_text(error)) from None
    steps = int(made.programsize)
    return steps if steps <= most else None


def _text(error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)


@functools.lru_cache(64)
def compiled_set(sources: tuple[bytes, ...], never_newline: bool) -> Any:
    """All of `sources` as one: its ``Match(text)`` is true when one of them matches. Raises `Refused`."""
    re2 = re2_module()
    made = re2.Set.SearchSet(_options(never_newline, False, _MEMORY_BYTES[1]))
    try:
        for source in sources:
            made.Add(source)
        made.Compile()
    except re2.error as error:
        raise Refused(_text(error)) from None
    return made


class Automaton:
    """Hyperscan's expressions, compiled. Threads: one at a time.

    Vectorscan 5.4.12, of which the wheels are made, misses some matches in the last bytes of a text
    (VectorCamp/vectorscan #358, mended by #368): whoever asks must look at the last `UNSURE_BYTES` otherwise.
    """

    #: More than the widest vector and what is looked at beside it.
    UNSURE_BYTES = 256

    def __init__(self, hyperscan: Any, expressions: Sequence[bytes]) -> None:
        self._errors = (hyperscan.error,)
        count = len(expressions)
        self._database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        self._database.compile(
            expressions=list(expressions),
            ids=[0] * count,
            elements=count,
            flags=[hyperscan.HS_FLAG_MULTILINE] * count,
        )

    def scan(self, region: Any) -> array[int] | None:
        """Where matches end, in order. None: the scan could not be done (another thread is at it)."""
        ends = array("I")
        append = ends.append

        def note(_id: int, _start: int, end: int, _flags: int, _context: object) -> None:
            append(end)

        try:
            self._database.scan(region, match_event_handler=note)
        except self._errors:
            return None
        return ends


@functools.lru_cache(64)
def automaton(expressions: tuple[bytes, ...]) -> Automaton | None:
    """The expressions compiled; None without Hyperscan, or when it does not take them."""
    try:
        hyperscan = importlib.import_module("hyperscan")
    except ImportError:
        return None
    try:
        return Automaton(hyperscan, expressions)
    except hyperscan.error:
        return None
