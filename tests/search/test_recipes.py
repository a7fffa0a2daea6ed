"""Published weightings in the terms and the normalisation of a loss."""

import pytest

from sweep.config.checks import check_config
from sweep.config.stages import CONF_DIR
from sweep.errors import InputError
from sweep.search.recipes import apply_recipe, convert

NAMES = sorted(path.stem for path in (CONF_DIR / "recipe").glob("*.yaml"))
N_ATOMS = 9.0


@pytest.fixture
def recipe(load_config):
    def make(name, *overrides, n_atoms=N_ATOMS):
        return convert(name, load_config(f"+recipe={name}", *overrides), n_atoms)

    return make


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_gives_a_valid_loss(load_config, name):
    cfg = load_config(f"+recipe={name}")
    found = apply_recipe(cfg, N_ATOMS)
    assert found.name == name
    assert check_config(cfg)[0].weights["forces"] == 100.0  # which keeps the scale
    assert not cfg.recipe.weights


def test_terms_that_are_missing_and_terms_that_it_says_nothing_of(recipe):
    found = recipe("mace_mp")
    assert found.weights == {"loss.energy_per_atom.weight": 10.0, "loss.forces.weight": 100.0}
    left, kept = found.remarks
    assert left == "its stress is left out, as the loss has no such term"
    assert "atomic_multipoles and dipole_per_atom, whose weights stay" in kept
    assert str(found).startswith("recipe mace_mp: loss.energy_per_atom.weight=10.0; loss.forces")


def test_normalisation(recipe):
    """AIMNet2 divides by the root of the number of atoms, and its charges are all multipoles."""
    found = recipe("aimnet2").weights
    assert found["loss.energy_per_atom.weight"] == pytest.approx(500 * N_ATOMS**1.5)
    assert found["loss.atomic_multipoles.weight"] == pytest.approx(500 * 0.05 * 4)
    # BAMBOO in kcal/mol, e and Debye; the dipole of the whole system, ours per atom
    found = recipe("bamboo").weights
    kcal, debye = 23.0605, 4.80320
    assert found["loss.energy_per_atom.weight"] == pytest.approx(
        100 / 0.3 * 0.01 * N_ATOMS**2, rel=1e-4
    )
    assert found["loss.dipole_per_atom.weight"] == pytest.approx(
        100 / (0.3 * kcal**2) * 10 * debye**2 * N_ATOMS**2, rel=1e-4
    )
    whole = recipe("bamboo", "loss=[energy_per_atom,forces,dipole]").weights["loss.dipole.weight"]
    assert whole * N_ATOMS**2 == pytest.approx(found["loss.dipole_per_atom.weight"])


def test_robust_terms_are_terms_of_the_same_quantity(recipe):
    found = recipe("mace_mp", "loss=[energy_per_atom_huber,forces_huber]").weights
    weights = [found[f"loss.{term}_huber.weight"] for term in ("energy_per_atom", "forces")]
    assert weights[1] / weights[0] == pytest.approx(10)


def test_the_last_stage_has_weights_of_its_own(load_config, recipe):
    early = {"loss.energy_per_atom.weight": 10.0, "loss.forces.weight": 100.0}
    assert recipe("nvalchemi_mace").weights == early
    assert recipe("nvalchemi_mace").remarks[-1].startswith("its weights of the end are left out")
    cfg = load_config("+recipe=nvalchemi_mace", "schedule=two_stages")
    apply_recipe(cfg, N_ATOMS)
    first, last = check_config(cfg)
    assert first.weights["energy_per_atom"] == 10.0
    assert last.weights["energy_per_atom"] == pytest.approx(1000.0)
    assert last.weights["forces"] == 100.0
    assert last.weights["dipole_per_atom"] == first.weights["dipole_per_atom"]


def test_a_recipe_of_which_the_loss_has_one_term(recipe):
    with pytest.raises(InputError, match="weighs energy_per_atom, forces, stress, of which"):
        recipe("mace_mp", "loss=[forces,dipole_per_atom]")


def test_a_number_of_atoms_that_is_not_known(recipe):
    with pytest.raises(InputError, match="depends on the number of atoms"):
        recipe("aimnet2", n_atoms=None)
    assert recipe("mace_mp", n_atoms=None)


@pytest.mark.parametrize("weight", ["0", "-1", "nan"])
def test_a_weight_that_is_none(load_config, weight):
    cfg = load_config("+recipe=mace_mp", f"recipe.weights.forces.weight={weight}")
    with pytest.raises(InputError, match=r"recipe\.weights\.forces\.weight: must be finite"):
        convert("mace_mp", cfg, N_ATOMS)
