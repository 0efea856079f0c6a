"""What a child must know before it can be the process that was meant. Part of the process room.

The owner writes it into a memfd (`make`); the template server passes the memfd on unread; the child reads it
in two steps, because the second needs the first: `read_setting` (folder, path, environment, …), then
`read_process`, the pickled Process.

Always true:

1. What cannot be pickled raises in the owner, before anything is started.
2. The child gives the payload's memory back as soon as it has read it.
"""

from __future__ import annotations

import _pickle as pickle  # the same objects, without the import of re
import contextlib
import os
import struct
import sys

from manyhands.descriptors import Luggage, packing, shipment, unpacking
from manyhands.process import extras, report
from manyhands.process.record import Record

TYPE_CHECKING = False  # see errors.py
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from manyhands.process.handle import Process

_SIZES = struct.Struct("=QQ")


class Setting(Record):
    """The world around the target, as it was in the owner when ``start()`` was called."""

    FIELDS = "owner authkey start_method folder umask path argv environ taken hooks loader ignores_sigint"

    owner: tuple[str, int]  # its name and pid
    authkey: bytes
    start_method: str | None  # the default one, when it was set by hand
    folder: str | None
    umask: int
    path: list[str]
    argv: list[str]
    environ: dict[str, str] | None  # None: what the server was started with
    taken: list[tuple[extras.Name, int]]
    hooks: list[extras.Name]
    loader: extras.Name  # how to rebuild the second part
    ignores_sigint: bool


def make(process: Process, head: Setting, luggage: Luggage) -> tuple[int, str]:
    """Write `head` and the pickled `process` into a new memfd; descriptors of the pickle go to `luggage`.

    Return the memfd and the modules that a template server should import before it forks, one a line.

    Raises `manyhands.errors.PicklingError` naming the part that cannot be pickled, OSError without
    descriptors.
    """
    with packing(luggage), shipment():
        body = extras.dump(process)
        head.loader = extras.loader(body)
        first = pickle.dumps(tuple(head))
        return _write(first, body), _needs([first, *body])


def _write(first: bytes, body: Sequence[Any]) -> int:
    """The memfd with both."""
    sizes = [memoryview(part).nbytes for part in body]
    fd = new_file()
    try:
        at = report.write_all(fd, _SIZES.pack(len(first), sum(sizes)) + first, 0)
        for part in body:
            at = report.write_all(fd, part, at)
    except BaseException:
        os.close(fd)
        raise
    return fd


_LOOK_AT = 64 << 10
_OURS = b"manyhands."
_NAME = frozenset(b"abcdefghijklmnopqrstuvwxyz_.")


def _needs(pickles: Sequence[Any]) -> str:
    """The modules that the child will import for sure and that start nothing: ours, and cloudpickle."""
    found = set()
    for part in pickles:
        text = bytes(memoryview(part).cast("B")[:_LOOK_AT])
        if b"cloudpickle" in text:
            found.add("cloudpickle")
        at = text.find(_OURS)
        while at >= 0:
            end = at
            while end < len(text) and text[end] in _NAME:
                end += 1
            found.add(text[at:end].decode())
            at = text.find(_OURS, end)
    return "\n".join(sorted(found))


def new_file() -> int:
    """An empty memfd for a payload, a report, or one after the other."""
    return os.memfd_create("manyhands-start", os.MFD_CLOEXEC)


def setting(
    start_method: str | None,
    authkey: bytes,
    name: str,
    environ: dict[str, str],
    luggage: Luggage,
    ignores_sigint: bool,
) -> Setting:
    """The `Setting` of this moment. `environ` is what the child would have by itself."""
    now = dict(os.environ)
    return Setting(
        (name, os.getpid()), authkey, start_method, _folder(), _umask(),
        [entry for entry in sys.path if isinstance(entry, str)], list(sys.argv),
        None if now == environ else now, extras.pack(luggage), extras.child_hooks(), extras.loader(()),
        ignores_sigint,
    )  # fmt: skip


def read_setting(fd: int) -> Setting:
    """The first part of the payload."""
    first, _ = _sizes(fd)
    return Setting(*pickle.loads(report.read_all(fd, first, _SIZES.size)))


def read_process(fd: int, head: Setting, luggage: Luggage) -> Any:
    """The second part of the payload, rebuilt; it gives its memory back."""
    first, second = _sizes(fd)
    body = report.read_all(fd, second, _SIZES.size + first)
    os.ftruncate(fd, 0)
    with unpacking(luggage):
        return extras.load(head.loader, body)


def apply(head: Setting) -> None:
    """Make this process like its owner was."""
    os.umask(head.umask)
    if head.environ is not None:
        _apply_environ(head.environ)
    if head.folder is not None:
        with contextlib.suppress(OSError):  # it was removed meanwhile: stay where we are
            os.chdir(head.folder)
    sys.path[:] = head.path
    sys.argv[:] = head.argv


def _apply_environ(wanted: dict[str, str]) -> None:
    for name in os.environ.keys() - wanted.keys():
        del os.environ[name]
    for name, value in wanted.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


def _sizes(fd: int) -> tuple[int, int]:
    first, second = _SIZES.unpack(report.read_all(fd, _SIZES.size, 0))
    return first, second


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return None


def _umask() -> int:
    """The file mode mask, read without changing it: another thread may be creating files."""
    with open("/proc/self/status", "rb") as status:
        for line in status:
            if line.startswith(b"Umask:"):
                return int(line.split()[1], 8)
    return 0o022
