"""Errors in physical units over labelled entries, and the score."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from losses import WeightedLoss
from sweep.training.metrics import evaluate
from sweep.training.score import score

QUANTITIES = ["energy", "forces", "atomic_multipoles", "total_charge", "dipole", "esps"]


def graphs(n_atoms: list[int], seed: int = 0) -> dict[str, torch.Tensor]:
    """Random labels for graphs of the given sizes."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    n_graphs, total = len(n_atoms), sum(n_atoms)
    sizes = torch.tensor(n_atoms)
    return {
        "ptr": torch.cat([torch.zeros(1, dtype=torch.int64), sizes.cumsum(0)]),
        "batch": torch.repeat_interleave(torch.arange(n_graphs), sizes),
        "weight": torch.ones(n_graphs),
        "energy": draw(n_graphs),
        "forces": draw(total, 3),
        "density_coefficients": draw(total, 4),
        "total_charge": draw(n_graphs),
        "dipole": draw(n_graphs, 3),
        "esps_dft": draw(total),
        **{
            f"{name}_weight": torch.ones(n_graphs)
            for name in ("energy", "forces", "density_coefficients", "total_charge",
                         "electrostatic_potentials")
        },
        "dipole_weight": torch.ones(n_graphs, 3),
    }  # fmt: skip


class Predictions:
    """Stands for a model: predicts the labels plus fixed errors."""

    def __init__(self, errors: dict[str, float]) -> None:
        self.errors = errors

    def __call__(self, ref, *, periodic, compute_stress):
        assert not compute_stress
        keys = ("energy", "forces", "density_coefficients", "dipole")
        pred = {key: ref[key] + self.errors.get(key, 0.0) for key in keys}
        pred["esps_dft"] = ref["esps_dft"]
        pred["esps"] = ref["esps_dft"] + self.errors.get("esps", 0.0)
        return pred


def measure(model, *batches):
    loss = WeightedLoss({"energy_per_atom": 2.0})
    pairs = [(ref, False) for ref in batches]
    return evaluate(model, pairs, loss, quantities=QUANTITIES, compute_stress=False)


def test_errors_are_those_of_the_definition():
    ref = graphs([2, 4])
    errors = {"energy": 0.8, "forces": -0.5, "density_coefficients": 0.25, "dipole": 3.0}
    found = measure(Predictions(errors | {"esps": -0.125}), ref)
    per_atom = np.array([0.8 / 2, 0.8 / 4])
    assert found["rmse_energy"] == pytest.approx(math.sqrt((per_atom**2).mean()))
    assert found["mae_energy"] == pytest.approx(per_atom.mean())
    assert found["rmse_forces"] == found["mae_forces"] == pytest.approx(0.5)
    assert found["rmse_atomic_multipoles"] == pytest.approx(0.25)
    assert found["rmse_dipole"] == pytest.approx(3.0)
    assert found["rmse_esps"] == pytest.approx(0.125)
    charges = [float(ref["density_coefficients"][ref["batch"] == g, 0].sum()) for g in range(2)]
    wrong = np.array(charges) + 0.25 * np.array([2, 4]) - ref["total_charge"].numpy()
    assert found["rmse_total_charge"] == pytest.approx(math.sqrt((wrong**2).mean()))
    assert found["loss"] == pytest.approx(2 * (per_atom**2).mean())


def test_batches_do_not_matter():
    """Entries count, not batches: a small last batch has no more say than its entries."""
    one, two = graphs([2, 3, 4]), graphs([5], seed=1)
    model = Predictions({"forces": 1.0, "energy": 1.0})
    found = measure(model, one, two)
    expected = (1 / 4 + 1 / 9 + 1 / 16 + 1 / 25) / 4
    assert found["rmse_energy"] == pytest.approx(math.sqrt(expected))


def test_missing_labels_do_not_count_even_if_not_finite():
    ref = graphs([2, 2])
    ref["energy_weight"][1] = 0.0
    ref["energy"][1] = float("nan")
    ref["dipole_weight"][0, 2] = 0.0
    ref["dipole"][0, 2] = 1e30
    found = measure(Predictions({"energy": 1.0, "dipole": 0.5}), ref)
    assert found["rmse_energy"] == pytest.approx(0.5)
    assert found["rmse_dipole"] == pytest.approx(0.5)


def test_a_quantity_without_any_label_is_nan():
    ref = graphs([2])
    ref["forces_weight"][:] = 0.0
    assert math.isnan(measure(Predictions({}), ref)["rmse_forces"])


def test_score_is_the_geometric_mean_of_relative_errors():
    metrics = {"rmse_energy": 0.2, "rmse_forces": 0.5, "mae_energy": 0.1, "mae_forces": 0.1}
    scales = {"energy": 2.0, "forces": 1.0}
    assert score(metrics, scales, {"energy": 1, "forces": 1}, "rmse") == pytest.approx(0.05**0.5)
    assert score(metrics, scales, {"energy": 1.0}, "mae") == pytest.approx(0.05)
    assert math.isnan(score({"rmse_energy": math.inf}, scales, {"energy": 1.0}, "rmse"))


def test_score_does_not_depend_on_weights():
    ref, model = graphs([3, 2]), Predictions({"energy": 0.1, "forces": 0.2})
    pairs = [(ref, False)]
    found = [
        evaluate(
            model, pairs, WeightedLoss({"energy_per_atom": weight}), quantities=QUANTITIES,
            compute_stress=False,
        )
        for weight in (1.0, 1000.0)
    ]  # fmt: skip
    assert found[0].pop("loss") != found[1].pop("loss")
    assert found[0] == found[1]
