"""The trained model of a trial as a ``.model`` file, which mace's ASE calculator loads.

The rooms of training, and with them torch, are imported when a model is written.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from sweep.config.checks import model_settings
from sweep.errors import DamagedRecordError, InputError
from sweep.export.winner import Winner
from sweep.records.trial_file import BEST_MODEL

if TYPE_CHECKING:
    from sweep.models.settings import DataStatistics

__all__ = ["mace_model"]

_WHY_NOT = {
    "local_charges": "the electrostatics of its charges is not part of mace's classes",
    "fixed_point": "its self-consistent charges are not part of mace's classes; MACE_SCF has them",
    "polar": (
        "its molecules are summed by the closed formula instead of mace's finite differences, so "
        "mace would give other energies; mace_run_train trains a PolarMACE with these weights "
        "(--format mace_cli)"
    ),
}


def mace_model(winner: Winner) -> bytes:
    """The model at the trial's best epoch, as ``mace_run_train`` saves one.

    ``mace.calculators.MACECalculator(model_paths=[FILE])`` gives its energies (with the atomic
    energies), forces and stresses.

    Raises:
        InputError: if the trial's model is none of mace's, or its files are not all there.
    """
    where = str(winner.trial.folder)
    if winner.config is None:
        raise InputError(f"{where}: has no .hydra/config.yaml, which tells the model")
    cfg = OmegaConf.create(winner.config)
    settings = model_settings(cfg)
    family = str(cfg.model.family)
    if family in _WHY_NOT:
        raise InputError(
            f"{where}: a model of the family '{family}' cannot be a .model file of mace: "
            f"{_WHY_NOT[family]}"
        )
    if cfg.trainer.get("enable_cueq"):
        raise InputError(
            f"{where}: was trained with trainer.enable_cueq, whose parameters are laid out "
            "otherwise; train it without to export its model"
        )
    import torch

    from sweep.libraries import quiet
    from sweep.models.backbone import build_backbone
    from sweep.training import checkpoint

    path = winner.trial.folder / BEST_MODEL
    best = checkpoint.load(path)
    if best is None:
        raise InputError(f"{path}: no such file")
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, cfg.trainer.default_dtype))
    try:
        with quiet(), torch.random.fork_rng(devices=[]):
            model = build_backbone(settings, _statistics(winner, cfg), keep_last_layer_irreps=False)
        energies = model.atomic_energies_fn.atomic_energies.clone()
        with checkpoint.restoring(path):
            model.load_state_dict(
                {key.removeprefix("backbone."): value for key, value in best["model"].items()}
            )
    except DamagedRecordError as error:
        raise InputError(str(error)) from error
    finally:
        torch.set_default_dtype(before)
    model.atomic_energies_fn.atomic_energies.copy_(energies)  # ours are off the labels instead
    buffer = io.BytesIO()
    torch.save(model.cpu().eval(), buffer)
    return buffer.getvalue()


def _statistics(winner: Winner, cfg: DictConfig) -> DataStatistics:
    """What a model needs to know of its data: from the record, or from the data themselves."""
    from sweep.models.settings import DataStatistics

    details = winner.trial.details
    energies = details.get("atomic_energies")
    neighbours = details.get("avg_num_neighbors")
    if not isinstance(energies, dict):
        raise InputError(f"{winner.trial.folder / 'trial.json'}: tells no atomic energies")
    if not isinstance(neighbours, int | float):  # of a version that did not record it
        from sweep.training.load_data import load_data
        from sweep.training.setup import Setup

        neighbours = Setup(cfg, load_data(cfg)).avg_num_neighbors
    elements = sorted(int(z) for z in energies)
    return DataStatistics(
        atomic_numbers=tuple(elements),
        atomic_energies=tuple(float(energies[str(z)]) for z in elements),
        avg_num_neighbors=float(neighbours),
    )
