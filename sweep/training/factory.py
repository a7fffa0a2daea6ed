"""The trainer that a configuration names, and the data that it needs. Imports no torch itself.

A new trainer is an entry of :data:`sweep.config.trainers.TRAINERS`, its file in ``conf/trainer``
and a branch of :func:`make_trainer`; everything else is the same for all.
"""

from __future__ import annotations

from omegaconf import DictConfig

from sweep.config.checks import check_config
from sweep.config.trainers import trainer_kind
from sweep.data.dataset import DataSet
from sweep.training.load_data import load_data
from sweep.training.trainer import Trainer

__all__ = ["make_trainer", "mean_atoms", "read_data"]


def read_data(cfg: DictConfig) -> DataSet | None:
    """Read and check the data of our own training; None if another program reads its own.

    Args:
        cfg: A checked configuration.

    Raises:
        InputError: names the key, or the file and the configuration.
    """
    if cfg.trainer.name == "mace_run_train":
        from sweep.training.mace_run_train.arguments import check_arguments

        check_arguments(cfg)
    return None if trainer_kind(cfg).is_program else load_data(cfg)


def mean_atoms(cfg: DictConfig) -> float | None:
    """Mean number of atoms in the training set; None if another program reads the data.

    Args:
        cfg: A configuration; it need not be checked yet.

    Raises:
        InputError: as :func:`read_data`, or if the configuration is not valid.
    """
    check_config(cfg)
    data = read_data(cfg)
    return None if data is None else data.mean_atoms


def make_trainer(cfg: DictConfig, data: DataSet | None = None) -> Trainer:
    """The trainer of a checked configuration.

    Args:
        cfg: The configuration, that of trial 0 for a study.
        data: What :func:`read_data` gave, if it was called before.

    Raises:
        InputError: as :func:`read_data`.
    """
    if cfg.trainer.name == "command":
        from sweep.training.external.command import CommandTrainer

        return CommandTrainer(cfg)
    if cfg.trainer.name == "mace_scf":
        from sweep.training.external.mace_scf import MaceScfTrainer

        return MaceScfTrainer(cfg)
    if cfg.trainer.name == "mace_run_train":
        from sweep.training.mace_run_train.trainer import MaceRunTrainTrainer

        return MaceRunTrainTrainer()
    from sweep.training.own import OwnTrainer

    found = read_data(cfg) if data is None else data
    assert found is not None
    return OwnTrainer(found)
