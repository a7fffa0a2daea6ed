"""Time of a study of esp_weights: ours, against a fresh process for every trial.

    python tests/benchmarks/bench_study.py [--trials 16] [OVERRIDE...]

Needs a machine that does nothing else. Four runs, each without one thing that the run before had;
every line says how much longer it took for that:

* ours: a worker with one thread per core, the model kept from trial to trial, pruning;
* the same without pruning;
* a fresh process for every trial, one thread each, as many at a time as there are cores;
* a fresh process for every trial, one after the other, with torch's default number of threads: what
  a search does that calls a training script.

The processes train the trials of the second run over again: the same weights, data, epochs and
metrics, by ``python -m sweep``, without a sweeper.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CORES = len(os.sched_getaffinity(0))
COMMAND = [sys.executable, "-m", "sweep", "+experiment=esp_weights"]


def environment(n_threads: int | None) -> dict[str, str]:
    """With a number of threads, or none given: torch's default."""
    env = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    return env if n_threads is None else {**env, "OMP_NUM_THREADS": str(n_threads)}


def study(
    folder: Path, n_trials: int, overrides: Sequence[str]
) -> tuple[float, list[dict[str, Any]]]:
    """Run a study; returns its time in seconds and what every trial recorded."""
    began = time.perf_counter()
    subprocess.run(
        [*COMMAND, "-m", f"hydra.sweeper.n_trials={n_trials}", f"hydra.sweeper.n_jobs={CORES}",
         *overrides],
        cwd=folder, env=environment(1), check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    paths = sorted(folder.glob("outputs/esp_weights/trials/*/trial.json"))
    return seconds, [json.loads(path.read_text()) for path in paths]


def processes(
    folder: Path,
    trials: Sequence[dict[str, Any]],
    overrides: Sequence[str],
    *,
    at_once: int,
    n_threads: int,
    env: dict[str, str],
) -> tuple[float, list[dict[str, Any]]]:
    """Train each trial in a process of its own; returns the time in seconds and what they recorded.

    Args:
        folder: Where.
        trials: Records of trials, for their weights.
        overrides: Of the configuration.
        at_once: How many processes at a time.
        n_threads: Of torch.
        env: Their environment.
    """
    left = list(trials)
    running: list[subprocess.Popen[bytes]] = []
    began = time.perf_counter()
    while left or running:
        while left and len(running) < at_once:
            trial = left.pop(0)
            weights = [f"{key}={value!r}" for key, value in trial["params"].items()]
            running.append(
                subprocess.Popen(
                    [*COMMAND, *overrides, *weights, f"trainer.num_threads={n_threads}",
                     f"hydra.run.dir={trial['number']}"],
                    cwd=folder, env=env, stdout=subprocess.DEVNULL,
                )
            )  # fmt: skip
        time.sleep(0.05)
        for process in [process for process in running if process.poll() is not None]:
            assert process.returncode == 0
            running.remove(process)
    seconds = time.perf_counter() - began
    paths = [folder / str(trial["number"]) / "trial.json" for trial in trials]
    records = [json.loads(path.read_text()) for path in paths]
    # The numbers of a single training are those of trial 0.
    return seconds, [
        {**record, "number": trial["number"], "params": trial["params"]}
        for record, trial in zip(records, trials, strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("overrides", nargs="*", help="of the configuration")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / str(i) for i in range(4)]
        for folder in folders:
            folder.mkdir()
        print(f"{given.trials} trials of esp_weights on {CORES} cores")
        ours, trials = study(folders[0], given.trials, given.overrides)
        report("ours", ours, trials, ours)
        unpruned, trials = study(
            folders[1], given.trials, ["hydra/sweeper/pruner=none", *given.overrides]
        )
        report("no pruning", unpruned, trials, ours)
        fresh, trials = processes(
            folders[2], trials, given.overrides, at_once=CORES, n_threads=1, env=environment(1)
        )
        report("fresh processes", fresh, trials, unpruned)
        usual, trials = processes(
            folders[3], trials, given.overrides,
            at_once=1, n_threads=CORES, env=environment(None),
        )  # fmt: skip
        report("torch's threads", usual, trials, fresh)
        print(f"all together: {usual / ours:.1f} times as long as ours")


def report(name: str, seconds: float, trials: Sequence[dict[str, Any]], before: float) -> None:
    """Print a line of the table."""
    score = min(trial["score"] for trial in trials if trial["state"] == "COMPLETE")
    n_epochs = sum(trial["epochs_trained"] for trial in trials)
    print(
        f"{name:<16} {seconds:8.1f} s   best score {score:.4f}   {len(trials)} trials, "
        f"{n_epochs} epochs   x {seconds / before:.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
