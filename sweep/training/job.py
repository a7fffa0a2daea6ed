"""One trial as a job: from its configuration to its folder, whatever happens in between."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf

from sweep.config.stages import Stage
from sweep.errors import DamagedRecordError, LeaseLostError
from sweep.records.environment import environment
from sweep.records.writer import Result, TrialWriter
from sweep.training.trainer import AfterEpoch, Trainer

__all__ = ["train_trial"]


def train_trial(
    trainer: Trainer,
    cfg: DictConfig,
    stages: list[Stage],
    writer: TrialWriter,
    after_epoch: AfterEpoch,
) -> Result:
    """Train a trial, continuing what is in its folder, and keep ``trial.json`` up to date.

    Args:
        trainer: What trains.
        cfg: The configuration, without the ``hydra`` node.
        stages: Its checked stages.
        writer: Writes into the trial's folder.
        after_epoch: Sees every epoch and says how to go on.

    Raises:
        LeaseLostError: as the writer raised it; nothing is written then.
        Exception: whatever else ended the training; ``trial.json`` says FAILED and why.
    """
    writer.begin({**_facts(cfg, stages), **trainer.facts(cfg), **environment()})
    try:
        try:
            result, n_epochs = trainer.train(cfg, stages, writer, after_epoch)
        except DamagedRecordError as error:
            writer.set_aside(str(error))
            result, n_epochs = trainer.train(cfg, stages, writer, after_epoch)
    except LeaseLostError:
        raise
    except Exception as error:
        writer.fail(error)
        raise
    writer.end(result, n_epochs)
    return result


def _facts(cfg: DictConfig, stages: list[Stage]) -> dict[str, Any]:
    keys = ("name", "start", "end", "lr", "loss")
    return {
        "fit_name": cfg.fit_name,
        "seed": cfg.seed,
        "stages": [{key: getattr(stage, key) for key in keys} for stage in stages],
        "weighting": _weighting(cfg, stages),
        "objective": OmegaConf.to_container(cfg.objective),
    }


def _weighting(cfg: DictConfig, stages: list[Stage]) -> dict[str, Any]:
    """How the weights came about, with the shares of the terms that there are."""
    options = cfg.weighting
    if options.name == "fixed":
        return {"name": "fixed"}
    shares = {name: options.shares.get(name, 1.0) for stage in stages for name in stage.loss}
    return {**OmegaConf.to_container(options), "shares": shares}  # type: ignore[dict-item]
