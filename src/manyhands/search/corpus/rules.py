"""Ignore rules and globs: many lines as one, the last that matches decides.

`pathspec` says what a line means, as a regex; RE2 asks all regexes of a file about a path in one call. Ours is only
which paths are asked about, and that a line speaks of a path itself, never of what lies below it: a walk enters no
folder that is left out, and searches a root even if a rule would leave it out.

Always true: both libraries are loaded by the first line that is a rule, so a tree without rules does not pay for them.
Bytes are asked as Latin-1, one character each, as git does; so no name is lost. A line that is broken matches nothing.
Threads: any; never changed once built.

Where `pathspec` reads a line other than git, so do we: brackets with a class (``[[:alpha:]]``), a backslash or an empty
range match nothing or something else; a negated bracket may match a slash inside of a path; ``***`` is one star.
"""

from __future__ import annotations

from manyhands.search.errors import MissingExtraError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

#: What rules say of a name.
SILENT, IGNORE, KEEP = range(3)

#: White space to Python that belongs to a pattern at whose end it stands: it was before a slash, or it is the last byte
#: of a letter in UTF-8 (``voilà``), or git keeps it since it strips nothing but spaces.
_KEPT_SPACES = tuple(map(chr, (0x20, 0x09, 0x0B, 0x0C, 0x1C, 0x1D, 0x1E, 0x1F, 0x85, 0xA0)))

_MOST_BYTES = 1 << 26


class BrokenGlob(Exception):
    """The line can match nothing; the argument says why."""


class Rule:
    """A line, read. `regex` matches the paths it speaks of, from its folder on and without a slash at their end."""

    __slots__ = ("folders_only", "keeps", "regex")

    def __init__(self, regex: bytes, *, keeps: bool, folders_only: bool) -> None:
        self.regex, self.keeps, self.folders_only = regex, keeps, folders_only


class Rules:
    """The lines of one ignore file, or of a user's globs. Everything in it is relative to its folder."""

    __slots__ = ("_match", "_rules")

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._rules: list[Rule] = []
        self._match: Callable[[bytes], list[int]] = _nothing
        rules = [rule for rule in map(_read_or_skip, lines) if rule is not None]
        if rules:
            found = _empty_set()
            self._rules = [rule for rule in rules if _is_added(found, rule)]
            found.Compile()
            self._match = found.Match

    @classmethod
    def read(cls, text: bytes) -> Rules:
        """The rules of an ignore file's text."""
        return cls(text.removeprefix(b"\xef\xbb\xbf").split(b"\n"))

    def __bool__(self) -> bool:
        return bool(self._rules)

    def verdict(self, way: bytes, name: bytes, is_folder: bool) -> int:
        """What the rules say of `name` in the folder `way` (``b""``, or with a slash at its end)."""
        found = self._match(way + name)
        if not found:
            return SILENT
        rules = self._rules
        best = max((index for index in found if is_folder or not rules[index].folders_only), default=-1)
        if best < 0:
            return SILENT
        return KEEP if rules[best].keeps else IGNORE


def read_line(line: bytes) -> Rule | None:
    """A line of an ignore file; None for a blank or a comment. Raises BrokenGlob."""
    text = _without_spaces_at_end(line.decode("latin-1").removesuffix("\r"))
    if not text or text.startswith("#"):
        return None
    folders_only = text.endswith("/")
    regex, leaves_out = _translated(_spelled_out(text.removesuffix("/")))
    return Rule(regex.encode("latin-1") + b"$", keeps=not leaves_out, folders_only=folders_only)


def check_line(line: bytes) -> None:
    """Raise BrokenGlob when it can match nothing."""
    rule = read_line(line)
    if rule is None:
        raise BrokenGlob("it is empty")
    if not _is_added(_empty_set(), rule):
        raise BrokenGlob("a range or class in [] makes no sense")


def _without_spaces_at_end(text: str) -> str:
    """A backslash before them keeps one."""
    bare = text.rstrip(" ")
    slashes = len(bare) - len(bare.rstrip("\\"))
    return bare + " " if slashes % 2 and bare != text else bare


def _spelled_out(text: str) -> str:
    """So that nothing but what the line speaks of matches its regex, and nothing of it is taken for white space."""
    if text.endswith("/**"):
        return text + "/*"  # the folder itself is not among all that is in it
    if text.endswith(_KEPT_SPACES) and not text.endswith("\\ "):
        return f"{text[:-1]}[{text[-1]}]"
    return text


def _translated(text: str) -> tuple[str, bool]:
    """The regex of a pattern, and whether it leaves out what it matches."""
    if not text.strip("!/"):
        raise BrokenGlob("it is empty")
    try:
        regex, leaves_out = _pattern_class().pattern_to_regex(text)
    except ValueError:
        raise BrokenGlob("it ends in a lone backslash") from None
    if regex is None:
        raise BrokenGlob("a [ is not closed")
    return regex, bool(leaves_out)


def _read_or_skip(line: bytes) -> Rule | None:
    try:
        return read_line(line)
    except BrokenGlob:
        return None


def _is_added(found: Any, rule: Rule) -> bool:
    """Whether RE2 takes the rule's regex into the set."""
    try:
        found.Add(rule.regex)
    except _re2().error:
        return False
    return True


def _empty_set() -> Any:
    re2 = _re2()
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.dot_nl = options.never_capture = True
    options.log_errors = False
    options.max_mem = _MOST_BYTES
    return re2.Set.SearchSet(options)


def _nothing(_: bytes) -> list[int]:
    return []


def _pattern_class() -> Any:
    try:
        from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern
    except ImportError:
        raise MissingExtraError("reading ignore rules or globs", "pathspec") from None
    return GitIgnoreSpecPattern


def _re2() -> Any:
    try:
        import re2
    except ImportError:
        raise MissingExtraError("reading ignore rules or globs", "google-re2") from None
    return re2
