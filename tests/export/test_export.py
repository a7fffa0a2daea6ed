"""Exported weights read back as those of trial.json, and mean the same in the other program."""

import ast
import json
import shlex
from types import SimpleNamespace

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import losses
from sweep.config.checks import check_config
from sweep.config.stages import CONF_DIR
from sweep.data import shipped
from sweep.errors import InputError
from sweep.export.hydra import as_json, hydra
from sweep.export.mace_cli import mace_cli
from sweep.export.mace_scf import mace_scf
from sweep.export.winner import select
from sweep.files import write_json, write_text
from sweep.records.weights_file import comments

SCF = {"mode": "unroll_scf", "scf": {"num_scf_steps": 10, "mixing_parameter": 0.3}}


def stage(index, loss, start, end, lr=0.01):
    loss = {
        name: term if isinstance(term, dict) else {"weight": term} for name, term in loss.items()
    }
    return {"name": f"stage{index}", "start": start, "end": end, "lr": lr, "loss": loss}


@pytest.fixture
def winner(tmp_path):
    """Make a trial with these losses, one per stage, and select it."""

    def make(*stage_losses, options=(None, None, None), config=None, **content):
        folder = tmp_path / "my study" / "trials" / "0003"
        stages = [stage(i, loss, 10 * i, 10 * i + 9) for i, loss in enumerate(stage_losses)]
        schedule = {
            str(i): {**entry, "fixed_point_training_options": options[i]}
            for i, entry in enumerate(stages)
        }
        write_text(
            folder / ".hydra" / "config.yaml",
            yaml.safe_dump({"train_schedule": schedule, **(config or {})}),
        )
        entries = {
            "number": 3, "state": "COMPLETE", "score": 0.25, "seed": 7, "stages": stages,
            "versions": {"torch": "2.13.0", "mace-loss-sweep": "0.1.0"}, **content,
        }  # fmt: skip
        write_json(folder / "trial.json", entries)
        return select(tmp_path / "my study", None)

    return make


TWO = (
    {"forces": 1e-05, "energy_per_atom": 1 / 3, "esps": 12345678.901234567},
    {"forces_huber": {"weight": 7.0, "huber_delta": 0.1}, "dipole": 100.0},
)


class TestMaceScf:
    def test_every_number_reads_back(self, winner):
        chosen = winner(*TWO)
        schedule = yaml.safe_load(mace_scf(chosen))["train_schedule"]
        assert list(schedule) == [0, 1]
        for index, entry in enumerate([stage.as_json() for stage in chosen.trial.stages]):
            got = schedule[index]
            assert {key: got[key] for key in ("name", "start", "end", "lr")} == {
                key: entry[key] for key in ("name", "start", "end", "lr")
            }
            for name, term in entry["loss"].items():
                value = got["loss"][name]
                assert value == (term["weight"] if len(term) == 1 else term)
        # MACE_SCF reads it as the text of a dict, and takes nothing but floats and dicts.
        read = ast.literal_eval(str(schedule))
        assert {type(w) for entry in read.values() for w in entry["loss"].values()} <= {float, dict}

    def test_it_says_where_the_weights_come_from(self, winner):
        text = mace_scf(winner(*TWO, metrics={"test": {"score": 0.5}}, objective=OBJECTIVE))
        head = [line for line in text.splitlines() if line.startswith("#")]
        for part in ("study my study, trial 3", "the best of 1", "0.25 (validation), 0.5 (test)",
                     "seed 7", "mace-loss-sweep 0.1.0, torch 2.13.0", "config sha256 ",
                     "forces_huber: terms of users' branches"):  # fmt: skip
            assert any(part in line for line in head), part

    def test_scf_options_go_with_their_stage(self, winner):
        text = mace_scf(winner(*TWO, options=({"mode": "direct"}, SCF)))
        schedule = yaml.safe_load(text)["train_schedule"]
        options = [schedule[i]["fixed_point_training_options"] for i in (0, 1)]
        assert options == [{"mode": "direct"}, SCF]

    def test_terms_of_weight_zero_are_left_out_and_named(self, winner):
        text = mace_scf(winner({"forces": 1.0, "esps": 0.0}))
        assert yaml.safe_load(text)["train_schedule"][0]["loss"] == {"forces": 1.0}
        assert "# stage 0: esps has weight 0 and is left out\n" in text

    @pytest.mark.parametrize(
        ("loss", "message"),
        [
            ({"dipole_length": 1.0}, "stage 0: unknown loss term of MACE_SCF 'dipole_length'"),
            (
                {"esps": {"weight": 1.0, "reference": "label"}},
                "esps takes no options in MACE_SCF; this trial has reference: label",
            ),
        ],
    )
    def test_what_mace_scf_lacks(self, winner, loss, message):
        with pytest.raises(InputError, match=message):
            mace_scf(winner(loss))

    def test_every_shipped_term_has_a_form(self, winner):
        from shipped_terms import known_terms

        terms = {
            name: {k: v for k, v in term.items() if not isinstance(v, str)}
            for name, term in known_terms().items()
        }
        loss = yaml.safe_load(mace_scf(winner(terms)))["train_schedule"][0]["loss"]
        assert loss.keys() == terms.keys()
        # Classes need an option besides the weight.
        assert all(len(term) > 1 for term in loss.values() if isinstance(term, dict))


