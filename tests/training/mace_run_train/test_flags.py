"""The user's flags, as mace's own parser reads them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from mace.tools import build_default_arg_parser

from sweep.errors import InputError
from sweep.search.space import SearchSpace
from sweep.training.mace_run_train.arguments import words_of
from sweep.training.mace_run_train.command import expand
from sweep.training.mace_run_train.flags import (
    contents,
    loss_of,
    metrics_of,
    option_words,
    parse,
    stages_of,
)


def test_it_is_the_parser_of_mace():
    words = ["--name=a", "--swa", "--lr=0.02", "--compute_stress=True", "--radial_MLP=[8]"]
    assert vars(parse(words)) == vars(build_default_arg_parser().parse_args(words))


def test_no_torch_is_imported():
    code = (
        "import sys; from sweep.training.mace_run_train.flags import parse; "
        "parse(['--name=a']); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("words", "terms"),
    [
        ([], {"energy_per_atom": 1.0, "forces": 100.0}),
        (["--loss=stress", "--stress_weight=3"],
         {"energy_per_atom": 1.0, "forces": 100.0, "stress": 3.0}),
        (["--loss=energy_forces_dipole", "--dipole_weight=2"],
         {"energy_per_atom": 1.0, "forces": 100.0, "dipole_per_atom": 200.0}),
        (["--loss=forces_only", "--forces_weight=7"], {"forces": 7.0}),
        (["--foundation_model=a.model", "--pt_train_file=b.xyz"],
         {"energy_per_atom_huber": 1.0, "forces_huber": 100.0, "stress_huber": 1.0}),
    ],
)  # fmt: skip
def test_weights(words, terms):
    found = loss_of(parse(["--name=a", *words]))
    assert {name: term["weight"] for name, term in found.items()} == terms
    assert all(("huber_delta" in term) == name.endswith("_huber") for name, term in found.items())
    assert len(metrics_of(found)) == len(terms)


def test_stages():
    (one,) = stages_of(parse(["--name=a", "--max_num_epochs=8"])).values()
    assert (one["start"], one["end"], one["lr"]) == (0, 7, 0.01)
    two = stages_of(parse(["--name=a", "--max_num_epochs=8", "--swa", "--swa_forces_weight=5"]))
    assert [(s["start"], s["end"]) for s in two.values()] == [(0, 5), (6, 7)]
    assert two["1"]["lr"] == 1e-3
    assert two["1"]["loss"]["forces"] == {"weight": 5.0}
    assert two["1"]["loss"]["energy_per_atom"] == {"weight": 1000.0}
    # Mace warns of a stage that begins after the end, and has none.
    assert len(stages_of(parse(["--name=a", "--max_num_epochs=8", "--swa", "--start_swa=9"]))) == 1


def test_files_are_known_by_their_content(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / f"{name}.xyz").write_text(name)
    heads = "{'one': {'train_file': 'a.xyz'}, 'two': {'train_file': ['a.xyz', 'b.xyz']}}"
    found = contents(parse(["--name=x", "--train_file=a.xyz", f"--heads={heads}"]), None)
    same = {"train_file", "heads.one.train_file", "heads.two.train_file"}
    assert found.keys() == {*same, "heads.two.train_file.1"}
    assert len({found[key] for key in same}) == 1
    with pytest.raises(InputError, match=r"valid_file: no such file: c\.xyz"):
        contents(parse(["--name=x", "--valid_file=c.xyz"]), None)


def test_more_flags_by_name():
    flags = {"weight_decay": 1e-6, "ema": True, "amsgrad": False, "plot": False}
    assert option_words(flags) == ["--weight_decay=1e-06", "--ema", "--plot=False"]
    with pytest.raises(InputError, match="did you mean 'weight_decay'"):
        option_words({"weight_decy": 1})


def test_a_flag_is_searched_from_the_value_that_it_is_given(load_config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = [
        "trainer=mace_run_train", "trainer.args=--name=a", "+trainer.flags={weight_decay: 5e-7}",
        "trainer.flags.weight_decay=tag(log, interval(1e-8, 1e-5))",
    ]  # fmt: skip
    space = SearchSpace.parse({}, expand(given))
    cfg = load_config(*space.fixed)
    assert space.defaults(cfg) == {"trainer.flags.weight_decay": 5e-7}
    space.check(cfg)
    space.apply({"trainer.flags.weight_decay": 2e-6}, cfg)
    assert words_of(cfg) == ["--name=a", "--weight_decay=2e-06"]


def test_words_of_others_are_left_alone():
    assert expand(["-m", "trainer=command", "trainer.args=x"]) == [
        "-m", "trainer=command", "trainer.args=x",
    ]  # fmt: skip


def test_the_words_of_a_shell(tmp_path, monkeypatch):
    """As copied from a script, in quotes or not, the program's name before them or not."""
    monkeypatch.chdir(tmp_path)
    for text in ("--name=a b c", "'--name=a'", '"mace_run_train --name a"', "[--name, a]"):
        given = ["-m", "trainer=mace_run_train", f"trainer.args={text}", "seed=3"]
        if text == "--name=a b c":
            with pytest.raises(InputError, match="unrecognized arguments: b c"):
                expand(given)
        else:
            assert expand(given) == [
                "-m", "+from_mace_run_train=flags", "trainer=mace_run_train", "seed=3",
            ]  # fmt: skip
