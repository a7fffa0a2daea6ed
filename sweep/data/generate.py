"""``python -m sweep.data.generate``: the same as ``loss-sweep generate``."""

import sys

from sweep.cli.generate import main

if __name__ == "__main__":
    sys.exit(main())
