"""Several processes put, one takes: the way results come home."""

from benchmarks.shapes.stream import Stream

SHAPES = tuple(
    Stream(f"producers_{n}", f"ints one by one, {n} producers, 1 consumer", "INTS", 80_000, producers=n)
    for n in (2, 4)
)
