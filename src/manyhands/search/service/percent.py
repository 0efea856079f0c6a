"""Percent-encoding of any bytes, by hand: `urllib` takes longer to import than a search to be answered.

Always true: what `quoted` gives is printable ASCII without a space, and `unquoted` gives back what it was made of.
"""

from __future__ import annotations

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")


def quoted(raw: bytes) -> str:
    """Bytes as they may stand in a line or in a query string.

    >>> quoted(b"/a b\\xff")
    '/a%20b%FF'
    """
    if _PLAIN.issuperset(raw):
        return raw.decode("ascii")
    return "".join([chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in raw])


def unquoted(text: str) -> bytes:
    """The bytes again. Raises ValueError for a percent sign without two hexadecimal digits behind it.

    >>> unquoted("/a%20b%FF")
    b'/a b\\xff'
    """
    first, *others = text.encode("ascii").split(b"%")
    pieces = [first]
    for piece in others:
        code = piece[:2]
        if len(code) != 2 or not code.isalnum():  # fromhex lets white space through
            raise ValueError(f"{text!r} has a % without two hexadecimal digits behind it")
        pieces += (bytes.fromhex(code.decode()), piece[2:])
    return b"".join(pieces)
