"""Graphs of configurations, and batches of them."""
