"""Which files a query's own filters let through, by their names: globs and languages. Part of the search room.

Globs are git's (as in ignore files): without a slash about the name alone, else about the path below the tree's root.

Always true: a mask has a byte a file, 1 for those that are let through.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from manyhands.search.errors import MissingExtraError
from manyhands.search.query.request import Request

#: Globs that must match, that must not; languages likewise; folders or files, one of which a file must be in, or be
#: (``.`` holds everything).
Filters = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[bytes, ...]]


def filters_of(request: Request) -> Filters:
    """What a query says of names."""
    return request.file, request.not_file, request.lang, request.not_lang, request.under


def mask_of(filters: Filters, names: Sequence[bytes], roots: Sequence[bytes]) -> bytes | None:
    """See `NameFilter.mask`."""
    return NameFilter(*filters).mask(names, roots) if any(filters) else None


class NameFilter:
    """Some globs and languages that must match, and some that must not."""

    def __init__(
        self, file: Iterable[str] = (), not_file: Iterable[str] = (), lang: Iterable[str] = (),
        not_lang: Iterable[str] = (), under: Sequence[bytes] = (),
    ) -> None:  # fmt: skip
        self._wanted = [_spec(globs) for globs in (tuple(file), _globs_of(lang)) if globs]
        self._unwanted = [_spec(globs) for globs in (tuple(not_file), _globs_of(not_lang)) if globs]
        self._places = frozenset(() if b"." in under else under)
        self._prefixes = tuple(place.rstrip(b"/") + b"/" for place in self._places)

    def mask(self, names: Sequence[bytes], roots: Sequence[bytes] = ()) -> bytes | None:
        """A byte a name; None when all are let through. `roots`: how names in the tree's roots begin."""
        if not (self._wanted or self._unwanted):
            return self._mask_of_places(names)
        return bytes(
            self._is_placed(name) and self._lets_through(_below(name, roots).decode("utf-8", "replace"))
            for name in names
        )

    def _mask_of_places(self, names: Sequence[bytes]) -> bytes | None:
        places, prefixes = self._places, self._prefixes
        return bytes(name.startswith(prefixes) or name in places for name in names) if places else None

    def _is_placed(self, name: bytes) -> bool:
        return not self._places or name.startswith(self._prefixes) or name in self._places

    def _lets_through(self, name: str) -> bool:
        return all(spec.match_file(name) for spec in self._wanted) and not any(
            spec.match_file(name) for spec in self._unwanted
        )


def _below(name: bytes, roots: Sequence[bytes]) -> bytes:
    for root in roots:
        if name.startswith(root) and len(name) > len(root):
            return name[len(root) :]
    return name


def _globs_of(languages: Iterable[str]) -> tuple[str, ...]:
    from manyhands.search.corpus.languages import matching_globs

    names = tuple(languages)
    return tuple(matching_globs(names)) if names else ()


def _spec(globs: Sequence[str]) -> Any:
    try:
        import pathspec
    except ImportError:
        raise MissingExtraError("filtering files by name", "pathspec") from None
    return pathspec.GitIgnoreSpec.from_lines(globs)
