"""Studies of the benchmark: what each kind of search finds, for how many trainings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from sweep.config.stages import CONF_DIR
from sweep.records import Study, Trial
from sweep.search.weights import static_overrides

__all__ = ["STUDIES", "Winner", "study_overrides", "winner"]

# The study as it ships; 24 weights as they were searched before there were shares; 24 at random, to
# their end; and the shares of the last stage alone, for about the cost of five trainings.
STUDIES = {
    "study": [],
    "searched": ["weighting=fixed", "hydra/sweeper/sampler=tpe", "hydra.sweeper.n_trials=24"],
    "random": [
        "weighting=fixed", "hydra/sweeper/sampler=random", "hydra/sweeper/pruner=none",
        "hydra.sweeper.n_trials=24",
    ],
    "last_stage": ["search.stages=last", "hydra.sweeper.n_trials=9"],
}  # fmt: skip


@dataclass(frozen=True)
class Winner:
    """The best trial of a study.

    Attributes:
        trial: Its records.
        overrides: What trains it again, at any length.
        trainings: What the study cost: its epochs over those of one training.
    """

    trial: Trial
    overrides: list[str]
    trainings: float


def study_overrides(kind: str, experiment: str) -> list[str]:
    """Words after ``+experiment=… -m``."""
    ranges = experiment if (CONF_DIR / "search" / f"{experiment}.yaml").exists() else "auto"
    by_hand = [f"search={ranges}"] if "weighting=fixed" in STUDIES[kind] else []
    return ["-m", "hydra.sweeper.n_jobs=1", *STUDIES[kind], *by_hand]


def winner(kind: str, folder: Path, cfg: DictConfig) -> Winner:
    """Read a study that is done.

    Weights are searched without the references that came with shares: trial 1 and its copy win no
    study of weights, and do not count in its cost.

    Args:
        kind: One of :data:`STUDIES`.
        folder: Of the study.
        cfg: The experiment with fixed weights.
    """
    study = Study.read(folder)
    is_fixed = "weighting=fixed" in STUDIES[kind]
    trials = [trial for trial in study if trial.role not in ("balanced", "static") or not is_fixed]
    best = min((t for t in trials if t.is_complete and t.same_as is None), key=lambda t: t.score)
    n_epochs = sum((t.epochs_trained or 0) - t.prefix_epochs for t in trials)
    if best.role in ("default", "static"):
        weights = {} if best.role == "default" else static_overrides(cfg, best.stages)
        overrides = ["weighting=fixed", *(f"{key}={value!r}" for key, value in weights.items())]
    else:
        weighting = "fixed" if is_fixed else "gradient_shares"
        overrides = [f"weighting={weighting}"]
        overrides += [f"{key}={value!r}" for key, value in best.params.items()]
    return Winner(best, overrides, n_epochs / (best.planned_epochs or 1))
