"""The step never makes the host wait for the device."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import losses

WAITS = {
    "_local_scalar_dense",
    "equal",
    "is_nonzero",
    "masked_select",
    "nonzero",
    "nonzero_static",
    "unique_consecutive",
    "unique_dim",
    "_unique",
    "_unique2",
}


class NoWaiting(TorchDispatchMode):
    """Refuses every operation whose result the host must read before it can go on."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.removeprefix("aten::")
        booleans = name in ("index", "index_put", "index_put_") and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        counted = name == "repeat_interleave" and (kwargs or {}).get("output_size") is None
        if name in WAITS or booleans or counted:
            raise AssertionError(f"{name} makes the host wait")
        return func(*args, **(kwargs or {}))


def prepared(make_batch):
    pred, ref = make_batch()
    ref["molecule_index"] = losses.molecule_index(ref["batch"], ref["cluster_batch"])
    return pred, ref


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x.sum().item(),
        lambda x: x[x > 0],
        lambda x: (x > 0).nonzero(),
        lambda x: torch.unique(x),
        lambda x: f"{x[0]:.3f}",
        lambda x: bool(x[0] > 0),
    ],
)
def test_the_check_notices(wait):
    with NoWaiting(), pytest.raises(AssertionError, match="wait"):
        wait(torch.ones(3))


@pytest.mark.parametrize("name", losses.names())
def test_no_term_waits(name, make_batch):
    pred, ref = prepared(make_batch)
    loss = losses.WeightedLoss({name: 2.0})
    with NoWaiting():
        breakdown = loss.breakdown(pred=pred, ref=ref)
        breakdown.total.backward()
        assert breakdown.share.shape == (1,)


def test_all_terms_together_do_not_wait(make_batch, everything):
    pred, ref = prepared(make_batch)
    with NoWaiting():
        everything(pred=pred, ref=ref).backward()


@pytest.mark.parametrize("name", losses.names())
def test_no_term_needs_the_values(name, make_batch):
    """Tensors on the meta device have shapes and no data: nothing can be read from them."""
    pred, ref = prepared(make_batch)
    pred = {key: value.detach().to("meta").requires_grad_() for key, value in pred.items()}
    ref = {key: value.to("meta") for key, value in ref.items()}
    loss = losses.WeightedLoss({name: 2.0}, device="meta")
    total = loss(pred=pred, ref=ref)
    total.backward()
    assert total.shape == ()
