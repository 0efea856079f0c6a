"""One measurement in a fresh process: ``python -m benchmarks.one SHAPE RIVAL VARIANT full|quick``.

Prints the figures as one line of JSON. The harness calls this; start methods that import the main module anew
import this file, so it imports next to nothing by itself.
"""

import sys


def main(shape_name: str, rival: str, variant: str, size: str) -> None:
    """Measure and print."""
    import json

    from benchmarks import shapes

    shape = shapes.load()[shape_name]
    wanted = (rival, variant)
    contestant = next(one for one in shape.contestants() if (one.rival, one.variant) == wanted)
    try:
        print(json.dumps(shape.run(contestant, size == "quick")), flush=True)
    except shapes.Hang as hang:
        print(hang, file=sys.stderr, flush=True)
        sys.exit(shapes.EXIT_HANG)


if __name__ == "__main__":
    main(*sys.argv[1:])
