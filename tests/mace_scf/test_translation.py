"""A MACE_SCF configuration becomes the same study, and nothing of it is lost in silence."""

import copy

import pytest
import yaml

from sweep.config.stages import CONF_DIR
from sweep.errors import InputError
from sweep.mace_scf.effects import effect_of
from sweep.mace_scf.names import (
    FIXED,
    LABELS_ELSEWHERE,
    MODEL_DEFAULTS,
    MODELS,
    NOT_USED,
    STAGE_NOT_USED,
    known_names,
)
from sweep.mace_scf.program import translate_for_program
from sweep.mace_scf.reading import literal
from sweep.mace_scf.translation import translate
from sweep.models.families import FAMILIES

FILE = {
    "heads": {
        "LDA": {
            "info_keys": {"energy": "E", "dipole": "mu", "total_charge": "Q"},
            "arrays_keys": {"forces": "F", "atomic_multipoles": "p"},
        }
    },
    "train_schedule": {
        0: {"name": "one", "start": 0, "end": 9, "loss": {"forces": 100.0, "dipole": 1}},
        1: {
            "name": "two", "start": 10, "end": 19, "lr": "1e-3",
            "loss": {"energy_per_atom": 1e3, "forces_huber": {"weight": 2.0, "huber_delta": 0.5}},
        },
    },
}  # fmt: skip


def changed(**keys):
    return {**copy.deepcopy(FILE), **keys}


def remark(translation, key):
    """What happened to a key, and why."""
    (entry,) = [e for e in translation.remarks.entries if e[0] == key]
    return entry[2:]


class TestSchedule:
    def test_stages_keep_their_terms_weights_and_options(self):
        schedule = translate(FILE, "f").overlay["train_schedule"]
        assert list(schedule) == ["0", "1"]
        assert schedule["0"] == {
            "name": "one", "start": 0, "end": 9, "lr": 0.01,
            "loss": {"forces": {"weight": 100.0}, "dipole": {"weight": 1}},
        }  # fmt: skip
        assert schedule["1"]["lr"] == 1e-3
        assert schedule["1"]["loss"]["forces_huber"] == {"weight": 2.0, "huber_delta": 0.5}

    def test_options_that_are_not_given_can_be_searched(self):
        stage = {"name": "a", "start": 0, "end": 1, "loss": {"forces_huber": 3.0}}
        overlay = translate(changed(train_schedule={0: stage}), "f").overlay
        assert overlay["train_schedule"]["0"]["loss"]["forces_huber"] == {
            "weight": 3.0, "huber_delta": 0.01,
        }  # fmt: skip

    @pytest.mark.parametrize(
        "given",
        [
            {"fixed_point_training_options": {
                "mode": "unroll_scf", "scf": {"num_scf_steps": 10, "scf_tolerance": "1e-6"}}},
            {"scf_training_options": {
                "mode": "unroll_scf", "num_scf_steps": 10, "scf_tolerance": 1e-6}},
        ],
    )  # fmt: skip
    def test_scf_options_in_both_forms(self, given):
        stage = {**FILE["train_schedule"][0], **given}
        translation = translate(changed(train_schedule={0: stage}), "f")
        options = translation.overlay["train_schedule"]["0"]["fixed_point_training_options"]
        assert options == {
            "mode": "unroll_scf", "scf": {"num_scf_steps": 10, "scf_tolerance": 1e-6}
        }  # fmt: skip
        assert translation.model == "fixed_point"

    def test_keys_of_a_stage_without_meaning_are_told(self):
        stage = {**FILE["train_schedule"][0], "reset_optimizer": True, "embedding_lr": 0.1}
        translation = translate(changed(train_schedule={0: stage}), "f")
        assert remark(translation, "train_schedule.0.reset_optimizer")[0] == "not used"
        assert remark(translation, "train_schedule.0.embedding_lr")[0] == "not used"

    def test_judged_by_what_is_trained(self):
        metrics = translate(FILE, "f").overlay["objective"]["metrics"]
        assert metrics == ["forces", "dipole", "energy"]


