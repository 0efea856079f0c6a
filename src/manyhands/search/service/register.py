"""The user's runtime folder: which trees are served, by whom, and on which socket. The standard library alone.

A service claims the roots of its tree: ``NAME.tree`` says who serves them, ``NAME.socket`` is where it listens, and
NAME is a hash of their real paths. The text is ``key value`` a line, values percent-encoded; its last line is ``end``.

Always true:

1. The folder belongs to the user, and nobody else may look into it; any other is refused.
2. Who holds the lock (`flock`) of ``NAME.tree`` serves it. The system lets go of the lock when the process ends,
   whatever ends it; a file without a lock is a dead one's, and the next service takes it over.
3. A text without its ``end`` is one that is being written, and nobody's.
4. The socket is removed before ``NAME.tree`` is, and that under the lock: so nobody removes a successor's.

Threads: any; a `Claim` one at a time. Processes: any.
"""

from __future__ import annotations

import os
import stat

from manyhands.errors import ManyhandsError, UsageError
from manyhands.search.service.percent import quoted, unquoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]
    Said = tuple[tuple[str, str], ...]

FORMAT = "1"

#: What a socket's address has room for (Linux: ``sockaddr_un.sun_path``, with a NUL behind it).
SOCKET_PATH_BYTES_MOST = 107

_TREE, _SOCKET = b".tree", b".socket"

#: A text is short; whatever is longer is no text of ours.
_TEXT_BYTES_MOST = 1 << 20


class AlreadyServedError(ManyhandsError):
    """Another service holds the same tree. `roots` are its roots; `pid` is its process and `url` where it answers, or
    0 and "" when it has just begun, and has not said so yet."""

    def __init__(self, roots: tuple[bytes, ...], pid: int, url: str) -> None:
        super().__init__(roots, pid, url)
        self.roots, self.pid, self.url = roots, pid, url

    def __str__(self) -> str:
        roots = ", ".join(map(os.fsdecode, self.roots))
        who = f"process {self.pid}" if self.pid else "another process, which has just begun"
        where = f", at {self.url}" if self.url else ""
        return f"{roots} is served already by {who}{where}: use that service, or end it first"


class Served:
    """What a ``NAME.tree`` says. `roots` are real paths; `said` are the filters that differ from the defaults; `url` is
    empty when it listens on the socket alone."""

    __slots__ = ("_at", "is_ready", "pid", "roots", "said", "socket_path", "url")

    def __init__(self, facts: dict[str, list[str]]) -> None:
        """Raises ValueError, LookupError when something is not there or makes no sense."""
        if facts["format"] != [FORMAT]:
            raise ValueError(f"it is of format {facts['format']}")
        self.pid = int(facts["pid"][0])
        self.socket_path = unquoted(facts["socket"][0])
        self.url = os.fsdecode(unquoted(facts.get("url", [""])[0]))
        self.roots = tuple(map(unquoted, facts["root"]))
        self._at = dict(zip(self.roots, facts["at"], strict=True))
        pairs = (one.partition("=") for one in facts.get("filter", []))
        self.said: Said = tuple((name, os.fsdecode(unquoted(value))) for name, _, value in pairs)
        self.is_ready = facts["ready"] == ["1"]

    def is_here(self, root: bytes) -> bool:
        """Is that root the same folder or file for this process? In a container another may have its path."""
        return self._at[root] == _place(root)

    def __repr__(self) -> str:
        return f"<Served: {', '.join(map(os.fsdecode, self.roots))} by {self.pid}>"


# ---- the folder ----


def folder_path() -> bytes:
    """Where the folder is, or would be."""
    runtime = os.environb.get(b"XDG_RUNTIME_DIR", b"")
    if not os.path.isabs(runtime):  # the standard says that others are to be ignored
        runtime = b"/run/user/%d" % os.getuid()
        if not os.path.isdir(runtime):
            return b"/tmp/manyhands-%d" % os.getuid()
    return os.path.join(runtime, b"manyhands")


def folder() -> bytes:
    """The folder, made when it is not there. Raises UsageError when it cannot be, or is not the user's alone."""
    path = folder_path()
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    except OSError as error:
        shown = os.fsdecode(path)
        raise UsageError(
            f"the runtime folder {shown} cannot be made: {error.strerror}; set XDG_RUNTIME_DIR to a folder of yours"
        ) from None
    trouble = _trouble_with(path)
    if trouble:
        raise UsageError(f"the runtime folder {os.fsdecode(path)} {trouble}")
    return path


def _trouble_with(path: bytes) -> str:
    """What is wrong with a runtime folder, and what to do; empty when nothing is."""
    try:
        status = os.lstat(path)
    except OSError as error:
        return f"cannot be looked at: {error.strerror}"
    if not stat.S_ISDIR(status.st_mode):
        return "is no folder: remove it"
    if status.st_uid != os.getuid():
        return f"belongs to user {status.st_uid}, and not to you: set XDG_RUNTIME_DIR to a folder of yours"
    if stat.S_IMODE(status.st_mode) & 0o077:
        return f"may be used by others (mode {stat.S_IMODE(status.st_mode):04o}): chmod 700 it, or remove it"
    return ""


# ---- readers ----


def served() -> list[Served]:
    """The trees that somebody says to serve, and is ready to; none from a folder that is not the user's alone.

    The dead ones' are among them: a connect to their sockets is refused.
    """
    path = folder_path()
    try:
        names = sorted(os.listdir(path))
    except OSError:
        return []
    if _trouble_with(path):
        return []
    texts = [_read_file(os.path.join(path, name)) for name in names if name.endswith(_TREE)]
    return [one for one in map(read_text, texts) if one is not None and one.is_ready]


