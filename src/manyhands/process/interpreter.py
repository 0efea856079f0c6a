"""A fresh Python beside this one: the template server, or a spawned child. Part of the process room.

Owns the command line and the descriptors of the new interpreter. It gets one thing only: a Unix socket as its
descriptor 0, over which everything else comes (`manyhands.process.parcel`). ``subprocess`` is not used,
because importing it costs as much as half the start.

Always true:

1. The new interpreter runs with the same flags (-O, -W, -X, -I, …), environment and ``sys.path`` as this one
   has now.
2. It inherits descriptors 0, 1 and 2 and no other.
3. SIGINT is blocked until the new interpreter says how it wants it (`unblock_signals`), so Ctrl-C during its
   first milliseconds prints no traceback. SIGCHLD is back at its default.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import types

from manyhands.errors import StartError

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    import signal
    import socket
else:  # without the enums of their wrappers, which cost a first start a millisecond each
    import _signal as signal
    import _socket as socket

#: What it runs. Its garbage collector rests until `settled`: there is nothing to collect among imports.
_CODE = (
    "from gc import disable; disable(); from sys import argv, path; path[:] = argv[2:]; "
    "from {module} import main; main()"
)

_FLAGS = {
    "debug": "d",
    "dont_write_bytecode": "B",
    "no_site": "S",
    "verbose": "v",
    "bytes_warning": "b",
    "quiet": "q",
    "optimize": "O",
}

#: Options of -X that have no trace in `sys.flags` but must be passed on.
_X_OPTIONS = (
    *("faulthandler", "tracemalloc", "importtime", "frozen_modules", "showrefcount", "utf8", "dev", "gil"),
    *("no_debug_ranges", "int_max_str_digits", "cpu_count"),
)

_executable: str | None = None


def set_executable(path: str | os.PathLike[str]) -> None:
    """Start children with the Python at `path` instead of ``sys.executable``."""
    global _executable
    _executable = os.fspath(path)


def start(module: str, title: str, sock: socket.socket) -> int:
    """Start an interpreter that runs ``module.main()`` with `sock` as descriptor 0; return its pid.

    Raises `StartError` when there is no interpreter to start, and OSError when the system refuses.
    """
    executable = _executable or sys.executable
    if not executable:
        raise StartError(
            "sys.executable is empty (Python is embedded?); name a Python by process.set_executable()"
        )
    argv = [executable, *flags(), "-c", _CODE.format(module=module), title, *search_path()]
    actions = [(os.POSIX_SPAWN_DUP2, sock.fileno(), 0)]
    actions += [(os.POSIX_SPAWN_CLOSE, fd) for fd in _inheritable()]  # type: ignore[misc]
    try:
        return os.posix_spawn(
            executable, argv, os.environ, file_actions=actions,
            setsigmask=[signal.SIGINT], setsigdef=[signal.SIGCHLD],
        )  # fmt: skip
    except (FileNotFoundError, PermissionError) as error:
        raise StartError(f"cannot run the Python interpreter {executable}: {error.strerror}") from error


def settled() -> None:
    """In the new interpreter: all is imported, the collector may look at what comes from now on."""
    gc.freeze()
    gc.enable()


def fresh_main() -> None:
    """An empty ``__main__`` in place of the start code."""
    sys.modules["__main__"] = types.ModuleType("__main__")


def unblock_signals() -> None:
    """In the new interpreter: take SIGINT and all the rest again."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def search_path() -> list[str]:
    """``sys.path`` of now, and at its end the folder of this package should it not be found there."""
    path = [entry for entry in sys.path if isinstance(entry, str)]
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return path if root in path else [*path, root]


def flags() -> list[str]:
    """The options that make another interpreter behave as this one was told to."""
    given = sys.flags
    found = [
        "-" + letter * int(getattr(given, name)) for name, letter in _FLAGS.items() if getattr(given, name)
    ]
    if given.isolated:
        found.append("-I")
    else:
        found += ["-E"] * bool(given.ignore_environment) + ["-s"] * bool(given.no_user_site)
        found += ["-P"] * bool(given.safe_path)
    found += [f"-W{option}" for option in _warn_options()]
    for name in _X_OPTIONS:
        value = sys._xoptions.get(name)
        found += [] if value is None else ["-X", name if value is True else f"{name}={value}"]
    return found


def _warn_options() -> list[str]:
    """-W options, without those that -X dev and -b put there by themselves."""
    options = list(sys.warnoptions)
    implied = ["default"] * bool(sys.flags.dev_mode)
    if sys.flags.bytes_warning:
        implied.append("error::BytesWarning" if sys.flags.bytes_warning > 1 else "default::BytesWarning")
    for option in implied:
        with contextlib.suppress(ValueError):
            options.remove(option)
    return options


def _inheritable() -> list[int]:
    """The descriptors above 2 that an exec would leave open."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # closed meanwhile, such as the one listdir itself used
            if int(name) > 2 and os.get_inheritable(int(name)):
                found.append(int(name))
    return found
