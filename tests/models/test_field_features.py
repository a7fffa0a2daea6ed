"""Field features: the pair formula against potentials and graph-longrange; normalisation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sweep.libraries import quiet
from sweep.models.electrostatics.coulomb import MoleculeElectrostatics
from sweep.models.electrostatics.field_features import (
    CellFieldFeatures,
    MoleculeFieldFeatures,
    ScalesOfFeatures,
)

with quiet():
    from graph_longrange.gto_utils import DisplacedGTOExternalFieldBlock

WIDTHS = (0.8, 1.5, 2.2)
SIGMA = 1.0
SCALES = ScalesOfFeatures(WIDTHS, 1)


@pytest.fixture
def multipoles(collate, clusters):
    return collate(clusters)["density_coefficients"]


def make(kind, *, max_l=1, scales=SCALES, own=False):
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with quiet():
            if kind is CellFieldFeatures:
                return kind(max_l, SIGMA, scales, 1.6, self_interaction=own)
            return kind(max_l, SIGMA, scales, self_interaction=own)
    finally:
        torch.set_default_dtype(before)


def test_an_applied_field_is_normalised_as_in_graph_longrange():
    positions = torch.randn(4, 3, dtype=torch.float64)
    field = torch.tensor([0.1, -0.2, 0.3], dtype=torch.float64)
    with quiet():
        theirs = DisplacedGTOExternalFieldBlock(1, list(WIDTHS), "receiver").double()(
            torch.zeros(4, dtype=torch.int64),
            positions,
            torch.tensor([[0.7, *field.tolist()]], dtype=torch.float64),
        )
    ours = SCALES.applied(0.7 + positions @ field, field.expand(4, 3))
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("max_l", [0, 1])
def test_l0_is_the_potential_averaged_over_the_width(collate, clusters, multipoles, max_l):
    """A Gaussian of width sqrt(σ² + w²) at a point, less the atom's own part."""
    batch = collate(clusters)
    multipoles = multipoles[:, : (max_l + 1) ** 2]
    features = make(MoleculeFieldFeatures, max_l=max_l)(batch["positions"], batch)
    found = features.features(multipoles)
    for index, width in enumerate(WIDTHS):
        wider = math.hypot(SIGMA, width)
        interactions = MoleculeElectrostatics(max_l, wider)(batch["positions"], batch)
        alone = {**batch, "pair_index": batch["pair_index"][:, :0]}
        own = MoleculeElectrostatics(max_l, wider)(batch["positions"], alone).potential(multipoles)
        expected = 2 * math.sqrt(math.pi) * (interactions.potential(multipoles) - own)
        torch.testing.assert_close(found[:, index], expected, rtol=1e-12, atol=1e-12)


def test_l1_is_the_gradient_of_l0(collate, clusters, multipoles):
    """Of one atom's feature by the position of that atom, whose own density does not act."""
    batch = collate(clusters)
    module = make(MoleculeFieldFeatures)
    positions = batch["positions"].clone().requires_grad_(True)
    features = module(positions, batch).features(multipoles)
    atom = 2
    for index, width in enumerate(WIDTHS):
        (gradient,) = torch.autograd.grad(features[atom, index], positions, retain_graph=True)
        expected = gradient[atom, [1, 2, 0]] * SCALES.per_gradient(width) / SCALES.per_potential
        found = features[atom, 3 + 3 * index : 6 + 3 * index]
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)


def test_fewer_features_are_the_first_ones(collate, clusters, multipoles):
    batch = collate(clusters)
    full = make(MoleculeFieldFeatures, own=True)(batch["positions"], batch).features(multipoles)
    scales = ScalesOfFeatures(WIDTHS, 0)
    few = make(MoleculeFieldFeatures, scales=scales, own=True)(batch["positions"], batch)
    torch.testing.assert_close(few.features(multipoles), full[:, :3], rtol=0, atol=0)


def test_a_large_cell_is_a_molecule(collate, water_cluster):
    """Neutral and without a dipole nothing is left of the images but terms of order L⁻⁵."""
    atoms = water_cluster(2, seed=1)
    molecule = collate([atoms])
    multipoles = molecule["density_coefficients"].clone()
    multipoles[:, 0] -= multipoles[:, 0].mean()
    dipole = (multipoles[:, :1] * molecule["positions"] + multipoles[:, [3, 1, 2]]).sum(0)
    multipoles[:, [3, 1, 2]] -= dipole / len(atoms)
    boxed = atoms.copy()
    boxed.set_cell(24.0 * np.eye(3))
    boxed.pbc = True
    cell = collate([boxed])
    for own in (False, True):
        expected = make(MoleculeFieldFeatures, own=own)(molecule["positions"], molecule)
        found = make(CellFieldFeatures, own=own)(cell["positions"], cell)
        # the cell's mean potential is zero: a constant, the quadrupole's over the volume
        difference = found.features(multipoles) - expected.features(multipoles)
        torch.testing.assert_close(
            difference[:, 3:], torch.zeros_like(difference[:, 3:]), rtol=0, atol=2e-2
        )
        constant = difference[:, :3].mean(0)
        assert constant.abs().max() < 0.1
        torch.testing.assert_close(
            difference[:, :3], constant.expand(len(atoms), 3), rtol=0, atol=2e-2
        )


def test_the_own_density_is_that_of_graph_longrange(collate, periodic_box, clusters):
    """With less without: in a cell by graph-longrange, in a molecule in closed form."""
    cell, molecule = collate([periodic_box()]), collate(clusters[:1])
    multipoles = cell["density_coefficients"]
    theirs = [
        make(CellFieldFeatures, own=own)(cell["positions"], cell).features(multipoles)
        for own in (True, False)
    ]
    ours = [
        make(MoleculeFieldFeatures, own=own)(molecule["positions"], molecule).features(multipoles)
        for own in (True, False)
    ]
    torch.testing.assert_close(ours[0] - ours[1], theirs[0] - theirs[1], rtol=1e-5, atol=1e-6)


def test_in_a_cell_l1_is_the_gradient_of_l0(collate, periodic_box):
    """Of an atom without a density, whose images would move with it."""
    cell = collate([periodic_box()])
    multipoles = cell["density_coefficients"].clone()
    multipoles[1] = 0.0
    positions = cell["positions"].clone().requires_grad_(True)
    features = make(CellFieldFeatures)(positions, cell).features(multipoles)
    (gradient,) = torch.autograd.grad(features[1, 0], positions)
    expected = gradient[1, [1, 2, 0]] * SCALES.per_gradient(WIDTHS[0]) / SCALES.per_potential
    torch.testing.assert_close(features[1, 3:6], expected, rtol=0, atol=1e-4)
