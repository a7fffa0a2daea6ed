"""The programs that made the shipped data sets."""
