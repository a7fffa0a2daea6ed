"""Configurations read from files, under the name that scripts of version 0.1 import."""

from sweep.data.read.configurations import Configuration, read_configurations

__all__ = ["Configuration", "read_configurations"]
