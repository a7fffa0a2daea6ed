import numpy as np
import pytest

from sweep.data.read.configurations import read_configurations
from sweep.data.statistics import (
    check_multipoles,
    model_statistics,
    reference_deviations,
)
from sweep.errors import InputError

INFO = {"energy": "REF_energy", "dipole": "REF_dipole", "stress": "REF_stress"}
INFO_ENERGY = {"energy": "REF_energy"}
ARRAYS = {"forces": "REF_forces", "atomic_multipoles": "m"}
E0S = {1: -1.0, 8: -2.0}


@pytest.fixture
def frames(water):
    rng = np.random.default_rng(3)
    made = []
    for seed in range(4):
        atoms = water(
            seed,
            columns={"m": rng.normal(size=(3, 4))},
            REF_dipole=rng.normal(size=3),
            REF_stress=rng.normal(size=9),
        )
        atoms.set_cell([9, 9, 9])
        atoms.pbc = True
        made.append(atoms)
    return made


def read(files, frames):
    return read_configurations(files.write(*frames), INFO, ARRAYS)


def test_model_statistics(files, frames):
    forces = np.concatenate([f.arrays["REF_forces"] for f in frames])
    multipoles = np.stack([f.arrays["m"] for f in frames])
    interaction = [(f.info["REF_energy"] + 4.0) / 3 for f in frames]
    statistics = model_statistics(read(files, frames), E0S)
    oxygen, hydrogen = multipoles[:, 0, 0], multipoles[:, 1:, 0]
    spread = np.concatenate([oxygen - oxygen.mean(), (hydrogen - hydrogen.mean()).ravel()])
    assert statistics.atomic_numbers == (1, 8)
    assert statistics.atomic_energies == (-1.0, -2.0)
    assert statistics.atomic_inter_shift == pytest.approx(np.mean(interaction))
    assert statistics.atomic_inter_scale == pytest.approx(np.sqrt((forces**2).mean()), rel=1e-6)
    assert statistics.mean_charges == pytest.approx((hydrogen.mean(), oxygen.mean()), rel=1e-6)
    assert statistics.charge_scale == pytest.approx(np.sqrt((spread**2).mean()), rel=1e-6)
    dipoles = multipoles[:, :, 1:]
    assert statistics.dipole_scale == pytest.approx(np.sqrt((dipoles**2).mean()), rel=1e-6)


def test_polarizabilities_of_the_elements(files, water):
    """Two compositions fix the isotropic part of both elements; the rest is the scale."""
    rng = np.random.default_rng(1)
    frames = [water(seed) for seed in range(6)]
    del frames[1][1]
    left = []
    for atoms in frames:
        rest = rng.normal(scale=0.1, size=(3, 3))
        rest -= np.trace(rest) / 3 * np.eye(3)
        counts = [(atoms.numbers == z).sum() for z in (1, 8)]
        isotropic = 0.2 * counts[0] + 0.7 * counts[1]
        atoms.info["REF_alpha"] = (isotropic * np.eye(3) + rest).ravel()
        left.append(rest / np.sqrt(len(atoms)))
    info = {"energy": "REF_energy", "polarizability": "REF_alpha"}
    data = read_configurations(files.write(*frames), info, {})
    statistics = model_statistics(data, E0S)
    assert statistics.mean_polarizabilities == pytest.approx((0.2, 0.7), rel=1e-6)
    expected = np.sqrt(np.mean(np.square(left)))
    assert statistics.polarizability_scale == pytest.approx(expected, rel=1e-6)
    without = model_statistics(read_configurations(files.write(*frames), INFO_ENERGY, {}), E0S)
    assert without.mean_polarizabilities == (0.0, 0.0)
    assert without.polarizability_scale == 1.0


def test_reference_deviations(files, frames):
    deviations = reference_deviations(read(files, frames), E0S, n_multipoles=1)
    expected = {
        "energy": np.std([f.info["REF_energy"] / 3 for f in frames]),
        "forces": np.std([f.arrays["REF_forces"] for f in frames]),
        "stress": np.std([f.info["REF_stress"] for f in frames]),
        "atomic_multipoles": np.std([f.arrays["m"][:, 0] for f in frames]),
        "dipole": np.std([f.info["REF_dipole"] for f in frames]),
    }
    assert deviations == pytest.approx(expected, rel=1e-6)


def test_only_labels_with_weight_count(files, frames):
    del frames[0].arrays["REF_forces"]
    frames[1].info["config_forces_weight"] = 0.0
    for frame in frames:
        frame.info["config_dipole_weight"] = np.array([0.0, 0.0, 1.0])
    frames[2].info["config_energy_weight"] = 0.0
    configurations = read(files, frames)
    labelled = np.array([f.arrays["REF_forces"] for f in frames[2:]])
    deviations = reference_deviations(configurations, E0S)
    assert deviations["forces"] == pytest.approx(labelled.std(), rel=1e-6)
    assert deviations["dipole"] == pytest.approx(np.std([f.info["REF_dipole"][2] for f in frames]))
    energies = [frames[i].info["REF_energy"] / 3 for i in (0, 1, 3)]
    assert deviations["energy"] == pytest.approx(np.std(energies))
    statistics = model_statistics(configurations, E0S)
    rms = np.sqrt((labelled**2).mean())
    assert statistics.atomic_inter_scale == pytest.approx(rms, rel=1e-6)


def test_multipoles_of_different_width_count_as_far_as_they_go(files, frames):
    frames[0].arrays["m"] = np.full(3, 2.0)
    statistics = model_statistics(read(files, frames), E0S)
    assert statistics.dipole_scale == 0.05  # no l = 1 in common
    deviations = reference_deviations(read(files, frames), E0S)
    charges = np.concatenate([f.arrays["m"].reshape(3, -1)[:, 0] for f in frames])
    assert deviations["atomic_multipoles"] == pytest.approx(charges.std(), rel=1e-6)


def test_without_any_label_every_scale_is_positive(files, water):
    atoms = water(q=1.0)
    configurations = read_configurations(files.write(atoms), {"total_charge": "q"}, {})
    statistics = model_statistics(configurations, {1: 0.0, 8: 0.0})
    assert statistics.atomic_inter_shift == 0
    assert statistics.atomic_inter_scale == 1
    assert statistics.mean_charges == (0, 0)
    assert statistics.charge_scale > 0
    assert statistics.dipole_scale > 0
    assert reference_deviations(configurations, E0S) == {"total_charge": 0.0}


def test_too_few_multipole_columns_are_named(files, frames):
    frames[2].arrays["m"] = np.ones(3)
    configurations = read(files, frames)
    check_multipoles(configurations, 1)
    message = (
        r"configuration 2: label 'atomic_multipoles' has 1 columns; the model needs 4 "
        r"\(l up to 1\), with model\.atomic_multipoles_max_l=0 it takes what there is"
    )
    with pytest.raises(InputError, match=message):
        check_multipoles(configurations, 4)
