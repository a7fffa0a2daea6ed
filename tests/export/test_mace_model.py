"""The trained model as mace's calculator for ASE loads it gives the energies that we trained."""

from __future__ import annotations

import re
import warnings

import ase.io
import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from sweep.cli.export import main
from sweep.config.checks import check_config
from sweep.data.dataset import load
from sweep.files import read_json, write_json
from sweep.records.writer import TrialWriter
from sweep.training import checkpoint
from sweep.training.job import train_trial
from sweep.training.own import OwnTrainer
from sweep.training.trainer import Decision

MACE = ["model=mace_small", "loss=[energy_per_atom,forces]", "objective.metrics=[energy,forces]",
        "train_schedule.0.end=1"]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folders of trained models by their overrides."""
    return {}, tmp_path_factory


@pytest.fixture
def train(compose, trained):
    known, factory = trained

    def run(*overrides):
        if overrides not in known:
            folder = factory.mktemp("trial")
            cfg = compose(*overrides)
            trainer = OwnTrainer(load(cfg.heads, split_seed=cfg.split_seed))
            writer = TrialWriter(folder, {"number": 0, "role": "default", "params": {}})
            train_trial(trainer, cfg, check_config(cfg), writer, lambda _: Decision.CONTINUE)
            (folder / ".hydra").mkdir()
            OmegaConf.save(cfg, folder / ".hydra" / "config.yaml", resolve=True)
            known[overrides] = folder, trainer, cfg
        return known[overrides]

    return run


@pytest.mark.parametrize("recorded", [True, False], ids=["", "of an older version"])
def test_mace_gives_the_same_energies_and_forces(train, tiny_data, tmp_path, capsys, recorded):
    from mace.calculators import MACECalculator

    folder, trainer, cfg = train(*MACE, "trainer.default_dtype=float64")
    content = read_json(folder / "trial.json")
    if not recorded:
        content.pop("avg_num_neighbors", None)
        write_json(folder / "trial.json", content)
    out = tmp_path / "models" / "best.model"
    assert main([str(folder), "--format", "mace_model", "--out", str(out)]) == 0
    assert capsys.readouterr().out.endswith(f"{out}\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of mace's own loading
        calculator = MACECalculator(model_paths=[str(out)], device="cpu", default_dtype="float64")
    setup = trainer.setup(cfg)
    setup.model.load_state_dict(checkpoint.load(folder / "best.pt")["model"])
    frames = ase.io.read(tiny_data / "test.xyz", index=":")
    energies = setup.dataset.atomic_energies
    expected = {}
    for batch, periodic in setup.batches("test"):
        found = setup.model(batch, periodic=periodic)
        for i, (first, last) in enumerate(zip(batch["ptr"], batch["ptr"][1:], strict=False)):
            key = batch["positions"][first:last].numpy().round(6).tobytes()
            expected[key] = found["energy"][i].item(), found["forces"][first:last].numpy()
    for atoms in frames:
        energy, forces = expected[atoms.positions.round(6).tobytes()]
        energy += sum(energies[int(z)] for z in atoms.numbers)
        atoms.calc = calculator
        assert atoms.get_potential_energy() == pytest.approx(energy, abs=1e-8)
        np.testing.assert_allclose(atoms.get_forces(), forces, atol=1e-8)
    assert torch.get_default_dtype() is torch.float32


def test_other_families_say_why_not(train, tmp_path, capsys):
    folder, _, _ = train("train_schedule.0.end=0")
    assert main([str(folder), "--format", "mace_model", "--out", str(tmp_path / "a.model")]) == 1
    message = (
        r"error: .*family 'local_charges' cannot be a \.model file of mace: the electrostatics"
    )
    assert re.match(message, capsys.readouterr().err)
    assert not (tmp_path / "a.model").exists()


def test_a_file_must_be_named_and_the_trial_be_whole(train, tmp_path, capsys):
    folder, _, _ = train(*MACE, "trainer.default_dtype=float64")
    assert main([str(folder), "--format", "mace_model"]) == 1
    assert "--format mace_model: --out FILE says where to" in capsys.readouterr().err
    (folder / "best.pt").rename(folder / "gone.pt")
    assert main([str(folder), "--format", "mace_model", "--out", str(tmp_path / "a.model")]) == 1
    assert "best.pt: no such file" in capsys.readouterr().err
    (folder / "gone.pt").rename(folder / "best.pt")
