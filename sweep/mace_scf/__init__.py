"""Configurations of MACE_SCF, read as they are: ``from_mace_scf=config.yaml``. Imports no torch."""