OBJECTIVE = {"metrics": ["energy"], "statistic": "rmse"}


def parsed(text):
    """The flags as mace_run_train understands them."""
    from mace.tools import build_default_arg_parser

    lines = [line for line in text.splitlines() if not line.startswith("#")]
    words = shlex.split(" ".join(line.removesuffix("\\") for line in lines))
    assert words[0] == "mace_run_train"
    assert words[-1] == "$@"
    return build_default_arg_parser().parse_args(words[1:-1])


def batch():
    """Predictions and labels; every weight of a configuration is 1, which mace's losses ignore."""
    random = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(shape, generator=random, dtype=torch.float64)

    shapes = {"energy": (2,), "forces": (5, 3), "stress": (2, 3, 3), "dipole": (2, 3),
              "polarizability": (2, 3, 3)}  # fmt: skip
    ref = {key: normal(*shape) for key, shape in shapes.items()}
    ref |= {f"{key}_weight": torch.ones(2, dtype=torch.float64) for key in shapes}
    ref |= {"weight": torch.ones(2, dtype=torch.float64), "batch": torch.tensor([0, 0, 1, 1, 1]),
            "ptr": torch.tensor([0, 2, 5]), "dipole_weight": torch.ones(2, 3)}  # fmt: skip
    pred = {key: normal(*shape) for key, shape in shapes.items()}
    return pred, ref


class Batch(SimpleNamespace):
    """As mace's, entries are attributes and items."""

    def __getitem__(self, key):
        return getattr(self, key)


