"""Building: seeds, reset between trials, global state, settings and their errors."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
import yaml

from sweep.errors import InputError
from sweep.libraries import e3nn, gate_dict, interaction_classes, quiet
from sweep.models import (
    FAMILIES,
    DataStatistics,
    FixedPointConfig,
    LocalChargesConfig,
    build,
    check_settings,
)
from sweep.models.settings import GATES, INTERACTIONS

CONF = Path(__file__).parents[2] / "conf" / "model"


def train(model, batch, steps=3):
    """A few optimiser steps; the losses on the way."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, amsgrad=True)
    losses = []
    for _ in range(steps):
        prediction = model(batch, periodic=False, training=True)
        loss = sum(
            prediction[name].square().mean() for name in ("forces", "dipole", "esps", "energy")
        )
        optimizer.zero_grad()
        loss.backward(inputs=list(model.parameters()))
        optimizer.step()
        losses.append(loss.item())
    return losses


class TestReproducibility:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_reset_is_as_good_as_new(self, build_model, collate, water_cluster, dtype):
        batch = collate([water_cluster(2), water_cluster(1)], dtype)
        model = build_model(dtype=dtype)
        initial = {name: value.clone() for name, value in model.state_dict().items()}
        assert {v.dtype for v in initial.values() if v.is_floating_point()} == {dtype}
        first = train(model, batch)
        trained = model.state_dict()
        assert any(not torch.equal(trained[name], initial[name]) for name in initial)

        model.load_state_dict(initial)
        assert train(model, batch) == first
        torch.rand(3)  # what was drawn before does not matter
        fresh = build_model(dtype=dtype)
        assert train(fresh, batch) == first
        for name, value in fresh.state_dict().items():
            assert torch.equal(value, model.state_dict()[name]), name

    def test_the_seed_decides(self, model, build_model):
        other = build_model(seed=6)
        assert not torch.equal(
            model.multipoles.layers[0].linear.weight, other.multipoles.layers[0].linear.weight
        )

    def test_global_state_is_left_alone(self, build_model):
        torch.manual_seed(1)
        expected = torch.rand(3)
        torch.manual_seed(1)
        scripted = e3nn.get_optimization_defaults()
        build_model(dtype=torch.float64)
        assert e3nn.get_optimization_defaults() == scripted
        assert torch.get_default_dtype() == torch.float32
        assert torch.equal(torch.rand(3), expected)

    def test_checkpoint_is_loadable_with_weights_only(self, model, tmp_path):
        torch.save(model.state_dict(), tmp_path / "model.pt")
        state = torch.load(tmp_path / "model.pt", weights_only=True)
        assert state.keys() == model.state_dict().keys()


@pytest.mark.parametrize("first", INTERACTIONS)
def test_every_interaction_block_runs(build_model, collate, water_cluster, first):
    other = INTERACTIONS[INTERACTIONS.index(first) - 1]
    model = build_model(interaction_first=first, interaction=other, gate="tanh")
    assert model(collate([water_cluster(1)]), periodic=False)["forces"].isfinite().all()


def test_names_are_those_of_mace():
    assert set(INTERACTIONS) <= set(interaction_classes)
    assert set(GATES) <= set(gate_dict)


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
class TestShippedSettings:
    def test_are_valid_and_complete(self, path):
        values = yaml.safe_load(path.read_text())
        kind = FAMILIES[values["family"]].settings
        assert list(values) == [f.name for f in dataclasses.fields(kind)]
        check_settings(kind(**values))

    def test_every_key_has_a_comment(self, path):
        lines = path.read_text().splitlines()
        for line in lines[1:]:
            assert "#" in line or line.startswith("family:"), line


