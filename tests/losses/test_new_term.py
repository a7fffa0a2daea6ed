"""The registry, its YAML files, and the recipe for a new term: one module, one YAML file."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import losses
from losses import base, terms

CONF = Path(losses.__file__).parents[1] / "conf"

MODULE = '''
"""A term on the spread of the energies."""

from losses.base import ALL_FAMILIES, register
from losses.batch import Quantities
from losses.squares import Squares


@register(
    "energy_squared_error",
    labels=("energy",),
    outputs=("energy",),
    mask="energy_weight",
    families=ALL_FAMILIES,
    unit="eV^2",
)
def energy_squared_error(q: Quantities, *, scale: float = 1.0) -> Squares:
    """Mean squared error of the total energy."""
    predicted = q.graph_output("energy")
    weight = scale * q.weight("energy_weight", predicted)
    return Squares(predicted, q.graph_label("energy", predicted), weight)
'''
YAML = "energy_squared_error:\n  weight: 3.0\n  scale: 2.0\n"


@pytest.fixture
def new_term(tmp_path, monkeypatch):
    """Add the files as a user would, to directories that belong to the package and to conf."""
    (tmp_path / "terms").mkdir()
    (tmp_path / "terms" / "energy_squared.py").write_text(MODULE)
    (tmp_path / "conf" / "loss").mkdir(parents=True)
    (tmp_path / "conf" / "loss" / "energy_squared_error.yaml").write_text(YAML)
    monkeypatch.setattr(terms, "__path__", [*terms.__path__, str(tmp_path / "terms")])
    monkeypatch.setattr(base, "_REGISTRY", dict(base._REGISTRY))
    losses.discover()
    yield tmp_path
    sys.modules.pop("losses.terms.energy_squared")
    del terms.energy_squared


def test_one_module_and_one_yaml_file_make_a_term(new_term, make_batch):
    assert "energy_squared_error" in losses.names()
    term = losses.get("energy_squared_error")
    assert term.description == "Mean squared error of the total energy."
    assert dict(term.options) == {"scale": 1.0}
    with initialize_config_dir(str(CONF), version_base="1.3", job_name="test"):
        config = compose(
            overrides=[
                f"hydra.searchpath=[file://{new_term / 'conf'}]",
                "+loss=[forces,energy_squared_error]",
                "loss.forces.weight=10",
            ],
        )
    loss = losses.WeightedLoss(config.loss)
    pred, ref = make_batch()
    expected = 10 * losses.evaluate("forces", pred=pred, ref=ref) + 6 * torch.mean(
        ref["weight"] * ref["energy_weight"] * (ref["energy"] - pred["energy"]) ** 2
    )
    torch.testing.assert_close(loss(pred=pred, ref=ref), expected, rtol=1e-14, atol=0)


def test_a_scalar_is_as_good_as_squares(make_batch, monkeypatch):
    monkeypatch.setattr(base, "_REGISTRY", dict(base._REGISTRY))

    @losses.register("energy_cosh", outputs=("energy",), labels=("energy",), unit="1")
    def energy_cosh(q, *, form: str = "log"):
        """Logarithm of the hyperbolic cosine of the energy error."""
        predicted = q.graph_output("energy")
        error = predicted - q.graph_label("energy", predicted)
        return error.cosh().log().mean() if form == "log" else error.cosh().mean()

    pred, ref = make_batch()
    loss = losses.WeightedLoss({"forces": 1, "energy_cosh": 2, "dipole": 3})
    breakdown = loss.breakdown(pred=pred, ref=ref)
    assert breakdown.raw[1] == (pred["energy"] - ref["energy"]).cosh().log().mean()
    assert breakdown.raw[2] == losses.evaluate("dipole", pred=pred, ref=ref)
    with pytest.raises(losses.LossError, match="'form' of term 'energy_cosh' must be a text"):
        losses.WeightedLoss({"energy_cosh": {"weight": 1, "form": 2}})


def test_registration_errors():
    with pytest.raises(
        losses.LossError, match=r"'forces' is registered already, by losses\.terms\.forces"
    ):
        losses.register("forces", outputs=("forces",), unit="1")(lambda q: q.output("forces").sum())
    with pytest.raises(losses.LossError, match="option 'delta' needs a default"):

        @losses.register("broken", outputs=("forces",), unit="1")
        def without_default(q, *, delta):
            return q.output("forces").sum() * delta

    with pytest.raises(losses.LossError, match="positive option 'dleta': did you mean 'delta'"):

        @losses.register("broken", outputs=("forces",), unit="1", positive=("dleta",))
        def misspelt(q, *, delta=1.0):
            return q.output("forces").sum() * delta

    with pytest.raises(losses.LossError, match="'weight' cannot be an option"):

        @losses.register("broken", outputs=("forces",), unit="1")
        def with_weight(q, *, weight=1.0):
            return q.output("forces").sum() * weight

    assert "broken" not in losses.names()


def test_every_term_says_what_it_needs():
    for name in losses.names():
        term = losses.get(name)
        assert term.name == name
        assert term.outputs
        assert term.unit
        assert term.description.endswith(".")
        assert term.families
        assert term.families <= base.ALL_FAMILIES
        assert (term.mask is None) or term.labels


def test_yaml_files_hold_the_terms_and_their_defaults():
    files = {path.stem: path for path in (CONF / "loss").glob("*.yaml")}
    assert set(files) == set(losses.names())
    for name, path in files.items():
        block = OmegaConf.to_container(OmegaConf.load(path))
        assert list(block) == [name]
        options = block[name]
        weight = options.pop("weight")
        assert isinstance(weight, float)
        assert weight > 0
        assert options == dict(losses.get(name).options)
        assert {k: type(v) for k, v in options.items()} == {
            k: type(v) for k, v in losses.get(name).options.items()
        }
        assert f"unit of the value: {losses.get(name).unit}" in path.read_text()


def test_only_torch_is_needed():
    """The package is useful without the rest of the project and its dependencies."""
    modules = Path(losses.__file__).parent.rglob("*.py")
    allowed = {"__future__", "losses", "torch", *sys.stdlib_module_names}
    for path in modules:
        for line in path.read_text().splitlines():
            if line.startswith(("import ", "from ")):
                assert line.split()[1].partition(".")[0] in allowed, f"{path.name}: {line}"


def test_public_names_are_there():
    package = importlib.import_module("losses")
    assert all(hasattr(package, name) for name in package.__all__)


def test_what_terms_there_are_can_be_asked_without_torch():
    code = (
        "import sys, losses; losses.get('esps').check({'reference': 'label'}); "
        "print(losses.get('esps').unit, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "V^2 False\n"


def test_options_of_all_kinds(monkeypatch):
    monkeypatch.setattr(base, "_REGISTRY", dict(base._REGISTRY))

    @losses.register(
        "own", outputs=("energy",), unit="1", positive=("width",), choices={"form": ("plain",)}
    )
    def own(q, *, form: str = "log", width: float = 1.0, smooth: bool = True):
        """A term with options of all kinds."""
        return q.output("energy").sum()

    term = losses.get("own")
    assert term.check({}) == {"form": "log", "width": 1.0, "smooth": True}
    assert term.check({"form": "log", "width": 2, "smooth": False})["width"] == 2.0
    assert term.check({"form": "plain"})["form"] == "plain"
    for options, message in (
        ({"form": "lg"}, "'form' of term 'own' must not be 'lg'; did you mean 'log'"),
        ({"width": -1}, "'width' of term 'own' must be larger than 0, got -1"),
        ({"width": "wide"}, "'width' of term 'own' must be a number, got 'wide'"),
        ({"smooth": 1}, "'smooth' of term 'own' must be true or false, got 1"),
        ({"from": "log"}, "has no option 'from'; did you mean 'form'"),
    ):
        with pytest.raises(losses.LossError, match=message):
            term.check(options)
    with pytest.raises(losses.LossError, match="positive option 'form' has the default 'log'"):

        @losses.register("broken", outputs=("energy",), unit="1", positive=("form",))
        def broken(q, *, form: str = "log"):
            return q.output("energy").sum()
