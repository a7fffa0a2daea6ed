"""Our own trainer: the families of :mod:`sweep.models`, trained in this process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Group, RenderableType

from sweep.config.schema import ObjectiveConfig, TrainerConfig
from sweep.config.stages import Stage
from sweep.console import plain
from sweep.data.dataset import DataSet
from sweep.errors import TrainingError
from sweep.records.writer import Result, TrialWriter
from sweep.training.duration import duration
from sweep.training.loop import TrainingLoop
from sweep.training.preflight import preflight
from sweep.training.setup import Setup
from sweep.training.trainer import AfterEpoch
from sweep.training.weighting import make_weighting

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
        setup = self.setup(cfg)
        table = preflight(setup, stages)
        try:
            expected = duration(setup, stages, _trainer_of(cfg))
        except torch.OutOfMemoryError as error:
            raise _out_of_memory(cfg) from error
        start = () if setup.start is None else (setup.start.table(),)
        return Group(*start, table, plain(expected))

    def facts(self, cfg: DictConfig) -> Mapping[str, Any]:
        """See :class:`~sweep.training.trainer.Trainer`."""
        setup = self.setup(cfg)
        return {
            "dtype": cfg.trainer.default_dtype,
            "clip_grad": cfg.trainer.clip_grad,
            "clip_median": cfg.trainer.clip_median,
            "num_threads": torch.get_num_threads(),
            "n_parameters": setup.n_parameters,
            "avg_num_neighbors": setup.avg_num_neighbors,
            "scales": setup.scales,
            "multipoles_max_l": setup.multipoles_max_l,
            "atomic_energies": {str(z): e for z, e in setup.dataset.atomic_energies.items()},
            "device": setup.device_name,
            **({} if setup.start is None else {"start_from": setup.start.record()}),
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
            weighting=make_weighting(
                cfg.weighting,
                list(dict.fromkeys(name for stage in stages for name in stage.loss)),
                self.setup(cfg).device,
            ),
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


def _trainer_of(cfg: DictConfig) -> TrainerConfig:
    return cast(TrainerConfig, OmegaConf.to_object(cfg.trainer))
