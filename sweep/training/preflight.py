"""Before the first step: can every term of every stage be trained on these data by this model?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from rich.table import Table

import losses
from sweep.config.stages import Stage
from sweep.console import make_table, plain
from sweep.data.audit import audit
from sweep.data.dataset import Coverage
from sweep.data.labels import LABELS, WEIGHTS
from sweep.data.remark import Remark
from sweep.data.table import Table as Configurations
from sweep.errors import InputError, unknown
from sweep.quantities import QUANTITIES, quantity, quantity_of
from sweep.training.setup import Setup

__all__ = ["preflight"]


@dataclass
class Finding:
    """What is known of one term in one stage."""

    stage: Stage
    term: losses.Term
    weight: float
    rows: dict[tuple[str, str], Coverage]
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def preflight(setup: Setup, stages: list[Stage]) -> Table:
    """Check all terms of all stages against data and model, then on one real batch.

    Args:
        setup: Data and model.
        stages: The checked stages.

    Returns:
        A table of terms, weights, label coverage, value ranges and warnings.

    Raises:
        InputError: naming every term that cannot be trained, and why.
    """
    coverage = {(row.label, row.split): row for row in setup.dataset.coverage()}
    findings = [
        Finding(stage, losses.get(name).variant(term), term["weight"], coverage)
        for stage in stages
        for name, term in stage.loss.items()
    ]
    for finding in findings:
        if finding.weight > 0:
            _check_model(finding, setup)
            _check_labels(finding, setup)
    inputs = _check_inputs(setup, stages)
    if not inputs and not any(finding.errors for finding in findings):
        _check_batch(findings, setup, stages)
    errors = inputs + list(
        dict.fromkeys(
            f"stage {f.stage.index} ({f.stage.name}): loss term '{f.term.name}': {error}"
            for f in findings
            for error in f.errors
        )
    )
    if errors:
        raise InputError("; ".join(errors))
    return _table(findings, stages, setup)


def _check_model(finding: Finding, setup: Setup) -> None:
    term, model = finding.term, setup.model
    if model.family not in term.families:
        valid = ", ".join(sorted(term.families))
        finding.errors.append(f"not for the model family '{model.family}', only for {valid}")
        return
    options = finding.stage.options
    for output in term.outputs:
        reason = model.reason_against(output, **options)
        if reason is not None:
            finding.errors.append(reason)
    if "total_charge" in term.labels and model.conserves_charge(**options):
        finding.warnings.append("constant: the model conserves charge")
    own = quantity_of(term)
    if own is not None and own.name not in setup.objective:
        for other in setup.objective:
            if QUANTITIES[other].pred == own.pred:  # the same prediction, another reference
                finding.warnings.append(f"the score measures '{other}' instead of '{own.name}'")


def _check_inputs(setup: Setup, stages: list[Stage]) -> list[str]:
    """What the model reads must be there, and it must predict what it is judged by."""
    errors = []
    for stage in stages:
        for key in setup.model.inputs(**stage.options):
            for split, configurations in setup.dataset.splits():
                missing = int((~configurations.has(key)).sum())
                if missing:
                    errors.append(
                        f"stage {stage.index} ({stage.name}): the model starts from the label "
                        f"'{LABELS[key].name}', which is missing in {missing} of "
                        f"{len(configurations)} configurations of {split}"
                    )
    connected = setup.connected("train")
    if connected.size and not connected.any():
        errors.append(
            f"model.r_max={setup.r_max:g}: no two atoms of the training set are so close, so that "
            "none would see another; it is in Å"
        )
    for name, key in setup.judged.items():
        reason = setup.reason_against(name, stages[-1].options)
        if reason is not None:
            errors.append(f"{key}: '{name}' cannot be measured: {reason}")
    return errors


def _check_labels(finding: Finding, setup: Setup) -> None:
    term, dataset = finding.term, setup.dataset
    masks = () if term.mask is None else (term.mask,)
    strange = [key for key in (*term.labels, *masks) if key not in LABELS and key not in WEIGHTS]
    if strange:  # in a term of the user's own
        finding.errors.append(unknown("key of a batch", strange[0], (*LABELS, *WEIGHTS)))
        return
    for key in term.labels:
        label = LABELS[key].name
        train = finding.rows.get((label, "train"))
        if train is None:
            finding.errors.append(f"its label '{label}' is not mapped in heads")
        elif train.labelled == 0:
            finding.errors.append(f"its label '{label}' is in no training configuration")
        elif term.mask is None:
            _check_unmasked(finding, key, dataset.train)
        if train is not None and train.all_zero:
            finding.warnings.append(f"{label} is zero everywhere")
        elif train is not None and train.constant:
            finding.warnings.append(f"{label} is the same everywhere")
    if finding.errors or not term.labels:
        return
    used, total = _used(term, dataset.train)
    if used == 0:
        mask = f"config_weight or {term.mask}" if term.mask else "config_weight"
        finding.errors.append(f"{mask} is 0 in every training configuration that has its label")
    for split in ("train", "valid"):
        used, total = _used(term, getattr(dataset, split))
        if used < total:
            finding.warnings.append(f"used in {used / total:.0%} of {split}")


def _check_unmasked(finding: Finding, key: str, train: Configurations) -> None:
    """A term without a mask fits missing labels to zero, and excluded ones all the same."""
    label = LABELS[key].name
    missing = int((~train.has(key)).sum())
    if missing:
        finding.errors.append(
            f"its label '{label}' is missing in {missing} of {len(train)} training configurations "
            "and the term has no mask: they would be fitted to zero"
        )
    weight = f"{key}_weight"
    if not missing and weight in WEIGHTS and (train.graphs(weight) != 1).any():
        finding.warnings.append(f"config_{label}_weight is ignored: the term has no mask")


def _used(term: losses.Term, configurations: Configurations) -> tuple[int, int]:
    """How many configurations enter the term, and how many there are."""
    total = len(configurations)
    used = configurations.graphs("weight") > 0
    for key in term.labels:
        used = used & configurations.has(key)
    if term.mask is not None:
        used = used & (configurations.graphs(term.mask).reshape(total, -1) > 0).any(axis=1)
    return int(used.sum()), total


def _check_batch(findings: list[Finding], setup: Setup, stages: list[Stage]) -> None:
    """Evaluate every term on a real batch: finite, and with a gradient unless it is zero."""
    setup.reset()
    ref, periodic = setup.balance_batch()
    parameters = [p for p in setup.model.parameters() if p.requires_grad]
    for stage in stages:
        loss = losses.WeightedLoss(stage.loss, device=setup.device, dtype=setup.dtype)
        pred = setup.model(
            ref,
            periodic=periodic,
            compute_stress=setup.needs_stress(loss),
            training=True,
            **stage.options,
        )
        raw = loss.raw(pred=pred, ref=ref)
        for i, name in enumerate(loss.names):
            finding = next(f for f in findings if f.stage is stage and f.term.name == name)
            if finding.weight == 0:
                continue
            value = float(raw[i].detach())
            gradient = torch.autograd.grad(raw[i], parameters, retain_graph=True, allow_unused=True)
            norm = math.sqrt(sum(float(g.square().sum()) for g in gradient if g is not None))
            if not math.isfinite(value):
                finding.errors.append("its value on the first batch is not finite")
            elif not math.isfinite(norm):
                finding.errors.append("its gradient on the first batch is not finite")
            elif norm == 0 and value != 0:
                finding.errors.append("its gradient on the first batch is zero: nothing to train")
            elif norm == 0:
                finding.warnings.append("zero on the first batch")


def _table(findings: list[Finding], stages: list[Stage], setup: Setup) -> Table:
    """One row per term, stages with the same loss share theirs; then what is odd about the data."""
    rows: list[list[object] | None] = []
    parts = (setup.dataset.train, setup.dataset.valid)
    for stage in stages:
        alike = [s for s in stages if s.loss == stage.loss and s.options == stage.options]
        if stage is not alike[0]:
            continue
        names = "\n".join(other.name for other in alike)
        for finding in (f for f in findings if f.stage is stage):
            labels = [LABELS[key].name for key in finding.term.labels]
            status = "; ".join(finding.warnings) or ("ok" if finding.weight else "not evaluated")
            rows.append([
                names, finding.term.name, f"{finding.weight:g}", "\n".join(labels) or "-",
                *("/".join(map(str, _used(finding.term, part))) for part in parts),
                "\n".join(_range(finding, name, setup.multipoles_max_l) for name in labels),
                plain(status, style="yellow" if finding.warnings else ""),
            ])  # fmt: skip
            names = ""
        rows.append(None)
    for remark in (*audit(setup.dataset), *_out_of_reach(setup)):
        odd = plain(remark.text, style="yellow")
        rows.append(["data", "", "", remark.label or "-", "", "", "", odd])
    headings = ["stage", "term", "weight", "label", "train", "valid", "range in train", "status"]
    return make_table("loss terms", headings, rows, align="llrlrrll")


def _out_of_reach(setup: Setup) -> Iterator[Remark]:
    for split, _ in setup.dataset.splits():
        connected = setup.connected(split)
        if not connected.all():
            yield Remark(
                "", f"{split}: in {(~connected).sum()} of {connected.size} configurations of "
                f"several atoms no two are within model.r_max={setup.r_max:g}"
            )  # fmt: skip


def _range(finding: Finding, label: str, multipoles_max_l: int) -> str:
    row = finding.rows.get((label, "train"))
    if row is None or row.minimum is None or row.maximum is None:
        return "-"
    unit = next(spec.unit for spec in LABELS.values() if spec.name == label)
    if label == "atomic_multipoles":
        unit = quantity(label, multipoles_max_l).unit
    return f"{row.minimum:.4g} to {row.maximum:.4g} {unit}"
