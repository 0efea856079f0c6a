"""Small ints, one by one: the cost of a message with next to nothing in it."""

from benchmarks.shapes.stream import Stream

SHAPES = (Stream("ints", "ints one by one, 1 producer, 1 consumer", "INTS", 200_000),)
