"""Messages of 1 KB: a typical task or record."""

from benchmarks.shapes.stream import Stream

SHAPES = (Stream("bytes_1k", "bytes of 1 KB, 1 producer, 1 consumer", "BYTES_1K", 100_000),)
