"""Random batches with every label and every model output that a term may ask for."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

import losses

Tensors = dict[str, Tensor]
MakeBatch = Callable[..., tuple[Tensors, Tensors]]

COMPUTED = ("esps_dft", "feats_no_mu_dft")
"""Model outputs that play the part of labels."""


def build(
    sizes: Sequence[int] = (3, 1, 4), dtype: torch.dtype = torch.float64, seed: int = 0
) -> tuple[Tensors, Tensors]:
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random, dtype=torch.float64).to(dtype)

    def positive(*shape: int) -> Tensor:
        return (0.2 + torch.rand(shape, generator=random, dtype=torch.float64)).to(dtype)

    graphs, atoms = len(sizes), sum(sizes)
    count = torch.tensor(sizes)
    ref = {
        "batch": torch.arange(graphs).repeat_interleave(count),
        "ptr": torch.cat([torch.zeros(1, dtype=torch.int64), count.cumsum(0)]),
        "positions": 3 * normal(atoms, 3),
        # Molecule numbers repeat between graphs, leave gaps and are not sorted.
        "cluster_batch": torch.tensor([(7, 2, 7, 5)[i % 4] for n in sizes for i in range(n)]),
        "weight": positive(graphs),
        "energy": normal(graphs),
        "forces": normal(atoms, 3),
        "stress": normal(graphs, 3, 3),
        "density_coefficients": normal(atoms, 4),
        "total_charge": normal(graphs),
        "dipole": normal(graphs, 3),
        "polarizability": normal(graphs, 3, 3),
        "fermi_level": normal(graphs),
        "dipole_weight": positive(graphs, 3),
    }
    for key in (
        "energy",
        "forces",
        "stress",
        "density_coefficients",
        "polarizability",
        "electrostatic_potentials",
        "cluster_loss",
    ):
        ref[f"{key}_weight"] = positive(graphs)
    pred = {
        "energy": normal(graphs),
        "forces": normal(atoms, 3),
        "stress": normal(graphs, 3, 3),
        "density_coefficients": normal(atoms, 4),
        "dipole": normal(graphs, 3),
        "polarizability": normal(graphs, 3, 3),
        "fermi_level": normal(graphs),
        "esps": normal(atoms),
        "esps_dft": normal(atoms),
        "feats_no_mu_model": normal(atoms, 5),
        "feats_no_mu_dft": normal(atoms, 5),
        "dq_dmu": normal(graphs),
        "charges_history": normal(atoms, 4, 3),
        "perturbing_vector": normal(atoms, 4),
        "perturbed_density": normal(atoms, 4),
    }
    for key, value in pred.items():
        if key not in COMPUTED:
            value.requires_grad_()
    return pred, ref


def exact_prediction(ref: Tensors) -> Tensors:
    """Return the outputs of a model that makes no error; every term of it must be zero."""
    atoms = ref["batch"].numel()
    ones = torch.ones((atoms, 4), dtype=ref["energy"].dtype)
    pred = {
        key: ref[key].clone()
        for key in ("energy", "forces", "stress", "dipole", "polarizability", "fermi_level")
    }
    pred |= {
        "density_coefficients": ref["density_coefficients"].clone(),
        "esps": ones[:, 0] * 3,
        "esps_dft": ones[:, 0] * 3,
        "feats_no_mu_model": ones * 2,
        "feats_no_mu_dft": ones * 2,
        "dq_dmu": -torch.ones_like(ref["energy"]),
        "charges_history": torch.stack([ones, 2 * ones, 2 * ones], dim=-1),
        "perturbing_vector": ones,
        "perturbed_density": torch.zeros_like(ones),
    }
    ref["total_charge"] = torch.zeros_like(ref["total_charge"]).index_add(
        0, ref["batch"], ref["density_coefficients"][:, 0]
    )
    return {key: value.requires_grad_() for key, value in pred.items()}


@pytest.fixture
def make_batch() -> MakeBatch:
    """Return ``(pred, ref)``; arguments: atoms per graph, dtype, seed."""
    return build


@pytest.fixture
def make_exact() -> Callable[[Tensors], Tensors]:
    """Return the outputs of a perfect model for a batch."""
    return exact_prediction


@pytest.fixture
def gradients() -> Callable[[Tensor, Tensors], Tensors]:
    """Return the gradient of a value with respect to each prediction, zero where it has none."""

    def of(value: Tensor, pred: Tensors) -> Tensors:
        wanted = {key: tensor for key, tensor in pred.items() if tensor.requires_grad}
        grads = torch.autograd.grad(value, list(wanted.values()), allow_unused=True)
        return {
            key: torch.zeros_like(tensor) if grad is None else grad
            for (key, tensor), grad in zip(wanted.items(), grads, strict=True)
        }

    return of


@pytest.fixture
def everything() -> losses.WeightedLoss:
    """Return a loss of all registered terms, with weights that differ."""
    return losses.WeightedLoss({name: 0.5 + i for i, name in enumerate(losses.names())})
