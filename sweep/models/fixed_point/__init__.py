"""The self-consistent family."""