class TestMaceCli:
    @pytest.mark.parametrize(
        ("stage_losses", "choice"),
        [
            (({"energy_per_atom": 0.1, "forces": 33.3}, {"energy_per_atom": 1e3}), "weighted"),
            (({"forces": 2.0},), "weighted"),
            (({"forces": 2.0, "energy_per_atom": 1.0}, {"stress": 5.0, "forces": 1.0}), "stress"),
            (
                tuple(
                    {
                        "energy_per_atom_huber": {"weight": 3.0 * n, "huber_delta": 0.2},
                        "forces_huber": {"weight": 10.0 / n, "huber_delta": 0.2},
                        "stress_huber": {"weight": 0.7, "huber_delta": 0.2},
                    }
                    for n in (1, 3)
                ),
                "universal",
            ),
            (({"forces_huber": {"weight": 10.0, "huber_delta": 0.01}},), "universal"),
            (({"dipole_per_atom": 7.0},), "dipole"),
            (({"dipole_per_atom": 7.0, "polarizability": 3.0},), "dipole_polar"),
            (
                (
                    {"energy_per_atom": 1.0, "forces": 2.0, "dipole_per_atom": 7.0},
                    {"energy_per_atom": 9.0, "dipole_per_atom": 0.1},
                ),
                "energy_forces_dipole",
            ),
        ],
    )
    def test_flags_give_the_same_loss(self, winner, stage_losses, choice):
        from mace.tools.scripts_utils import get_loss_fn, get_swa

        chosen = winner(*stage_losses)
        args = parsed(mace_cli(chosen))
        assert args.loss == choice
        assert args.lr == 0.01
        assert args.max_num_epochs == 10 * len(stage_losses)
        default = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            theirs = [get_loss_fn(args, choice == "dipole", "dipole" in choice)]
            if args.swa:
                model = torch.nn.Linear(1, 1)
                swa, _ = get_swa(args, model, torch.optim.SGD(model.parameters(), lr=1.0), [])
                assert swa.start == 10
                assert args.swa_lr == 0.01
                theirs.append(swa.loss_fn)
        finally:
            torch.set_default_dtype(default)
        assert len(theirs) == len(stage_losses)
        pred, ref = batch()
        for entry, loss in zip(
            [stage.as_json() for stage in chosen.trial.stages], theirs, strict=True
        ):
            ours = losses.WeightedLoss(entry["loss"], dtype=torch.float64)(pred=pred, ref=ref)
            value = loss(ref=Batch(**ref), pred=pred)
            torch.testing.assert_close(value, ours, rtol=1e-12, atol=0)

    def test_hidden_factors_and_differences_are_said(self, winner):
        text = mace_cli(winner({"energy_per_atom": 1.0, "forces": 1.0, "dipole_per_atom": 5.0}))
        assert "dipole_weight is ours / 100" in text
        assert "to zero" in text
        assert parsed(text).model == "EnergyDipolesMACE"

    @pytest.mark.parametrize(
        ("stage_losses", "message"),
        [
            (
                ({"forces": 1.0, "esps": 1.0}, {"fermi_level": 2.0}),
                "stage 1: mace_run_train has no loss with fermi_level and forces, esps, fermi_",
            ),
            (({"dipole": 1.0},), "no loss with dipole; its terms: dipole_per_atom, energy_per"),
            (({"forces": 1.0},) * 3, "has two stages; trial 3 has 3"),
            (({"dipole_per_atom": 1.0},) * 2, "no second stage with --loss=dipole"),
            (
                (
                    {"forces_huber": {"weight": 1.0, "huber_delta": 0.1}},
                    {"forces_huber": {"weight": 1.0, "huber_delta": 0.2}},
                ),
                "one huber_delta for all terms; this trial has 0.1, 0.2",
            ),
        ],
    )
    def test_what_mace_lacks(self, winner, stage_losses, message):
        with pytest.raises(InputError, match=message):
            mace_cli(winner(*stage_losses))

    def test_what_it_cannot_say_is_a_comment(self, winner):
        loss = {"forces": 1.0, "esps": 3.0, "stress": 0.5, "dipole_per_atom": 2.0}
        text = mace_cli(winner(loss, options=(SCF,)))
        assert parsed(text).loss == "stress"
        for line in (
            "# stage 0: --loss=stress has no esps (weight 3.0)",
            "# stage 0: --loss=stress has no dipole_per_atom (weight 2.0)",
            "# stage 0: mace_run_train has no fixed_point_training_options",
        ):
            assert line in text.splitlines()

    def test_the_rest_of_the_training_is_in_it(self, winner):
        config = {
            "seed": 11,
            "split_seed": 12,
            "model": {"family": "local_charges", "num_channels": 24, "max_L": 1, "r_max": 4.5,
                      "radial_MLP": [32, 16], "MLP_irreps": "8x0e", "correlation": 2,
                      "interaction": "RealAgnosticInteractionBlock"},
            "trainer": {"batch_size": 7, "ema": True, "ema_decay": 0.95, "clip_grad": None,
                        "amsgrad": False, "scheduler": "ExponentialLR", "device": "cuda:1",
                        "lr_scheduler_gamma": 0.99, "default_dtype": "float64"},
            "heads": {"default": {
                "train_file": "my data/a b.xyz", "valid_file": None, "valid_fraction": 0.2,
                "test_file": "${shipped_data:water_boxes/test.xyz}",
                "E0s": {"H": -13.6, "O": -430.1},
                "info_keys": {"energy": "E", "fermi_level": "F"}, "arrays_keys": {"forces": "f"},
            }},
        }  # fmt: skip
        text = mace_cli(winner({"forces": 1.0}, config=config))
        args = parsed(text)
        wanted = {
            "name": "my_study_3", "model": "ScaleShiftMACE", "seed": 11, "num_channels": 24,
            "max_L": 1, "r_max": 4.5, "radial_MLP": "[32, 16]", "MLP_irreps": "8x0e",
            "interaction": "RealAgnosticInteractionBlock", "batch_size": 7, "ema": True,
            "ema_decay": 0.95, "clip_grad": None, "scheduler": "ExponentialLR", "device": "cuda",
            "lr_scheduler_gamma": 0.99, "default_dtype": "float64", "train_file": "my data/a b.xyz",
            "valid_fraction": 0.2, "test_file": str(shipped("water_boxes/test.xyz")),
            "energy_key": "E", "forces_key": "f",
        }  # fmt: skip
        assert {name: getattr(args, name) for name in wanted} == wanted
        assert ast.literal_eval(args.E0s) == {1: -13.6, 8: -430.1}
        for part in ("no model of the family local_charges", "always uses AMSGrad",
                     "reads no fermi_level", "here split_seed is 12"):  # fmt: skip
            assert any(part in line for line in text.splitlines() if line.startswith("# ")), part

    def test_what_other_hands_wrote_starts_no_command(self, winner):
        config = {
            "seed": "1; rm -rf ~ $(date)",
            "trainer": {"batch_size": {"a": 1}},
            "heads": {"default": {"train_file": "${oc.env:HOME}", "E0s": {"Xx": "a\nb"}}},
        }
        text = mace_cli(winner({"forces": 1.0}, config=config))
        assert "    '--seed=1; rm -rf ~ $(date)' \\\n" in text
        assert all(line.startswith(("#", "    ", "mace_run_train")) for line in text.splitlines())
        assert "# --train_file: no flag for ${oc.env:HOME}" in text