class TestHeads:
    def test_labels_and_files(self):
        overlay = translate(changed(train_file="a.xyz", valid_fraction=0.2), "f").overlay
        assert overlay["heads"] == {
            "LDA": {
                "train_file": "a.xyz", "valid_fraction": 0.2,
                "info_keys": FILE["heads"]["LDA"]["info_keys"],
                "arrays_keys": FILE["heads"]["LDA"]["arrays_keys"],
            }
        }  # fmt: skip

    def test_files_may_be_given_on_the_command_line(self):
        assert translate(FILE, "f").overlay["heads"]["LDA"]["train_file"] == "???"

    def test_atomic_energies_by_number(self):
        overlay = translate(changed(E0s={1: -1.5, 8: -2}), "f").overlay
        assert overlay["heads"]["LDA"]["E0s"] == "{1: -1.5, 8: -2}"

    def test_labels_without_meaning_and_other_names(self):
        content = copy.deepcopy(FILE)
        head = content["heads"]["LDA"]
        head["info_keys"] |= {
            "head": "h",
            "stress": "none",
            "dipole_weight": "config_dipole_weight",
        }
        head["arrays_keys"] |= {"charges": "q", "electrostatic_potentials": "V"}
        translation = translate(content, "f")
        assert "head" not in translation.overlay["heads"]["LDA"]["info_keys"]
        assert translation.overlay["heads"]["LDA"]["arrays_keys"]["esps"] == "V"
        assert remark(translation, "heads.LDA.arrays_keys.charges")[0] == "not used"
        assert remark(translation, "heads.LDA.info_keys.stress")[0] == "as here"

    @pytest.mark.parametrize("given", [{"bulk": 2, "gas": "0.5"}, "{'bulk': 2, 'gas': 0.5}"])
    def test_weights_of_kinds(self, given):
        head = translate(changed(config_type_weights=literal(given)), "f").overlay["heads"]["LDA"]
        assert head["config_type_weights"] == {"bulk": 2, "gas": 0.5}

    @pytest.mark.parametrize("given", [None, {}, {"Default": 1.0}])
    def test_no_weights_of_kinds(self, given):
        head = translate(changed(config_type_weights=given), "f").overlay["heads"]["LDA"]
        assert "config_type_weights" not in head

    def test_weights_of_kinds_that_are_no_mapping(self):
        with pytest.raises(InputError, match=r"f: config_type_weights: must map types .* got 3"):
            translate(changed(config_type_weights=3), "f")

    def test_interpolations_of_ours_are_text_of_theirs(self):
        overlay = translate(changed(train_file="${oc.env:HOME}/a.xyz"), "f").overlay
        assert overlay["heads"]["LDA"]["train_file"] == r"\${oc.env:HOME}/a.xyz"


class TestModel:
    def test_every_model_has_a_family_with_a_file(self):
        for family in MODELS.values():
            assert family in FAMILIES
            assert (CONF_DIR / "model" / f"{family}.yaml").exists()

    def test_a_file_that_names_the_model_has_the_defaults_of_mace_scf(self):
        translation = translate(changed(model="LocalCharges", r_max=4.5), "f")
        model = translation.overlay["model"]
        assert translation.model == "local_charges"
        assert (model["num_channels"], model["max_L"]) == (128, 1)
        assert model["r_max"] == 4.5
        assert model["correlation"] == 3
        assert model["kspace_cutoff_factor"] == 1.25
        assert model["pbc_handling"] == "mixed_periodic"
        assert translation.overlay["trainer"]["default_dtype"] == "float64"
        assert translation.overlay["seed"] == 123
        assert translation.overlay["heads"]["LDA"]["E0s"] is None  # of isolated atoms
        trainer = translation.overlay["trainer"]
        assert (trainer["optimizer"], trainer["ema"]) == ("schedulefree", False)
        assert (trainer["beta"], trainer["beta_two"]) == (0.9, 0.999)
        assert model["include_electrostatic_self_interaction"] is True
        assert remark(translation, "model")[0] == "different"

    @pytest.mark.parametrize("optimizer", ["adam", "schedulefree"])
    def test_the_betas_of_every_optimizer(self, optimizer):
        """MACE_SCF gives schedulefree its beta and beta_two; the others are keys of MACE alone."""
        keys = {"beta": 0.8, "beta1_schedulefree": 0.7, "warmup_steps_schedulefree": 100}
        translation = translate(changed(optimizer=optimizer, ema=True, **keys), "f")
        trainer = translation.overlay["trainer"]
        assert trainer["beta"] == 0.8
        assert "beta_two" not in trainer
        for key in ("beta1_schedulefree", "warmup_steps_schedulefree"):
            assert remark(translation, key)[0] == "not used"
        if optimizer == "schedulefree":
            assert trainer["ema"] is False
            assert remark(translation, "ema")[0] == "different"

    def test_else_only_what_the_file_says(self):
        translation = translate(changed(r_max=4.5, batch_size=8), "f")
        assert translation.model is None
        assert translation.overlay["model"] == {"r_max": 4.5}
        assert translation.overlay["trainer"] == {"batch_size": 8}
        assert "seed" not in translation.overlay

    @pytest.mark.parametrize(
        ("keys", "size"),
        [
            ({"hidden_irreps": "64x0e + 64x1o + 64x2e"}, (64, 2)),
            ({"hidden_irreps": "32x0e"}, (32, 0)),
            ({"num_channels": 16, "max_L": 1, "hidden_irreps": "64x0e"}, (16, 1)),
            ({"num_channels": 16, "hidden_irreps": "64x0e"}, (64, 0)),
        ],
    )
    def test_sizes(self, keys, size):
        model = translate(changed(**keys), "f").overlay["model"]
        assert (model["num_channels"], model["max_L"]) == size

    @pytest.mark.parametrize("text", ["64x0e + 32x1o", "64x0e + 64x1e", "64x1o", "many", "64x0e+"])
    def test_sizes_that_are_no_model_here(self, text):
        with pytest.raises(InputError, match="hidden_irreps: must have as many channels"):
            translate(changed(hidden_irreps=text), "f")

    def test_the_fields_of_a_fixed_point_model(self):
        keys = {"model": "FixedPoint", "field_feature_widths": [1.5, 3.0],
                "field_feature_norms": "average",
                "fixedpoint_update_config": {"type": "X"}}  # fmt: skip
        translation = translate(changed(**keys), "f")
        assert translation.model == "fixed_point"
        assert translation.overlay["model"]["field_feature_widths"] == [1.5, 3.0]
        assert translation.overlay["model"]["field_feature_norms"] == "average"
        assert remark(translation, "fixedpoint_update_config")[0] == "different"

    def test_keys_of_another_family_are_told(self):
        translation = translate(changed(model="LocalCharges", field_feature_max_l=1), "f")
        assert remark(translation, "field_feature_max_l") == (
            "not used", "the family local_charges has none",
        )  # fmt: skip

    def test_a_model_that_is_no_family_here(self):
        with pytest.raises(InputError, match=r"model: 'LocalSplitCharges' is no family here; .*lo"):
            translate(changed(model="LocalSplitCharges"), "f")
        translation = translate(changed(model="LocalSplitCharges", r_max=6.0), "f", own_model=True)
        assert translation.model is None
        assert "model" not in translation.overlay
        assert remark(translation, "r_max") == (
            "not used",
            "the model is chosen on the command line",
        )


