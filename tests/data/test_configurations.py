import ase
import numpy as np
import pytest

from sweep.data.labels import LABELS, WEIGHTS
from sweep.data.read.configurations import read_configurations
from sweep.errors import InputError

INFO = {"energy": "REF_energy"}
ARRAYS = {"forces": "REF_forces"}


def one(path, info=INFO, arrays=ARRAYS):
    (configuration,) = read_configurations(path, info, arrays)
    return configuration


def test_values_are_those_of_the_file(files, water):
    atoms = water(config_type="liquid", config_weight=0.5)
    read = one(files.write(atoms))
    np.testing.assert_array_equal(read.atomic_numbers, [8, 1, 1])
    np.testing.assert_allclose(read.positions, atoms.positions, atol=1e-8)
    np.testing.assert_allclose(read.labels["forces"], atoms.arrays["REF_forces"], atol=1e-8)
    assert read.labels["energy"] == pytest.approx(atoms.info["REF_energy"], abs=1e-12)
    assert (read.config_type, read.weight, read.index, read.periodic) == ("liquid", 0.5, 0, False)
    assert len(read) == 3


def test_every_weight_is_there_and_zero_where_the_label_is_missing(files, water):
    plain = water()
    del plain.arrays["REF_forces"]
    first, second = read_configurations(files.write(water(), plain), INFO, ARRAYS)
    assert set(first.weights) == set(second.weights) == set(WEIGHTS)
    assert {key for key, weight in first.weights.items() if weight.any()} == {
        "energy_weight",
        "forces_weight",
    }
    assert {key for key, weight in second.weights.items() if weight.any()} == {"energy_weight"}
    assert "forces" not in second.labels
    for key, weight in first.weights.items():
        assert weight.shape == WEIGHTS[key].shape


def test_a_weight_does_not_bring_back_a_missing_label(files, water):
    read = one(files.write(water(config_dipole_weight=5.0)))
    np.testing.assert_array_equal(read.weights["dipole_weight"], [0, 0, 0])


def test_weights_of_the_file(files, water):
    columns = {"q": np.zeros(3), "mol": [0, 0, 0]}
    atoms = water(
        columns=columns,
        REF_dipole=np.array([1.0, 2.0, 3.0]),
        config_energy_weight=2,
        config_forces_weight=0.0,
        config_atomic_multipoles_weight=3.0,
        config_electrostatic_potentials_weight=4.0,
        config_cluster_loss_weight=6.0,
        config_dipole_weight=np.array([0.0, 0.0, 1.0]),
    )
    arrays = {**ARRAYS, "atomic_multipoles": "q", "cluster_batch": "mol"}
    weights = one(files.write(atoms), {**INFO, "dipole": "REF_dipole"}, arrays).weights
    assert weights["energy_weight"] == 2
    assert weights["forces_weight"] == 0
    assert weights["density_coefficients_weight"] == 3
    assert weights["electrostatic_potentials_weight"] == 4
    assert weights["cluster_loss_weight"] == 6
    np.testing.assert_array_equal(weights["dipole_weight"], [0, 0, 1])


def test_weights_derived_from_labels(files, water):
    atoms = water(columns={"q": np.zeros(3), "mol": [0, 0, 0]})
    only_charges = one(files.write(atoms), INFO, {"atomic_multipoles": "q"}).weights
    assert only_charges["electrostatic_potentials_weight"] == 1
    assert only_charges["cluster_loss_weight"] == 0
    both = one(files.write(atoms), INFO, {**ARRAYS, "cluster_batch": "mol"}).weights
    assert both["electrostatic_potentials_weight"] == 0
    assert both["cluster_loss_weight"] == 1


def test_a_scalar_dipole_weight_acts_on_every_component(files, water):
    atoms = water(REF_dipole=np.ones(3), config_dipole_weight=0.25)
    weights = one(files.write(atoms), {**INFO, "dipole": "REF_dipole"}).weights
    np.testing.assert_array_equal(weights["dipole_weight"], [0.25] * 3)


@pytest.mark.parametrize("alias", ["atomic_multipoles", "density_coefficients"])
def test_multipoles_have_two_names_and_so_has_their_weight(files, water, alias):
    values = np.arange(12.0).reshape(3, 4)
    atoms = water(columns={"m": values}, **{f"config_{alias}_weight": 7.0})
    for name in ("atomic_multipoles", "density_coefficients"):
        read = one(files.write(atoms), INFO, {name: "m"})
        np.testing.assert_array_equal(read.labels["density_coefficients"], values)
        assert read.weights["density_coefficients_weight"] == 7


