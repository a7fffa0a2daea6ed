"""Every term on every family: trained where it is meant to be, refused with the reason elsewhere.

A new term or a new family appears here by itself; what it can do stands in `TRAINS`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import ase.io
import pytest
import torch
from hydra import compose, initialize_config_dir

import losses
from losses import WeightedLoss
from sweep.config.checks import check_config
from sweep.config.stages import CONF_DIR
from sweep.data import shipped
from sweep.data.dataset import load
from sweep.errors import InputError
from sweep.hydra_plugin.registration import register
from sweep.models import FAMILIES
from sweep.training.optimization import Optimization
from sweep.training.own import OwnTrainer
from sweep.training.preflight import preflight

ENERGY = {"energy_per_atom", "energy_per_atom_huber"}
FORCES = {"forces", "forces_huber"}
MOLECULES = {"cluster_virial", "cluster_virial_per_atom", "molecular_forces"}
STRESS = {"stress", "stress_huber"}
CHARGES = {"atomic_multipoles", "atomic_multipoles_huber"}
DIPOLE = {"dipole", "dipole_per_atom"}
TOTAL = {"total_charge", "total_charge_per_atom"}
FIELDS = {"esps", "field_features"}
FERMI = {"fermi_level", "fermi_level_per_atom"}
SCF = {
    "fermi_level_gradient",
    "final_terms_fixedpoint_scf_stability",
    "fixedpoint_scf_stability",
}

OPTIONS = "train_schedule.0.fixed_point_training_options"
ITERATED = [
    "model=fixed_point_small",
    f"+{OPTIONS}={{mode: unroll_scf, scf: {{num_scf_steps: 3, mixing_parameter: 0.5}}}}",
]


@dataclass(frozen=True)
class Case:
    """A kind of model, the data that it is trained on, and the terms that it can train."""

    family: str
    overrides: list[str]
    terms: set[str]
    boxes: bool = False
    # legal too, but trained as well by another case of the family
    elsewhere: frozenset[str] = frozenset()
    # legal too, but the model leaves nothing to train
    constant: frozenset[str] = frozenset()


BASIC = ENERGY | FORCES | MOLECULES
TRAINS = {
    "mace": Case("mace", ["model=mace_small"], BASIC),
    "mace in cells": Case("mace", ["model=mace_small"], STRESS, boxes=True),
    "local_charges": Case(
        "local_charges",
        ["model=local_charges_small", "model.polarizability=true"],
        BASIC | CHARGES | DIPOLE | TOTAL | {"esps", "polarizability"},
    ),
    "local_charges in cells": Case(
        "local_charges", ["model=local_charges_small"], STRESS | {"forces", "esps"}, boxes=True
    ),
    "fixed_point direct": Case(
        "fixed_point",
        ["model=fixed_point_small", f"+{OPTIONS}={{mode: direct}}"],
        CHARGES | DIPOLE | TOTAL | FIELDS | {"forces"},
        elsewhere=frozenset(BASIC),
    ),
    "fixed_point at constant charge": Case(
        "fixed_point",
        ITERATED,
        BASIC | CHARGES | DIPOLE | FIELDS | FERMI | SCF,
        constant=frozenset(TOTAL),
    ),
    "fixed_point at constant level": Case(
        "fixed_point",
        [*ITERATED, f"+{OPTIONS}.scf.constant_charge=false"],
        TOTAL | {"fermi_level_gradient"},
        elsewhere=frozenset(BASIC | CHARGES | DIPOLE | FIELDS | SCF),
    ),
    "polar": Case(
        "polar", ["model=polar_small"], BASIC | CHARGES | DIPOLE, constant=frozenset(TOTAL)
    ),
}

WHERE = [(name, term) for name in TRAINS for term in losses.names()]
TRAINED = [(name, term) for name, term in WHERE if term in TRAINS[name].terms]
MOLECULAR = [name for name in TRAINS if not TRAINS[name].boxes]


@pytest.fixture(scope="module")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Overrides for a few of the shipped periodic cells."""
    folder = tmp_path_factory.mktemp("boxes")
    for split in ("train", "valid"):
        frames = ase.io.read(shipped(f"water_boxes/{split}.xyz"), index=":3")
        ase.io.write(folder / f"{split}.xyz", frames)
    files = {"train": folder / "train.xyz", "valid": folder / "valid.xyz"}
    head = "heads.water_boxes"
    return [
        "data=water_boxes",
        *(f"{head}.{split}_file={path}" for split, path in files.items()),
        f"{head}.test_file=null",
    ]


