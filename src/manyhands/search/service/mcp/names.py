"""Paths as the client sees them, and as the tree has them.

With one root, paths are relative to it; with several, they begin as each was named. A byte that is not UTF-8, or is a
control character, is shown as ``\\xNN``, and understood so.

Always true: only a name that the tree has leads to anything; no path is looked up on the disk.

Threads: any.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import Any

from manyhands.search import QueryError

_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Names:
    """See the module. `roots` are the paths to open the tree with; `given` is how the user named them."""

    def __init__(self, paths: Sequence[Any]) -> None:
        given = [os.fsencode(path) for path in paths]
        self.is_one = len(given) == 1
        self.given = [shown(path) for path in given]
        self.roots = [_root(path, self.is_one) for path in given]
        self._before = _before(self.roots[0]) if self.is_one else b""

    def shown(self, name: bytes) -> str:
        """A name of the tree, as the client sees it."""
        return shown(name.removeprefix(self._before))

    def find(self, path: str, names_at: Callable[[bytes], Sequence[bytes]], parameter: str) -> bytes:
        """The folder or file of the tree that the client means; empty for all roots. Raises `QueryError`.

        `names_at` tells the files at a name of the tree (`manyhands.search.Tree.names`).
        """
        if path in ("", ".", "./") or (path == "/" and self.is_one):
            return (self._before.rstrip(b"/") or b"/") if self.is_one else b""
        found = self.meant(path, lambda name: bool(names_at(name)))
        if not names_at(found):
            raise QueryError(f"{parameter}: {self.nothing_at(path)}", parameter=parameter)
        return found

    def nothing_at(self, path: str) -> str:
        """What is said of a path that the tree does not have."""
        relative = " (paths are relative to its root)" * (self.is_one and path[:1] in "./")
        return f"the tree has nothing at {path!r}{relative}; list_files says what there is"

    def meant(self, path: str, has: Callable[[bytes], bool]) -> bytes:
        """What the tree calls it: the first possible name that it has, or else the likeliest."""
        exact = path.encode("utf-8", "surrogatepass")
        tidy = _tidy(exact)
        unescaped = _ESCAPED.sub(lambda found: bytes.fromhex(found[1].decode()), tidy)
        possible = [before + bare for bare in (tidy, exact, unescaped) for before in (self._before, b"")]
        return next((name for name in possible if has(name)), self._before + unescaped)


def shown(name: bytes) -> str:
    """Bytes as text that any client can show and send back.

    >>> shown(b"caf\\xe9\\n")
    'caf\\\\xe9\\\\x0a'
    """
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", name.decode("utf-8", "backslashreplace"))


def _root(path: bytes, is_one: bool) -> bytes:
    """One root is absolute, so that what is in front of a path in it is known; and so is ``.`` among others, whose
    files would be named as if there were no root."""
    return os.path.abspath(path) if path and (is_one or path.rstrip(b"/") == b".") else path


def _before(root: bytes) -> bytes:
    """What is in front of paths in the only root; of a file, its folder."""
    folder = os.path.dirname(root) if os.path.isfile(root) else root
    return folder.rstrip(b"/") + b"/"


def _tidy(path: bytes) -> bytes:
    """Without what says nothing: ``./`` in front, doubled slashes, a slash at the end."""
    tidy = re.sub(rb"/{2,}", b"/", path)
    while tidy.startswith(b"./"):
        tidy = tidy[2:]
    return tidy.rstrip(b"/") or tidy[:1]
