"""Text with a byte order mark, as UTF-8.

The store hands such files over unread (its outcome ENCODED). Always true: what `decode` returns begins with no mark.
"""

from __future__ import annotations

_UTF8, _UTF16_LE, _UTF16_BE = b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"

#: A NUL within so many bytes makes a file binary (ripgrep and git look about as far).
BINARY_WINDOW_BYTES = 8192


def has_mark(data: bytes) -> bool:
    """Whether it begins with a byte order mark that `decode` knows."""
    return data.startswith((_UTF8, _UTF16_LE, _UTF16_BE))


def decode(data: bytes) -> bytes:
    """The text as UTF-8 without its mark; without one, as it is. Raises ValueError when marked UTF-16 is not UTF-16.

    What a UTF-8 mark promises is not checked: lines that are no UTF-8 can be searched all the same.
    """
    if data.startswith(_UTF8):
        return data[len(_UTF8) :]
    if data.startswith(_UTF16_LE):
        return data[2:].decode("utf-16-le").encode()
    if data.startswith(_UTF16_BE):
        return data[2:].decode("utf-16-be").encode()
    return data


def is_binary(text: bytes) -> bool:
    """Whether decoded text counts as binary."""
    return text.find(0, 0, BINARY_WINDOW_BYTES) >= 0
