"""Our own trainer: the families of :mod:`sweep.models`, trained in this process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import RenderableType
from torch import Tensor

from losses.weighting import GradientShares, LossShares, Weighting
from sweep.config.schema import ObjectiveConfig, TrainerConfig
from sweep.config.stages import Stage
from sweep.data.dataset import DataSet
from sweep.errors import TrainingError
from sweep.records.writer import Result, TrialWriter
from sweep.training.balance import early_gradient_norms
from sweep.training.loop import TrainingLoop
from sweep.training.preflight import preflight
from sweep.training.setup import Setup
from sweep.training.trainer import AfterEpoch

__all__ = ["OwnTrainer"]


class OwnTrainer:
    """Trains our own models. A :class:`~sweep.training.trainer.Trainer`.

    Args:
        dataset: The checked data of all its trials.
    """

    def __init__(self, dataset: DataSet) -> None:
        self._dataset = dataset
        self._last: tuple[dict[str, Any], Setup] | None = None

    def setup(self, cfg: DictConfig) -> Setup:
        """Graphs and model of a configuration: the last ones if only weights or the like differ."""
        parts: Any = OmegaConf.to_container(cfg, resolve=True)
        key = {name: parts[name] for name in ("heads", "model", "trainer", "objective", "seed")}
        if self._last is None or self._last[0] != key:
            self._last = None  # frees the old one before the new one is built
            self._last = (key, Setup(cfg, self._dataset))
        return self._last[1]

    def check(self, cfg: DictConfig, stages: list[Stage]) -> RenderableType:
        """See :class:`~sweep.training.trainer.Trainer`."""
        return preflight(self.setup(cfg), stages)

    def gradient_norms(self, cfg: DictConfig, stages: list[Stage]) -> list[dict[str, Tensor]]:
        """See :class:`~sweep.training.trainer.Trainer`.

        Measured at the initial parameters and after each of the first ``search.balance_epochs``
        epochs: at the very start alone gradients are not typical of a training.
        """
        return early_gradient_norms(
            self.setup(cfg),
            stages,
            _trainer_of(cfg),
            seed=cfg.seed,
            n_epochs=cfg.search.balance_epochs,
        )

    def facts(self, cfg: DictConfig) -> Mapping[str, Any]:
        """See :class:`~sweep.training.trainer.Trainer`."""
        setup = self.setup(cfg)
        return {
            "dtype": cfg.trainer.default_dtype,
            "clip_grad": cfg.trainer.clip_grad,
            "num_threads": torch.get_num_threads(),
            "n_parameters": setup.n_parameters,
            "scales": setup.scales,
            "atomic_energies": {str(z): e for z, e in setup.dataset.atomic_energies.items()},
            "device": setup.device_name,
        }

    def train(
        self, cfg: DictConfig, stages: list[Stage], writer: TrialWriter, after_epoch: AfterEpoch
    ) -> tuple[Result, int]:
        """See :class:`~sweep.training.trainer.Trainer`."""
        loop = TrainingLoop(
            self.setup(cfg),
            stages,
            _trainer_of(cfg),
            cast(ObjectiveConfig, OmegaConf.to_object(cfg.objective)),
            writer=writer,
            fit_name=cfg.fit_name,
            seed=cfg.seed,
            weighting=_weighting_of(cfg, stages, self.setup(cfg).device),
        )
        try:
            result = loop.train(after_epoch)
        except torch.OutOfMemoryError as error:
            raise _out_of_memory(cfg) from error
        return result, len(loop.history)


def _out_of_memory(cfg: DictConfig) -> TrainingError:
    """The memory of a device is a trial's own affair: the next one may fit."""
    size = cfg.trainer.batch_size
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    smaller = f"try trainer.batch_size={size // 2}" if size > 1 else "try a smaller model"
    return TrainingError(
        f"out of memory on {cfg.trainer.device} with trainer.batch_size={size}: {smaller} "
        f"(trainer.valid_batch_size is {cfg.trainer.valid_batch_size})"
    )


def _weighting_of(cfg: DictConfig, stages: list[Stage], device: torch.device) -> Weighting | None:
    """The configured weighting; None where the weights of the loss stay as they are."""
    options = cfg.weighting
    if options.name == "fixed":
        return None
    names = list(dict.fromkeys(name for stage in stages for name in stage.loss))
    shares = {name: options.shares.get(name, 1.0) for name in names}
    common = {"names": names, "smoothing": options.smoothing, "ceiling": options.ceiling}
    if options.name == "loss_shares":
        return LossShares(shares, **common, device=device)
    return GradientShares(shares, **common, interval=options.interval, device=device)


def _trainer_of(cfg: DictConfig) -> TrainerConfig:
    return cast(TrainerConfig, OmegaConf.to_object(cfg.trainer))
