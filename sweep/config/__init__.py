"""The configuration: its schema, and every check that needs no data. Imports no torch."""
