"""Search and compare the loss weights of charge-aware MACE potentials."""

__version__ = "0.1.0"
