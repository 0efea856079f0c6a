"""Blocks of 64 KB: copying begins to matter more than the call."""

from benchmarks.shapes.stream import BYTES, Stream

SHAPES = (
    Stream("bytes_64k", "bytes of 64 KB, 1 producer, 1 consumer", "BYTES_64K", 8_000, metrics=(BYTES,)),
)