@pytest.mark.parametrize("columns", [1, 4, 9, 16])
def test_multipoles_keep_all_columns(files, water, columns):
    atoms = water(columns={"m": np.ones((3, columns))})
    read = one(files.write(atoms), INFO, {"atomic_multipoles": "m"})
    assert read.labels["density_coefficients"].shape == (3, columns)


STRESS = np.array([[1.0, 6.0, 5.0], [6.0, 2.0, 4.0], [5.0, 4.0, 3.0]])


@pytest.mark.parametrize(
    "value", [STRESS, STRESS.ravel(), np.array([1.0, 2, 3, 4, 5, 6])], ids=["3x3", "9", "6"]
)
def test_forms_of_the_stress(files, water, value):
    atoms = water(REF_stress=value)
    atoms.set_cell([9, 9, 9])
    atoms.pbc = True
    read = one(files.write(atoms), {"stress": "REF_stress"})
    np.testing.assert_array_equal(read.labels["stress"], STRESS)
    assert read.periodic


def test_the_polarizability_is_nine_numbers_row_by_row(files, water):
    value = np.arange(9.0)
    for form in (value, value.reshape(3, 3)):
        read = one(files.write(water(REF_alpha=form)), {"polarizability": "REF_alpha"})
        np.testing.assert_array_equal(read.labels["polarizability"], value.reshape(3, 3))


def test_names_that_ase_reserves(files):
    from ase.calculators.singlepoint import SinglePointCalculator

    atoms = ase.Atoms("H2O", positions=np.eye(3), cell=[9, 9, 9], pbc=True)
    forces, dipole = np.arange(9.0).reshape(3, 3), np.array([1.0, 2, 3])
    atoms.calc = SinglePointCalculator(
        atoms, energy=-5.0, forces=forces, stress=np.array([1.0, 2, 3, 4, 5, 6]), dipole=dipole
    )
    info = {"energy": "energy", "stress": "stress", "dipole": "dipole"}
    read = one(files.write(atoms), info, {"forces": "forces"})
    assert read.labels["energy"] == -5
    np.testing.assert_array_equal(read.labels["forces"], forces)
    np.testing.assert_array_equal(read.labels["stress"], STRESS)
    np.testing.assert_array_equal(read.labels["dipole"], dipole)


def test_labels_of_a_single_atom(files):
    atom = ase.Atoms("H", info={"REF_energy": -13.6})
    atom.arrays |= {
        "REF_forces": np.zeros((1, 3)),
        "m": np.ones((1, 4)),
        "mol": np.zeros(1, dtype=int),
    }
    arrays = {**ARRAYS, "atomic_multipoles": "m", "cluster_batch": "mol"}
    read = one(files.write(atom), INFO, arrays)
    assert read.labels["forces"].shape == (1, 3)
    assert read.labels["density_coefficients"].shape == (1, 4)
    assert read.labels["cluster_batch"].dtype == np.int64


def test_weights_of_other_programs_are_left_alone(files, water):
    assert one(files.write(water(config_virials_weight=0.0, config_colour_weight=-3.0)))


MAPPINGS = [
    ({"enrgy": "REF_energy"}, {}, "info_keys: unknown label 'enrgy'; did you mean 'energy'"),
    ({"forces": "REF_forces"}, {}, "info_keys.forces: a label per atom belongs in arrays_keys"),
    ({}, {"dipole": "mu"}, "arrays_keys.dipole: a label per configuration belongs in info_keys"),
    ({"energy": "e", "dipole": "e"}, {}, "info_keys.dipole: key 'e' is already mapped to .*energy"),
    (
        {},
        {"atomic_multipoles": "m", "density_coefficients": "n"},
        "density_coefficients: label 'atomic_multipoles' is mapped twice",
    ),
    ({"energy": ""}, {}, "info_keys.energy: must be a key of the file; got ''"),
    (
        {"energy": "REF_enrgy"},
        {},
        "key 'REF_enrgy' that info_keys.energy names; did you mean 'REF_energy'.*there: ",
    ),
    (INFO, {"forces": "force"}, "column 'force' that arrays_keys.forces names.*there: REF_forces"),
]


@pytest.mark.parametrize(("info", "arrays", "message"), MAPPINGS)
def test_bad_mappings(files, water, info, arrays, message):
    with pytest.raises(InputError, match=message) as error:
        read_configurations(files.write(water(config_type="x")), info, arrays)
    assert "\n" not in str(error.value)


