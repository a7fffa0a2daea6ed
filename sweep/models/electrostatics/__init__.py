"""Electrostatics of smeared multipoles: molecules, slabs and cells."""
