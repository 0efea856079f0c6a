"""The plainest search there can be, to compare with: every file, every line, one after the other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

BINARY_WINDOW = 8192


def texts(root: Path) -> Iterator[tuple[bytes, bytes]]:
    """Name as it is shown, and text, of every file that has one, in order."""
    base = bytes(root)
    found = []
    for path in root.rglob("*"):
        if (
            path.is_file()
            and not path.is_symlink()
            and not any(part.startswith(".") for part in path.parts[len(root.parts) :])
        ):
            data = path.read_bytes()
            if data.startswith(b"\xef\xbb\xbf"):
                data = data[3:]
            elif data.startswith((b"\xff\xfe", b"\xfe\xff")):
                data = data.decode("utf-16").encode()
            if b"\0" not in data[:BINARY_WINDOW]:
                found.append((bytes(path), data))
    assert all(name.startswith(base) for name, _ in found)
    yield from sorted(found)


def lines(text: bytes) -> list[bytes]:
    """Without newlines; nothing behind the last newline."""
    found = text.split(b"\n")
    return found[:-1] if text.endswith(b"\n") or not text else found


def search(root: Path, pattern: bytes, flags: int = 0) -> list[tuple[bytes, int, bytes]]:
    """Name, line number and line of every line in which the pattern (one of `re`) is found."""
    expression = re.compile(pattern, flags)
    return [
        (name, number, line)
        for name, text in texts(root)
        for number, line in enumerate(lines(text), 1)
        if expression.search(line)
    ]
