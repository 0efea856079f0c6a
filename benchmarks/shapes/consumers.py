"""One process puts, several take: the way work goes out."""

from benchmarks.shapes.stream import Stream

SHAPES = tuple(
    Stream(f"consumers_{n}", f"ints one by one, 1 producer, {n} consumers", "INTS", 80_000, consumers=n)
    for n in (2, 4)
)
