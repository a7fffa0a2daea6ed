"""``python -m sweep.export``: the same as ``loss-sweep export``."""

import sys

from sweep.cli.export import main

if __name__ == "__main__":
    sys.exit(main())
