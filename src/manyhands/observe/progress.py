"""How far a map has come, shown to whoever waits for it. Part of the observe room; a bar is drawn by tqdm.

What is shown depends on who looks: a live bar on a terminal, a widget in a notebook, whole lines in a log, the
numbers alone to a function of the user's, or nothing. The caller drives all of them by the same three calls.

Always true:

1. What cannot be shown is not shown, and the work goes on: a stream that is missing, closed or broken ends the
   showing. Two errors come out of here: `UsageError` at the opening, and what a user's function raises.
2. No thread is started: what is shown changes only while somebody calls.
3. No user's function is called under a lock.
4. Only the process that opened it shows the end; a forked copy is silent.

Locks are re-entrant, because a collection of garbage in the middle of a call may close the same progress.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping

from manyhands.errors import UsageError

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    from typing import Any, Protocol, TypeAlias
else:
    Protocol = object

#: At least so many seconds lie between two lines, and between two calls of a user's function.
LINE_EVERY_S, CALL_EVERY_S = 10.0, 0.1

#: What ``progress=`` of a map takes.
Wish: TypeAlias = "bool | str | Mapping[str, Any] | Callable[[int, int | None], object] | None"


class Progress(Protocol):
    """What drives a bar. *Threads: any. Processes: the one that opened it.* Nothing here raises, see 1 above."""

    def total(self, n: int | None) -> None:
        """From now on there are `n` items in all; None when nobody knows."""

    def advance(self, n: int = 1) -> None:
        """`n` more items are done. Cheap: most calls add a number and look at the clock."""

    def close(self) -> None:
        """Show the last state and let go of the stream; what comes later does nothing. Idempotent."""


def open_progress(
    progress: Wish,
    total: int | None,
    unit: str = "item",
    file: Any = None,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Progress:
    """Begin to show the progress of `total` items (None: unknown), each called a `unit`, on `file` or stderr.

    `progress` is None or False (show nothing), True, a description, a dict of tqdm's keyword arguments, or a
    function, which is called with the numbers done and total: at most ten times a second, and at the end. What
    that function raises comes out of ``advance`` or ``close``, and it is not called again.

    A dict may set a `total` of its own. Where lines are printed, they heed its ``desc``, ``unit``, ``initial``,
    ``leave``, ``disable``, ``file`` and a ``mininterval`` above ten seconds.

    Raises `UsageError` for anything else, and for what tqdm refuses. Warns once if only tqdm is missing for a bar.

    >>> shown = open_progress(lambda done, total: print(f"{done} of {total}"), total=3, clock=lambda: 0.0)
    >>> shown.advance(2)
    2 of 3
    >>> shown.advance()
    >>> shown.close()
    3 of 3
    """
    if progress is None or progress is False:
        return _Nothing()
    if progress is True:
        return _open_stream({}, total, unit, file, clock)
    if isinstance(progress, str):
        return _open_stream({"desc": progress}, total, unit, file, clock)
    if isinstance(progress, Mapping):
        return _open_stream(progress, total, unit, file, clock)
    if callable(progress):
        return _Calls(progress, total, clock)
    raise UsageError(
        "progress must be True, False, None, a description (str), a dict of tqdm's keyword arguments, or a function"
        f" of the two numbers done and total, not {progress!r}"
    )


def _open_stream(
    wanted: Mapping[str, Any], total: int | None, unit: str, file: Any, clock: Callable[[], float]
) -> Progress:
    """A bar, or lines, or nothing: what the stream can show."""
    options = {"total": total, "unit": unit, "file": file, "disable": _is_disabled(), **wanted}
    notebook = options["file"] is None and _in_notebook()
    stream = sys.stderr if options["file"] is None else options["file"]
    live = notebook or _is_terminal(stream)
    disable = options["disable"]
    if disable or (disable is None and not live):  # None is tqdm's word for "only on a terminal"
        return _Nothing()
    if not notebook and (stream is None or getattr(stream, "closed", False)):
        return _Nothing()
    base = _tqdm(notebook) if live else None
    try:
        if base is None:
            return _Lines(options, stream, clock)
        return _Bar(base, options if notebook else {**_size(stream), **options, "file": stream})
    except (OSError, UnicodeError):
        return _Nothing()  # the stream is broken
    except Exception as error:  # tqdm checks little, so nearly anything can come of a wrong argument
        raise UsageError(
            f"progress={dict(wanted)!r} holds something that tqdm does not take: {error}"
        ) from error


def _is_disabled() -> bool:
    """tqdm's own switch, which shall work for lines too."""
    return bool(os.environ.get("TQDM_DISABLE"))


