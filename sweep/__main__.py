"""``python -m sweep``: search loss weights (``-m``) or train once."""

import sys

from sweep.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