def read_text(text: bytes) -> Served | None:
    """What a text says; None when it is not whole, or makes no sense."""
    lines = text.decode("ascii", "replace").split("\n")
    if lines[-2:] != ["end", ""]:
        return None
    facts: dict[str, list[str]] = {}
    for line in lines[:-2]:
        key, _, value = line.partition(" ")
        facts.setdefault(key, []).append(value)
    try:
        return Served(facts)
    except (ValueError, LookupError):
        return None


def _read_file(path: bytes) -> bytes:
    """The whole text; nothing when it is gone."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        return os.pread(fd, _TEXT_BYTES_MOST, 0)
    except OSError:
        return b""
    finally:
        os.close(fd)


def _place(root: bytes) -> str:
    """Which folder or file it is, whatever its path."""
    try:
        status = os.stat(root)
    except OSError:  # whoever opens it will say so
        return "-"
    return f"{status.st_dev}:{status.st_ino}"


def said_by(filters: Mapping[str, Any]) -> Said:
    """Filters as a text says them: a (name, value) each that is not the default, one for each value of a list.

    >>> said_by({"ignore": True, "hidden": True, "globs": ["!b", "!a"], "max_file_bytes": None})
    (('globs', '!b'), ('globs', '!a'), ('hidden', 'true'))
    """
    said: list[tuple[str, str]] = []
    for name in sorted(filters):
        value = filters[name]
        if isinstance(value, (list, tuple)):
            said += [(name, str(one)) for one in value]
        elif value is not None and value is not (name == "ignore"):
            said.append((name, str(value).lower() if isinstance(value, bool) else str(value)))
    return tuple(said)


# ---- the service ----


def claim(roots: Sequence[Path], filters: Mapping[str, Any]) -> Claim:
    """Take the right to serve these roots. Raises `AlreadyServedError`; UsageError when there is no folder for it.

    `filters` are the options of `manyhands.search.open` that say which files; what is left out has its default.
    """
    real = tuple(sorted({os.path.realpath(os.fsencode(root)) for root in roots}))
    base = os.path.join(folder(), _name_of(real))
    tree_path, socket_path = base + _TREE, base + _SOCKET
    if len(socket_path) > SOCKET_PATH_BYTES_MOST:
        raise UsageError(
            f"{os.fsdecode(socket_path)!r} is too long for a socket: it has {len(socket_path)} bytes, and the most is "
            f"{SOCKET_PATH_BYTES_MOST}; set XDG_RUNTIME_DIR to a shorter path"
        )
    return Claim(_lock(tree_path, real), tree_path, socket_path, real, said_by(filters))


def _name_of(real: Sequence[bytes]) -> bytes:
    import hashlib

    return hashlib.blake2b(b"\0".join(real), digest_size=12).hexdigest().encode()


def _lock(path: bytes, roots: tuple[bytes, ...]) -> int:
    """A descriptor that holds the lock of the file that is there by that name."""
    import fcntl  # readers need not wait for it

    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            who = read_text(_read_file(path))
            raise AlreadyServedError(roots, who.pid if who else 0, who.url if who else "") from None
        except BaseException:
            os.close(fd)
            raise
        if _is_there(fd, path):
            return fd
        os.close(fd)  # its last holder has removed it between our two calls: there may be a new one


def _is_there(fd: int, path: bytes) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


class Claim:
    """The right to serve a tree, until `close` or the end of the process. `socket_path`: where to listen."""

    def __init__(
        self, fd: int, tree_path: bytes, socket_path: bytes, roots: tuple[bytes, ...], said: Said
    ) -> None:
        self._fd, self._tree_path = fd, tree_path
        self.socket_path, self.roots, self.said = os.fsdecode(socket_path), roots, said
        try:
            self._remove(socket_path)  # a dead one's
            self._write(url="", ready=False)
        except OSError as error:
            self.close()
            raise UsageError(f"{os.fsdecode(tree_path)} cannot be written: {error.strerror}") from None
        except BaseException:
            self.close()
            raise

    def publish(self, url: str = "") -> None:
        """Tell everybody that the socket answers, and where else, if anywhere."""
        if self._fd < 0:
            raise UsageError("this claim was closed: there is nothing to publish")
        self._write(url, ready=True)

    def close(self) -> None:
        """Remove both files and let go. Doing it twice is harmless."""
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        try:
            self._remove(os.fsencode(self.socket_path))
            if _is_there(fd, self._tree_path):
                self._remove(self._tree_path)
        finally:
            os.close(fd)

    def _write(self, url: str, ready: bool) -> None:
        """In place, because the lock is the file's. Nobody takes the part that is there meanwhile for the whole."""
        lines = [f"format {FORMAT}", f"pid {os.getpid()}", f"socket {quoted(os.fsencode(self.socket_path))}"]
        lines += [f"url {quoted(os.fsencode(url))}"] if url else []
        lines += [f"root {quoted(root)}" for root in self.roots]
        lines += [f"at {_place(root)}" for root in self.roots]
        lines += [f"filter {name}={quoted(os.fsencode(value))}" for name, value in self.said]
        text = "\n".join([*lines, f"ready {ready:d}", "end", ""]).encode("ascii")
        os.ftruncate(self._fd, 0)
        at = 0
        while at < len(text):
            at += os.pwrite(self._fd, text[at:], at)

    @staticmethod
    def _remove(path: bytes) -> None:
        try:
            os.unlink(path)
        except FileNotFoundError:
            return

    def __enter__(self) -> Claim:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