@pytest.fixture(scope="module")
def trainers() -> dict[str, OwnTrainer]:
    return {}


@pytest.fixture
def prepare(tiny_overrides, boxes, trainers):
    """Configuration, checked stages and the set-up of a case with the given terms."""
    register()
    files = {False: [o for o in tiny_overrides if o.startswith("heads.")], True: boxes}

    def make(name: str, terms: str):
        case = TRAINS[name]
        overrides = [
            *files[case.boxes], *case.overrides, f"loss=[{terms}]", "model.num_channels=4",
            "model.radial_MLP=[8]", "objective.metrics=[energy]", "trainer.batch_size=4",
            "train_schedule.0.lr=0.004",
        ]  # fmt: skip
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            cfg = compose("config", overrides)
        assert cfg.model.family == case.family
        if case.boxes not in trainers:
            trainers[case.boxes] = OwnTrainer(load(cfg.heads, split_seed=cfg.split_seed))
        return cfg, check_config(cfg), trainers[case.boxes].setup(cfg)

    return make


def test_every_family_and_every_term_is_covered():
    assert {case.family for case in TRAINS.values()} == set(FAMILIES)
    assert {term for _, term in TRAINED} == set(losses.names())
    for name, term in TRAINED:
        assert TRAINS[name].family in losses.get(term).families


LR = {
    "polarizability": 5e-4,  # starts near the labels, from which a large step leads away
    "fixedpoint_scf_stability": 0.1,  # starts far away, see `spoil`
}


def spoil(model: torch.nn.Module, term: str) -> None:
    """Where a fresh model has nothing to learn from a term, give it something."""
    if term == "fermi_level_gradient":  # charges that rise with the Fermi level
        with torch.no_grad():
            model.response.network.down.bias -= 4.0
    if term == "fixedpoint_scf_stability":  # a step that enlarges perturbations
        with torch.no_grad():
            model.response.network.down.bias += 20.0


@pytest.mark.parametrize(("name", "term"), TRAINED)
def test_a_few_steps_lower_the_term(prepare, name, term):
    cfg, stages, setup = prepare(name, term)
    setup.reset()
    spoil(setup.model, term)
    lr = LR.get(term, cfg.train_schedule["0"].lr)
    loss = WeightedLoss(stages[0].loss)
    optimization = Optimization(setup.model, cfg.trainer, replace(stages[0], lr=lr))
    ref, periodic = next(iter(setup.batches("train")))
    stress = setup.needs_stress(loss)
    values = [
        float(optimization.step(loss, ref, periodic=periodic, stress=stress).raw) for _ in range(5)
    ]
    assert all(value > 0 for value in values[:2])
    assert min(values[2:]) < 0.995 * values[0], values


@pytest.mark.parametrize("name", MOLECULAR)
def test_elsewhere_terms_are_refused_with_the_reason(prepare, name):
    case = TRAINS[name]
    refused = set(losses.names()) - case.terms - case.elsewhere - case.constant
    _, stages, setup = prepare(name, ",".join(["energy_per_atom", *sorted(refused)]))
    with pytest.raises(InputError) as error:
        preflight(setup, stages)
    messages = re.split(r"; (?=stage )", str(error.value))
    for term in refused:
        found = " / ".join(m for m in messages if f"loss term '{term}': " in m)
        if case.family not in losses.get(term).families:
            reason = f"not for the model family '{case.family}', only for "
        elif term in STRESS:
            reason = "its label 'stress' is not mapped in heads"
        elif case.family == "fixed_point" and term in FERMI | SCF:
            reason = "mode 'direct' " if "direct" in name else "the Fermi level is given "
        else:
            reason = f"the model does not return {losses.get(term).outputs[0]}"
        assert reason in found, (term, found)
    assert len({m.split("'")[1] for m in messages}) == len(refused)


@pytest.mark.parametrize("name", [name for name in TRAINS if TRAINS[name].constant])
def test_what_the_model_imposes_is_said_to_be_constant(prepare, name):
    terms = sorted(TRAINS[name].constant)
    _, stages, setup = prepare(name, ",".join(["energy_per_atom", *terms]))
    _, *status = (str(cell) for cell in preflight(setup, stages).columns[-1].cells)
    assert len(status) == len(terms)
    for cell in status:
        assert cell.startswith("constant: the model conserves charge")
