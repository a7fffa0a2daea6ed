"""Molecules, slabs and cells in one data set: batched by kind, measured as one by one."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
import torch

import losses
from sweep.config.checks import check_config
from sweep.data import shipped
from sweep.data.dataset import load
from sweep.errors import InputError
from sweep.training.optimization import Optimization
from sweep.training.preflight import preflight
from sweep.training.setup import Setup

HEAD = "heads.water_clusters"
LOSS = "loss=[energy_per_atom,forces,stress,atomic_multipoles,dipole_per_atom,esps]"
METRICS = "objective.metrics=[energy,forces,stress,atomic_multipoles,dipole,esps]"


def mixed(split: str, n: int) -> list[ase.Atoms]:
    """Clusters, cells and slabs in turns; a slab has waters, vacuum and a dipole along z."""
    clusters = ase.io.read(shipped(f"water_clusters/{split}.xyz"), f":{n}")
    cells = ase.io.read(shipped(f"water_boxes/{split}.xyz"), f":{2 * n}")
    slabs = cells[n:]
    for atoms in slabs:
        atoms.set_cell([5.4, 5.5, 16.0])
        atoms.pbc = [True, True, False]
        del atoms.info["REF_stress"]
        atoms.info["REF_dipole"] = np.array([0.0, 0.0, atoms.arrays["REF_multipoles"][:, 2].sum()])
        atoms.info["config_dipole_weight"] = np.array([0, 0, 1])
    for atoms in [*clusters, *cells]:
        atoms.calc = None
    return [atoms for group in zip(clusters, cells, slabs, strict=False) for atoms in group]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixed")
    for split, n in (("train", 4), ("valid", 2)):
        ase.io.write(folder / f"{split}.xyz", mixed(split, n))
    return [
        *(f"{HEAD}.{split}_file={folder / split}.xyz" for split in ("train", "valid")),
        f"{HEAD}.test_file=null",
        f"~{HEAD}.info_keys.polarizability",
        f"~{HEAD}.info_keys.fermi_level",
        f"+{HEAD}.info_keys.stress=REF_stress",
        "trainer.default_dtype=float64",
    ]


@pytest.fixture
def prepare(compose, files):
    def make(*overrides: str):
        cfg = compose(*files, *overrides)
        stages = check_config(cfg)
        return cfg, stages, Setup(cfg, load(cfg.heads, split_seed=cfg.split_seed))

    return make


def test_batches_are_of_one_kind(prepare):
    _, _, setup = prepare(LOSS, METRICS)
    kinds = [(periodic, len(ref["ptr"]) - 1) for ref, periodic in setup.batches("train")]
    assert sorted(kinds) == [(False, 4), (True, 4), (True, 4)]
    for ref, periodic in setup.batches("train"):
        assert bool(ref["pbc"].any(dim=1).all()) is periodic
        assert ("pair_index" in ref) is not periodic


def test_labels_count_where_they_are(prepare):
    _, stages, setup = prepare(LOSS, METRICS)
    table = preflight(setup, stages)
    columns = {str(c.header): [str(cell) for cell in c.cells] for c in table.columns}
    used = dict(zip(columns["term"], columns["train"], strict=True))
    assert used == {
        "energy_per_atom": "12/12",
        "forces": "12/12",
        "stress": "4/12",
        "atomic_multipoles": "12/12",
        "dipole_per_atom": "8/12",
        "esps": "12/12",
    }


def test_errors_are_those_of_the_configurations_one_by_one(prepare):
    _, stages, setup = prepare(LOSS, METRICS)
    found = setup.evaluate("valid", losses.WeightedLoss(stages[0].loss), {})
    graphs = setup._graphs["valid"]
    squares = {"forces": [], "stress": [], "dipole": [], "esps": []}
    for index, configuration in enumerate(graphs.configurations):
        batch = graphs.batch([index])
        pred = setup.model(batch.tensors, periodic=batch.periodic, compute_stress=batch.periodic)
        squares["forces"].append((pred["forces"] - batch.tensors["forces"]).square().flatten())
        squares["esps"].append((pred["esps"] - batch.tensors["esps_dft"]).square())
        if "stress" in configuration.labels:
            squares["stress"].append((pred["stress"] - batch.tensors["stress"]).square().flatten())
        labelled = batch.tensors["dipole_weight"] > 0
        error = pred["dipole"] - batch.tensors["dipole"]
        squares["dipole"].append(error[labelled].square())
    for name, parts in squares.items():
        expected = torch.cat(parts).mean().sqrt().item()
        assert found[f"rmse_{name}"] == pytest.approx(expected, rel=1e-8), name


def test_training_lowers_the_loss_on_every_kind(prepare):
    cfg, stages, setup = prepare(LOSS, METRICS)
    setup.reset()
    loss = losses.WeightedLoss(stages[0].loss)
    optimization = Optimization(setup.model, cfg.trainer, stages[0])
    for batch in setup.batches("train"):
        totals = [
            float(optimization.step(loss, batch[0], periodic=batch[1], stress=True).total)
            for _ in range(6)
        ]
        assert totals[-1] < totals[0]


@pytest.mark.parametrize(
    ("change", "override", "message"),
    [
        (
            {"REF_dipole": np.ones(3)},
            [],
            r"train\.xyz: configuration 1: label 'dipole' of a periodic",
        ),
        (
            {},
            ["model.pbc_handling=realspace"],
            r"configuration 1: pbc=\"T T T\": .* molecules .* only",
        ),
        ({}, ["model.pbc_handling=mixed_periodic"], r"configuration 0: .* needs a cell of three"),
        (
            {},
            ["model=fixed_point_small"],
            r"configuration 2: pbc=\"T T F\"; the model family 'fixed",
        ),
    ],
)
def test_what_makes_no_sense_names_its_configuration(
    compose, files, tmp_path, change, override, message
):
    frames = mixed("train", 1)
    frames[1].info.update(change)
    ase.io.write(tmp_path / "train.xyz", frames)
    if override == ["model=fixed_point_small"]:
        override = [*override, "+train_schedule.0.fixed_point_training_options={mode: direct}"]
    cfg = compose(*files, f"{HEAD}.train_file={tmp_path / 'train.xyz'}", LOSS, *override)
    data = load(cfg.heads, split_seed=0)
    with pytest.raises(InputError, match=message) as error:
        Setup(cfg, data)
    assert "\n" not in str(error.value)


def test_a_plain_mace_takes_all_of_them(prepare):
    overrides = ["model=mace_small", "model.num_channels=4", "model.radial_MLP=[8]"]
    terms = "loss=[energy_per_atom,forces,stress,molecular_forces]"
    _, stages, setup = prepare(*overrides, terms, "objective.metrics=[energy,forces,stress]")
    preflight(setup, stages)
    assert set(setup.quantities({})) == {"energy", "forces", "stress"}