def _in_notebook() -> bool:
    """Is there a page to draw on? The signs are those that tqdm.autonotebook looks for."""
    return "ipykernel.zmqshell" in sys.modules or "IPython.utils._process_emscripten" in sys.modules


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError, OSError):  # no stream, a closed one, or one that broke
        return False


def _size(stream: Any) -> dict[str, int]:
    """A usual size for a terminal that does not know its own: tqdm would believe its 0 lines and draw nothing."""
    try:
        size = os.get_terminal_size(stream.fileno())
    except (AttributeError, ValueError, OSError):
        return {}
    return {} if size.columns and size.lines else {"ncols": 79, "nrows": 23}


def _tqdm(notebook: bool) -> Any:
    """tqdm's class for here; None, and a warning, when there is none."""
    try:
        import tqdm

        if not notebook:
            return tqdm.tqdm  # tqdm.auto would give the same after an import of asyncio
        from tqdm.auto import tqdm as chosen
    except ImportError:
        _say_that_tqdm_is_missing()
        return None
    return chosen


@functools.cache
def _say_that_tqdm_is_missing() -> None:
    text = "tqdm is not installed, so progress is shown in lines; `pip install 'manyhands[progress]'` gives a bar"
    warnings.warn(text, RuntimeWarning, stacklevel=5)


class _Nothing:
    """Shows nothing."""

    def total(self, n: int | None) -> None:
        pass

    def advance(self, n: int = 1) -> None:
        pass

    def close(self) -> None:
        pass


class _Bar:
    """A live bar of tqdm's, which has no lock for its numbers."""

    def __init__(self, base: Any, options: Mapping[str, Any]) -> None:
        # With miniters 0, time alone decides when to draw. tqdm's own guess of how many items pass between two
        # drawings would need its monitor thread to notice that they have become slow.
        self._bar = _bar_class(base)(**{"miniters": 0, **options})
        self._pid = os.getpid()
        self._lock = threading.RLock()

    def total(self, n: int | None) -> None:
        with self._lock:
            if n != self._bar.total:
                self._draw(_set_total, self._bar, n)

    def advance(self, n: int = 1) -> None:
        with self._lock:
            self._draw(self._bar.update, n)

    def close(self) -> None:
        if os.getpid() == self._pid:
            with self._lock:
                self._draw(self._bar.close)

    def _draw(self, how: Callable[..., object], *args: object) -> None:
        try:
            how(*args)
        except Exception:  # the stream has broken; hours of work must not end for that
            self._bar.disable = True


def _bar_class(base: Any) -> Any:
    """tqdm's class without its thread, its semaphore, and its lock that is lost when drawing fails.

    Made anew for each bar: which lock is right depends on what the program has told tqdm by then.
    """
    from tqdm.std import TqdmDefaultWriteLock

    owner, getpid = os.getpid(), os.getpid

    class Bar(base):  # type: ignore[misc]
        monitor_interval = 0
        # tqdm's default lock would bring in multiprocessing, whose semaphores may start a process. The part of
        # it that is for threads is enough, and excludes bars of the program's own as well.
        _lock = getattr(base, "_lock", TqdmDefaultWriteLock.th_lock)

        def __init__(self, **options: Any) -> None:
            try:
                super().__init__(**options)
            except BaseException:
                self.disable = True  # or its __del__ draws, and fails, once more
                raise

        def refresh(self, nolock: bool = False, lock_args: Any = None) -> Any:
            if nolock or lock_args:
                return super().refresh(nolock=nolock, lock_args=lock_args)
            with self._lock:  # tqdm keeps it when an error or Ctrl-C leaves a drawing
                return super().refresh(nolock=True)

        def __del__(self) -> None:
            if getpid() == owner:
                super().__del__()

    return Bar


def _set_total(bar: Any, n: int | None) -> None:
    if n is not None and hasattr(bar, "container"):
        # A widget has a copy of the total, which only reset changes.
        done, start = bar.n, bar.start_t
        bar.reset(n)
        bar.n, bar.start_t = done, start
    bar.total = n
    bar.refresh()


