"""The trials of a study as one table."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pandas as pd

from sweep.quantities import QUANTITIES, quantity

if TYPE_CHECKING:
    from sweep.records.study import Study
    from sweep.records.trial import Trial

__all__ = ["SPLITS", "last_evaluation", "multipoles_max_l", "study_html", "trial_frame"]

SPLITS = ("valid", "test")
_SHOWN = ("role", "state", "rank", "score")


def trial_frame(study: Study) -> pd.DataFrame:
    """All trials of a study, one row each, in the order of their numbers.

    Returns:
        Indexed by ``number``. Columns:

        * ``role``: ``default``, ``balanced``, ``static``, ``best`` (or ``knee``), the name of a
          recipe, or several of them; ``state``; ``reason``: why it failed or is not ranked;
          ``rank``: from 1, of the complete trials that keep the constraints and repeat no
          other's weights.
        * ``score``: what the study judges by; ``valid.score``, ``test.score``, and
          ``valid.<quantity>``, ``test.<quantity>``: the errors (RMSE or MAE, as the objective
          says) in the units of :data:`sweep.quantities.QUANTITIES`: eV per atom for the energy,
          eV/Å, eV/Å³, e·Å^l (e for charges only), e·Å, V. Of a trial at work they are those of its
          last evaluation.
        * ``param.<key>``: the searched keys; ``weight.<term>`` in the last stage; ``share.<term>``:
          weighted value over total loss in the last epoch, from 0 to 1.
        * ``clipped``: share of the steps in the epoch of the score whose gradient was longer than
          ``trainer.clip_grad``.
        * ``effective_terms``, ``n_terms``, ``dominant``, ``dominant_share``, ``starved``: the
          balance in the last epoch.
        * ``note``, ``tags``: what ``loss-sweep note`` wrote.
        * ``epochs`` (trained), ``planned_epochs``, ``seconds`` (of training), ``folder``.

        A column that no trial has is left out. ``attrs["units"]`` holds the unit of every column
        that has one, for example ``{"valid.forces": "eV/Å", "seconds": "s"}``.
    """
    places = {trial.folder: place for place, trial in enumerate(study.ranked, start=1)}
    rows = [_row(study, trial, places.get(trial.folder)) for trial in study]
    if not rows:
        return pd.DataFrame(columns=list(_SHOWN)).rename_axis("number")
    frame = pd.DataFrame(rows).set_index("number")
    frame = frame.drop(columns=[name for name in frame if frame[name].isna().all()
                                and name not in _SHOWN])  # fmt: skip
    max_l = multipoles_max_l(study)
    frame.attrs["units"] = {name: unit for name in map(str, frame) if (unit := _unit(name, max_l))}
    return frame


def multipoles_max_l(trials: Iterable[Trial]) -> int | None:
    """Largest l of the multipoles of some trials; None where none of them tells."""
    return max((t.multipoles_max_l for t in trials if t.multipoles_max_l is not None), default=None)


def _unit(column: str, max_l: int | None) -> str:
    split, _, key = column.partition(".")
    if split in SPLITS and key in QUANTITIES:
        return quantity(key, max_l).unit
    return "s" if column == "seconds" else ""


def _row(study: Study, trial: Trial, rank: int | None) -> dict[str, Any]:
    results, epochs = _results(trial)
    words = (trial.reason, study.why_unranked(trial), trial.damage)
    row: dict[str, Any] = {
        "number": trial.number,
        "role": study.roles_of(trial),
        "state": str(trial.state),
        "reason": "; ".join(word for word in words if word),
        "rank": rank,
        "score": trial.score,
    }
    for split in SPLITS:
        for key in ("score", *trial.quantities):
            name = key if key == "score" else f"{trial.statistic}_{key}"
            value = results.get(split, {}).get(name)
            if value is not None and math.isfinite(value):
                row[f"{split}.{key}"] = value
    if trial.score is not None:
        row.setdefault("valid.score", trial.score)
    row |= {f"param.{key}": value for key, value in trial.params.items()}
    if trial.stages:
        row |= {f"weight.{name}": value for name, value in trial.weights.items()}
    for kind in ("config_type", "element", "size"):
        split = "test" if trial.errors_by(kind, "test") else "valid"
        row |= {
            f"{kind}.{name}.{key}": value
            for name, (_, errors) in trial.errors_by(kind, split).items()
            for key, value in errors.items()
        }
    clipped = results.get("valid", {}).get("clipped")
    if clipped is not None:
        row["clipped"] = clipped
    balance = trial.balance
    if balance is not None:
        row |= {f"share.{name}": value for name, value in balance.shares.items()}
        row |= {
            "effective_terms": balance.effective_terms,
            "n_terms": len(balance.active),
            "dominant": balance.dominant,
            "dominant_share": balance.shares[balance.dominant],
            "starved": ", ".join(balance.starved),
        }
    if trial.note:
        row |= {"note": trial.note.text, "tags": ", ".join(trial.note.tags)}
    return row | {
        "epochs": epochs,
        "planned_epochs": trial.planned_epochs,
        "seconds": trial.details.get("seconds"),
        "folder": str(trial.folder),
    }


def _results(trial: Trial) -> tuple[dict[str, Any], int | None]:
    """Metrics by split and epochs trained; of a running trial those of its last evaluation."""
    results = dict(trial.results)
    if results and trial.epochs_trained is not None:
        return results, trial.epochs_trained
    last = last_evaluation(trial)
    if last is None:
        return results, trial.epochs_trained
    return results or {"valid": last}, int(last["epoch"]) + 1


def last_evaluation(trial: Trial) -> dict[str, Any] | None:
    """The last validation of a trial, None if there is none that can be read."""
    from sweep.errors import DamagedRecordError

    try:
        table = trial.metrics()
    except DamagedRecordError:
        return None
    if not {"split", "epoch"} <= set(table.columns):
        return None
    rows = table[table["split"] == "valid"].to_dict("records")
    if not rows or not isinstance(rows[-1]["epoch"], int):
        return None
    found = {str(key): value for key, value in rows[-1].items()}
    if trial.is_judged_anew:
        found.pop("score", None)  # which is that of another objective
    return found


def study_html(study: Study) -> str:
    """A study in a notebook: what it is, and its trials, best first."""
    counts = ", ".join(f"{n} {state.lower()}" for state, n in sorted(study.states.items()))
    frame = study.trials
    names = [c for c in frame if c in _SHOWN or str(c).startswith(("valid.", "test.", "weight."))]
    table = frame[names].sort_values("rank", na_position="last", kind="stable")
    units = frame.attrs.get("units", {})
    table = table.rename(columns={name: f"{name} ({unit})" for name, unit in units.items()})
    head = f"<b>study {html.escape(study.name)}</b>: {len(study)} trials ({counts})"
    return head + table.to_html(max_rows=30, na_rep="", float_format="{:.4g}".format)
