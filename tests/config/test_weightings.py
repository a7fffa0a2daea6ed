"""What a weighting needs is asked before anything is trained."""

import pytest

from sweep.config import weightings
from sweep.config.checks import check_config
from sweep.errors import InputError


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["weighting.name=gradnorm"], "weighting.name: unknown value 'gradnorm'.*uncertainty"),
        (["weighting=famo", "trainer=mace_run_train"], "weighting=famo: needs trainer=default"),
        (
            ["weighting=dwa", "+weighting.shares.forces=2"],
            "weighting.shares: weighting=dwa has none; .* gradient_shares, loss_shares",
        ),
        (["weighting=uncertainty", "weighting.lr=0"], "weighting.lr: must be above 0; got 0"),
    ],
)
def test_errors(load_config, overrides, message):
    with pytest.raises(InputError, match=message):
        check_config(load_config("loss=[forces]", *overrides))


@pytest.mark.parametrize("name", weightings.OF_TORCHJD)
def test_a_missing_library_is_named_with_its_extra(load_config, monkeypatch, name):
    monkeypatch.setattr(weightings, "find_spec", lambda _: None)
    message = rf"^weighting={name}: torchjd is not installed; pip install .*\[torchjd\]"
    with pytest.raises(InputError, match=message):
        check_config(load_config(f"weighting={name}"))
    check_config(load_config("weighting=geometric_mean"))
