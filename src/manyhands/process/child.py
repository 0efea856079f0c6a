"""What runs in a child, from its first instruction to its exit. Part of the process room.

Driven by the start methods: `live_from_parcel` (template, spawn) and `live_forked` (fork). The order is
always: streams, liveness, gate, signals, world (payload), target, exception report, the child's own children and
threads, exit.

At its end a child runs the ``atexit`` functions that were registered in it (or in modules that the template
preloaded), terminates its daemon children, joins the others and its non-daemon threads, flushes, and leaves
by ``os._exit``: the interpreter is not torn down. A forked child does not run ``atexit`` functions that it
has from its owner.

Always true:

1. A child never returns into the code that started it.
2. Each exception is printed on stderr, as multiprocessing prints it, and left for the owner (`report`),
   before the child waits for anything. A KeyboardInterrupt is printed in one line.
3. No two children have the same random numbers.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable, Sequence

from manyhands.descriptors import Luggage
from manyhands.process import extras, family, handle, interpreter, launcher, liveness, parcel, payload, report

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    import signal
    from typing import NoReturn

    from manyhands.process.handle import Process
    from manyhands.process.outfit import Files
else:  # without the enums of their wrappers, which cost a first start a millisecond each
    import _signal as signal


class Unwanted(BaseException):
    """The owner gave this start up: leave without a word."""


def live_from_parcel(descriptors: Sequence[int], sigint_ignored: bool) -> NoReturn:
    """Be the child that the parcel describes: payload, liveness pipe, stdout, stderr, luggage."""
    file, live, gate, out, err, *luggage = descriptors
    _streams(out, err)
    sentinel = liveness.arm(live)
    os.close(live)

    def prepare() -> Process:
        _pass(gate)
        head = payload.read_setting(file)
        _take_signals(sigint_ignored or head.ignores_sigint)
        return _from_payload(file, head, sentinel, luggage)

    _live(prepare, file, same_main=False)


def live_forked(
    process: Process, owner: tuple[str, int], files: Files, live: int, mask: set[signal.Signals]
) -> NoReturn:
    """Be `process` in a plain fork of its owner, which held all signals and had `mask` before."""
    try:
        sentinel = liveness.arm(live)
        os.close(live)
        files.close_owners_end()
    except BaseException:
        os._exit(1)

    def prepare() -> Process:
        signal.set_wakeup_fd(-1)
        if process.ignores_sigint:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _pass(files.gate)
        atexit._clear()  # the owner's own: they are for its exit
        _no_stdin()
        family.enter(owner, sentinel)
        _reseed()
        extras.run_child_hooks()
        return process

    _live(prepare, files.file, same_main=True)


def _live(prepare: Callable[[], Process], report_fd: int, same_main: bool) -> NoReturn:
    """Run to the end and leave."""
    code = 1
    try:
        code = _run(prepare, report_fd, same_main)
        code = _finish(code)
    finally:  # whatever happens, and KeyboardInterrupt may anywhere: not back into the caller
        os._exit(code & 0xFF)


def _run(prepare: Callable[[], Process], report_fd: int, same_main: bool) -> int:
    name, code, failure = "a starting process", 0, None
    try:
        process = prepare()
        name = process.name
        family.become(process)
        process.run()
    except Unwanted:
        os._exit(0)
    except SystemExit as error:
        code = _exit_code(error)
    except BaseException as error:
        code, failure = 1, _print_and_describe(name, error, same_main)
    report.write(report_fd, code & 0xFF, failure)
    return code


def _from_payload(file: int, head: payload.Setting, sentinel: int, luggage: list[int]) -> Process:
    """Make the world as the owner's was, then the process object."""
    payload.apply(head)
    family.enter(head.owner, sentinel)
    handle.authkey(head.authkey)
    launcher.set_start_method(head.start_method, force=True)
    _reseed()
    extras.unpack(head.taken, head.hooks, Luggage(luggage))
    process: Process = payload.read_process(file, head, Luggage(luggage))
    parcel.close(luggage)
    return process


def _pass(gate: int) -> None:
    """Wait until the owner holds our handle and says go."""
    word = os.read(gate, 1)
    os.close(gate)
    if not word:
        raise Unwanted


def _finish(code: int) -> int:
    """Wait for our own children and threads, run exit functions, flush."""
    for step in (family.end_children, _join_threads, _exit_functions, _flush):
        try:
            step()
        except SystemExit as error:
            code = _exit_code(error)
        except BaseException as error:
            _print(family.current_process().name, error)
            code = code or 1
    return code


def _exit_code(error: SystemExit) -> int:
    """What ``sys.exit(x)`` means, exactly as in multiprocessing."""
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code
    print(error.code, file=sys.stderr)  # noqa: T201
    return 1


def _print_and_describe(name: str, error: BaseException, same_main: bool) -> report.Failure:
    import traceback

    text = "".join(traceback.format_exception(error))
    _print(name, error)
    return report.describe(error, text, same_main)


def _print(name: str, error: BaseException) -> None:
    import traceback

    brief = isinstance(error, KeyboardInterrupt)
    text = "KeyboardInterrupt\n" if brief else "\n" + "".join(traceback.format_exception(error))
    if sys.stderr is not None:
        sys.stderr.write(f"Process {name}: {text}" if brief else f"Process {name}:{text}")
        sys.stderr.flush()


def _join_threads() -> None:
    """Join the non-daemon threads. ``threading._shutdown`` is what multiprocessing calls too: it alone also
    wakes the idle threads of a ThreadPoolExecutor."""
    shutdown: Callable[[], None] | None = getattr(threading, "_shutdown", None)
    if shutdown is not None:
        shutdown()


def _exit_functions() -> None:
    atexit.unregister(family._at_exit)  # its work is done; a server of our own dies with us
    atexit._run_exitfuncs()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def _take_signals(sigint_ignored: bool) -> None:
    """SIGINT as every Python has it, unless the process ignores it or the owner was started with it ignored (``&``
    in a script). It was blocked until now, so that one that came meanwhile is neither lost nor told of twice."""
    signal.signal(signal.SIGINT, signal.SIG_IGN if sigint_ignored else signal.default_int_handler)
    interpreter.unblock_signals()


def _streams(out: int, err: int) -> None:
    """Descriptors 1 and 2 as the owner's are now, and 0 from nowhere."""
    os.dup2(out, 1)
    os.dup2(err, 2)
    parcel.close([out, err])
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False, buffering=1)
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(line_buffering=os.isatty(1))
    _no_stdin()


def _no_stdin() -> None:
    """A child reads nothing from its owner's terminal."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    if null != 0:
        os.close(null)
    sys.stdin = os.fdopen(0, closefd=False)


def _reseed() -> None:
    """Own random numbers for this child. The standard ``random`` does so by itself after a fork."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
