"""``python -m manyhands``: the same as the command ``manyhands``."""

import sys

from manyhands.cli.main import program

if __name__ == "__main__":
    sys.exit(program())