def test_json_holds_everything(winner):
    chosen = winner(*TWO, options=(None, SCF), params={"loss.esps.weight": 12345678.901234567})
    content = json.loads(as_json(chosen))
    assert content["stages"][0] == chosen.trial.stages[0].as_json()
    assert content["stages"][1]["fixed_point_training_options"] == SCF
    assert content["params"] == chosen.trial.params
    assert (content["study"], content["trial"], content["score"]) == ("my study", 3, 0.25)
    assert len(content["config_sha256"]) == 16


class TestHydra:
    OVERRIDES = (
        "+experiment=esp_weights", "heads.water_clusters.valid_file=null", "loss.esps.weight=3.7",
        "heads.water_clusters.valid_fraction=0.3", "seed=5", "model.r_max=3.25",
        "+train_schedule.1.loss={forces:12.5,forces_huber:{weight:2.0,huber_delta:0.5}}",
    )  # fmt: skip

    @pytest.fixture
    def trained(self, tmp_path):
        """A trial's folder as a sweep writes it, without the training."""
        from sweep.hydra_plugin.registration import register

        register()
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            cfg = compose("config", list(self.OVERRIDES), return_hydra_config=True)
        node = {"hydra": {
            "sweeper": OmegaConf.to_container(cfg.hydra.sweeper, resolve=False),
            "runtime": {"choices": OmegaConf.to_container(cfg.hydra.runtime.choices)},
        }}  # fmt: skip
        cfg = OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"])
        folder = tmp_path / "mine" / "trials" / "0000"
        write_text(folder / ".hydra" / "config.yaml", OmegaConf.to_yaml(cfg))
        write_text(folder / ".hydra" / "hydra.yaml", yaml.safe_dump(node))
        stages = [
            {"name": s.name, "start": s.start, "end": s.end, "lr": s.lr, "loss": s.loss}
            for s in check_config(cfg)
        ]
        params = {"loss.esps.weight": 3.7, "train_schedule.0.lr": 0.03}
        content = {
            "number": 0,
            "state": "COMPLETE",
            "score": 1.0,
            "stages": stages,
            "params": params,
        }
        write_json(folder / "trial.json", content)
        return cfg, folder

    def test_the_experiment_composes_to_the_trial(self, trained, tmp_path):
        cfg, folder = trained
        text = hydra(select(tmp_path / "mine", None))
        assert text.startswith("# @package _global_\n")
        assert "Searched on the command line, not here: train_schedule.0.lr" in text
        write_text(tmp_path / "conf" / "experiment" / "best.yaml", text)
        search = [f"hydra.searchpath=[file://{tmp_path / 'conf'}]", "+experiment=best"]
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            again = compose("config", search, return_hydra_config=True)
        composed = OmegaConf.masked_copy(again, [key for key in again if key != "hydra"])
        assert composed == cfg
        recorded = json.loads((folder / "trial.json").read_text())["stages"]
        assert [s.loss for s in check_config(composed)] == [s["loss"] for s in recorded]
        sweeper = again.hydra.sweeper
        assert sweeper.study_name == "mine_from_0"
        assert sweeper.params["loss.esps.weight"] == "tag(log, interval(0.1, 100))"
        assert sweeper.sampler._target_.endswith("TPESampler")

    def test_other_weights_than_trained_are_refused(self, trained, tmp_path):
        _, folder = trained
        path = folder / ".hydra" / "config.yaml"
        path.write_text(path.read_text().replace("3.7", "3.8"))
        with pytest.raises(InputError, match=r"config.yaml: gives other weights than trial.json"):
            hydra(select(tmp_path / "mine", None))
        path.write_text("loss: {forces: 1.0}\n")
        with pytest.raises(InputError, match="is not a configuration of this program"):
            hydra(select(tmp_path / "mine", None))
        path.unlink()
        with pytest.raises(InputError, match=r"config.yaml: cannot be read"):
            hydra(select(tmp_path / "mine", None))


