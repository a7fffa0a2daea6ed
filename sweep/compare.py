"""``python -m sweep.compare``: the same as ``loss-sweep compare``."""

import sys

from sweep.cli.compare import main

if __name__ == "__main__":
    sys.exit(main())
