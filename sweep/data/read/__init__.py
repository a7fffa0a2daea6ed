"""Reading data files into tables of configurations. Imports no torch."""
