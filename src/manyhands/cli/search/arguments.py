"""Reading the command line. A table walk of its own: argparse takes longer to import than a small tree to search.

Always true of what `read` returns: the options make sense together, and there is something to search for.
"""

from __future__ import annotations

import sys

from manyhands.cli.search.options import FLAGS, UNDOES, VALUES, Options
from manyhands.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_UNRESTRICTED_MOST = 3


def read(arguments: Sequence[str]) -> Options:
    """The command line as `Options`. Raises UsageError that names the argument that is wrong."""
    reader = _Reader(arguments)
    reader.read()
    options, operands = reader.options, reader.operands
    if options.ask:
        return options
    for path in options.pattern_files:
        options.patterns += _patterns_in(path)
    if not (options.patterns or options.pattern_files or options.list_files):
        if not operands:
            raise UsageError("there is no PATTERN; manyhands search --help shows how to search")
        options.patterns.append(operands.pop(0))
    options.where = operands
    _settle(options)
    _check(options)
    return options


class _Reader:
    """Goes over the arguments once."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._rest = list(reversed(arguments))
        self.options = Options()
        self.operands: list[str] = []

    def read(self) -> None:
        """Take every argument."""
        while self._rest:
            word = self._rest.pop()
            if word == "--":
                self.operands += reversed(self._rest)
                return
            if word.startswith("--"):
                self._long(word)
            elif word.startswith("-") and word != "-":
                self._short(word[1:])
            else:
                self.operands.append(word)

    def _long(self, word: str) -> None:
        name, equals, text = word.partition("=")
        if name in VALUES:
            self._take(name, text if equals else self._next(name))
        elif name not in FLAGS and name != "--unrestricted":
            raise _unknown(name)
        elif equals:
            raise UsageError(f"{name} takes no value, so {word!r} says too much")
        else:
            self._raise(name)

    def _short(self, letters: str) -> None:
        """Several in one word; the rest of it is the value of the first that takes one."""
        while letters:
            name, letters = f"-{letters[0]}", letters[1:]
            if name in VALUES:
                self._take(name, letters.removeprefix("=") if letters else self._next(name))
                return
            if name not in FLAGS and name != "-u":
                raise _unknown(name)
            self._raise(name)

    def _next(self, name: str) -> str:
        if not self._rest:
            raise UsageError(f"{name} needs a value behind it")
        return self._rest.pop()

    def _take(self, name: str, text: str) -> None:
        attribute, reads = VALUES[name]
        try:
            value = reads(text)
        except UsageError as error:
            raise UsageError(f"{name} {error}") from None
        there = getattr(self.options, attribute)
        if isinstance(there, list):
            there.append(value)
        else:
            self._set(attribute, value)

    def _raise(self, name: str) -> None:
        if name in ("-u", "--unrestricted"):
            self.options.unrestricted += 1
        else:
            self._set(*FLAGS[name])

    def _set(self, attribute: str, value: Any) -> None:
        for other in UNDOES.get(attribute, ()):
            setattr(self.options, other, None)
        setattr(self.options, attribute, value)


def _unknown(name: str) -> UsageError:
    hint = "manyhands search --help lists them"
    if name.startswith("--"):
        from difflib import get_close_matches

        close = get_close_matches(name, [one for one in (*FLAGS, *VALUES) if one.startswith("--")], 2)
        hint = f"did you mean {' or '.join(close)}?" if close else hint
    return UsageError(f"there is no option {name}; {hint}")


def _patterns_in(path: str) -> list[str | bytes]:
    """The lines of a file, each a pattern; of stdin for ``-``."""
    try:
        if path == "-":
            data = sys.stdin.buffer.read()
        else:
            with open(path, "rb") as file:
                data = file.read()
    except OSError as error:
        raise UsageError(f"the patterns in {path!r} cannot be read: {error.strerror}") from None
    lines = data.removesuffix(b"\n").split(b"\n") if data else []
    return [line.removesuffix(b"\r") for line in lines]


def _settle(options: Options) -> None:
    """What one option says about others."""
    if options.unrestricted > _UNRESTRICTED_MOST:
        raise UsageError(
            f"-u can be said {_UNRESTRICTED_MOST} times at most; there is nothing left to unlock"
        )
    options.ignore = options.ignore and options.unrestricted < 1
    options.hidden = options.hidden or options.unrestricted > 1
    options.binary = options.binary or options.unrestricted > 2
    if options.count == "lines" and options.only_matching:
        options.count = "matches"
    if options.count == "matches" and options.invert:  # a line that does not match has no matches to count
        options.count = "lines"


def _check(options: Options) -> None:
    """What makes no sense together."""
    rivals = {
        "--count": options.count,
        "--files-with-matches": options.listing == "with",
        "--files-without-match": options.listing == "without",
        "--files": options.list_files,
    }
    if options.json and (rival := next((name for name, is_said in rivals.items() if is_said), "")):
        raise UsageError(f"--json prints lines, and {rival} prints none: use one of them")
    if options.multiline and options.invert:
        raise UsageError("-v is about lines, and --multiline about whole files: use one of them")
    if options.multiline and (options.all_of or options.none_of) and options.scope == "line":
        name = "--and" if options.all_of else "--not"
        raise UsageError(f"{name} together with --multiline is about the whole file: add --scope file")
    _check_diff(options)
    if options.replace is not None and options.invert:
        raise UsageError(
            "--replace replaces matches, and the lines that -v prints have none: use one of them"
        )


def _check_diff(options: Options) -> None:
    """A diff is all that is printed, and speaks of files."""
    if not options.diff:
        return
    if options.replace is None:
        raise UsageError("--diff shows what --replace would change: say by what")
    said = {
        "--json": options.json,
        "--count": options.count,
        "--limit": options.limit,
        "-o": options.only_matching,
    }
    rival = next((name for name, is_said in said.items() if is_said), "")
    if rival or options.listing:
        raise UsageError(
            f"--diff prints diffs, and {rival or 'listing paths'} something else: use one of them"
        )
