"""``python -m sweep``: search loss weights (``-m``), train once, or any command of loss-sweep."""

import sys

from sweep.cli.app import python_m_sweep

if __name__ == "__main__":
    sys.exit(python_m_sweep())
