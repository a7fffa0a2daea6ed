"""Weights for MACE_SCF read back as those of trial.json."""

import ast
from dataclasses import replace

import pytest
import yaml
from exported_trials import OBJECTIVE, SCF, TWO

from sweep.errors import InputError
from sweep.export.mace_scf import mace_scf
from sweep.mace_scf.translation import translate


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

    def test_what_its_model_lacks_is_left_out_and_switches_are_on(self, winner):
        loss = {"forces": 1.0, "esps": 3.0, "stress": 0.5, "molecular_forces": 1.0}
        text = mace_scf(winner(loss, config={"model": {"family": "local_charges"}}))
        content = yaml.safe_load(text)
        assert set(content["train_schedule"][0]["loss"]) == set(loss) - {"esps"}
        assert "esps (weight 3) is left out" in text
        assert "molID" in text
        assert content["compute_stress"] is True
        assert "return_electrostatic_potentials" not in content
        content = yaml.safe_load(
            mace_scf(winner(loss, config={"model": {"family": "fixed_point"}}))
        )
        assert content["return_electrostatic_potentials"] is True
        assert content["train_schedule"][0]["loss"]["esps"] == 3.0

    def test_weights_of_kinds_come_along(self, winner):
        config = {"heads": {"default": {"config_type_weights": {"bulk": 3}}}}
        content = yaml.safe_load(mace_scf(winner({"forces": 1.0}, config=config)))
        assert content["config_type_weights"] == {"bulk": 3.0}
        again = translate({**content, "heads": {"default": {}}}, "f")
        assert again.overlay["heads"]["default"]["config_type_weights"] == {"bulk": 3.0}
        bad = {"heads": {"default": {"config_type_weights": [1]}}}
        with pytest.raises(InputError, match=r"config_type_weights: must map .* got \[1\]"):
            mace_scf(winner({"forces": 1.0}, config=bad))

    def test_a_stage_of_terms_that_its_model_lacks(self, winner):
        with pytest.raises(InputError, match="stage 0: no term is left"):
            mace_scf(winner({"esps": 1.0}, config={"model": {"family": "local_charges"}}))

    def test_a_first_stage_of_one_epoch_is_skipped_there(self, winner):
        chosen = winner({"forces": 1.0})
        assert "skips" not in mace_scf(chosen)
        short = replace(chosen.trial.stages[0], end=0)
        chosen = replace(chosen, trial=replace(chosen.trial, stages=(short,)))
        assert "stage 0 ends at epoch 0" in mace_scf(chosen)

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
