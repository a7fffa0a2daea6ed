"""Before the first step: what cannot be trained is refused, and what is suspicious is said."""

from __future__ import annotations

from pathlib import Path

import ase.io
import pytest
from rich.console import Console

from sweep.config.checks import check_config
from sweep.data.dataset import load
from sweep.errors import InputError
from sweep.training.preflight import preflight
from sweep.training.setup import Setup


@pytest.fixture
def run(compose):
    """Preflight of a composed configuration, as text."""

    def check(*overrides: str) -> str:
        cfg = compose(*overrides)
        setup = Setup(cfg, load(cfg.heads, split_seed=cfg.split_seed))
        console = Console(width=150, record=True)
        console.print(preflight(setup, check_config(cfg)))
        return console.export_text()

    return check


def edited(tiny_data: Path, folder: Path, change) -> list[str]:
    """Overrides for training data whose frames ``change(frame, index)`` edited."""
    frames = ase.io.read(tiny_data / "train.xyz", index=":")
    for i, frame in enumerate(frames):
        change(frame, i)
    ase.io.write(folder / "train.xyz", frames)
    return [f"heads.water_clusters.train_file={folder / 'train.xyz'}"]


def test_the_table_names_terms_coverage_and_ranges(run):
    text = run("loss=[forces,total_charge,esps]", "schedule=two_stages")
    assert "stage1" in text
    assert "12/12" in text
    assert "6/6" in text
    assert "eV/Å" in text
    assert "-1 to 1 e" in text


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["loss=[forces,fermi_level]"], "'fermi_level': not for the model family 'local_charges'"),
        (["loss=[forces,polarizability]"], "does not return polarizability"),
        (["loss=[forces,stress]"], "'stress': its label 'stress' is not mapped in heads"),
        (
            ["schedule=two_stages", "train_schedule.1.loss={forces:1,stress:2}"],
            "stage 1 \\(stage2\\): loss term 'stress'",
        ),
        (["loss=[forces,dipole]", "~heads.water_clusters.info_keys.dipole",
          "objective.metrics=[forces]"],
         "'dipole': its label 'dipole' is not mapped"),
    ],
)  # fmt: skip
def test_terms_that_cannot_be_trained_are_refused(run, overrides, message):
    with pytest.raises(InputError, match=message):
        run(*overrides)


def test_a_cutoff_in_which_no_atom_sees_another_is_refused(run):
    with pytest.raises(InputError, match=r"model\.r_max=0\.5: no two atoms"):
        run("loss=[forces]", "model.r_max=0.5")


def test_configurations_in_which_no_atom_sees_another_are_said(run, tiny_data, tmp_path):
    def change(frame, i):
        frame.positions *= 4 if i < 3 else 1

    overrides = [*edited(tiny_data, tmp_path, change), "model.r_max=2"]
    assert "in 3 of 12 configurations" in run("loss=[forces]", *overrides)
    assert "configurations of several" not in run("loss=[forces]", "model.r_max=2")


def test_a_term_of_weight_zero_is_not_checked(run):
    assert "not evaluated" in run("loss=[forces,stress]", "loss.stress.weight=0")


def test_a_label_without_mask_must_be_everywhere(run, tiny_data, tmp_path):
    def change(frame, i):
        if i == 3:
            del frame.info["total_charge"]

    overrides = edited(tiny_data, tmp_path, change)
    with pytest.raises(InputError, match="missing in 1 of 12 training configurations"):
        run(*overrides, "loss=[forces,total_charge]")


def test_an_ignored_weight_is_said(run, tiny_data, tmp_path):
    def change(frame, i):
        frame.info["config_total_charge_weight"] = float(i % 2)

    text = run(*edited(tiny_data, tmp_path, change), "loss=[forces,total_charge]")
    assert "config_total_charge_weight is" in text


def test_a_mask_of_its_own_counts(run, tiny_data, tmp_path):
    """esps has the multipoles as label and a weight of its own."""

    def change(frame, i):
        frame.info["config_electrostatic_potentials_weight"] = 0.0

    overrides = edited(tiny_data, tmp_path, change)
    assert "12/12" in run(*overrides, "loss=[forces,atomic_multipoles]")
    with pytest.raises(InputError, match="electrostatic_potentials_weight is 0 in every"):
        run(*overrides, "loss=[forces,esps]")


def test_partial_and_constant_labels_are_warnings(run, tiny_data, tmp_path):
    def change(frame, i):
        frame.info["total_charge"] = 0.0
        if i % 2:
            del frame.info["REF_dipole"]

    text = run(
        *edited(tiny_data, tmp_path, change), "loss=[forces,total_charge,dipole_per_atom]",
        "objective.metrics=[forces]",
    )  # fmt: skip
    assert "used in 50% of train" in text
    assert "total_charge is zero everywhere" in text


def test_a_weight_of_zero_everywhere_is_an_error(run, tiny_data, tmp_path):
    def change(frame, i):
        frame.info["config_forces_weight"] = 0.0

    with pytest.raises(InputError, match="forces_weight is 0 in every"):
        run(*edited(tiny_data, tmp_path, change), "objective.metrics=[dipole]")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["objective.metrics=[stress]"], "'stress' cannot be measured"),
        (["trainer.device=cuda:7"], "'cuda:7' is not there"),
        (
            ["objective.metrics=[dipole]", "~heads.water_clusters.info_keys.dipole"],
            "'dipole' cannot",
        ),
    ],
)
def test_context_refuses_what_it_cannot_do(run, overrides, message):
    with pytest.raises(InputError, match=message):
        run(*overrides)
