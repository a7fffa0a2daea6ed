"""What it costs to compare a large study: time and memory of ``python -m sweep.compare``.

    python tests/benchmarks/bench_compare.py [--trials 1000] [--steps 100000] [--folder DIR]

Writes a study of random numbers, in the form in which a training records it (some 4 MB for a trial
of 100,000 steps), and opens it twice; the first time its files come from the disk. In a folder that
is given the study is left there, and taken from there the next time.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from sweep.files import write_json
from sweep.records.epoch_tables import EpochTables

TERMS = (
    "energy_per_atom",
    "forces",
    "atomic_multipoles",
    "dipole_per_atom",
    "total_charge",
    "esps",
)
METRICS = ("energy", "forces", "atomic_multipoles", "total_charge", "dipole", "esps")
N_TEMPLATES = 8
EPOCHS = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        study = folder / f"{arguments.trials}x{arguments.steps}"
        if not study.exists():
            write_study(study, arguments.trials, arguments.steps)
        size = sum(path.stat().st_size for path in (study / "trials").glob("*/*"))
        print(f"{arguments.trials} trials of {arguments.steps} steps, {size / 1e9:.2f} GB")
        for run in ("first", "second"):
            if run == "first":
                forget(study)
            began, used = time.perf_counter(), processor_seconds()
            subprocess.run(
                [sys.executable, "-m", "sweep.compare", str(study)], check=True, capture_output=True
            )
            seconds = time.perf_counter() - began
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
            page = (study / "report" / "index.html").stat().st_size / 1e6
            used = processor_seconds() - used
            took = f"{seconds:.1f} s ({used:.1f} s of a processor)"
            print(f"{run} run: {took}, at most {peak:.2f} GB, page {page:.1f} MB")


def processor_seconds() -> float:
    """What the processes that have ended used of processors."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def forget(study: Path) -> None:
    """Let the kernel drop what it keeps of the files in memory."""
    os.sync()
    for path in (study / "trials").glob("*/*"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def write_study(study: Path, n_trials: int, n_steps: int) -> None:
    """A study whose trials share a few recorded courses and differ in weights and errors."""
    rng = np.random.default_rng(0)
    templates = [study / f"template{i}" for i in range(min(N_TEMPLATES, n_trials))]
    for template in templates:
        write_records(template, rng, n_steps)
    for number in range(n_trials):
        folder = study / "trials" / f"{number:04d}"
        shutil.copytree(templates[number % len(templates)], folder)
        write_trial_json(folder, rng, number)
    for template in templates:
        shutil.rmtree(template)


def write_records(folder: Path, rng: np.random.Generator, n_steps: int) -> None:
    record = EpochTables(folder, "fit")
    weights = dict(zip(TERMS, rng.lognormal(2, 2, len(TERMS)).tolist(), strict=True))
    per_epoch = n_steps // EPOCHS
    for epoch in range(EPOCHS):
        raw = rng.lognormal(-0.02 * epoch, 0.5, (per_epoch, len(TERMS))).astype(np.float32)
        total = raw @ np.array(list(weights.values()), dtype=np.float32)
        # Only the table: the log of a hundred thousand steps is not read.
        record.add_steps(
            first_step=epoch * per_epoch, epoch=epoch, stage=epoch // (EPOCHS // 2), lr=0.01,
            times=np.zeros(per_epoch).tolist(), raw=raw, weights=weights, total=total,
            grad_norm=total,
        )  # fmt: skip
        metrics = {"loss": 1.0, "score": 0.1} | {f"rmse_{name}": 0.1 for name in METRICS}
        record.add_metrics(
            step=(epoch + 1) * per_epoch, epoch=epoch, stage=0, split="valid", metrics=metrics
        )
        if epoch % 10 == 0:
            cosine = np.eye(len(TERMS))
            record.add_balance(
                {
                    "step": np.full(len(TERMS), epoch * per_epoch),
                    "epoch": np.full(len(TERMS), epoch),
                    "stage": np.full(len(TERMS), 0), "term": list(TERMS),
                    "raw_norm": np.ones(len(TERMS)), "weighted_norm": np.ones(len(TERMS)),
                    **{f"cosine.{name}": cosine[:, i] for i, name in enumerate(TERMS)},
                }
            )  # fmt: skip
    record.write()
    shutil.rmtree(folder / "logs")


def write_trial_json(folder: Path, rng: np.random.Generator, number: int) -> None:
    weights = dict(zip(TERMS, rng.lognormal(2, 2, len(TERMS)).tolist(), strict=True))
    errors = {f"rmse_{name}": float(rng.lognormal(-2, 0.5)) for name in METRICS}
    score = float(np.exp(np.mean(np.log(list(errors.values())))))
    loss = {name: {"weight": weight} for name, weight in weights.items()}
    write_json(
        folder / "trial.json",
        {
            "number": number, "role": {0: "default", 1: "balanced"}.get(number),
            "state": "COMPLETE" if number % 10 else "PRUNED", "score": score, "reason": None,
            "epoch": EPOCHS - 1, "epochs_trained": EPOCHS, "seconds": 60.0, "seed": 0,
            "params": {f"loss.{name}.weight": weight for name, weight in weights.items()},
            "objective": {"metrics": list(METRICS), "statistic": "rmse"},
            "metrics": {split: {"score": score, **errors} for split in ("valid", "test")},
            "stages": [
                {"name": f"stage {i}", "start": start, "end": end, "lr": 0.01, "loss": loss}
                for i, (start, end) in enumerate(((0, 49), (50, EPOCHS - 1)))
            ],
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
