"""Folders of trials and studies, written by the recorder as a training writes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweep.files import write_json
from sweep.records import Dimension, Objective, StudyRecord
from sweep.records.epoch_tables import EpochTables
from sweep.report.comparison.comparison import Comparison, compare
from sweep.report.comparison.sources import read_sources

LOSS = {
    "forces": {"weight": 100.0},
    "esps": {"weight": 2.0},
    "forces_huber": {"weight": 0.5, "huber_delta": 0.02},
}
RAW = [[0.02, 0.5, 2.0], [0.04, 0.5, 4.0]]  # steps x terms of LOSS
# weighted means 3, 1, 1.5: shares 6/11, 2/11, 3/11


def errors(factor: float) -> dict[str, float]:
    """Metrics of an evaluation; ``factor`` scales them all."""
    return {
        "loss": 0.1 * factor,
        "score": 0.2 * factor,
        "rmse_energy": 0.0015 * factor,
        "mae_energy": 0.001 * factor,
        "rmse_forces": 0.05 * factor,
        "mae_forces": 0.04 * factor,
    }


@pytest.fixture
def make_trial(tmp_path: Path) -> Callable[..., Path]:
    """Write the folder of a trial of the study in ``tmp_path``."""

    def make(number: int, *, factor: float = 1.0, loss: Any = None, **content: Any) -> Path:
        folder = tmp_path / "trials" / f"{number:04d}"
        loss = loss or LOSS
        record = EpochTables(folder, "fit")
        weights = {name: term["weight"] for name, term in loss.items()}
        for epoch in range(2):
            raw = np.array(RAW)[:, : len(weights)] / (epoch + 1)
            record.add_steps(
                first_step=2 * epoch, epoch=epoch, stage=0, lr=0.01, times=[0.0, 1.0], raw=raw,
                weights=weights, total=raw @ np.array(list(weights.values())),
                grad_norm=np.ones(2),
            )  # fmt: skip
            record.add_metrics(
                step=2 * epoch + 2, epoch=epoch, stage=0, split="valid", metrics=errors(factor)
            )
        record.write()
        stage = {"name": "first", "start": 0, "end": 1, "lr": 0.01, "loss": loss}
        write_json(
            folder / "trial.json",
            {
                "number": number, "role": None, "state": "COMPLETE", "score": 0.2 * factor,
                "epoch": 1, "seconds": 3.0, "params": {"loss.esps.weight": 2.0}, "reason": None,
                "seed": 0, "objective": {"metrics": ["energy", "forces"], "statistic": "rmse"},
                "metrics": {"valid": errors(factor), "test": errors(1.25 * factor)},
                "stages": [stage], **content,
            },
        )  # fmt: skip
        return folder

    return make


@pytest.fixture
def study_folder(make_trial: Callable[..., Path], tmp_path: Path) -> Path:
    """Default, balanced, a better, a pruned, a failed and a running trial."""
    make_trial(0, role="default")
    make_trial(1, role="balanced", factor=0.8)
    make_trial(2, factor=0.5)
    make_trial(3, factor=0.1, state="PRUNED", metrics={"valid": errors(0.1)})
    make_trial(4, state="FAILED", score=None, metrics={}, reason="epoch 0, batch 1: not finite")
    make_trial(5, state="RUNNING", score=None, metrics={})
    return tmp_path


TERMS = ("forces", "esps", "dipole")
N_STEPS = 4  # per epoch
STAGE_EPOCHS = (3, 2)


def write_trial(
    study: Path,
    number: int,
    weights: dict[str, float],
    errors: dict[str, float],
    *,
    n_epochs: int = sum(STAGE_EPOCHS),
    terms: tuple[str, ...] = TERMS,
    **content: Any,
) -> Path:
    """A trial of two stages; the second one lacks the last term.

    ``errors`` are the RMSEs in stored units; the score is their mean, ten percent more on the test
    set. Everything else is drawn from the trial's number.
    """
    folder = study / "trials" / f"{number:04d}"
    rng = np.random.default_rng(number)
    record = EpochTables(folder, "fit")
    score = sum(errors.values()) / len(errors)
    losses = [{name: {"weight": weights[name]} for name in kept} for kept in (terms, terms[:-1])]
    measured = {"loss": 1.0, "score": score} | {f"rmse_{k}": v for k, v in errors.items()}
    measured |= {f"mae_{k}": 0.8 * v for k, v in errors.items()}
    for epoch in range(n_epochs):
        stage = int(epoch >= STAGE_EPOCHS[0])
        names = list(losses[stage])
        raw = rng.lognormal(-1, 0.4, (N_STEPS, len(names)))
        used = {name: weights[name] for name in names}
        record.add_steps(
            first_step=epoch * N_STEPS, epoch=epoch, stage=stage, lr=0.01,
            times=np.arange(N_STEPS).tolist(), raw=raw, weights=used,
            total=raw @ np.array(list(used.values())), grad_norm=np.ones(N_STEPS),
        )  # fmt: skip
        still = 1 + 0.5 * (n_epochs - 1 - epoch)
        record.add_metrics(
            step=(epoch + 1) * N_STEPS, epoch=epoch, stage=stage, split="valid",
            metrics={name: still * value for name, value in measured.items()} | {"clipped": 0.0},
        )  # fmt: skip
        gradients = rng.normal(size=(len(names), 5))
        norms = np.linalg.norm(gradients, axis=1)
        cosine = (gradients @ gradients.T) / np.outer(norms, norms)
        record.add_balance(
            {
                "step": np.full(len(names), epoch * N_STEPS), "epoch": np.full(len(names), epoch),
                "stage": np.full(len(names), stage), "term": names, "raw_norm": norms,
                "weighted_norm": norms * np.array(list(used.values())),
                **{f"cosine.{name}": cosine[:, i] for i, name in enumerate(names)},
            }
        )  # fmt: skip
    record.write()
    ends = np.cumsum(STAGE_EPOCHS) - 1
    test = {name: 1.1 * value for name, value in measured.items()}
    write_json(
        folder / "trial.json",
        {
            "number": number, "role": None, "state": "COMPLETE", "score": score, "reason": None,
            "epoch": n_epochs - 1, "epochs_trained": n_epochs, "seconds": 3.0, "seed": 7,
            "params": {f"loss.{name}.weight": weight for name, weight in weights.items()},
            "objective": {"metrics": list(errors), "statistic": "rmse"},
            "metrics": {"valid": measured | {"clipped": 0.0}, "test": test},
            "stages": [
                {"name": name, "start": int(end) + 1 - length, "end": int(end), "lr": 0.01,
                 "loss": loss}
                for name, end, length, loss in zip(
                    ("first", "second"), ends, STAGE_EPOCHS, losses, strict=True
                )
            ],
            "device": "cpu", "versions": {"torch": "2"}, **content,
        },
    )  # fmt: skip
    return folder


def write_journal(study: Path, ranges: dict[str, tuple[float, float]]) -> None:
    """The journal of a study that searches weights on a logarithmic scale."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study.mkdir(parents=True, exist_ok=True)
    backend = JournalFileBackend(str(study / "study.journal"))
    searched = optuna.create_study(
        storage=optuna.storages.JournalStorage(backend), study_name=study.name
    )
    trial = searched.ask()
    for key, (low, high) in ranges.items():
        trial.suggest_float(key, low, high, log=True)


