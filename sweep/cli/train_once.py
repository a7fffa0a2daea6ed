"""One training with the configured weights."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from sweep.config.checks import check_config
from sweep.errors import InputError
from sweep.files import read_json, write_text
from sweep.locks import LEASES
from sweep.passwords import masked
from sweep.records.writer import TrialWriter
from sweep.search.recipes import apply_recipe
from sweep.search.space import SearchSpace
from sweep.study.definition import changes, definition
from sweep.study.leases import GRACE_SECONDS, Lease, Leases
from sweep.tracking.follower import Tracking, check_access
from sweep.training.factory import make_trainer, mean_atoms, read_data
from sweep.workers.heartbeat import Heartbeat

__all__ = ["train_once"]


def train_once(cfg: DictConfig) -> None:
    """Train in Hydra's output folder; the same ``hydra.run.dir`` again goes on from its last epoch.

    Raises:
        InputError: on anything in configuration or data that is not valid, when no folder is left,
            or if another process trains in the folder.
        LeaseLostError: if another process went on with the training while this one stood still.
        TrainingError: if the loss becomes non-finite.
        KeyboardInterrupt: if the user stopped it before the last epoch.
    """
    runtime = HydraConfig.get().runtime
    os.chdir(runtime.cwd)  # hydra.job.chdir moves; paths are from where the command was started
    folder = Path(runtime.output_dir)
    with _alone(folder) as lease:
        try:
            _train(cfg, folder, lease)
        except InputError:
            _mask_passwords(folder)
            _remove_if_nothing_was_trained(folder)
            raise


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[Lease]:
    """Hold the folder, as workers hold trials, so that no other process trains in it.

    A holder on this node that was killed is known to be dead; one on another node is when its
    heartbeat has stopped for long, which only waiting can tell.
    """
    leases = Leases(folder / LEASES)
    lease = leases.take(0)
    if lease is None and leases.is_in_doubt(0):
        print(
            f"{folder}: looking whether {leases.holder(0)} still trains there, for up to "
            f"{GRACE_SECONDS:.0f} s",
            flush=True,
        )
    while lease is None and leases.is_in_doubt(0):
        time.sleep(1)
        lease = leases.take(0)
    if lease is None:
        _mask_passwords(folder)
        raise InputError(
            f"{folder}: {leases.holder(0)} trains there; wait for its end, or give this training "
            "its own hydra.run.dir"
        )
    try:
        with Heartbeat() as heartbeat:
            heartbeat.lease = lease
            yield lease
    finally:
        lease.release()


def _check_shares_are_read(cfg: DictConfig) -> None:
    """Shares that somebody asked for; in a search the balanced trial reads them all the same."""
    asked = [word for word in HydraConfig.get().overrides.task if "weighting.shares" in word]
    if cfg.weighting.name == "fixed" and asked:
        raise InputError(
            f"{asked[0]}: not read with weighting=fixed; add weighting=gradient_shares"
        )


def _mask_passwords(folder: Path) -> None:
    """Hydra has recorded the configuration before one is refused."""
    for file in (folder / ".hydra").glob("*.yaml"):
        if masked(text := file.read_text(encoding="utf-8")) != text:
            write_text(file, masked(text))


def _remove_if_nothing_was_trained(folder: Path) -> None:
    """Hydra makes the folder, with the configuration in it, before anything is checked."""
    if {path.name for path in folder.iterdir()} != {".hydra", LEASES}:
        return
    shutil.rmtree(folder)
    with contextlib.suppress(OSError):  # the usual parents, if they are empty
        for parent in folder.parents[:2]:
            if parent.name in ("runs", "outputs"):
                parent.rmdir()


def _train(cfg: DictConfig, folder: Path, lease: Lease) -> None:
    if cfg.recipe.weights:
        print(apply_recipe(cfg, mean_atoms(cfg)))
    stages = check_config(cfg)
    _check_shares_are_read(cfg)
    check_access(cfg.tracking)
    data = read_data(cfg)
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
    from sweep.training.trainer import Decision, EpochReport
    from sweep.workers.display import make_progress
    from sweep.workers.signals import GracefulStop

    progress = make_progress(n_trials=1, standing=lambda: (1, None))
    progress.message(f"building graphs and model, then training in {folder}")
    trainer = make_trainer(cfg, data)
    progress.show(trainer.check(cfg, stages))

    how = cfg.weighting.name
    what = "the configured weights" if how == "fixed" else f"weights that move ({how})"
    with progress, GracefulStop() as stop:
        progress.trial_started(0, what, stages[-1].end + 1)

        def after_epoch(report: EpochReport) -> Decision:
            progress.epoch(0, report.epoch, report.score, report.shares)
            if report.remark is not None:
                progress.message(report.remark)
            return Decision.STOP if stop.requested else Decision.CONTINUE

        entries = {"number": 0, "role": "default", "params": {}, "definition": defined}
        tracking = Tracking(cfg.tracking, folder, study=None, tell=progress.message)
        result = train_trial(
            trainer, cfg, stages, TrialWriter(folder, entries, lease.check), after_epoch,
            follower=tracking.follow(folder, folder.name),
        )  # fmt: skip
        if "ended_early" in result.details:
            progress.message(str(result.details["ended_early"]))
        progress.trial_ended(0, result.state, result.score)
    print_trial(folder)
    if result.state == "STOPPED":
        raise KeyboardInterrupt(f"stopped; hydra.run.dir={folder} on the command line resumes")