class TestTrainer:
    def test_when_it_is_evaluated_and_when_it_ends(self):
        translation = translate(changed(patience=50, eval_interval=2), "f")
        assert translation.overlay["trainer"] == {"patience": 50, "eval_interval": 2}
        assert remark(translation, "patience") == (
            "different", "trainer.patience: evaluations of the last stage without a better score",
        )  # fmt: skip
        assert remark(translation, "eval_interval")[0] == "different"

    def test_else_the_schedule_says_it(self):
        """So that a study of such a file is what it was before there were these keys."""
        trainer = translate(changed(model="LocalCharges"), "f").overlay["trainer"]
        assert not {"patience", "eval_interval"} & set(trainer)


class TestNothingIsLost:
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (
                changed(r_mx=1, wnadb=2, zzz=3),
                r"MACE_SCF has no keys 'r_mx' \(did you mean 'r_max'\?\), 'wnadb' "
                r"\(did you mean 'wandb'\?\), 'zzz'$",
            ),
            (changed(heads={}), "heads: must hold one head"),
            (changed(heads={"a": {}, "b": {}}), "heads: must hold one head"),
            (
                changed(heads={"a": {"info_kyes": {}}}),
                r"heads.a: MACE_SCF has no keys 'info_kyes' \(did you mean 'info_keys'\?\)",
            ),
            (
                changed(heads={"a": {"info_keys": {"enrgy": "E"}, "arrays_keys": {}}}),
                r"heads.a.info_keys: MACE_SCF has no labels 'enrgy' \(did you mean 'energy'\?\)",
            ),
            (
                changed(heads={"a": {"info_keys": {"dipole_weight": "w"}}}),
                "read from 'config_dipole_weight' of the data files; got 'w'",
            ),
            (changed(heads={"a": {"info_keys": ["energy"]}}), "must map labels to keys"),
            (changed(train_schedule=[]), "train_schedule: must map 0, 1, … to stages"),
            (changed(train_schedule={0: 3}), "train_schedule.0: must be a stage"),
            (changed(train_schedule={0: {"name": "a"}}), "train_schedule.0: has no loss"),
            (changed(train_schedule={0: {"loss": 3.0}}), "train_schedule.0.loss: must map terms"),
            (
                changed(train_schedule={0: {"loss": {}, "strat": 0}}),
                r"train_schedule.0: MACE_SCF has no keys 'strat' \(did you mean 'start'\?\)",
            ),
        ],
    )
    def test_unknown_keys_are_all_listed(self, content, message):
        with pytest.raises(InputError, match=message) as caught:
            translate(content, "from_mace_scf=c.yaml")
        assert str(caught.value).startswith("from_mace_scf=c.yaml: ")

    def test_every_known_key_is_taken_or_told(self):
        """Whatever the value: it shows in the overlay, or the table has a line for it."""
        for key in sorted(known_names() - {"heads", "train_schedule", "model"}):
            values = {
                "hidden_irreps": "8x0e", "optimizer": "adamw", "E0s": "average",
                "config_type_weights": {"bulk": 77},
            }  # fmt: skip
            value = values.get(key, 77)
            content = changed(**{key: value})
            if key in ("num_channels", "max_L"):
                content |= {"num_channels": 77, "max_L": 77}
            translation = translate(content, "f")
            told = key in translation.remarks
            assert told or translation.overlay != translate(FILE, "f").overlay, key

    def test_values_that_are_ours_are_told_as_such(self):
        for key, (same, reason) in FIXED.items():
            assert remark(translate(changed(**{key: same}), "f"), key) == ("as here", reason)
            other = remark(translate(changed(**{key: "other"}), "f"), key)
            assert other == ("different", reason)

    def test_the_table_says_what_every_key_does_there(self):
        lacking = {*FIXED, *NOT_USED, *STAGE_NOT_USED, *LABELS_ELSEWHERE, *MODEL_DEFAULTS}
        taken = {"hidden_irreps", "r_max", "num_radial_basis", "num_cutoff_basis", "max_ell",
                 "interaction", "interaction_first", "num_interactions", "correlation",
                 "radial_MLP", "MLP_irreps", "gate"}  # fmt: skip
        assert sorted(key for key in lacking - taken if not effect_of(key)) == []
        assert effect_of("train_schedule.0.embedding_lr") == (
            "learning rate of the parameters 'embedding' in this stage"
        )
        assert "begins the stage with a new" in effect_of("train_schedule.1.reset_optimizer")
        assert "weight of the label" in effect_of("heads.LDA.info_keys.forces_weight")

    def test_the_table_is_printed_once(self, capsys):
        stage = {**FILE["train_schedule"][0], "embedding_lr": 0.1}
        content = changed(train_schedule={0: stage}, wandb=True, lr_params_factors="{'a': 2}")
        translate(content, "f").remarks.print("a file")
        text = " ".join(capsys.readouterr().err.split())
        for part in ("in MACE_SCF", "records the run in Weights and Biases",
                     "learning rate of the parameters 'embedding' in this stage",
                     "multiplies the learning rate of groups of parameters"):  # fmt: skip
            assert part in text, part

    def test_all_keys_of_mace_run_train_are_known(self):
        from mace.tools import build_default_arg_parser

        names = {
            option.removeprefix("--").replace("-", "_")
            for action in build_default_arg_parser()._actions
            for option in action.option_strings[:1]
            if option.startswith("--")
        }
        assert sorted(names - known_names() - {"help"}) == []

    def test_no_label_is_both(self):
        from sweep.data.labels import label_names

        assert {*label_names()} & {*LABELS_ELSEWHERE} == {"virials"}
        assert not {*NOT_USED} & {*FIXED}