@pytest.mark.parametrize("name", FAMILIES)
def test_defaults_are_the_shipped_ones(name):
    values = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    kind = FAMILIES[name].settings
    assert kind(**values) == kind()
    assert kind().family == name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"family": "local_charge"}, r"model\.family: got 'local_charge' \(did you mean 'local_ch"),
        ({"interaction": "RealAgnosticResidual"}, r"did you mean 'RealAgnosticResidualInteracti"),
        ({"interaction_first": "x"}, r"model\.interaction_first: got 'x'; valid: RealAgnostic"),
        ({"gate": "sliu"}, r"model\.gate: got 'sliu' \(did you mean 'silu'\?\); valid: silu, "),
        ({"atomic_multipoles_max_l": 2}, r"atomic_multipoles_max_l: got 2; valid: 0, 1"),
        ({"num_channels": 0}, r"model\.num_channels: got 0; must be at least 1"),
        ({"num_interactions": 1}, r"model\.num_interactions: got 1; must be at least 2"),
        ({"r_max": float("nan")}, r"model\.r_max: got nan; must be positive and finite"),
        ({"atomic_multipoles_smearing_width": 0.0}, r"smearing_width: got 0\.0; must be positive"),
        ({"radial_MLP": []}, r"model\.radial_MLP: got \[\]; must be one or more layer widths"),
        ({"max_L": 0}, r"model\.max_L: got 0; must be at least atomic_multipoles_max_l = 1"),
        ({"max_L": 2, "max_ell": 1}, r"model\.max_ell: got 1; must be at least max_L = 2"),
        ({"MLP_irreps": "16x1o"}, r"model\.MLP_irreps: got '16x1o'; must be scalars such as"),
    ],
)
def test_bad_settings(changes, message):
    with pytest.raises(InputError, match=message) as error:
        check_settings(LocalChargesConfig(**changes))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"field_feature_max_l": 2}, r"model\.field_feature_max_l: got 2; valid: 0, 1"),
        ({"field_feature_widths": []}, r"field_feature_widths \(their number\): got 0; must be at"),
        ({"field_feature_widths": [1.0, -2.0]}, r"field_feature_widths: got -2\.0; must be posi"),
        ({"field_feature_norms": "mean"}, r"field_feature_norms: got 'mean'; valid: null, aver"),
        ({"field_feature_norms": [1.0]}, r"got \[1\.0\]; valid: null, average, or 4 numbers"),
        ({"field_feature_norms": [1, 1, 1, 0]}, r"field_feature_norms: got 0; must be positive"),
        ({"fermi_level_offset": float("nan")}, r"fermi_level_offset: got nan; must be finite or"),
        ({"atomic_multipoles_max_l": 2}, r"atomic_multipoles_max_l: got 2; valid: 0, 1"),
    ],
)
def test_bad_settings_of_fields(changes, message):
    with pytest.raises(InputError, match=message) as error:
        check_settings(FixedPointConfig(**changes))
    assert "\n" not in str(error.value)


def test_bad_settings_are_refused_by_build(statistics):
    with pytest.raises(InputError, match=r"model\.correlation: got 0"):
        build(LocalChargesConfig(correlation=0), statistics, seed=0, dtype=torch.float32)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"atomic_energies": (1.0,)}, r"statistics\.atomic_energies: 1 values for 2 elements"),
        ({"mean_charges": (1.0,)}, r"statistics\.mean_charges: 1 values for 2 elements \[1, 8\]"),
        ({"charge_scale": 0.0}, r"statistics\.charge_scale: got 0\.0; must be positive"),
    ],
)
def test_bad_statistics(statistics, changes, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(statistics, **changes)


def test_import_is_light():
    code = "import sys, sweep.models; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_only_known_warnings_are_silenced():
    # That the libraries warn of nothing else shows in that warnings are errors in this process.
    with warnings.catch_warnings(action="error"), quiet():
        warnings.warn(
            "`torch.jit.script` is deprecated. Use something else.",
            DeprecationWarning,
            stacklevel=1,
        )
        with pytest.raises(DeprecationWarning, match="unheard of"):
            warnings.warn("unheard of", DeprecationWarning, stacklevel=1)


def test_statistics_need_no_multipoles(statistics, collate, water_cluster):
    bare = DataStatistics(statistics.atomic_numbers, statistics.atomic_energies, 7.0)
    settings = LocalChargesConfig(num_channels=2, max_ell=1, radial_MLP=[4], MLP_irreps="2x0e")
    model = build(settings, bare, seed=0, dtype=torch.float64)
    charges = model(collate([water_cluster(1)]), periodic=False)["density_coefficients"]
    assert charges.abs().max() < 0.5