class TestSelect:
    def test_the_best_is_the_complete_trial_with_the_smallest_score(self, study_folder):
        assert select(study_folder, None).number == 2  # 3 has a smaller one, but is pruned
        assert select(study_folder, None).chosen_as == "the best of 3 complete trials"
        assert select(study_folder, 3).number == 3
        assert select(study_folder / "trials" / "0001", None).number == 1

    def test_ties_go_to_the_first(self, make_trial, tmp_path):
        for number in (4, 2, 9):
            make_trial(number)
        assert select(tmp_path, None).number == 2

    def test_damaged_trials_are_passed_over_unless_asked_for(self, study_folder):
        (study_folder / "trials" / "0002" / "trial.json").write_text("{")
        assert select(study_folder, None).number == 1
        with pytest.raises(InputError, match=r"0002/trial.json: not valid JSON"):
            select(study_folder, 2)

    @pytest.mark.parametrize(
        ("folder", "number", "message"),
        [
            ("no", None, "no: no such folder"),
            (".", 9, "has no trial 9; it holds trials 0 to 5"),
            ("trials", None, "neither a study"),
            ("trials/0001", 2, "is trial 1; got --trial 2"),
        ],
    )
    def test_errors(self, study_folder, folder, number, message):
        with pytest.raises(InputError, match=message):
            select(study_folder / folder, number)

    def test_a_study_without_complete_trials(self, make_trial, tmp_path):
        make_trial(0, state="RUNNING", score=None)
        with pytest.raises(InputError, match="no trial is complete yet; name one with --trial"):
            select(tmp_path, None)
        assert select(tmp_path, 0).trial.score is None

    def test_records_without_a_schedule(self, make_trial, tmp_path):
        folder = make_trial(0)
        write_json(folder / "trial.json", {"number": 0, "state": "COMPLETE", "score": 1.0})
        with pytest.raises(InputError, match=r"trial.json: tells no stages"):
            select(tmp_path, 0)
        stages = [{"name": "a", "start": 0, "loss": {}}]
        write_json(
            folder / "trial.json",
            {"number": 0, "state": "COMPLETE", "score": 1.0, "stages": stages},
        )
        with pytest.raises(InputError, match="stage 0 lacks 'end'"):
            select(tmp_path, 0)


# Line breaks as YAML, a shell or Python know them, and signs that a terminal obeys.
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
