"""``from_mace_scf=…`` on the command line: what Hydra composes on top of it."""

import subprocess
import sys

import pytest
import yaml
from omegaconf import OmegaConf

from sweep.cli import app
from sweep.config.checks import check_config
from sweep.errors import InputError
from sweep.mace_scf.command import expand


@pytest.fixture
def config(tmp_path, tiny_data):
    """A MACE_SCF file on the tiny data, as its documentation has them."""
    content = {
        "heads": {
            "default": {
                "info_keys": {"energy": "REF_energy", "dipole": "REF_dipole",
                              "total_charge": "total_charge", "head": "head"},
                "arrays_keys": {"forces": "REF_forces", "atomic_multipoles": "REF_multipoles"},
            }
        },
        "name": "mine", "wandb": True, "batch_size": 4, "E0s": "average",
        "train_file": str(tiny_data / "train.xyz"), "valid_file": str(tiny_data / "valid.xyz"),
        "train_schedule": {
            0: {"name": "one", "start": 0, "end": 0,
                "loss": {"atomic_multipoles": 100.0, "forces": 100.0, "energy_per_atom": 1.0}},
            1: {"name": "two", "start": 1, "end": 1, "lr": 0.001,
                "loss": {"energy_per_atom": 1000.0, "dipole_per_atom": 10.0}},
        },
    }  # fmt: skip
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """Run the command in this process: its status, what it printed, and its messages."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["sweep", *arguments])
        capsys.readouterr()  # what was printed before
        status = app.python_m_sweep()
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def composed(here, *arguments):
    status, out, err = here(*arguments, "--cfg", "job")
    assert status == 0, err
    return OmegaConf.create(out), err


def test_the_file_is_part_of_the_configuration(here, config):
    cfg, table = composed(
        here, f"from_mace_scf={config}", "model=local_charges_small",
        "train_schedule.1.loss.energy_per_atom.weight=7", "trainer.batch_size=2",
        "~train_schedule.0.loss.forces",
    )  # fmt: skip
    stages = check_config(cfg)
    assert [stage.name for stage in stages] == ["one", "two"]
    assert stages[0].weights == {"atomic_multipoles": 100.0, "energy_per_atom": 1.0}
    assert stages[1].weights == {"energy_per_atom": 7.0, "dipole_per_atom": 10.0}
    assert list(cfg.heads) == ["default"]
    assert cfg.heads.default.arrays_keys.atomic_multipoles == "REF_multipoles"
    assert cfg.model.num_channels == 16
    assert cfg.trainer.batch_size == 2
    assert cfg.fit_name == "mine"
    assert set(cfg.objective.metrics) == {"atomic_multipoles", "forces", "energy", "dipole"}
    for key in ("wandb", "heads.default.info_keys.head"):
        assert any(key in line and "not used" in line for line in table.splitlines())


def test_an_experiment_lies_on_top(here, tmp_path, config):
    experiment = tmp_path / "conf" / "experiment" / "fast.yaml"
    experiment.parent.mkdir(parents=True)
    experiment.write_text("# @package _global_\ntrainer: {clip_grad: 1.0}\nseed: 9\n")
    cfg, _ = composed(here, "--config-dir", "conf", "+experiment=fast", f"from_mace_scf={config}")
    assert (cfg.seed, cfg.trainer.clip_grad, cfg.trainer.batch_size) == (9, 1.0, 4)


def test_a_search_begins_with_the_weights_of_the_file(here, tmp_path, config):
    arguments = [
        "-m", f"from_mace_scf={config}", "model=local_charges_small", "model.num_channels=4",
        "model.radial_MLP=[8]", "hydra.sweeper.n_trials=1", "hydra.sweeper.n_jobs=1",
        "train_schedule.1.loss.dipole_per_atom.weight=tag(log,interval(1,100))",
        "train_schedule.0.loss.forces.weight=tag(log,interval(1,1000))",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "sweep", *arguments],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    trial = tmp_path / "outputs" / "mine" / "trials" / "0000"
    record = yaml.safe_load((trial / "trial.json").read_text())
    assert record["params"] == {
        "train_schedule.1.loss.dipole_per_atom.weight": 10.0,
        "train_schedule.0.loss.forces.weight": 100.0,
    }
    weights = [
        {name: term["weight"] for name, term in stage["loss"].items()} for stage in record["stages"]
    ]
    assert weights == [
        {"atomic_multipoles": 100.0, "forces": 100.0, "energy_per_atom": 1.0},
        {"energy_per_atom": 1000.0, "dipole_per_atom": 10.0},
    ]
    # What is exported reads back as the same study.
    from sweep.export.__main__ import main

    exported = tmp_path / "best.yaml"
    assert main([str(tmp_path / "outputs" / "mine"), "--out", str(exported)]) == 0
    original = yaml.safe_load(config.read_text())
    config.write_text(
        yaml.safe_dump({**original, **yaml.safe_load(exported.read_text()), "name": "again"})
    )
    cfg, _ = composed(here, f"from_mace_scf={config}")
    assert [stage.weights for stage in check_config(cfg)] == weights
    # A file that has changed is another study.
    config.write_text(yaml.safe_dump({**original, "batch_size": 2}))
    status, _, err = here(*arguments)
    assert status == 1
    assert "trainer.batch_size: 4 -> 2" in err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"r_mx": 3.0}, "MACE_SCF has no keys 'r_mx' (did you mean 'r_max'?)"),
        ({"model": "MACEQEq"}, "model: 'MACEQEq' is no family here"),
        (
            {"train_schedule": {0: {"name": "a", "start": 0, "end": 1, "loss": {"forcs": 1.0}}}},
            "train_schedule.0.loss.forcs: unknown loss term 'forcs'; did you mean 'forces'?",
        ),
        (
            {"train_schedule": {0: {"name": "a", "start": 1, "end": 1, "loss": {"forces": 1.0}}}},
            "train_schedule.0.start: must be 0",
        ),
        ({"train_file": None}, "heads.default.train_file: no value given"),
    ],
)
def test_errors_are_one_line(here, config, change, message):
    content = yaml.safe_load(config.read_text())
    config.write_text(yaml.safe_dump({**content, **change}))
    status, _, err = here(f"from_mace_scf={config}")
    assert status == 1
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert message in errors[0]


def test_other_commands_are_left_alone():
    arguments = ["-m", "+experiment=smoke", "loss.esps.weight=3"]
    assert expand(arguments) == arguments


def test_twice_is_once_too_often(config):
    with pytest.raises(InputError, match="from_mace_scf: stands twice"):
        expand([f"from_mace_scf={config}", f"+from_mace_scf={config}"])


def test_flags_beside_the_file_win_over_its_keys(here, config):
    flags = "--model LocalCharges --r_max 4.5 --batch-size=8 --hidden_irreps '16x0e + 16x1o' --ema"
    cfg, err = composed(here, f"from_mace_scf={config}", f"trainer.args={flags}")
    assert (cfg.model.family, cfg.model.r_max, cfg.model.num_channels) == ("local_charges", 4.5, 16)
    assert (cfg.trainer.batch_size, cfg.trainer.ema_decay) == (8, 0.99)
    assert "error" not in err
    status, _, err = here(f"from_mace_scf={config}", "trainer.args=--r_maxx 4")
    assert status == 1
    assert "MACE_SCF has no keys 'r_maxx' (did you mean 'r_max'?)" in err