class _Lines:
    """Whole lines for a log: one every now and then, and one at the end."""

    def __init__(self, options: Mapping[str, Any], stream: Any, clock: Callable[[], float]) -> None:
        self._stream, self._clock = stream, clock
        self._before = f"{options['desc']}: " if options.get("desc") else ""
        self._unit = str(options["unit"]).strip()
        self._leave = options.get("leave", True) is not False
        self._interval_s = max(LINE_EVERY_S, options.get("mininterval") or 0)
        self._total = None if options["total"] in (None, float("inf")) else int(options["total"])
        self._first = self._done = int(options.get("initial") or 0)
        self._start = clock()
        self._due = self._start + self._interval_s
        self._open = True
        self._pid = os.getpid()
        self._lock = threading.RLock()

    def total(self, n: int | None) -> None:
        with self._lock:
            self._total = n

    def advance(self, n: int = 1) -> None:
        with self._lock:
            self._done += n
            now = self._clock()
            if self._open and now >= self._due:
                self._due = now + self._interval_s
                self._print(now, end=False)

    def close(self) -> None:
        if os.getpid() != self._pid:
            return
        with self._lock:
            if self._open and self._leave:
                self._print(self._clock(), end=True)
            self._open = False

    def _print(self, now: float, end: bool) -> None:
        here = self._done - self._first
        text = _line(self._done, self._total, now - self._start, here=here, unit=self._unit, end=end)
        try:
            self._stream.write(f"{self._before}{text}\n")
            self._stream.flush()
        except Exception:  # the stream has broken; hours of work must not end for that
            self._open = False


def _line(done: int, total: int | None, elapsed_s: float, *, here: int, unit: str, end: bool) -> str:
    """Where it stands, `here` of it having been done in the time.

    >>> _line(1200, 10_000, 20.0, here=1200, unit="img", end=False)
    '1200 of 10000 (12%) in 20 s, 60.0 img/s, 2 min 26 s left'
    """
    text = str(done) if total is None else f"{done} of {total}"
    if total:
        text += f" ({done * 100 // total}%)"
    text += f" in {_duration(elapsed_s)}"
    if here > 0 and elapsed_s > 0:
        rate = here / elapsed_s
        text += f", {rate:.1f} {unit}/s" if rate >= 1 else f", {1 / rate:.1f} s/{unit}"
        if not end and total is not None and total >= done:
            text += f", {_duration((total - done) / rate)} left"
    return text


def _duration(seconds: float) -> str:
    """Two figures of it at most.

    >>> [_duration(s) for s in (0.25, 42.4, 146.7, 11_000)]
    ['0.2 s', '42 s', '2 min 26 s', '3 h 3 min']
    """
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{int(seconds)} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


class _Calls:
    """Calls a function with the numbers done and total.

    One thread at a time is in that function, without a lock. Whoever comes meanwhile does not wait: advancing
    only adds up, and closing leaves the last call to the thread that is there.
    """

    def __init__(
        self,
        function: Callable[[int, int | None], object],
        total: int | None,
        clock: Callable[[], float],
    ) -> None:
        self._function, self._clock = function, clock
        self._done, self._total = 0, total
        self._due = clock()
        self._busy = False  # is a thread in the function?
        self._open = True
        self._pid = os.getpid()
        self._lock = threading.RLock()

    def total(self, n: int | None) -> None:
        with self._lock:
            self._total = n

    def advance(self, n: int = 1) -> None:
        with self._lock:
            if not self._open:
                return
            self._done += n
            now = self._clock()
            if self._busy or now < self._due:
                return
            self._due = now + CALL_EVERY_S
            self._busy = True
        self._call()

    def close(self) -> None:
        if os.getpid() != self._pid:
            return
        with self._lock:
            if not self._open:
                return
            self._open = False
            if self._busy:
                return
            self._busy = True
        self._call()

    def _call(self) -> None:
        """Call the function, and again if it has been closed meanwhile."""
        is_last = False
        while not is_last:
            with self._lock:
                done, total, is_last = self._done, self._total, not self._open
            self._function(done, total)  # when it raises it stays busy, and so is never called again
            with self._lock:
                if self._open or is_last:
                    self._busy = False
                    return
