"""Where ignore rules are written: in the tree, in its parents, in the repository, in the user's home.

Order, as in git and ripgrep, the first that speaks decides: ``.ignore`` files from the deepest up, ``.gitignore``
files from the deepest up to the repository's folder, the repository's ``info/exclude``, the user's excludes. The last
three hold inside a repository only, and a repository inside another one hears only its own.

Always true: `Ignores` never change; what cannot be read counts as empty.
"""

from __future__ import annotations

import os
import stat

from manyhands.search.corpus.rules import Rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    Placed = tuple[tuple[Rules, bytes], ...]  # rules, and the way from their folder to where we are

DOT_IGNORE, GIT_IGNORE, GIT = b".ignore", b".gitignore", b".git"

#: A change of one of these names changes what is ignored.
SIGNS = frozenset((DOT_IGNORE, GIT_IGNORE, GIT))


class Ignores:
    """The rules that hold in one folder."""

    __slots__ = ("_dotted", "_excludes", "_git", "chain", "in_repository")

    def __init__(
        self, dotted: Placed = (), git: Placed = (), excludes: Placed = (), *, in_repository: bool = False
    ):
        self._dotted, self._git, self._excludes = dotted, git, excludes
        self.in_repository = in_repository
        self.chain = dotted + git + excludes

    def below(self, name: bytes) -> Ignores:
        """What of them reaches the sub-folder `name`."""
        if not self.chain:
            return self
        step = name + b"/"
        parts = (_stepped(part, step) for part in (self._dotted, self._git, self._excludes))
        return Ignores(*parts, in_repository=self.in_repository)

    def joined_by(self, path: bytes, names: Container[bytes]) -> Ignores:
        """Them and what the folder `path` itself says; `names` are in it, or at least those of `SIGNS` that are."""
        dotted, git, excludes = self._dotted, self._git, self._excludes
        in_repository = self.in_repository
        if GIT in names:
            git, excludes, in_repository = (), _of_repository(path), True
        if DOT_IGNORE in names:
            dotted = _placed(os.path.join(path, DOT_IGNORE)) + dotted
        if GIT_IGNORE in names and in_repository:
            git = _placed(os.path.join(path, GIT_IGNORE)) + git
        return Ignores(dotted, git, excludes, in_repository=in_repository)


def ignores_above(real: bytes) -> Ignores:
    """What the parents of the folder `real`, a path without symlinks, say about it."""
    found, path = Ignores(), b"/"
    for name in real.split(b"/")[1:]:
        if name:
            signs = {sign for sign in SIGNS if os.path.lexists(os.path.join(path, sign))}
            found = (found.joined_by(path, signs) if signs else found).below(name)
            path = os.path.join(path, name)
    return found


def _stepped(rules: Placed, step: bytes) -> Placed:
    return tuple((each, way + step) for each, way in rules)


def _placed(*paths: bytes) -> Placed:
    """The rules in these files, each relative to where we are."""
    return tuple((rules, b"") for rules in map(Rules.read, map(_read, paths)) if rules)


def _of_repository(path: bytes) -> Placed:
    """The excludes of the repository whose work tree is `path`, then the user's."""
    return _placed(os.path.join(_common_folder(os.path.join(path, GIT)), b"info/exclude"), *_user_excludes())


def _common_folder(git: bytes) -> bytes:
    """Where info/exclude lies: `git` itself; for a linked work tree (a file that names a folder), what that shares."""
    if os.path.isdir(git):
        return git
    where = _read(git).removeprefix(b"gitdir:").strip()
    folder = os.path.join(os.path.dirname(git), where)
    return os.path.join(folder, _read(os.path.join(folder, b"commondir")).strip())


def _user_excludes() -> Iterable[bytes]:
    """The user's own ignore file: ``core.excludesFile``, or git's default place."""
    home = os.path.expanduser(b"~")
    settings = os.environb.get(b"XDG_CONFIG_HOME") or os.path.join(home, b".config")
    given = b""
    for path in _git_configs(home, settings):
        given = _excludes_setting(_read(path)) or given
    if not given:
        return (os.path.join(settings, b"git/ignore"),)
    return (os.path.join(home, os.path.expanduser(given)),)


def _git_configs(home: bytes, settings: bytes) -> list[bytes]:
    """Git's configuration files, the strongest last."""
    system = [] if os.environb.get(b"GIT_CONFIG_NOSYSTEM") else [b"/etc/gitconfig"]
    only = os.environb.get(b"GIT_CONFIG_GLOBAL")
    if only is not None:
        return [*system, only]
    return [*system, os.path.join(settings, b"git/config"), os.path.join(home, b".gitconfig")]


def _excludes_setting(config: bytes) -> bytes:
    """The value of core.excludesFile in a configuration file; empty when it has none."""
    found, section = b"", b""
    for line in config.splitlines():
        text = line.strip()
        if text[:1] == b"[":
            section, _, text = text[1:].partition(b"]")
            text = text.strip()
        key, equals, value = text.partition(b"=")
        if equals and section.strip().lower() == b"core" and key.strip().lower() == b"excludesfile":
            found = value.strip().strip(b'"')
    return found


def _read(path: bytes) -> bytes:
    """The file's text; empty when it is not there, not readable, or not a file (a FIFO must not hold us up)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return b""
    with open(descriptor, "rb") as file:
        try:
            return file.read() if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
        except OSError:
            return b""
