"""Data of other programs train as they should: offsets, round-off and odd labels."""

from __future__ import annotations

from pathlib import Path

import ase
import ase.io
import numpy as np
import pytest
import torch
from rich.console import Console

import losses
from sweep.config.checks import check_config
from sweep.data.dataset import load
from sweep.errors import InputError
from sweep.training.preflight import preflight
from sweep.training.setup import Setup

MACE = ["data=extxyz", "model=mace_small", "model.num_channels=4", "model.radial_MLP=[8]",
        "loss=[energy_per_atom,forces]", "objective.metrics=[energy,forces]"]  # fmt: skip


@pytest.fixture
def setup_of(load_config, tmp_path):
    """The set-up of frames as training and validation set."""

    def make(frames: list[ase.Atoms], *overrides: str) -> tuple[Setup, list]:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.xyz"
        ase.io.write(path, frames, format="extxyz")
        files = [f"heads.default.{split}_file={path}" for split in ("train", "valid")]
        cfg = load_config(*MACE, *files, *overrides)
        data = load(cfg.heads, split_seed=cfg.split_seed)
        return Setup(cfg, data), check_config(cfg)

    return make


def chains(seed: int = 0, *, offset: float = 0.0, noise: float = 0.1) -> list[ase.Atoms]:
    """Rows of atoms whose energies are those of their elements and some noise; eV per atom."""
    rng = np.random.default_rng(seed)
    energies = {"H": -13.0, "O": -430.0}
    frames = []
    for symbols in ("OH", "OHH", "HH", "OO", "OHHO", "HOH") * 2:
        atoms = ase.Atoms(symbols, [[1.1 * i, 0.1 * rng.normal(), 0] for i in range(len(symbols))])
        energy = sum(energies[s] + offset for s in symbols) + noise * rng.normal()
        atoms.info["REF_energy"] = energy
        forces = rng.normal(size=(len(atoms), 3))
        atoms.arrays["REF_forces"] = forces - forces.mean(axis=0)
        frames.append(atoms)
    return frames


def test_an_offset_per_atom_changes_nothing_in_single_precision(setup_of):
    found = []
    for offset in (0.0, -300_000.0):
        setup, stages = setup_of(chains(offset=offset))
        assert setup.dtype == torch.float32
        loss = losses.WeightedLoss(stages[0].loss, device=setup.device, dtype=setup.dtype)
        batches = list(setup.batches("train"))
        raw = [
            loss.raw(pred=setup.model(ref, periodic=periodic, training=True), ref=ref).detach()
            for ref, periodic in batches
        ]
        energies = torch.cat([ref["energy"] for ref, _ in batches])
        found.append((energies, torch.stack(raw), setup.scales))
    (energies, raw, scales), (energies_of_large, raw_of_large, scales_of_large) = found
    assert float(energies.abs().max()) < 10
    torch.testing.assert_close(energies_of_large, energies, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(raw_of_large, raw, rtol=1e-4, atol=1e-6)
    assert scales_of_large == pytest.approx(scales, rel=1e-6)


def test_a_checkpoint_with_atomic_energies_is_read_without_them(setup_of):
    setup, _ = setup_of(chains())
    state = {
        name: value + 5 if name.endswith("atomic_energies") else value
        for name, value in setup.model.state_dict().items()
    }
    assert any(name.endswith("atomic_energies") for name in state)
    ref, periodic = next(setup.batches("train"))
    before = setup.model(ref, periodic=periodic)["energy"]
    setup.model.load_state_dict(state)
    torch.testing.assert_close(setup.model(ref, periodic=periodic)["energy"], before)


def test_round_off_is_no_scale(setup_of):
    """As many compositions as frames: E0s fit every energy but for its last digits."""
    with pytest.raises(InputError, match="'energy' has the same value everywhere"):
        setup_of(chains(noise=1e-13))


def test_forces_of_round_off_are_no_scale(setup_of):
    frames = chains()
    for atoms in frames:
        atoms.arrays["REF_forces"] *= 1e-16
    with pytest.raises(InputError, match="'forces' has the same value everywhere"):
        setup_of(frames)


def test_the_table_ends_with_what_is_odd_in_the_data(setup_of):
    frames = chains()
    frames[3].arrays["REF_forces"] += 3.0
    frames[4].info["config_weight"] = 0.0
    for atoms in frames:
        atoms.set_cell([40] * 3)
        atoms.pbc = True
    setup, stages = setup_of(frames)
    console = Console(width=300, record=True)
    console.print(preflight(setup, stages))
    text = console.export_text()
    assert "train: 1 configurations of config_weight 0 are left out" in text
    assert "they do not sum to zero in 1 of 11" in text
    assert "Å³ per atom" in text
    assert "11 of 11 structures of valid are in train, too" in text


def test_a_quantity_that_is_judged_must_be_in_the_validation_set(setup_of, load_config, tmp_path):
    frames = chains()
    ase.io.write(tmp_path / "t.xyz", frames, format="extxyz")
    for atoms in frames:
        del atoms.arrays["REF_forces"]
    ase.io.write(tmp_path / "v.xyz", frames, format="extxyz")
    cfg = load_config(*MACE, f"heads.default.train_file={tmp_path / 't.xyz'}",
                      f"heads.default.valid_file={tmp_path / 'v.xyz'}")  # fmt: skip
    data = load(cfg.heads, split_seed=0)
    with pytest.raises(InputError, match="'forces' has no label in the validation set"):
        Setup(cfg, data)


def test_relative_paths_are_from_where_the_command_was_started(command):
    result = command("data=extxyz", "heads.default.train_file=water.xyz", "hydra.job.chdir=true",
                     "heads.default.info_keys.energy=REF_enrgy")  # fmt: skip
    assert result.status == 1
    assert "water.xyz: no configuration has the comment-line key 'REF_enrgy'" in result.err
    assert Path("water.xyz").is_file()
