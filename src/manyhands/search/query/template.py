"""What a match is replaced by, in ripgrep's syntax: text with ``$1``, ``$name``, ``${name}``, ``$0``, and ``$$``
for a dollar.

Always true of a `Template`: each group that it names exists in one of the query's patterns.
"""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

from manyhands.search.errors import QueryError
from manyhands.search.query.finders import Groups

_REFERENCE = re.compile(rb"\$(?:(\$)|\{([^{}]*)\}|([0-9A-Za-z_]+))")


class Template(NamedTuple):
    """Texts and, between them, groups: one text more than groups."""

    texts: tuple[bytes, ...]
    groups: tuple[str, ...]

    @classmethod
    def parse(cls, template: bytes | str, names: frozenset[str]) -> Template:
        """The template read; `names` are those of all groups. Raises `QueryError`."""
        if not isinstance(template, (bytes, str)):
            raise QueryError(f"replacement must be str or bytes, not {template!r}", parameter="replacement")
        encoded = template.encode("utf-8", "surrogateescape") if isinstance(template, str) else template
        return _parsed(encoded, names)

    def filled(self, groups: Groups) -> bytes:
        """The text for one match. A group of another pattern than the one that matched is empty."""
        numbered, named = groups
        parts = [self.texts[0]]
        for name, text in zip(self.groups, self.texts[1:], strict=True):
            found = numbered.get(int(name), b"") if name.isdecimal() else named.get(name, b"")
            parts += [found, text]
        return b"".join(parts)


@functools.lru_cache(64)
def _parsed(template: bytes, names: frozenset[str]) -> Template:
    texts, groups, at = [b""], [], 0
    for found in _REFERENCE.finditer(template):
        texts[-1] += template[at : found.start()]
        at = found.end()
        if found[1] is not None:
            texts[-1] += b"$"
            continue
        groups.append(
            _known((found[2] if found[3] is None else found[3]).decode(), template, found.start(), names)
        )
        texts.append(b"")
    texts[-1] += template[at:]
    return Template(tuple(texts), tuple(groups))


def _known(name: str, template: bytes, at: int, names: frozenset[str]) -> str:
    name = str(int(name)) if name.isascii() and name.isdecimal() else name
    if name in names:
        return name
    there = ", ".join(f"${{{one}}}" for one in sorted(names))
    raise QueryError(
        f"replacement: no pattern has a group {name!r}; there are {there}. "
        "A name goes on for as long as it can: write ${1}x, not $1x; and $$ for a dollar",
        pattern=template.decode(errors="backslashreplace"),
        position=len(template[:at].decode(errors="backslashreplace")),
        parameter="replacement",
    )
