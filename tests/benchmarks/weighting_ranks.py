"""Whether short trainings tell which settings win long ones: ranks between lengths, and pruning."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from scipy.stats import kendalltau

Line = Mapping[str, Any]

WARM_UPS = (3, 6, 12)
ORDERS = 200


def ranks(lines: Sequence[Line]) -> str:
    """Kendall's tau of the validation scores of the drawn settings, between each two lengths.

    Its error is the standard deviation over resampled settings.
    """
    rows = [["settings", "lengths", "number", "Kendall's tau", "the best of the shorter is there"]]
    rows.append(["---", "---", "---:", "---:", "---:"])
    for what in ("shares", "weights"):
        scores: dict[float, dict[str, float]] = {}
        for line in lines:
            if re.fullmatch(f"{what}[0-9]+", line["kind"]) and line["valid_score"] is not None:
                scores.setdefault(line["length"], {})[line["kind"]] = line["valid_score"]
        for short, long in itertools.combinations(sorted(scores), 2):
            both = sorted(scores[short].keys() & scores[long].keys())
            if len(both) < 4:
                continue
            pairs = np.array([[scores[length][kind] for length in (short, long)] for kind in both])
            generator = np.random.default_rng(0)
            drawn = generator.integers(len(both), size=(2000, len(both)))
            taus = [kendalltau(*pairs[rows].T).statistic for rows in drawn]
            place = int((pairs[:, 1] < pairs[pairs[:, 0].argmin(), 1]).sum()) + 1
            rows.append([
                what, f"{short:.3g} and {long:.3g}", str(len(both)),
                f"{kendalltau(*pairs.T).statistic:.2f} ± {np.nanstd(taus):.2f}",
                f"{place} of {len(both)}",
            ])  # fmt: skip
    if len(rows) == 2:
        return ""
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def pruning(lines: Sequence[Line]) -> str:
    """What the shipped pruner would have done to the shortest trainings, in random orders."""
    rows = [["settings", "trials", "pruned from epoch", "epochs saved", "best pruned", "best kept"]]
    rows.append(["---", *["---:"] * 5])
    others = {"shares": ("gradient_shares", "equal_shares"), "weights": ("default", "balanced")}
    for what, beside in others.items():
        wanted = re.compile("|".join((f"{what}[0-9]+", *beside)))
        curves = [
            line["curve"]
            for line in lines
            if line["experiment"] == "esp_weights" and line["length"] == 1 and line["seed"] == 0
            and wanted.fullmatch(line["kind"])
            and line["valid_score"] is not None and "curve" in line
        ]  # fmt: skip
        for warm_up in WARM_UPS if len(curves) > 6 else ():
            saved, lost, regret = _pruned(np.array(curves), warm_up)
            rows.append([
                what, str(len(curves)), str(warm_up), f"{100 * saved:.0f} %",
                f"{100 * lost:.0f} % of orders", f"{100 * regret:.1f} % worse",
            ])  # fmt: skip
    if len(rows) == 2:
        return ""
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _pruned(curves: NDArray[np.float64], warm_up: int) -> tuple[float, float, float]:
    """Share of epochs saved, of orders in which the best is pruned, and what the best is worse."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    generator = np.random.default_rng(0)
    final = curves.min(axis=1)
    trained, lost, regret = [], [], []
    for _ in range(ORDERS):
        pruner = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=warm_up)
        study = optuna.create_study(pruner=pruner, sampler=optuna.samplers.RandomSampler(seed=0))
        kept = []
        for i in generator.permutation(len(curves)):
            trial = study.ask()
            n_epochs = len(curves[i])
            for epoch, score in enumerate(curves[i]):
                trial.report(score, epoch)
                if trial.should_prune():
                    n_epochs = epoch + 1
                    break
            is_pruned = n_epochs < len(curves[i])
            state = optuna.trial.TrialState.PRUNED if is_pruned else None
            study.tell(trial, None if is_pruned else final[i], state=state)
            trained.append(n_epochs / len(curves[i]))
            kept += [] if is_pruned else [i]
        lost.append(int(final.argmin()) not in kept)
        regret.append(final[kept].min() / final.min() - 1)
    return 1 - float(np.mean(trained)), float(np.mean(lost)), float(np.mean(regret))
