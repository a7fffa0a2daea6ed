"""A worker without torch: takes trials, records and reports epochs, tells; all but the training.

Run as a program: ``light_worker.py FOLDER URL N_TRIALS N_EPOCHS SECONDS``, with ``-`` for no URL;
an epoch takes that many seconds. What it records follows from the trial's parameter alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import optuna
from optuna.trial import TrialState

from sweep.errors import LeaseLostError
from sweep.files import read_json, write_json
from sweep.records.epoch_tables import EpochTables
from sweep.study.queue import TrialHandle, TrialQueue
from sweep.study.storage import open_study
from sweep.workers.heartbeat import Heartbeat

STEPS = 3  # per epoch
PRUNED_BELOW, PRUNED_AT = 0.3, 1


def start(
    folder: Path, url: str | None, *, n_trials: int, n_epochs: int, seconds: float
) -> subprocess.Popen:
    """Start a worker as a process; what it prints goes to a file in ``folder/output``."""
    (folder / "output").mkdir(parents=True, exist_ok=True)
    number = len(list((folder / "output").iterdir()))
    with (folder / "output" / f"{number}.txt").open("wb") as file:
        return subprocess.Popen(
            [sys.executable, __file__, folder, url or "-",
             *map(str, (n_trials, n_epochs, seconds))],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
        )  # fmt: skip


def rows(x: float, epoch: int) -> np.ndarray:
    """What a trial records of an epoch, shape [STEPS, 1]."""
    steps = np.arange(STEPS * epoch, STEPS * (epoch + 1), dtype=float)
    return x * np.cos(steps)[:, None]


def main(folder: Path, url: str | None, n_trials: int, n_epochs: int, seconds: float) -> None:
    """Work until the study is done."""
    queue = TrialQueue(
        open_study(folder, folder.name, storage=url),
        folder,
        optuna.samplers.RandomSampler,
        n_trials=n_trials,
        max_failure_rate=0.0,
    )
    heartbeat = Heartbeat()
    with heartbeat:
        while (handle := queue.claim(lambda: False)) is not None:
            heartbeat.lease = handle.lease
            try:
                _work_on(handle, queue, folder, n_epochs, seconds)
            except LeaseLostError as error:
                print(f"lost: {error}")
            finally:
                heartbeat.lease = None
                handle.lease.release()


def _work_on(
    handle: TrialHandle, queue: TrialQueue, study_folder: Path, n_epochs: int, seconds: float
) -> None:
    trial = handle.trial
    x = trial.suggest_float("x", 0, 1)
    folder = study_folder / "trials" / f"{trial.number:04d}"
    checkpoint = folder / "checkpoint.json"
    saved = read_json(checkpoint) or {"epoch": -1, "log_size": 0}
    reported = set(queue.trials()[trial.number].intermediate_values)
    record = EpochTables(
        folder,
        "fit",
        last_epoch=saved["epoch"],
        log_size=saved["log_size"],
        n_steps=STEPS * (saved["epoch"] + 1),
    )
    epoch = saved["epoch"]
    while not _has_ended(trial, x, epoch, n_epochs, reported):
        epoch += 1
        time.sleep(seconds)
        raw = rows(x, epoch)
        record.add_steps(
            first_step=STEPS * epoch,
            epoch=epoch,
            stage=0,
            lr=0.1,
            times=STEPS * [time.time()],
            raw=raw,
            weights={"forces": 1.0},
            total=raw[:, 0],
            grad_norm=raw[:, 0],
        )
        record.add_metrics(
            step=STEPS * (epoch + 1), epoch=epoch, stage=0, split="valid",
            metrics={"loss": x, "score": x},
        )  # fmt: skip
        handle.lease.check()
        write_json(checkpoint, {"epoch": epoch, "log_size": record.write()})
    trial.set_user_attr("score", x)
    if epoch + 1 == n_epochs:
        queue.study.tell(trial, x)
    else:
        queue.study.tell(trial, state=TrialState.PRUNED)


def _has_ended(
    trial: optuna.Trial, x: float, epoch: int, n_epochs: int, reported: set[int]
) -> bool:
    if epoch < 0:
        return False
    if epoch not in reported:
        trial.report(x, epoch)
        reported.add(epoch)
    return epoch + 1 == n_epochs or (x < PRUNED_BELOW and epoch == PRUNED_AT)


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        None if sys.argv[2] == "-" else sys.argv[2],
        int(sys.argv[3]),
        int(sys.argv[4]),
        float(sys.argv[5]),
    )
