"""The query language of search boxes: from one line of text to the arguments of `make_request`.

::

    mutex lock             lines with both
    "mutex lock"           lines with just this text
    mutex OR lock          lines with one of them (OR binds closer than a blank)
    mutex -lock            lines with the first, without the second; NOT lock says the same
    /mutex_(un)?lock/      a regex; \\/ is a slash in it
    file:*.c -file:test/** in which files
    lang:c -lang:cpp       in which languages
    case:yes|no|auto       exact case; any case; exact when there is a capital letter (as without it)
    word:yes               as whole words
    regex:yes              words are regexes too
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from manyhands.search.errors import QueryError
from manyhands.search.query.regex import closed, escaped
from manyhands.search.query.tokens import Token, tokens

_CASES = {"yes": "exact", "no": "ignore", "auto": "smart"}
_SWITCHES = {"yes": True, "no": False}

_SAID_BY_TEXT = ("regex", "all_of", "none_of")
_ADDED = ("file", "not_file", "lang", "not_lang")


def parse_query(text: str) -> dict[str, Any]:
    """The arguments of `make_request` that `text` says. Raises `QueryError` with the position in `text`; whether
    regexes and languages are right is for `make_request` to say."""
    if not isinstance(text, str):
        raise QueryError(f"query must be str, not {text!r}", parameter="query")
    lone = next((index for index, char in enumerate(text) if "\ud800" <= char <= "\udfff"), None)
    if lone is not None:
        raise QueryError(
            f"query has a lone surrogate at character {lone}, which no text has",
            position=lone,
            parameter="query",
        )
    if not text.strip():
        raise QueryError("query is empty: give at least one word", parameter="query")
    reader = _Reader(text)
    reader.read()
    return reader.arguments()


def joined(text: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """A text's arguments, and others: they add to its files and languages, and decide what it leaves open.

    Raises `QueryError`, also for an argument that the text says in its own way.
    """
    for name in _SAID_BY_TEXT:
        if name in options:
            raise QueryError(
                f"{name} goes with pattern; a query says /regex/, a second word, or -word", parameter=name
            )
    said = parse_query(text)
    added = {name: (*said[name], *options.get(name, ())) for name in _ADDED if name in said}
    return {**options, **said, **added}


def quoted(text: str) -> str:
    """The piece of a query that stands for just `text`."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class _Reader:
    """Sorts the pieces. `groups`: any of each group's pieces, all of the groups."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.groups: list[list[Token]] = []
        self.without: list[Token] = []
        self.fields: dict[str, Any] = {}

    def read(self) -> None:
        """Sort all pieces."""
        joins: Token | None = None  # the OR before this piece
        negates: Token | None = None  # the NOT before it
        last_is_text = False  # whether the piece before could be joined by an OR
        for token in tokens(self.text):
            if token.kind == "OR":
                if joins or negates or not last_is_text:
                    raise self.error("OR stands between two words", token)
                joins = token
                continue
            if token.kind == "NOT":
                if negates or joins:
                    raise self.error(f"NOT cannot stand behind {(negates or joins or token).kind}", token)
                negates = token
                continue
            last_is_text = self.place(token, joins, negates)
            joins = negates = None
        if joins or negates:
            raise self.error("a word must follow", joins or negates or Token("", "", False, 0))

    def place(self, token: Token, joins: Token | None, negates: Token | None) -> bool:
        """Put one piece where it belongs; True when an OR may follow."""
        negated = token.negated or negates is not None
        is_text = token.kind in ("word", "phrase", "regex")
        if joins and (negated or not is_text):
            raise self.error("OR joins words, phrases and regexes that are not negated", joins)
        if not is_text:
            self.field(token, negated)
        elif negated:
            self.without.append(token)
        elif joins:
            self.groups[-1].append(token)
        else:
            self.groups.append([token])
        return is_text and not negated

    def field(self, token: Token, negated: bool) -> None:
        """A field's value."""
        name = token.kind.removesuffix(":")
        if not token.text:
            raise self.error(f"{name}: is followed by a value, without a blank", token)
        if name in ("file", "lang"):
            name = f"not_{name}" if negated else name
            self.fields[name] = (*self.fields.get(name, ()), token.text)
            return
        known: dict[str, Any] = _CASES if name == "case" else _SWITCHES
        if negated or name in self.fields:
            raise self.error(f"{name}: is said once, and not negated", token)
        if token.text not in known:
            raise self.error(f"{name}: is followed by one of {', '.join(known)}", token)
        self.fields[name] = known[token.text]

    def arguments(self) -> dict[str, Any]:
        """What was read, as arguments. A group of several comes first: `pattern` alone can be any of several."""
        groups = sorted(self.groups, key=lambda group: len(group) == 1)
        pieces = [token for group in groups for token in group] + self.without
        several = sum(len(group) > 1 for group in groups)
        as_regex = (
            self.fields.get("regex", False) or several > 1 or any(one.kind == "regex" for one in pieces)
        )
        first = tuple(self.said(token, as_regex) for token in groups[0]) if groups else ("",)
        found: dict[str, Any] = {"pattern": first[0] if len(first) == 1 else first}
        if len(groups) > 1:
            found["all_of"] = tuple(self.any_of(group, as_regex) for group in groups[1:])
        if self.without:
            found["none_of"] = tuple(self.said(token, as_regex) for token in self.without)
        found |= self.fields
        found.pop("regex", None)
        return found | {"regex": True} if as_regex else found

    def any_of(self, group: list[Token], as_regex: bool) -> str:
        """One condition for a group."""
        if len(group) == 1:
            return self.said(group[0], as_regex)
        return "|".join(f"(?:{_closed(self.said(token, as_regex))})" for token in group)

    def said(self, token: Token, as_regex: bool) -> str:
        """The text of one piece, or a regex of the same meaning."""
        is_regex = token.kind == "regex" or (token.kind == "word" and self.fields.get("regex", False))
        return token.text if is_regex or not as_regex else escaped(token.text).decode()

    def error(self, message: str, token: Token) -> QueryError:
        """The error at a piece."""
        return QueryError(
            f"query, at character {token.position}: {message}; in quotes, it is text",
            pattern=self.text,
            position=token.position,
            parameter="query",
        )


def _closed(source: str) -> str:
    """A regex that others may follow."""
    return closed(source.encode()).decode()