def test_the_index_of_molecules_and_the_seed_of_the_split():
    keys = {"forces": "F", "molID": "mol", "molID_weight": "config_molID_weight", "rho_fftn": "rho"}
    heads = {"LDA": {"info_keys": {}, "arrays_keys": keys}}
    translation = translate(changed(heads=heads, seed=3, valid_set_seed=9), "f")
    found = translation.overlay["heads"]["LDA"]["arrays_keys"]
    assert found == {"forces": "F", "cluster_batch": "mol"}
    assert remark(translation, "heads.LDA.arrays_keys.molID_weight")[0] == "as here"
    assert remark(translation, "heads.LDA.arrays_keys.rho_fftn")[0] == "not used"
    assert (translation.overlay["seed"], translation.overlay["split_seed"]) == (3, 9)


def test_labels_of_another_branch_leave_the_others_known_to_the_program():
    info = {"energy": "REF_energy", "fourier_density": "rho", "workfunction": "phi"}
    content = changed(heads={"default": {"info_keys": info, "arrays_keys": {"forces": "F"}}})
    heads = translate_for_program(yaml.safe_dump(content), "f").overlay["heads"]
    assert heads["default"]["info_keys"] == {"energy": "REF_energy"}
    assert heads["default"]["arrays_keys"] == {"forces": "F"}
    with pytest.raises(InputError, match="has no labels 'fourier_density'"):
        translate(content, "f")
