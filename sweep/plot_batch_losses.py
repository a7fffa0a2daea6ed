"""``python -m sweep.plot_batch_losses``: the same as ``loss-sweep plot``."""

import sys

from sweep.cli.plot import main

if __name__ == "__main__":
    sys.exit(main())
