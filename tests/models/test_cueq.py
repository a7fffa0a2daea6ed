"""cuequivariance: what is refused without it, and the order of the features with it."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from sweep.config.checks import check_config
from sweep.errors import InputError
from sweep.libraries import o3
from sweep.models.cueq import CueqBackbone, mul_ir


def installed(*names):
    """What `find_spec` says if of these packages only some are there."""

    def find_spec(name):
        return importlib.machinery.ModuleSpec(name, None) if name in names else None

    return find_spec


PACKAGES = ("cuequivariance", "cuequivariance_torch", "cuequivariance_ops_torch")


@pytest.mark.parametrize(
    ("there", "overrides", "message"),
    [
        ((), [], "trainer.enable_cueq: not installed: cuequivariance, cuequivariance_torch, cueq"),
        (
            PACKAGES[:2],
            ["trainer.device=cuda"],
            "not installed: cuequivariance_ops_torch; for CUDA",
        ),
        (PACKAGES, [], "trainer.enable_cueq: is for a GPU; trainer.device is cpu"),
        (
            PACKAGES,
            ["trainer.device=cuda", "model.correlation=1"],
            "trainer.enable_cueq: needs model.correlation 2 or 3; got 1",
        ),
    ],
)
def test_what_is_refused(compose, monkeypatch, there, overrides, message):
    monkeypatch.setattr("sweep.config.checks.importlib.util.find_spec", installed(*there))
    with pytest.raises(InputError, match=message) as error:
        check_config(compose("trainer.enable_cueq=true", *overrides))
    assert "\n" not in str(error.value)


def test_what_is_valid(compose, monkeypatch):
    monkeypatch.setattr("sweep.config.checks.importlib.util.find_spec", installed(*PACKAGES))
    assert check_config(compose("trainer.enable_cueq=true", "trainer.device=cuda:1"))


def test_features_come_in_the_order_of_e3nn():
    """Two layers of 4x0e + 4x1o: components before channels becomes channels before components."""
    irreps = o3.Irreps("4x0e+4x1o")
    expected = torch.arange(2 * 32.0).reshape(2, 32)
    scalars, vectors = expected.reshape(2, 2, 16).split([4, 12], dim=-1)
    swapped = vectors.reshape(2, 2, 4, 3).transpose(-1, -2).reshape(2, 2, 12)
    given = torch.cat([scalars, swapped], dim=-1).reshape(2, 32)
    assert not torch.equal(given, expected)
    torch.testing.assert_close(mul_ir(given, [(4, 1), (4, 3)]), expected)

    class Converted(torch.nn.Module):
        def forward(self, inputs, compute_force):
            assert not compute_force
            return {"energy": inputs["energy"], "node_feats": given, "forces": None}

    found = CueqBackbone(Converted(), irreps)({"energy": torch.ones(1)}, compute_force=False)
    torch.testing.assert_close(found["node_feats"], expected)
    assert found["energy"] == 1
