"""File events by `watchfiles`: which names in the watched folders were touched.

Owns the library's watchers. Each folder is watched by itself, since a recursive watch would also count ignored folders
against the system's limit, and follow symlinks out of the tree. A watcher cannot be given more folders later, so new
folders get one of their own, which takes over those that are not much larger: there are never more than a few.

Always true: `folders` are watched; events of a watcher that is replaced are not lost. Threads: one.

What the library cannot do: it fails at the first event about a name that is not UTF-8 (`Unwatchable`: poll), and drops
the kernel's word that events were lost. `MANY` names at once are the only sign that there is.
"""

from __future__ import annotations

import importlib
import importlib.util
import os

from manyhands.search.errors import MissingExtraError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Iterator
    from typing import Any

    Touched = dict[bytes, int]  # path → CAME, WENT, or 0 if only its content or mode was touched

#: The name is new; the name is gone.
CAME, WENT = 1, 2

#: The kernel keeps 16,384 events until they are read, and a saved file makes four or five.
MANY = 2000

#: A save is many events: they are told when none came for so long, but not later than that. The library wakes up each
#: step to see whether there is anything, which costs under 1 % of a core.
_STEP_MS, _MOST_MS = 10, 50

#: A watcher is taken over by a new one that has at least one part in so many of its folders.
_MUCH_LARGER = 16

#: One folder that is gone spoils a watcher; others may go while it is made again without the first.
_TRIES = 20


class Unwatchable(Exception):
    """Events cannot be had; the text says why."""


class Events:
    """Watched folders. Ends its waits when `stop` is set."""

    def __init__(self, stop: threading.Event) -> None:
        self.folders: set[bytes] = set()
        self._stop = stop
        self._watchers: list[tuple[set[bytes], Iterator[set[Any]]]] = []
        self._touched: Touched = {}

    def watch(self, folders: Iterable[bytes]) -> set[bytes]:
        """Watch these, too; those among them that are gone or may not be read. Raises Unwatchable."""
        wanted, replaced = set(folders), []
        while self._watchers and len(self._watchers[-1][0]) <= _MUCH_LARGER * len(wanted):
            larger, events = self._watchers.pop()
            wanted |= larger
            replaced.append(events)
        try:
            refused = self._begin(wanted)
            for events in replaced:
                self._take(events)
        finally:
            for events in replaced:
                _end(events)
        self.folders = (self.folders | wanted) - refused
        return refused

    def forget(self, folder: bytes) -> None:
        """It is gone; the kernel has ended its watch itself."""
        self.folders.discard(folder)
        for folders, _ in self._watchers:
            folders.discard(folder)

    def read(self) -> Touched:
        """All that was touched since the last call; waits a few milliseconds for it. Raises Unwatchable."""
        for _, events in self._watchers:
            self._take(events)
        touched, self._touched = self._touched, {}
        return touched

    def close(self) -> None:
        """All watches end."""
        for _, events in self._watchers:
            _end(events)
        self._watchers.clear()

    def _begin(self, wanted: set[bytes]) -> set[bytes]:
        """A watcher for these; those that are gone or may not be read, which it did not take."""
        refused: set[bytes] = set()
        for _ in range(_TRIES):
            left = wanted - refused
            if not left:
                return refused
            events = _watcher([_text(folder) for folder in left], self._stop)
            try:
                self._take(events)
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                refused |= {folder for folder in left if not _is_readable(folder)}
            else:
                self._watchers.append((left, events))
                return refused
        raise Unwatchable("folders come and go too fast")

    def _take(self, events: Iterator[set[Any]]) -> None:
        """What one watcher has to say."""
        try:
            found = next(events, ())
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            raise
        except (OSError, RuntimeError) as error:
            raise Unwatchable(_reason(error)) from None
        for kind, path in found:
            name = os.fsencode(path)
            self._touched[name] = self._touched.get(name, 0) | _MEANING[kind]


#: The library's kinds: added, modified, deleted.
_MEANING = {1: CAME, 2: 0, 3: WENT}


def require() -> None:
    """Raise MissingExtraError when the library is not there; does not load it, which takes 80 ms."""
    if importlib.util.find_spec("watchfiles") is None:
        raise MissingExtraError("watching files", "watchfiles")


def _watcher(paths: list[str], stop: threading.Event) -> Iterator[set[Any]]:
    """Sets of events, an empty one when there are none. It begins with the first that is asked for."""
    watch = importlib.import_module("watchfiles").watch
    found: Iterator[set[Any]] = watch(
        *paths, watch_filter=None, debounce=_MOST_MS, step=_STEP_MS, rust_timeout=1, yield_on_timeout=True,
        stop_event=stop, force_polling=False, recursive=False, ignore_permission_denied=False, debug=False,
    )  # fmt: skip
    return found


def _end(events: Iterator[set[Any]]) -> None:
    """Close the generator: it owns a thread and an inotify descriptor."""
    events.close()  # type: ignore[attr-defined]


def _text(folder: bytes) -> str:
    try:
        return folder.decode()
    except UnicodeDecodeError:
        raise Unwatchable("a folder's name is not UTF-8, and watchfiles takes no other") from None


def _is_readable(folder: bytes) -> bool:
    return os.path.isdir(folder) and os.access(folder, os.R_OK)


def _reason(error: Exception) -> str:
    text = str(error)
    if "decode path" in text:
        return "a name is not UTF-8, and watchfiles takes no other"
    if "watch limit" in text or "MaxFilesWatch" in text:
        return "fs.inotify.max_user_watches is reached"
    if "os error 24" in text:
        return "fs.inotify.max_user_instances is reached, or no descriptor is left"
    return text