def write_space(
    study: Path,
    ranges: dict[str, tuple[float, float]],
    metrics: tuple[str, ...] = ("energy", "forces", "esps"),
) -> None:
    """The ``study.json`` of a study that searches weights on a logarithmic scale."""
    study.mkdir(parents=True, exist_ok=True)
    space = {key: Dimension("float", low, high, log=True) for key, (low, high) in ranges.items()}
    StudyRecord(study.name, Objective(metrics), space).write(study)


def write_study(study: Path, n_trials: int = 14, terms: tuple[str, ...] = TERMS) -> Path:
    """Forces get better and the energy gets worse with the weight of the first term.

    Trial 0 is the default, 1 the balanced; then complete ones; the last three are pruned, failed
    and running.
    """
    ranges = {f"loss.{name}.weight": (0.1, 10.0) for name in terms[1:]}
    write_space(study, {f"loss.{terms[0]}.weight": (0.01, 1000.0), **ranges})
    for number in range(n_trials):
        rng = np.random.default_rng(100 + number)
        weights = {name: float(rng.uniform(0.5, 2.0)) for name in terms}
        weights[terms[0]] = 10.0 ** (3 * ((number * 5) % n_trials) / n_trials - 1)
        forces = 0.05 * weights[terms[0]] ** -0.4
        energy = 0.001 * weights[terms[0]] ** 0.1
        errors = {"energy": energy, "forces": forces, "esps": float(rng.uniform(0.1, 0.2))}
        role = {0: "default", 1: "balanced"}.get(number)
        write_trial(study, number, weights, errors, role=role, terms=terms)
    weights = dict.fromkeys(terms, 1.0)
    errors = {"energy": 0.1, "forces": 0.1, "esps": 0.1}
    write_trial(study, n_trials, weights, errors, terms=terms, n_epochs=2, state="PRUNED")
    write_trial(
        study, n_trials + 1, weights, errors, terms=terms, n_epochs=1, state="FAILED", score=None,
        metrics={}, reason="epoch 1, batch 2: forces is not finite",
    )  # fmt: skip
    write_trial(
        study, n_trials + 2, weights, errors, terms=terms, n_epochs=2, state="RUNNING", score=None,
        metrics={}, epochs_trained=None,
    )  # fmt: skip
    return study


@pytest.fixture(scope="session")
def big_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study of 17 trials; nothing may be changed in it."""
    return write_study(tmp_path_factory.mktemp("studies") / "mine")


@pytest.fixture(scope="session")
def big(big_study: Path) -> Comparison:
    """The comparison of :func:`big_study`."""
    return compare(read_sources([big_study])[0])


@pytest.fixture(scope="session")
def make_journal() -> Callable[..., None]:
    """:func:`write_journal`."""
    return write_journal


@pytest.fixture(scope="session")
def make_space() -> Callable[..., None]:
    """:func:`write_space`."""
    return write_space


@pytest.fixture
def make_study(tmp_path: Path) -> Callable[..., Path]:
    """Write a study of one's own: ``make_study(name, n_trials=…, terms=…)``."""
    return lambda name="mine", **more: write_study(tmp_path / name, **more)


@pytest.fixture
def make_two_stage_trial(tmp_path: Path) -> Callable[..., Path]:
    """Write one trial of the study ``mine``: ``make(number, weights, errors, …)``."""
    return lambda *given, **more: write_trial(tmp_path / "mine", *given, **more)
