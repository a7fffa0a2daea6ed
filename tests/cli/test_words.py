"""What a user may type on the command line, as Hydra understands it."""

import pytest
import yaml

from sweep.cli.words import understood
from sweep.errors import InputError

SMALL = ["+experiment=smoke", "-m", "hydra.sweeper.n_jobs=1"]


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("loss.forces=3", "loss.forces.weight=3"),
        ("loss.forces=1e2", "loss.forces.weight=1e2"),
        ("+loss.dipole=.5", "+loss.dipole.weight=.5"),
        ("loss.forces=tag(log,interval(1,9))", "loss.forces.weight=tag(log,interval(1,9))"),
    ],
)
def test_a_number_for_a_term_is_its_weight(capsys, given, taken):
    assert understood([given]) == [taken]
    assert capsys.readouterr().err == f"{given} is read as {taken}\n"


def test_exponents_of_the_score_are_a_list():
    word = "objective.metrics={forces: 2, energy: 1}"
    assert understood([word]) == ["objective.metrics=[{forces: 2, energy: 1}]"]


@pytest.mark.parametrize(
    "word",
    [
        "loss.esps=choice(on,off)", "loss.esps={weight: 3}", "loss.forces.weight=3",
        "train_schedule.0.loss.forces=3", "loss=[forces]", "~loss.esps", "seed=3",
    ],
)  # fmt: skip
def test_everything_else_stays_as_it_is(capsys, word):
    assert understood([word]) == [word]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (["a=1", "-m", "b=2", "-m"], ["-m", "a=1", "b=2"]),
        (["a=1", "-m", "--cfg", "job"], ["--cfg", "job", "a=1"]),
        (["--config-dir", "there", "a=1"], ["--config-dir", "there", "a=1"]),
    ],
)
def test_flags_come_first_and_what_shows_something_takes_no_m(given, taken):
    assert understood(given) == taken


@pytest.mark.parametrize(
    ("word", "own"),
    [
        ("--train_file=a.xyz", "heads.default.train_file"),
        ("--max_num_epochs", "train_schedule.0.end"),
        ("--batch_size=3", "trainer.batch_size"),
        ("--forces_weight=100", "loss.forces.weight"),
        ("--r_max=5", "model.r_max"),
    ],
)
def test_flags_of_mace_are_named_as_here(word, own):
    with pytest.raises(InputError, match=rf"^{word.partition('=')[0]}: is no flag here; .*{own}"):
        understood([word])


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["max_num_epochs=9"], ["max_num_epochs", "train_schedule.0.end"]),
        (["batch_size=9"], ["it is trainer.batch_size here"]),
        (["lr=0.1"], ["it is train_schedule.0.lr here"]),
        (["-m", "n_trials=9"], ["it is hydra.sweeper.n_trials here"]),
        (["sampler=gp"], ["hydra/sweeper/sampler="]),
        (["loss.dipole.weight=2"], ["+loss.dipole.weight=1", "loss=[energy_per_atom,forces,"]),
        (["-m", "loss.dipole.weight=interval(1,2)"], ["loss=[", "dipole_per_atom,dipole]"]),
        (["train_schedule.1.lr=1"], ["+train_schedule.1={name: stage2, start: 100, end: 199,"]),
        (["+train_schedule.1={name: a"], ["+train_schedule.1={name: a", "no viable alternative"]),
        (["+train_schedule.1={name: a, lrr: 1}"], ["train_schedule.1.lrr", "'lr'"]),
        (
            [*SMALL, "hydra.sweeper.params.loss.epss.weight=null"],
            ["hydra.sweeper.params", "'loss.epss.weight'", "'loss.esps.weight'"],
        ),
    ],
)
def test_an_error_names_what_to_type(command, arguments, parts):
    result = command(*arguments)
    assert result.status == 1
    (line,) = result.err.splitlines()
    for part in parts:
        assert part in line


def shown(command, *arguments):
    result = command(*arguments, "--cfg", "job")
    assert result.status == 0, result.err
    return yaml.safe_load(result.out)


def test_terms_and_stages_can_be_added_as_the_errors_say(command):
    stage = command("train_schedule.1.lr=1").err.split("add a stage with '")[1].strip("'\n")
    key_by_key = command("+train_schedule.1.lr=1").err
    assert "error: train_schedule.1: a stage that is not there is added whole," in key_by_key
    assert stage in key_by_key
    term = command("loss.dipole.weight=2").err.split("add the term with ")[1].split(",")[0]
    config = shown(command, stage, term, "train_schedule.1.lr=0.5")
    assert config["loss"]["dipole"] == {"weight": 1}
    assert config["train_schedule"]["1"] == {
        "name": "stage2", "start": 100, "end": 199, "lr": 0.5, "loss": None,
        "fixed_point_training_options": None, "shares": None,
    }  # fmt: skip


NOT_SEARCHED = {
    "by null": (["hydra.sweeper.params.loss.esps.weight=null"], "null in hydra.sweeper.params"),
    "by deletion": (["~hydra.sweeper.params.loss.esps.weight"], "null in hydra.sweeper.params"),
    "with its term": (["~loss.esps"], "~loss.esps"),
    "by a value": (["loss.esps.weight=2"], "loss.esps.weight=2"),
    "by a short value": (["loss.esps=2"], "loss.esps.weight=2"),
    "by an experiment": (["+experiment=child"], "null in hydra.sweeper.params"),
}


@pytest.mark.parametrize("case", NOT_SEARCHED)
def test_a_searched_key_can_be_taken_out(command, folder, monkeypatch, case):
    """Up to the first thing that needs a training."""
    searched = {}

    def stop(queue, record, *_, **__):
        searched.update(record.space)
        raise InputError("enough")

    monkeypatch.setattr("sweep.study.definition.claim_study", stop)
    (folder / "experiment").mkdir()
    (folder / "experiment" / "child.yaml").write_text(
        "# @package _global_\ndefaults: [smoke, _self_]\n"
        "hydra: {sweeper: {params: {loss.esps.weight: null}}}\n"
    )
    words, why = NOT_SEARCHED[case]
    start = [] if case == "by an experiment" else ["+experiment=smoke"]
    result = command("--config-dir", str(folder), *start, "-m", "hydra.sweeper.n_jobs=1", *words)
    assert result.err.splitlines()[-1] == "error: enough"
    assert f"not searched: loss.esps.weight ({why})" in result.out.splitlines()
    assert set(searched) == {
        f"loss.{term}.weight"
        for term in ("energy_per_atom", "atomic_multipoles", "dipole_per_atom", "total_charge")
    }


def test_the_command_line_searches_again_what_an_experiment_took_out(command, monkeypatch):
    def stop(queue, record, *_, **__):
        raise InputError(", ".join(record.space))

    monkeypatch.setattr("sweep.study.definition.claim_study", stop)
    words = ["hydra.sweeper.params.loss.esps.weight=interval(1,2)", "loss.energy_per_atom.weight=3"]
    result = command(*SMALL, *words)
    assert "loss.esps.weight" in result.err
    assert "energy" not in result.err
    assert result.out == (
        "not searched: loss.energy_per_atom.weight (loss.energy_per_atom.weight=3)\n"
    )
