"""What can be asked on the command line of ``manyhands search``: `Options`, and the table of their names.

Always true: each name stands once in `FLAGS` or `VALUES`, and each attribute that they name exists in `Options`.
"""

from __future__ import annotations

from manyhands.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Pattern = str | bytes


class Options:
    """The command line, as it was meant. Values of the class are the defaults."""

    ask = ""  # "help", "version" or "types": nothing is searched
    list_files = False  # --files

    # what is looked for
    literal = False
    case = "exact"
    around = ""  # "word" or "line"
    invert = False
    multiline = False
    scope = "line"
    max_count: int | None = None
    limit: int | None = None
    deadline_s: float | None = None

    # where
    unrestricted = 0
    hidden = False
    ignore = True
    binary = False
    follow = False
    service = True  # whether one may answer
    max_file_bytes: int | None = None

    # what is shown
    quiet = False
    json = False
    count = ""  # "lines" or "matches"
    listing = ""  # "with" or "without"
    only_matching = False
    replace: str | None = None
    diff = False
    numbers: bool | None = None  # None: as the terminal has it
    paths: bool | None = None
    heading: bool | None = None
    column: bool | None = None
    vimgrep = False
    null = False
    before: int | None = None
    after: int | None = None
    context: int | None = None
    color = "auto"
    pretty = False
    hyperlink = False
    sort = "path"
    stats = False
    skipped = False
    messages = True

    def __init__(self) -> None:
        self.patterns: list[Pattern] = []
        self.pattern_files: list[str] = []
        self.all_of: list[str] = []
        self.none_of: list[str] = []
        self.globs: list[str] = []
        self.types: list[str] = []
        self.not_types: list[str] = []
        self.where: list[str] = []

    @property
    def around_lines(self) -> tuple[int, int]:
        """Lines of context before and behind each match."""
        both = self.context or 0
        return (both if self.before is None else self.before), (both if self.after is None else self.after)


#: Name → attribute and its value.
FLAGS: dict[str, tuple[str, Any]] = {}

#: Name → attribute, and what reads the value; a list takes it in addition.
VALUES: dict[str, tuple[str, Callable[[str], Any]]] = {}

#: Attribute → those that it takes back, because the last one said counts.
UNDOES = {"context": ("before", "after"), "before": ("context",), "after": ("context",)}


def _flag(names: str, attribute: str, value: Any = True) -> None:
    for name in names.split():
        FLAGS[name] = (attribute, value)


def _value(names: str, attribute: str, read: Callable[[str], Any] = str) -> None:
    for name in names.split():
        VALUES[name] = (attribute, read)


def _number(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if text.isdecimal() and int(text) >= least:
            return int(text)
        raise UsageError(f"needs a whole number, {least} or more, not {text!r}")

    return read


def _seconds(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if 0 < found < float("inf"):
        return found
    raise UsageError(f"needs a number of seconds above 0, not {text!r}")


def read_size(text: str) -> int:
    """A number of bytes, as the command line has it. Raises UsageError."""
    digits, factor = text, 1
    if text[-1:] in ("K", "M", "G"):
        digits, factor = text[:-1], 1024 ** ("KMG".index(text[-1]) + 1)
    if digits.isdecimal():
        return int(digits) * factor
    raise UsageError(f"needs a number of bytes such as 500, 20K, 3M or 1G, not {text!r}")


def _one_of(*choices: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text in choices:
            return text
        raise UsageError(f"needs one of {', '.join(choices)}, not {text!r}")

    return read


_flag("-h --help", "ask", "help")
_flag("-V --version", "ask", "version")
_flag("--type-list", "ask", "types")
_flag("--files", "list_files")

_value("-e --regexp", "patterns")
_value("-f --file", "pattern_files")
_value("--and", "all_of")
_value("--not", "none_of")
_value("--scope", "scope", _one_of("line", "file"))
_flag("-F --fixed-strings", "literal")
_flag("--no-fixed-strings", "literal", False)
_flag("-i --ignore-case", "case", "ignore")
_flag("-s --case-sensitive", "case", "exact")
_flag("-S --smart-case", "case", "smart")
_flag("-w --word-regexp", "around", "word")
_flag("-x --line-regexp", "around", "line")
_flag("-v --invert-match", "invert")
_flag("-U --multiline", "multiline")
_flag("--no-multiline", "multiline", False)
_value("-m --max-count", "max_count", _number(1))
_value("--limit", "limit", _number(1))
_value("--deadline", "deadline_s", _seconds)

_value("-g --glob", "globs")
_value("-t --type", "types")
_value("-T --type-not", "not_types")
_flag("-. --hidden", "hidden")
_flag("--no-hidden", "hidden", False)
_flag("--no-ignore", "ignore", False)
_flag("--ignore", "ignore")
_flag("-a --text --binary", "binary")
_flag("--no-text --no-binary", "binary", False)
_flag("-L --follow", "follow")
_flag("--no-follow", "follow", False)
_value("--max-filesize", "max_file_bytes", read_size)
_flag("--no-service", "service", False)

_flag("-q --quiet", "quiet")
_flag("--json", "json")
_flag("--no-json", "json", False)
_flag("-c --count", "count", "lines")
_flag("--count-matches", "count", "matches")
_flag("-l --files-with-matches", "listing", "with")
_flag("--files-without-match", "listing", "without")
_flag("-o --only-matching", "only_matching")
_value("-r --replace", "replace")
_flag("--diff", "diff")
_flag("-n --line-number", "numbers")
_flag("-N --no-line-number", "numbers", False)
_flag("-H --with-filename", "paths")
_flag("-I --no-filename", "paths", False)
_flag("--heading", "heading")
_flag("--no-heading", "heading", False)
_flag("--column", "column")
_flag("--no-column", "column", False)
_flag("--vimgrep", "vimgrep")
_flag("-0 --null", "null")
_value("-B --before-context", "before", _number(0))
_value("-A --after-context", "after", _number(0))
_value("-C --context", "context", _number(0))
_value("--color", "color", _one_of("auto", "always", "never", "ansi"))
_flag("-p --pretty", "pretty")
_flag("--hyperlink", "hyperlink")
_value("--sort", "sort", _one_of("path", "none"))
_flag("--stats", "stats")
_flag("--no-stats", "stats", False)
_flag("--skipped", "skipped")
_flag("--no-messages", "messages", False)
_flag("--messages", "messages")
