"""The folders that are searched: the sources of Debian's kernel, and a copy of the standard library.

The copy has no other packages, and nothing in it changes while one looks. The kernel's sources are fetched with apt and
unpacked once (150 MB to fetch, 1.5 GB on disk, 78,600 files).

Always true: a folder of ours is whole; what was interrupted lies beside it and is thrown away the next time.
"""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGE = "linux-source-6.1"
FOLDER = Path("~/.cache/manyhands") / PACKAGE

_NOT_COPIED = ("site-packages", "dist-packages", "__pycache__")

_PROGRAMS = ("apt-get", "dpkg-deb", "tar", "xz")


class NoCorpus(Exception):
    """There is nothing to search; the message says what to do."""


@contextmanager
def library() -> Iterator[Path]:
    """A copy of the standard library, for as long as the context is open."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "library"
        shutil.copytree(
            sysconfig.get_path("stdlib"), copy, symlinks=True, ignore=shutil.ignore_patterns(*_NOT_COPIED)
        )
        yield copy


def kernel(folder: Path | None) -> Path:
    """The kernel's sources: where the user has them, or where they are kept. Raises `NoCorpus`."""
    if folder is not None:
        if not folder.is_dir():
            raise NoCorpus(f"--corpus {folder} is no folder; leave it out to have {PACKAGE} fetched")
        return folder.resolve()
    kept = FOLDER.expanduser()
    if not kept.is_dir():
        _fetch(kept)
    return kept


def _fetch(kept: Path) -> None:
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if missing:
        raise NoCorpus(f"fetching {PACKAGE} needs {', '.join(missing)}; {_ADVICE}")
    print(f"benchmarks: fetching {PACKAGE} to {FOLDER}, once; 1.5 GB on disk")
    scratch = kept.with_name(kept.name + ".partial")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        _run(["apt-get", "download", PACKAGE], scratch)
        _run(["dpkg-deb", "-x", *_only(scratch, "*.deb"), "package"], scratch)
        _run(["tar", "-xJf", *_only(scratch, "package/usr/src/*.tar.xz")], scratch)
        Path(*_only(scratch, f"{PACKAGE}*/")).rename(kept)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


_ADVICE = (
    "give the folder of a kernel's sources with --corpus FOLDER, or take the standard library with --quick"
)


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise NoCorpus(f"{command[0]} has not got {PACKAGE} ({lines[-1]}): is there a network? {_ADVICE}")


def _only(folder: Path, pattern: str) -> list[str]:
    found = [str(path) for path in folder.glob(pattern)]
    if len(found) != 1:
        raise NoCorpus(f"{PACKAGE} is not built as expected: {len(found)} of {pattern}; {_ADVICE}")
    return found