ALL_INFO = {label.name: label.name for label in LABELS.values() if not label.per_atom}
VALUES = [
    ("energy", np.ones(2), r"label 'energy' \(key 'X'\) has shape 2; expected one number"),
    ("energy", "many", "label 'energy' .* is not a number: 'many'"),
    ("energy", True, "label 'energy' .* is not a number"),
    ("energy", np.nan, "label 'energy' .* is not finite"),
    ("dipole", 1.0, "label 'dipole' .* has shape one number; expected 3"),
    ("dipole", np.ones(4), "label 'dipole' .* has shape 4; expected 3"),
    ("dipole", np.array([0, np.inf, 0]), "label 'dipole' .* is not finite"),
    ("stress", np.ones(5), "label 'stress' .* has shape 5; expected 3x3, 9 or 6"),
    ("stress", np.ones(6), "label 'stress' without a periodic cell"),
    ("polarizability", np.ones(6), "'polarizability' .* has shape 6; expected 3x3 or 9"),
    ("forces", np.ones((3, 2)), "label 'forces' .* has shape 3x2; expected 3x3"),
    ("forces", np.full((3, 3), np.nan), "label 'forces' .* is not finite"),
    ("atomic_multipoles", np.ones((3, 3)), "has shape 3x3; expected 3xC with C = 1, 4, 9, 16"),
    ("cluster_batch", np.array([0.0, 0.5, 1.0]), "'cluster_batch' .* must be whole numbers"),
]


@pytest.mark.parametrize(("label", "value", "message"), VALUES)
def test_bad_values_name_label_and_configuration(files, water, label, value, message):
    per_atom = any(spec.name == label and spec.per_atom for spec in LABELS.values())
    bad = water(columns={"X": value}) if per_atom else water(X=value)
    mapping = ({}, {label: "X"}) if per_atom else ({label: "X"}, {})
    path = files.write(water(), bad)
    with pytest.raises(InputError, match=f"{path}: configuration 1: .*{message}"):
        read_configurations(path, *mapping)


WEIGHT_VALUES = [
    ("config_weight", -1.0, "config_weight must be finite and not negative; got -1.0"),
    ("config_weight", np.nan, "config_weight must be finite"),
    ("config_weight", "heavy", "config_weight must be finite and not negative; got 'heavy'"),
    ("config_forces_weight", np.ones(3), "config_forces_weight has shape 3; expected one number"),
    ("config_dipole_weight", np.ones(2), "has shape 2; expected one number or 3"),
    ("config_dipole_weight", -1.0, "config_dipole_weight must be finite and not negative"),
    ("config_foces_weight", 1.0, "did you mean 'config_forces_weight'"),
]


@pytest.mark.parametrize(("name", "value", "message"), WEIGHT_VALUES)
def test_bad_weights(files, water, name, value, message):
    with pytest.raises(InputError, match=f"configuration 0: .*{message}"):
        one(files.write(water(**{name: value})))


def test_the_two_names_of_the_multipole_weight_must_agree(files, water):
    both = {"config_atomic_multipoles_weight": 1.0, "config_density_coefficients_weight": 2.0}
    atoms = water(columns={"m": np.ones(3)}, **both)
    with pytest.raises(InputError, match="differ; keep one"):
        one(files.write(atoms), INFO, {"atomic_multipoles": "m"})


def test_bad_structures(files):
    flat = ase.Atoms("H", cell=[[1, 0, 0], [0, 1, 0], [1, 1, 0]], pbc=True)
    nowhere = ase.Atoms("H", cell=[5, 5, 0], pbc=True)
    ghost = ase.Atoms("X")
    lost = ase.Atoms("H", positions=[[np.nan, 0, 0]])
    for atoms, message in (
        (flat, "the vectors of the cell lie in one plane"),
        (nowhere, "periodic along a cell vector of length zero"),
        (ghost, "atom 0 has no chemical element"),
        (lost, "a position is not finite"),
    ):
        atoms.info["REF_energy"] = 1.0
        with pytest.raises(InputError, match=f"configuration 0: {message}"):
            one(files.write(atoms), arrays={})


def test_a_stress_needs_a_volume(files):
    sheet = ase.Atoms("H", cell=[5, 5, 0], pbc=[True, True, False])
    sheet.info.update(REF_energy=1.0, REF_stress=np.ones(6))
    with pytest.raises(InputError, match="label 'stress' without a periodic cell of three vectors"):
        one(files.write(sheet), {**INFO, "stress": "REF_stress"}, {})


def test_an_empty_file(files):
    with pytest.raises(InputError, match="holds no configuration"):
        one(files.text("\n\n"))
