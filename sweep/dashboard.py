"""``python -m sweep.dashboard``: the same as ``loss-sweep dashboard``."""

import sys

from sweep.cli.dashboard import main

if __name__ == "__main__":
    sys.exit(main())
