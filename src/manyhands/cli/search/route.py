"""Which service holds the places to search, and how it names them. No question is asked here.

A service is taken only where its answer is the one that a search without it gives:

- each place, by its real path, is a root of the service or lies in one, and no other root lies in the place; the root
  is still the folder that the service has opened;
- the filters are the service's. More globs that leave out by mere names (``!*.js``) may be asked of it in addition;
- the files come in the same order: places do not overlap, and follow one another by real paths as they do by names.

Always true: of what is not sure to be the same there is no `Route`.
"""

from __future__ import annotations

from manyhands.cli.search.question import filters_of
from manyhands.search.corpus.roots import is_inside, read_roots
from manyhands.search.service.register import said_by, served

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from manyhands.cli.search.options import Options
    from manyhands.cli.search.places import Places
    from manyhands.search.corpus.roots import Root
    from manyhands.search.service.register import Served

#: What makes a glob more than a name with stars. (A comma only does in braces.)
_MORE_THAN_STARS = frozenset("?[]{}\\/!# ")


class NotServed(Exception):
    """A service has not answered, or not to the end; the argument says why."""


class Route:
    """How to ask a service: `under` are the places as it names them, `left_out` the globs to ask for in addition.

    `is_whole`: the places are all that it serves; `has_files`: one of them is a file.
    """

    def __init__(self, service: Served, roots: Sequence[Root], left_out: Sequence[str]) -> None:
        self.socket_path, self.pid, self.left_out = service.socket_path, service.pid, left_out
        self.under = [root.real for root in roots]
        self.is_whole = set(self.under) == set(service.roots)
        self.has_files = not all(root.is_folder for root in roots)
        self._files = {root.real: root.shown for root in roots if not root.is_folder}
        self._folders = [(_prefix(root), root.shown) for root in roots if root.is_folder]

    def shown(self, name: bytes) -> bytes:
        """A file as the user would name it."""
        for prefix, shown in self._folders:
            if name.startswith(prefix):
                return shown + name[len(prefix) :]
        return self._files.get(name, name)

    def shown_diff(self, diff: bytes) -> bytes:
        """A diff of a file, with that name in both its headers."""
        old, new = b"--- ", b"\n+++ "
        end = diff.find(new)
        while end >= 0:
            name = diff[len(old) : end]
            rest = end + len(new) + len(name)
            if diff[end + len(new) : rest + 1] == name + b"\n":
                shown = self.shown(name)
                return b"".join((old, shown, new, shown, diff[rest:]))
            end = diff.find(new, end + 1)  # the name itself goes on over this line
        return diff

    def lets_through(self, name: bytes) -> bool:
        """Do the globs that are asked for in addition leave that file to be searched?"""
        if not self.left_out:
            return True
        below = next((name[len(prefix) :] for prefix, _ in self._folders if name.startswith(prefix)), name)
        return not _any_matches(self.left_out, below)


def find_routes(options: Options, places: Places) -> list[Route]:
    """The ways to services that hold these places and can do what is asked; one that is dead may be among them."""
    if not _can_be_asked(options, places):
        return []
    services = served()
    if not services:
        return []
    try:
        roots = read_roots(places.paths)
    except OSError:  # one has just gone: whoever searches it will say so
        return []
    if not _come_in_same_order(roots):
        return []
    filters = filters_of(options)
    routes = [_route(service, roots, filters) for service in services]
    return [route for route in routes if route is not None]


def _can_be_asked(options: Options, places: Places) -> bool:
    is_about_files = bool(places.paths) and not places.reads_stdin
    shows_lines_as_they_are = options.replace is None or options.diff
    return (
        options.service
        and is_about_files
        and shows_lines_as_they_are
        and not (options.multiline or options.skipped)
    )


def _route(service: Served, roots: Sequence[Root], filters: dict[str, Any]) -> Route | None:
    left_out = _left_out(filters, service)
    if left_out is None or not all(_holds(service, root, filters["follow"], left_out) for root in roots):
        return None
    return Route(service, roots, left_out)


def _come_in_same_order(roots: list[Root]) -> bool:
    """Are files sorted by their real paths also sorted by their names, and each in one place only?"""
    if len(roots) == 1:
        return True
    from itertools import pairwise

    by_name = sorted(roots, key=lambda root: root.shown)
    for one, other in pairwise(by_name):
        overlap = one.covers(other) or other.covers(one)
        if overlap or _prefix(one) > _prefix(other) or (one.is_folder and other.shown.startswith(one.shown)):
            return False
    return True


def _prefix(root: Root) -> bytes:
    """How the names in it begin, or what its name is, as a service has it."""
    return root.real.rstrip(b"/") + b"/" if root.is_folder else root.real


def _left_out(filters: dict[str, Any], service: Served) -> list[str] | None:
    """The globs to ask for besides the service's own filters; None when its filters are others."""
    globs = filters["globs"]
    if said_by(filters) == service.said:
        return (
            None if any("/" in glob for glob in globs) else []
        )  # what it is relative to may be another folder
    if said_by({**filters, "globs": ()}) == service.said and all(map(_leaves_out_by_name, globs)):
        return [glob[1:] for glob in globs]
    return None


def _leaves_out_by_name(glob: str) -> bool:
    name = glob[1:]
    is_plain = name.isascii() and _MORE_THAN_STARS.isdisjoint(name) and "**" not in name
    return glob[:1] == "!" and is_plain and name not in ("", "*")


def _holds(service: Served, root: Root, follow: bool, left_out: list[str]) -> bool:
    if (
        follow and root.real not in service.roots
    ):  # links that lead out of the place are followed from further up
        return False
    tops = [top for top in service.roots if is_inside(root.real, top)]
    if not tops or not all(map(service.is_here, tops)):
        return False
    if not root.is_folder:  # named itself, it is searched whatever the globs say
        return not left_out
    is_alone = not any(is_inside(top, root.real) for top in service.roots if top != root.real)
    return is_alone and not any(_any_matches(left_out, root.real[len(top) :]) for top in tops)


def _any_matches(globs: Sequence[str], way: bytes) -> bool:
    """Does one of them match a name on the way?"""
    names = way.decode("latin-1").split("/")
    return any(matches(glob, name) for glob in globs for name in names)


def matches(glob: str, name: str) -> bool:
    """A name and a glob that has no more than stars.

    >>> matches("*.min.*", "a.min.js"), matches("a*a", "a"), matches("vendor", "vendors")
    (True, False, False)
    """
    first, *others = glob.split("*")
    if not others:
        return glob == name
    if (
        not name.startswith(first)
        or len(name) < len(first) + len(others[-1])
        or not name.endswith(others[-1])
    ):
        return False
    at, end = len(first), len(name) - len(others[-1])
    for piece in others[:-1]:
        at = name.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return True
