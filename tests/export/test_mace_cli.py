"""A script for mace_run_train is understood by mace and means the same loss."""

import ast
import shlex
from types import SimpleNamespace

import pytest
import torch
from exported_trials import SCF

import losses
from sweep.data import shipped
from sweep.errors import InputError
from sweep.export.mace_cli import mace_cli


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

    def test_patience_and_evaluations(self, winner):
        config = {"trainer": {"patience": 9, "eval_interval": 2}}
        early = "ended after epoch 3 of 9: no better score"
        text = mace_cli(winner({"forces": 1.0}, config=config, ended_early=early))
        args = parsed(text)
        assert (args.patience, args.eval_interval) == (9, 2)
        for part in ("patience counts validations without a smaller loss", f"training {early}."):
            assert any(part in line for line in text.splitlines() if line.startswith("# ")), part

    def test_weights_of_kinds_are_those_that_mace_reads(self, winner):
        from mace.tools.scripts_utils import get_config_type_weights

        weights = {"bulk": 3.0, "it's": 0.5}
        config = {"heads": {"default": {"config_type_weights": weights}}}
        args = parsed(mace_cli(winner({"forces": 1.0}, config=config)))
        assert get_config_type_weights(args.config_type_weights) == weights
        bad = {"heads": {"default": {"config_type_weights": {"bulk": "$(date)"}}}}
        with pytest.raises(InputError, match=r"config_type_weights.bulk: must be .*got '\$\(date"):
            mace_cli(winner({"forces": 1.0}, config=bad))

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
