"""Watcher: tells which files of a tree have changed since.

Owns one thread and, while it runs, what it waits on. The kernel names the folders to look at (`events`, `tracker`);
where it cannot, the tree is walked again from time to time (`polling`), and `state` says so.

Always true: what is told is what `walk` would give, or gave before; `close` ends the thread within milliseconds. All
callbacks run in the watcher's thread, none under a lock.
"""

from __future__ import annotations

import threading
import time
import weakref

from manyhands.errors import UsageError
from manyhands.search.corpus.changes import CHANGED, DELETED, NEW, Change
from manyhands.search.corpus.events import Unwatchable, require
from manyhands.search.corpus.filters import Filters
from manyhands.search.corpus.polling import Poller
from manyhands.search.corpus.roots import read_roots
from manyhands.search.corpus.tracker import Tracker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from manyhands.search.corpus.roots import Path, Root

__all__ = ("CHANGED", "Change", "DELETED", "NEW", "Watcher")

#: How long a program that ends waits for a callback.
_PATIENCE_AT_EXIT_S = 1.0

#: Polling costs at most one part in so many of a core.
_POLL_SHARE = 10


class Watcher:
    """Watches `roots` with the same filters as `walk`.

    - ``on_change(changes)`` gets a list of `Change` some 20 milliseconds after a save. A rename is a deletion and a new
      file; a new folder tells every file in it; a deleted folder is one `Change` for the folder. DELETED may name a
      path that was never given. What a followed symlink leads to is told by its own path.
    - ``on_rewalk()`` means: walk again and compare; ignore rules have changed, so much has changed at once that events
      may be lost, or a root came back. Changes after it are told as usual. Rules outside of the roots (their parents',
      the user's) and .git/info/exclude are read, but not watched.

    To miss nothing, `wait_ready` first and then `walk`. A callback that raises ends the watching: `state` says so,
    `error` is it. `polling`: do not ask the kernel (on network file systems it does not see others' changes). It polls
    of itself when a limit of the kernel is reached, and from the first event about a name that is not UTF-8.

    Not seen: that the kernel lost events, if less than some 2,000 names were touched at once.

    Threads: any. Raises at once for a root that is not there, and MissingExtraError without `watchfiles`.
    """

    def __init__(
        self,
        roots: Sequence[Path],
        filters: Filters | None,
        on_change: Callable[[list[Change]], object],
        on_rewalk: Callable[[], object],
        *,
        polling: bool = False,
        poll_s: float = 1.0,
    ) -> None:
        if not poll_s > 0:
            raise UsageError(f"poll_s is {poll_s!r}; it must be a number of seconds above 0")
        if not polling:
            require()
        self.state = "starting"
        self.error: Exception | None = None
        self._roots, self._filters = read_roots(roots), filters or Filters()
        self._on_change, self._on_rewalk = on_change, on_rewalk
        self._why_polling = "as asked" if polling else ""
        self._poll_s = poll_s
        self._ready = threading.Event()
        self._stop = threading.Event()
        # `close` joins it; daemon, so that a program that ends without closing does not wait for ever. It is stopped
        # before the interpreter goes all the same: what ends a thread in the library's Rust code aborts the process.
        self._thread = threading.Thread(target=self._run, name="manyhands-watch", daemon=True)
        self._thread.start()
        self._at_exit = weakref.finalize(self, _stop_and_join, self._stop, self._thread)

    def wait_ready(self, timeout_s: float | None = None) -> bool:
        """Wait until it watches: from then on no change is missed. False: not within that time."""
        return self._ready.wait(timeout_s)

    def close(self) -> None:
        """End it and wait for its thread; a callback that runs is waited for. Again: nothing happens."""
        self._stop.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()
            self._at_exit.detach()

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        try:
            self._watch_or_poll()
            self.state = "closed"
        except Exception as error:
            self.error = error
            self.state = f"stopped by {type(error).__name__}: {error}"
        finally:
            self._ready.set()

    def _watch_or_poll(self) -> None:
        while not self._stop.is_set() and not self._why_polling:
            try:
                self._follow_events()
            except Unwatchable as reason:
                self._why_polling = str(reason)
        if not self._stop.is_set():
            self._poll()

    def _follow_events(self) -> None:
        """Watch until closed, or until it must begin anew."""
        tracker = Tracker(self._roots, self._filters, self._stop)
        try:
            if not tracker.root_is_gone:
                self._say_ready(f"watching {len(tracker):,} folders")
            while not tracker.root_is_gone and not tracker.is_stale:
                touched = tracker.read()
                if self._stop.is_set():
                    return
                changes = tracker.changes(touched) if touched else []
                if not tracker.is_stale:  # else a walk will tell more, and by the new rules
                    self._tell(changes)
        finally:
            tracker.close()
        if tracker.root_is_gone:
            self._wait_for_roots()

    def _say_ready(self, state: str) -> None:
        """Watching has begun; not for the first time: what happened meanwhile is not known."""
        self.state = state
        if self._ready.is_set():
            self._on_rewalk()
        self._ready.set()

    def _wait_for_roots(self) -> None:
        """A root went: tell it, and look from time to time whether it is back."""
        self._tell([Change(_name_of(root), DELETED) for root in self._roots if not root.exists()])
        self.state = "waiting for a root that is gone"
        self._ready.set()
        while not self._stop.is_set() and not all(root.exists() for root in self._roots):
            self._stop.wait(self._poll_s)

    def _poll(self) -> None:
        poller = Poller(self._roots, self._filters)
        self._say_ready(f"polling ({self._why_polling})")
        took_s = 0.0
        while not self._stop.wait(max(self._poll_s, _POLL_SHARE * took_s)):
            began = time.monotonic()
            self._tell(poller.changes())
            took_s = time.monotonic() - began

    def _tell(self, changes: list[Change]) -> None:
        if changes and not self._stop.is_set():
            self._on_change(changes)


def _name_of(root: Root) -> bytes:
    """A root as a path: what `shown` is without the slash at its end."""
    return root.shown.rstrip(b"/") or (b"." if not root.shown else b"/")


def _stop_and_join(stop: threading.Event, thread: threading.Thread) -> None:
    """What a program that ends without closing leaves to do."""
    stop.set()
    thread.join(_PATIENCE_AT_EXIT_S)
