"""Batches and models for the tests of the model families, made without `sweep.data`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ase
import ase.build
import numpy as np
import pytest
import torch
from ase.neighborlist import neighbor_list
from torch import Tensor

from sweep.models import DataStatistics, FixedPointConfig, LocalChargesConfig, build
from sweep.models.fixed_point.model import FixedPoint
from sweep.models.fixed_point.settings import FixedPointOptions, ScfOptions
from sweep.models.local_charges import LocalCharges

ELEMENTS = (1, 8)
R_MAX = 4.5


def make_cluster(n_molecules: int, seed: int = 0, n_extra_protons: int = 0) -> ase.Atoms:
    """Waters about 3 Å apart, turned and shaken; extra hydrogens sit on the first ones."""
    rng = np.random.default_rng(seed)
    atoms = ase.Atoms()
    for index in range(n_molecules):
        water = ase.build.molecule("H2O")
        water.rotate(rng.uniform(0, 360), rng.normal(size=3), center="COM")
        water.translate(np.array([2.9 * (index % 2), 2.9 * (index // 2 % 2), 2.9 * (index // 4)]))
        atoms += water
    for index in range(n_extra_protons):
        atoms += ase.Atoms("H", [atoms.positions[3 * index] + [0.0, 0.0, -1.2]])
    atoms.positions += rng.normal(scale=0.08, size=atoms.positions.shape)
    atoms.info["charge"] = float(n_extra_protons)
    return atoms


def make_batch(
    configurations: Sequence[ase.Atoms], dtype: torch.dtype = torch.float64, r_max: float = R_MAX
) -> dict[str, Tensor]:
    """The part of a batch that a model reads, with random reference multipoles."""
    rng = np.random.default_rng(7)
    columns: dict[str, list[Any]] = {}
    offset = 0
    for graph, atoms in enumerate(configurations):
        n = len(atoms)
        source, target, unit_shifts = neighbor_list("ijS", atoms, r_max)
        pairs = np.argwhere(~np.eye(n, dtype=bool)).T
        values = {
            "node_attrs": np.equal.outer(atoms.numbers, ELEMENTS).astype(float),
            "positions": atoms.positions,
            "edge_index": np.stack([source, target], axis=1) + offset,
            "shifts": unit_shifts @ np.array(atoms.cell),
            "unit_shifts": unit_shifts.astype(float),
            "cell": np.array(atoms.cell),
            "pbc": atoms.pbc[None],
            "batch": np.full(n, graph),
            "density_coefficients": rng.normal(scale=0.3, size=(n, 4)),
            "external_field": np.zeros((1, 3)),
            "total_charge": np.array([atoms.info.get("charge", 0.0)]),
            "fermi_level": np.array([-6.0 - 6.0 * atoms.info.get("charge", 0.0)]),
            "pair_index": pairs.T + offset,
        }
        for key, value in values.items():
            columns.setdefault(key, []).append(value)
        offset += n
    batch = {key: torch.as_tensor(np.concatenate(value)) for key, value in columns.items()}
    sizes = [len(atoms) for atoms in configurations]
    batch["ptr"] = torch.tensor(np.cumsum([0, *sizes]))
    batch["head"] = torch.zeros(len(sizes), dtype=torch.int64)
    for key in ("edge_index", "pair_index"):
        batch[key] = batch[key].T.contiguous()
    return {k: v.to(dtype) if v.is_floating_point() else v for k, v in batch.items()}


SMALL: dict[str, Any] = {
    "num_channels": 4,
    "r_max": R_MAX,
    "num_radial_basis": 4,
    "max_ell": 2,
    "radial_MLP": [8],
    "MLP_irreps": "4x0e",
    "atomic_multipoles_smearing_width": 1.0,
}
"""Settings of a model that is small enough to test."""


STATISTICS = DataStatistics(
    atomic_numbers=ELEMENTS,
    atomic_energies=(-13.0, -430.0),
    avg_num_neighbors=7.0,
    atomic_inter_scale=1.5,
    mean_charges=(0.3, -0.6),
    charge_scale=0.2,
    dipole_scale=0.1,
)


@pytest.fixture(scope="session")
def water_cluster() -> Callable[..., ase.Atoms]:
    """`make_cluster`, for tests."""
    return make_cluster


@pytest.fixture(scope="session")
def collate() -> Callable[..., dict[str, Tensor]]:
    """`make_batch`, for tests."""
    return make_batch


@pytest.fixture(scope="session")
def build_model() -> Callable[..., LocalCharges]:
    """Build a small model of float64 parameters; arguments are changed settings."""

    def make(seed: int = 3, dtype: torch.dtype = torch.float64, **changes: Any) -> LocalCharges:
        settings = LocalChargesConfig(**{**SMALL, **changes})
        model = build(settings, STATISTICS, seed=seed, dtype=dtype)
        assert isinstance(model, LocalCharges)
        return model

    return make


@pytest.fixture(scope="session")
def model(build_model: Callable[..., LocalCharges]) -> LocalCharges:
    """One small float64 model for all tests that leave it as it is."""
    return build_model()


@pytest.fixture(scope="session")
def build_fixed_point() -> Callable[..., FixedPoint]:
    """Build a small self-consistent model; arguments are changed settings."""

    def make(seed: int = 3, dtype: torch.dtype = torch.float64, **changes: Any) -> FixedPoint:
        settings = FixedPointConfig(**{**SMALL, "field_feature_norms": None, **changes})
        model = build(settings, STATISTICS, seed=seed, dtype=dtype)
        assert isinstance(model, FixedPoint)
        return model

    return make


@pytest.fixture(scope="session")
def fixed_point(build_fixed_point: Callable[..., FixedPoint]) -> FixedPoint:
    """One small self-consistent float64 model for all tests that leave it as it is."""
    return build_fixed_point()


@pytest.fixture(scope="session")
def direct() -> FixedPointOptions:
    """One update from the reference density."""
    return FixedPointOptions()


@pytest.fixture(scope="session")
def unroll() -> Callable[..., FixedPointOptions]:
    """An iteration, by default one that never stops early."""

    def make(**changes: Any) -> FixedPointOptions:
        values = {"num_scf_steps": 8, "mixing_parameter": 0.7, "scf_tolerance": 1e-300}
        return FixedPointOptions(ScfOptions(**{**values, **changes}))

    return make


@pytest.fixture(scope="session")
def statistics() -> DataStatistics:
    """What the models of these tests take from their imagined training set."""
    return STATISTICS


@pytest.fixture(scope="session")
def clusters(water_cluster: Callable[..., ase.Atoms]) -> list[ase.Atoms]:
    """A water dimer and a hydronium ion, or something like it."""
    return [water_cluster(2, seed=1), water_cluster(1, seed=2, n_extra_protons=1)]


@pytest.fixture(scope="session")
def periodic_box(water_cluster: Callable[..., ase.Atoms]) -> Callable[..., ase.Atoms]:
    """Make a small skewed periodic box of two waters."""

    def make(seed: int = 4, lengths: Sequence[float] = (5.2, 5.8, 6.3)) -> ase.Atoms:
        atoms = water_cluster(2, seed=seed)
        atoms.set_cell(np.diag(lengths) + 0.3 * np.eye(3, k=1))
        atoms.pbc = True
        return atoms

    return make
