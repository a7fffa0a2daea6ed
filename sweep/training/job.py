"""One trial as a job: from its configuration to its folder, whatever happens in between."""

from __future__ import annotations

import math
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sweep.config.stages import Stage
from sweep.errors import DamagedRecordError, LeaseLostError
from sweep.records.environment import environment
from sweep.records.prefix import Prefix
from sweep.records.state import State
from sweep.records.writer import Result, TrialWriter
from sweep.tracking.follower import Follower
from sweep.training.trainer import AfterEpoch, Decision, EpochReport, Trainer

__all__ = ["train_trial"]


def train_trial(
    trainer: Trainer,
    cfg: DictConfig,
    stages: list[Stage],
    writer: TrialWriter,
    after_epoch: AfterEpoch,
    prefix: Prefix | None = None,
    follower: Follower | None = None,
) -> Result:
    """Train a trial, continuing what is in its folder, and keep ``trial.json`` up to date.

    Args:
        trainer: What trains.
        cfg: The configuration, without the ``hydra`` node.
        stages: Its checked stages.
        writer: Writes into the trial's folder.
        after_epoch: Sees every epoch and says how to go on.
        prefix: First stages that other trainings have in common with this one: it starts from
            their end where they are trained, and leaves them for others where they are not.
        follower: Shows its records in a tracker.

    Raises:
        LeaseLostError: as the writer raised it; nothing is written then.
        Exception: whatever else ended the training; ``trial.json`` says FAILED and why.
    """

    def and_leave(report: EpochReport) -> Decision:
        is_end = prefix is not None and report.epoch + 1 == prefix.n_epochs
        if prefix is not None and is_end and not prefix.is_there():
            prefix.save(writer.folder, writer.may_write)
        if follower is not None:
            writer.may_write()
            follower.epoch(report.epoch, is_new=not math.isnan(report.seconds))
        return after_epoch(report)

    writer.begin({**_facts(cfg, stages), **trainer.facts(cfg), **environment()})
    if follower is not None:
        follower.begin()
    try:
        if prefix is not None:
            writer.start_from(prefix)
        try:
            result, n_epochs = trainer.train(cfg, stages, writer, and_leave)
        except DamagedRecordError as error:
            writer.set_aside(str(error))
            result, n_epochs = trainer.train(cfg, stages, writer, and_leave)
    except LeaseLostError:
        raise
    except Exception as error:
        writer.fail(error)
        if follower is not None:
            follower.end(State.FAILED)
        raise
    writer.end(result, n_epochs)
    if follower is not None:
        follower.end(result.state)
    return result


def _facts(cfg: DictConfig, stages: list[Stage]) -> dict[str, Any]:
    keys = ("name", "start", "end", "lr", "loss")
    moves = cfg.weighting.name != "fixed"
    return {
        "fit_name": cfg.fit_name,
        "seed": cfg.seed,
        "stages": [
            {key: getattr(stage, key) for key in keys}
            | ({"shares": stage.shares} if moves and stage.shares else {})
            for stage in stages
        ],
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
