"""One training with the configured weights."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from sweep.config.checks import check_config
from sweep.errors import InputError
from sweep.files import read_json
from sweep.records.writer import TrialWriter
from sweep.search.space import SearchSpace
from sweep.study.definition import changes, definition
from sweep.training.load_data import load_data

__all__ = ["train_once"]


def train_once(cfg: DictConfig) -> None:
    """Train in Hydra's output folder; the same ``hydra.run.dir`` again goes on from its last epoch.

    Raises:
        InputError: on anything in configuration or data that is not valid. No folder is left.
        TrainingError: if the loss becomes non-finite.
        KeyboardInterrupt: if the user stopped it before the last epoch.
    """
    runtime = HydraConfig.get().runtime
    os.chdir(runtime.cwd)  # hydra.job.chdir moves; paths are from where the command was started
    folder = Path(runtime.output_dir)
    try:
        _train(cfg, folder)
    except InputError:
        _remove_if_nothing_was_trained(folder)
        raise


def _remove_if_nothing_was_trained(folder: Path) -> None:
    """Hydra makes the folder, with the configuration in it, before anything is checked."""
    if [path.name for path in folder.iterdir()] != [".hydra"]:
        return
    shutil.rmtree(folder)
    with contextlib.suppress(OSError):  # the usual parents, if they are empty
        for parent in folder.parents[:2]:
            if parent.name in ("runs", "outputs"):
                parent.rmdir()


def _train(cfg: DictConfig, folder: Path) -> None:
    stages = check_config(cfg)
    dataset = load_data(cfg)
    defined = definition(cfg, SearchSpace())
    try:
        before = read_json(folder / "trial.json").get("definition")
    except ValueError:  # damaged: it is written anew
        before = None
    if before is not None and (differ := changes(before, defined)):
        raise InputError(
            f"{folder}: holds a training with another configuration ({differ}); give this one its "
            "own hydra.run.dir"
        )

    from sweep.report.terminal.answer import print_trial
    from sweep.training.job import train_trial
    from sweep.training.own import OwnTrainer
    from sweep.training.trainer import Decision, EpochReport
    from sweep.workers.display import make_progress
    from sweep.workers.signals import GracefulStop

    progress = make_progress(n_trials=1, standing=lambda: (1, None))
    progress.message(f"building graphs and model, then training in {folder}")
    trainer = OwnTrainer(dataset)
    progress.show(trainer.check(cfg, stages))

    with progress, GracefulStop() as stop:
        progress.trial_started(0, "the configured weights", stages[-1].end + 1)

        def after_epoch(report: EpochReport) -> Decision:
            progress.epoch(0, report.epoch, report.score, report.shares)
            return Decision.STOP if stop.requested else Decision.CONTINUE

        entries = {"number": 0, "role": "default", "params": {}, "definition": defined}
        result = train_trial(trainer, cfg, stages, TrialWriter(folder, entries), after_epoch)
        progress.trial_ended(0, result.state, result.score)
    print_trial(folder)
    if result.state == "STOPPED":
        progress.message(f"stopped; hydra.run.dir={folder} on the command line resumes")
        raise KeyboardInterrupt
