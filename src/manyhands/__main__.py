"""``python -m manyhands``: the same as the command ``manyhands``."""

import sys

from manyhands.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
