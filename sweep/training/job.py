"""One trial as a job: from its configuration to its folder, whatever happens in between."""

from __future__ import annotations

import functools
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import torch
from omegaconf import DictConfig, OmegaConf

from sweep.config.schema import ObjectiveConfig, TrainerConfig
from sweep.config.stages import Stage
from sweep.data.dataset import DataSet
from sweep.errors import DamagedRecordError, LeaseLostError
from sweep.files import read_json, write_json
from sweep.records.writer import environment
from sweep.training.loop import Decision, EpochReport, Result, TrainingLoop
from sweep.training.setup import Setup

__all__ = ["train_trial"]


def train_trial(
    cfg: DictConfig,
    stages: list[Stage],
    dataset: DataSet,
    folder: Path,
    after_epoch: Callable[[EpochReport], Decision],
    *,
    entries: Mapping[str, Any],
    before_commit: Callable[[], None] = lambda: None,
) -> Result:
    """Train in ``folder``, continuing what is there, and keep ``trial.json`` up to date.

    Args:
        cfg: The configuration, without the ``hydra`` node.
        stages: Its checked stages.
        dataset: The data that it names.
        folder: Folder of the trial.
        after_epoch: Sees every epoch and says how to go on.
        entries: What else ``trial.json`` shall hold.
        before_commit: Called before anything of an epoch is written; may raise `LeaseLostError`.

    Raises:
        LeaseLostError: as ``before_commit`` raised it; nothing is written then.
        Exception: whatever else ended the training; ``trial.json`` says FAILED and why.
    """
    setup = Setup.get(cfg, dataset)
    path = folder / "trial.json"
    try:
        before = read_json(path)
    except ValueError:  # damaged; only the time spent so far is lost
        before = {}
    content: dict[str, Any] = {
        "fit_name": cfg.fit_name,
        "started": _now(),
        "seconds": 0.0,
        **before,
        **entries,
        "state": "RUNNING",
        "reason": None,
        "seed": cfg.seed,
        "dtype": cfg.trainer.default_dtype,
        "num_threads": torch.get_num_threads(),
        "n_parameters": setup.n_parameters,
        "stages": [{"name": stage.name, "start": stage.start, "end": stage.end, "lr": stage.lr,
                    "loss": stage.loss} for stage in stages],
        "objective": OmegaConf.to_container(cfg.objective),
        "scales": setup.scales,
        **_environment(setup.device_name),
    }  # fmt: skip
    write_json(path, content)
    began = time.perf_counter()

    def train() -> tuple[TrainingLoop, Result]:
        run = TrainingLoop(
            setup,
            stages,
            cast(TrainerConfig, OmegaConf.to_object(cfg.trainer)),
            cast(ObjectiveConfig, OmegaConf.to_object(cfg.objective)),
            folder=folder,
            fit_name=cfg.fit_name,
            seed=cfg.seed,
            before_commit=before_commit,
        )
        return run, run.train(after_epoch)

    try:
        try:
            run, result = train()
        except DamagedRecordError as error:
            content["restarted"] = str(error)
            _set_aside(folder)
            run, result = train()
    except LeaseLostError:
        raise
    except Exception as error:
        reason = str(error) or type(error).__name__
        content |= {"state": "FAILED", "reason": reason, "traceback": traceback.format_exc()}
        _write_end(path, content, began)
        raise
    else:
        content |= {
            "state": result.state,
            "score": result.score,
            "epoch": result.epoch,
            "epochs_trained": len(run.history),
            "metrics": result.metrics,
        }
        _write_end(path, content, began)
    return result


@functools.cache
def _environment(device: str) -> dict[str, Any]:
    """It stays the same while a process trains one trial after the other."""
    return environment(device)


def _write_end(path: Path, content: dict[str, Any], began: float) -> None:
    content["seconds"] += time.perf_counter() - began
    content["finished"] = _now()
    write_json(path, content)


def _set_aside(folder: Path) -> None:
    """Move what a trial recorded into ``damaged/``, so that it begins again and nothing is lost."""
    aside = folder / "damaged" / datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    aside.mkdir(parents=True)
    for pattern in ("*.pt", "*.parquet", "logs"):
        for path in folder.glob(pattern):
            path.rename(aside / path.name)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
