"""A study that came from someone else cannot put configuration into an export."""

import pytest
import yaml
from exported_trials import stage

from sweep.errors import InputError
from sweep.export.hydra import hydra
from sweep.export.mace_cli import mace_cli
from sweep.export.mace_scf import mace_scf
from sweep.export.winner import select
from sweep.files import write_text
from sweep.records.weights_file import comments

BREAKS = ("\n", "\r", "\r\n", "\x0b", "\x0c", "\x85", "\u2028", "\u2029", "\x1b[2J", "\0")


class TestHostileStudies:
    """A study may come from someone else; what is made of it is passed on and run."""

    @pytest.mark.parametrize("sign", BREAKS)
    def test_text_stays_in_its_comment(self, sign):
        text = comments([f"a{sign}hydra: {{launcher: {{setup: [reboot]}}}}", "b"])
        assert len(text.splitlines()) == 2
        assert text.replace("\n", "").isprintable()
        assert yaml.safe_load(text) is None

    @pytest.mark.parametrize(
        "entries",
        [
            {"git_commit": "abc\ntrain_schedule: {}"},
            {"versions": {"torch": "2\u2028train_schedule: {}"}},
            {"seed": 1, "metrics": {}, "role": "a\nb: 1"},
        ],
    )
    @pytest.mark.parametrize("form", [mace_scf, mace_cli])
    def test_no_line_is_added(self, winner, entries, form):
        plain = form(winner({"forces": 1.0}, git_commit="abc"))
        hostile = form(winner({"forces": 1.0}, **{"git_commit": "abc", **entries}))
        own = [line for line in hostile.splitlines() if not line.startswith("#")]
        assert own == [line for line in plain.splitlines() if not line.startswith("#")]
        assert len(hostile.splitlines()) == len(plain.splitlines())

    def test_names_of_terms_do_neither(self, winner):
        text = mace_scf(winner({"forces": 1.0, "esps\nhydra: {}": 0.0}))
        assert list(yaml.safe_load(text)) == ["train_schedule"]

    @pytest.mark.parametrize(
        ("entries", "message"),
        [
            ({"seed": "7\nhydra: {}"}, "'seed' is"),
            ({"dtype": ["float64"]}, "'dtype' is"),
            ({"git_commit": 12}, "'git_commit' is 12, expected a text"),
            ({"versions": {"torch": {"a": 1}}}, "'versions' is"),
        ],
    )
    def test_types_are_checked_on_reading(self, winner, tmp_path, entries, message):
        with pytest.raises(InputError, match="no trial is complete yet"):
            winner({"forces": 1.0}, **entries)
        with pytest.raises(InputError, match=message):
            select(tmp_path / "my study", 3)

    def test_options_that_are_no_numbers(self, winner):
        hostile = {"forces_huber": {"weight": 1.0, "huber_delta": "$(reboot)"}}
        with pytest.raises(InputError, match=r'huber_delta: must be a number; got "\$\(reboot\)"'):
            mace_cli(winner(hostile))

    @pytest.mark.parametrize(
        ("file", "entries", "message"),
        [
            ("config", {"defaults": [{"override /hydra/launcher": "x"}]}, "unknown key 'defaults'"),
            ("config", {"hydra": {"launcher": {"setup": ["reboot"]}}}, "unknown key 'hydra'"),
            ("config", {"train_schedule": [1]}, "'train_schedule' is no schedule"),
            ("config", {"loss": [1]}, "is not a configuration of this program"),
            ("sweeper", {"params": {"hydra.launcher.setup": "[reboot]"}}, "no key that can be"),
            ("sweeper", {"params": {"hydra/launcher": "x"}}, "no key that can be searched"),
            ("sweeper", {"params": {"+hydra.job_logging": "x"}}, "no key that can be searched"),
            ("sweeper", {"params": {"a\nhydra": "x"}}, "no key that can be searched"),
            ("sweeper", {"params": {"loss.esps": [1]}}, "'loss.esps' is \\[1\\], expected a text"),
            ("sweeper", {"n_trials": "${oc.env:HOME}"}, "'n_trials' is"),
        ],
    )
    def test_an_experiment_configures_a_training_and_no_more(
        self, winner, tmp_path, file, entries, message
    ):
        winner({"forces": 1.0})
        folder = tmp_path / "my study" / "trials" / "0003" / ".hydra"
        config = {"loss": {"forces": 1.0}, "train_schedule": {"0": stage(0, {}, 0, 9)}}
        config["train_schedule"]["0"]["loss"] = None
        if file == "config":
            config |= entries
        node = {"sweeper": entries} if file == "sweeper" else {}
        write_text(folder / "config.yaml", yaml.safe_dump(config))
        write_text(folder / "hydra.yaml", yaml.safe_dump({"hydra": node}))
        with pytest.raises(InputError, match=message):
            hydra(select(tmp_path / "my study", 3))

    def test_groups_come_from_this_package(self, winner, tmp_path):
        winner({"forces": 1.0})
        folder = tmp_path / "my study" / "trials" / "0003" / ".hydra"
        config = {"loss": {"forces": 1.0}, "train_schedule": {"0": stage(0, {}, 0, 9)}}
        config["train_schedule"]["0"]["loss"] = None
        choices = {"hydra/sweeper/sampler": "../../launcher/local", "hydra/sweeper/pruner": "none"}
        write_text(folder / "config.yaml", yaml.safe_dump(config))
        write_text(
            folder / "hydra.yaml", yaml.safe_dump({"hydra": {"runtime": {"choices": choices}}})
        )
        defaults = yaml.safe_load(hydra(select(tmp_path / "my study", 3)))["defaults"]
        assert {"override /hydra/sweeper/pruner": "none"} in defaults
        assert not any("override /hydra/sweeper/sampler" in entry for entry in defaults[:-1])
