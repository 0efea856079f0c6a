"""Arrays of 8 MB, received as usable arrays.

Touching two elements shows what sending costs; summing them all adds the reader's own walk through memory,
which a queue that defers its work would otherwise hide.
"""

from benchmarks.shapes.stream import BYTES, Stream

SHAPES = (
    Stream(
        "array_touch",
        "float64 arrays of 8 MB, two elements of each read",
        "ARRAY_8M_TOUCHED",
        48,
        metrics=(BYTES,),
    ),
    Stream("array_sum", "float64 arrays of 8 MB, each summed", "ARRAY_8M_SUMMED", 48, metrics=(BYTES,)),
)
