"""Errors by element and by system size."""

import math

import numpy as np
import pytest
import torch

from sweep.training.kinds import evaluate_kinds, sizes_of


def batch(*systems):
    """Systems of hydrogen and oxygen: ``"HHO"``; forces of zero, energies of zero, all labelled."""
    n = torch.tensor([len(system) for system in systems])
    element = torch.tensor([0 if symbol == "H" else 1 for symbol in "".join(systems)])
    return {
        "ptr": torch.cat([torch.zeros(1, dtype=torch.long), n.cumsum(0)]),
        "batch": torch.repeat_interleave(torch.arange(len(n)), n),
        "node_attrs": torch.nn.functional.one_hot(element, 2).double(),
        "energy": torch.zeros(len(n)), "energy_weight": torch.ones(len(n)),
        "forces": torch.zeros(len(element), 3), "forces_weight": torch.ones(len(n)),
    }  # fmt: skip


def model(ref, *, periodic, compute_stress):
    """Wrong by 0.1 for hydrogen, by 0.3 for oxygen, and by 0.2 eV for each system."""
    hydrogen = ref["node_attrs"][:, :1] > 0
    forces = torch.where(hydrogen, 0.1, -0.3).expand(-1, 3)
    return {"energy": torch.full_like(ref["energy"], 0.2), "forces": forces}


def measure(*batches, elements=(1, 8)):
    n_atoms = np.concatenate([np.diff(ref["ptr"].numpy()) for ref in batches])
    return evaluate_kinds(
        model, [(ref, False) for ref in batches], quantities=["energy", "forces"],
        compute_stress=False, elements=elements, sizes=sizes_of(n_atoms),
    )  # fmt: skip


def test_errors_are_those_of_the_definition():
    elements, sizes = measure(batch("HHO", "HO"), batch("HHO"))
    assert set(elements) == {"H", "O"}
    assert set(elements["H"]) == {"n", "rmse_forces", "mae_forces", "share_forces"}
    assert (elements["H"]["n"], elements["O"]["n"]) == (5, 3)
    assert elements["H"]["rmse_forces"] == pytest.approx(0.1)
    assert elements["O"]["mae_forces"] == pytest.approx(0.3)
    assert elements["O"]["share_forces"] == pytest.approx(3 * 0.09 / (3 * 0.09 + 5 * 0.01))
    assert set(sizes) == {"2", "3"}
    assert (sizes["2"]["n"], sizes["3"]["n"]) == (1, 2)
    assert sizes["3"]["rmse_energy"] == pytest.approx(0.2 / 3)
    assert sizes["2"]["rmse_forces"] == pytest.approx(math.sqrt((0.01 + 0.09) / 2))
    held = [sizes[name]["share_forces"] for name in sizes]
    assert sum(held) == pytest.approx(1)


def test_what_has_no_label_has_no_entry():
    ref = batch("HHO", "OO")
    ref["forces_weight"][1] = 0.0
    ref["forces"][3:] = math.nan
    elements, sizes = measure(ref)
    assert elements["O"]["rmse_forces"] == pytest.approx(0.3)
    assert "rmse_forces" not in sizes["2"]
    assert sizes["2"]["rmse_energy"] == pytest.approx(0.1)


def test_an_element_that_does_not_occur():
    ref = batch("HO")
    ref["node_attrs"] = torch.nn.functional.one_hot(torch.tensor([0, 2]), 3).double()
    elements, _ = measure(ref, elements=(1, 6, 8))
    assert list(elements) == ["H", "O"]


@pytest.mark.parametrize(
    ("n_atoms", "names"),
    [
        ([3, 3, 6], ("3", "6")),
        (range(1, 9), tuple(str(n) for n in range(1, 9))),
        ([3] * 90 + list(range(3, 13)), ("3-12",)),
    ],
)
def test_ranges_of_sizes(n_atoms, names):
    assert sizes_of(np.array(n_atoms)).names == names


def test_many_sizes_are_four_ranges_of_a_quarter_each():
    n_atoms = np.arange(1, 41)
    found = sizes_of(n_atoms)
    counts = np.histogram(n_atoms, [*found.starts, 41])[0]
    assert len(found.names) == 4
    assert all(9 <= count <= 11 for count in counts)
    assert found.names[-1].endswith("-40")
