"""How a query is answered: which blocks are worth a look, how lines are found in them, and which of these are to be
verified.

A plan is made once, in the parent, and sent to every shard: it is picklable and small, and holds nothing compiled.

How a shard follows it, by `mode`:

- ``"every"``: all lines are found (`Visit.all_lines`).
- ``"needle"``: the lines with `needle` (`Visit.find`). Where ``needle.folds`` holds, text of a kind with FOLDS may
  match where the store does not see it: such files are to be read by region.
- ``"region"``: for each region, the lines where `Matcher.ends` says if its text is ASCII, and else, or when that is
  None, `Matcher.re2_ends`. `prefilter`, if there is one, is a needle whose lines include all that match: where it is
  rare, or Hyperscan cannot be had, its lines are found and verified instead.
- ``"file"``: each file as a whole (`Visit.file`), by `Matcher.text_spans`.

Then `filters` (`Hits.containing`), and then `decides` says whether lines are to be verified by `Matcher.matches`:
"always" means that they are right as they are, "ascii" that those that are ASCII are right, "never" that all are to
be verified. With ``scope="file"`` the file is asked too: `Matcher.file_matches`. Last comes `request.invert`
(`Visit.others`).

Always true: nothing before the verification loses a line.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from manyhands.search.query import automaton
from manyhands.search.query.needs import LEAST, CasedNeed, Need, all_of, any_of, conjuncts, folds, for_index
from manyhands.search.query.pattern import Pattern
from manyhands.search.query.request import Request

Mode = Literal["every", "needle", "region", "file"]
Decides = Literal["always", "ascii", "never"]


class Needle(NamedTuple):
    """What the native store looks for; `caseless` and `word` are its flags. `folds`: text with U+017F or U+212A may
    match without having it."""

    text: bytes
    caseless: bool
    word: bool
    folds: bool


class Filter(NamedTuple):
    """Keep the lines that have `needle`, or with `wanted` False those that have not."""

    needle: Needle
    wanted: bool


class Plan(NamedTuple):
    """See the module.

    `need` speaks of blocks: a line of the answer is in a block that satisfies it. `file_need` speaks of files: of a
    file in the answer, each literal is in some block. `folds` is for all look-ups of literals. `expressions` are
    Hyperscan's; empty: no line of ASCII matches, None: it cannot be asked. `bytewise`: they hold for all text without
    FOLDS, not for ASCII alone.
    """

    request: Request
    patterns: tuple[Pattern, ...]
    all_of: tuple[Pattern, ...]
    none_of: tuple[Pattern, ...]
    mode: Mode
    need: Need
    file_need: Need
    folds: bool
    needle: Needle | None
    prefilter: Needle | None
    filters: tuple[Filter, ...]
    decides: Decides
    expressions: tuple[bytes, ...] | None
    bytewise: bool


def make_plan(request: Request) -> Plan:
    """The plan of a checked query."""
    patterns, wanted, unwanted = (
        tuple(_pattern(request, text) for text in texts)
        for texts in (request.patterns, request.all_of, request.none_of)
    )
    need, file_need, either = _needs(request, patterns, wanted)
    mode, needle = _mode(request, patterns)
    filters = _filters(request, wanted, unwanted)
    folding = folds(need) or folds(file_need)
    return Plan(
        request=request,
        patterns=patterns,
        all_of=wanted,
        none_of=unwanted,
        mode=mode,
        need=for_index(need, folding),
        file_need=for_index(file_need, folding),
        folds=folding,
        needle=needle,
        prefilter=_prefilter(either) if mode == "region" else None,
        filters=filters or (),
        decides="never" if filters is None else _decides(mode, patterns),
        expressions=_expressions(patterns) if mode == "region" else None,
        bytewise=mode == "region" and _is_bytewise(patterns),
    )


def _pattern(request: Request, text: bytes) -> Pattern:
    around = "line" if request.whole_line else "word" if request.word else ""
    return Pattern(text, request.regex, request.ignore_case, around, request.multiline)


def _needs(
    request: Request, patterns: tuple[Pattern, ...], wanted: tuple[Pattern, ...]
) -> tuple[CasedNeed, CasedNeed, CasedNeed]:
    """What blocks need, what files need, and what each line with one of `patterns` has."""
    either = any_of([pattern.need() for pattern in patterns])
    others = [pattern.need() for pattern in wanted]
    if request.multiline:
        return None, all_of([either, *others]), either
    if request.scope == "file":
        return (
            (None, all_of(others), either) if request.invert else (either, all_of([either, *others]), either)
        )
    return None if request.invert else all_of([either, *others]), None, either


def _mode(request: Request, patterns: tuple[Pattern, ...]) -> tuple[Mode, Needle | None]:
    if request.multiline:
        return "file", None
    if any(not pattern.text and not pattern.around for pattern in patterns):
        return "every", None
    needle = _needle(patterns[0]) if len(patterns) == 1 else None
    return ("region", None) if needle is None else ("needle", needle)


def _needle(pattern: Pattern) -> Needle | None:
    """The needle that a literal is; None when it takes RE2 or is empty."""
    if pattern.by_re2 or not pattern.text:
        return None
    caseless = pattern.ignore_case
    return Needle(pattern.text, caseless, pattern.around == "word", caseless and _has_folds(pattern.text))


def _has_folds(text: bytes) -> bool:
    return re.search(b"[ksKS]", text) is not None


def _decides(mode: Mode, patterns: tuple[Pattern, ...]) -> Decides:
    """Without conditions: only the needle leaves something open."""
    if mode != "needle":
        return "always"
    return {"": "always", "word": "ascii", "line": "never"}[patterns[0].around]  # type: ignore[return-value]


def _filters(
    request: Request, wanted: tuple[Pattern, ...], unwanted: tuple[Pattern, ...]
) -> tuple[Filter, ...] | None:
    """The conditions as filters; None when one of them is none: then every line is to be verified."""
    if request.scope == "file":
        return ()
    found = []
    for pattern, has in [*((one, True) for one in wanted), *((one, False) for one in unwanted)]:
        needle = _needle(pattern)
        if needle is None or needle.folds or pattern.around:
            return None
        found.append(Filter(needle, has))
    return tuple(found)


def _prefilter(need: CasedNeed) -> Needle | None:
    """The rarest literal that every line has. Letters that fold beyond ASCII would lose lines: the longest part
    without."""
    best: Needle | None = None
    for piece in conjuncts(need):
        for text in re.split(b"[ks]", piece.text) if piece.folded else [piece.text]:
            if len(text) >= LEAST and (best is None or _rarity(text) > _rarity(best.text)):
                best = Needle(text, piece.folded, False, False)
    return best


def _rarity(text: bytes) -> int:
    """A guess from the bytes alone: blanks and small vowels are common, capitals and digits are not."""
    return sum(
        1 if byte in b" \t" else 2 if byte in b"aeinorst" else 3 if 0x61 <= byte <= 0x7A else 5
        for byte in text
    )


def _is_bytewise(patterns: tuple[Pattern, ...]) -> bool:
    if not all(pattern.is_utf8 for pattern in patterns):
        return False
    return automaton.is_bytewise([pattern.tree() for pattern in patterns], patterns[0].around)


def _expressions(patterns: tuple[Pattern, ...]) -> tuple[bytes, ...] | None:
    if sum(len(pattern.text) for pattern in patterns) > automaton.TEXT_BYTES_MOST:
        return None
    if not all(pattern.is_utf8 for pattern in patterns):
        return None
    return automaton.expressions([pattern.tree() for pattern in patterns], patterns[0].around)
