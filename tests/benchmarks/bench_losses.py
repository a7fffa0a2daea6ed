"""Time the loss core against the straightforward sum of separately evaluated terms.

    python tests/benchmarks/bench_losses.py [--device cuda] [--dtype float32]

The straightforward loss is what one writes first, and what MACE_SCF does: every term is a function
of its own that gathers its own weights and takes its own mean, the molecules are looked for in
every batch by every term that needs them, and every batch writes a log line with each weighted
value. It is written here from the formulas and doubles as an independent check of the values.

Both run all 16 documented terms, forward and backward, on the same batches, taking turns, so that
the ratio does not depend on what else the machine does. Nothing is asserted about time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

import losses

Tensors = dict[str, Tensor]

ATOMS = 24
"""Atoms per graph: eight waters, each its own molecule."""

WEIGHTS = {
    "energy_per_atom": 1.0,
    "forces": 100.0,
    "stress": 1.0,
    "atomic_multipoles": 100.0,
    "total_charge": 1.0,
    "total_charge_per_atom": 1.0,
    "dipole": 1.0,
    "dipole_per_atom": 1.0,
    "polarizability": 1.0,
    "fermi_level": 1.0,
    "fermi_level_per_atom": 1.0,
    "esps": 1.0,
    "field_features": 1.0,
    "cluster_virial": 1.0,
    "cluster_virial_per_atom": 1.0,
    "molecular_forces": 10.0,
}


def make_batch(graphs: int, device: str, dtype: torch.dtype) -> tuple[Tensors, Tensors]:
    """Return predictions (leaves that want gradients) and labels of random graphs."""
    random = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random, dtype=dtype)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=random, dtype=dtype)

    atoms = graphs * ATOMS
    ref = {
        "batch": torch.arange(graphs).repeat_interleave(ATOMS),
        "ptr": torch.arange(graphs + 1) * ATOMS,
        "positions": 5 * normal(atoms, 3),
        "cluster_batch": (torch.arange(ATOMS) // 3).repeat(graphs),
        "weight": uniform(graphs),
        "energy": normal(graphs),
        "forces": normal(atoms, 3),
        "stress": normal(graphs, 3, 3),
        "density_coefficients": normal(atoms, 4),
        "total_charge": normal(graphs),
        "dipole": normal(graphs, 3),
        "polarizability": normal(graphs, 3, 3),
        "fermi_level": normal(graphs),
        "dipole_weight": uniform(graphs, 3),
    }
    for name in ("energy", "forces", "stress", "density_coefficients", "polarizability"):
        ref[f"{name}_weight"] = uniform(graphs)
    ref["electrostatic_potentials_weight"] = uniform(graphs)
    ref["cluster_loss_weight"] = uniform(graphs)
    pred = {
        "energy": normal(graphs),
        "forces": normal(atoms, 3),
        "stress": normal(graphs, 3, 3),
        "density_coefficients": normal(atoms, 4),
        "dipole": normal(graphs, 3),
        "polarizability": normal(graphs, 3, 3),
        "fermi_level": normal(graphs),
        "esps": normal(atoms),
        "feats_no_mu_model": normal(atoms, 8),
    }
    pred = {key: value.to(device).requires_grad_() for key, value in pred.items()}
    pred["esps_dft"] = normal(atoms).to(device)
    pred["feats_no_mu_dft"] = normal(atoms, 8).to(device)
    return pred, {key: value.to(device) for key, value in ref.items()}


# The straightforward loss


def _sizes(ref: Tensors) -> Tensor:
    return ref["ptr"][1:] - ref["ptr"][:-1]


def _on_atoms(ref: Tensors, key: str) -> Tensor:
    return torch.repeat_interleave(ref[key], _sizes(ref)).unsqueeze(-1)


def _sum(values: Tensor, index: Tensor, size: int) -> Tensor:
    out = torch.zeros((size, *values.shape[1:]), dtype=values.dtype, device=values.device)
    return out.index_add(0, index, values)


def _graph_mse(key: str, ndim: int, *, mask: str | None, power: int = 0) -> Callable[..., Tensor]:
    shape = (-1,) + (1,) * (ndim - 1)

    def term(pred: Tensors, ref: Tensors) -> Tensor:
        error = (ref[key] - pred[key]) / _sizes(ref).view(shape) ** power
        weight = ref["weight"].view(shape)
        if mask is not None:
            own = ref[mask]
            weight = weight * (own if own.dim() == ndim else own.view(shape))
        return torch.mean(weight * torch.square(error))

    return term


def _atom_mse(model: str, target: str, mask: str, *, from_model: bool) -> Callable[..., Tensor]:
    def term(pred: Tensors, ref: Tensors) -> Tensor:
        predicted = pred[model]
        reference = pred[target] if from_model else ref[target]
        square = torch.square(reference - predicted).view(len(predicted), -1)
        if from_model:
            square = square.mean(-1, keepdim=True)
        return torch.mean(_on_atoms(ref, "weight") * _on_atoms(ref, mask) * square)

    return term


def _charge(power: int) -> Callable[..., Tensor]:
    def term(pred: Tensors, ref: Tensors) -> Tensor:
        total = _sum(pred["density_coefficients"][:, 0], ref["batch"], len(ref["weight"]))
        error = (ref["total_charge"] - total) / _sizes(ref) ** power
        return torch.mean(ref["weight"] * torch.square(error))

    return term


def _molecules(ref: Tensors) -> tuple[Tensor, Tensor]:
    """Return the molecule of each atom and the graph of each molecule."""
    pairs = torch.stack([ref["batch"], ref["cluster_batch"]])
    molecules, index = torch.unique(pairs, dim=1, return_inverse=True)
    return index, molecules[0]


def _molecule_forces(pred: Tensors, ref: Tensors) -> tuple[Tensor, Tensor, Tensor]:
    """Return the net force errors, the centers and the graphs of the molecules."""
    if "molecule_graph" in ref:
        index, graphs = ref["molecule_index"], ref["molecule_graph"]
    else:
        index, graphs = _molecules(ref)
    n = len(graphs)
    error = _sum(pred["forces"], index, n) - _sum(ref["forces"], index, n)
    size = _sum(torch.ones_like(ref["positions"]), index, n)
    return error, _sum(ref["positions"], index, n) / size, graphs


def _cluster_virial(*, per_atom: bool) -> Callable[..., Tensor]:
    def term(pred: Tensors, ref: Tensors) -> Tensor:
        error, centers, graphs = _molecule_forces(pred, ref)
        work = _sum((centers * error).sum(1), graphs, len(ref["weight"]))
        value = ref["weight"] * ref["cluster_loss_weight"] * torch.square(work)
        return torch.mean(value / _sizes(ref) if per_atom else value)

    return term


def _molecular_forces(pred: Tensors, ref: Tensors) -> Tensor:
    error, _, graphs = _molecule_forces(pred, ref)
    square = _sum(torch.square(error), graphs, len(ref["weight"]))
    weight = (ref["weight"] * ref["forces_weight"]).view(-1, 1)
    return torch.mean(weight * square / _sizes(ref).view(-1, 1))


ESP_MASK = "electrostatic_potentials_weight"
STRAIGHTFORWARD: dict[str, Callable[..., Tensor]] = {
    "energy_per_atom": _graph_mse("energy", 1, mask="energy_weight", power=1),
    "forces": _atom_mse("forces", "forces", "forces_weight", from_model=False),
    "stress": _graph_mse("stress", 3, mask="stress_weight"),
    "atomic_multipoles": _atom_mse(
        "density_coefficients",
        "density_coefficients",
        "density_coefficients_weight",
        from_model=False,
    ),
    "total_charge": _charge(0),
    "total_charge_per_atom": _charge(1),
    "dipole": _graph_mse("dipole", 2, mask="dipole_weight"),
    "dipole_per_atom": _graph_mse("dipole", 2, mask="dipole_weight", power=1),
    "polarizability": _graph_mse("polarizability", 3, mask="polarizability_weight", power=1),
    "fermi_level": _graph_mse("fermi_level", 1, mask=None),
    "fermi_level_per_atom": _graph_mse("fermi_level", 1, mask=None, power=1),
    "esps": _atom_mse("esps", "esps_dft", ESP_MASK, from_model=True),
    "field_features": _atom_mse("feats_no_mu_model", "feats_no_mu_dft", ESP_MASK, from_model=True),
    "cluster_virial": _cluster_virial(per_atom=False),
    "cluster_virial_per_atom": _cluster_virial(per_atom=True),
    "molecular_forces": _molecular_forces,
}


def straightforward(pred: Tensors, ref: Tensors) -> tuple[Tensor, str]:
    """Return the total and the log line."""
    total = torch.zeros((), dtype=pred["energy"].dtype, device=pred["energy"].device)
    line = "loss breakdown: "
    for name, weight in WEIGHTS.items():
        value = weight * STRAIGHTFORWARD[name](pred, ref)
        total = total + value
        line += f"{name}: {value.item():.8g}, "
    return total, line


# Measurement


def measure(graphs: int, device: str, dtype: torch.dtype, repeats: int) -> dict[str, float]:
    """Return median milliseconds of each candidate.

    Raises:
        RuntimeError: if two of them disagree, in value or in gradients, or, on a GPU, if the core
            makes the host wait.
    """
    pred, ref = make_batch(graphs, device, dtype)
    loss = losses.WeightedLoss(WEIGHTS, device=device)
    wanted = [value for value in pred.values() if value.requires_grad]
    index, molecule_graph = _molecules(ref)
    for_core = {**ref, "molecule_index": index}
    for_plain = {**for_core, "molecule_graph": molecule_graph}

    def with_gradients(total: Tensor) -> list[Tensor]:
        return [total, *torch.autograd.grad(total, wanted)]

    candidates: dict[str, Callable[[], list[Tensor]]] = {
        "core": lambda: with_gradients(loss.breakdown(pred=pred, ref=for_core).total),
        "forward": lambda: [loss.breakdown(pred=pred, ref=for_core).total],
        "plain": lambda: with_gradients(straightforward(pred, ref)[0]),
        "given": lambda: with_gradients(straightforward(pred, for_plain)[0]),
    }
    tolerance = 1e-11 if dtype == torch.float64 else 1e-4
    expected = candidates["plain"]()
    for name in ("core", "given"):
        for ours, theirs in zip(candidates[name](), expected, strict=True):
            if (ours - theirs).abs().max() > tolerance * theirs.abs().max():
                raise RuntimeError(f"{name} disagrees with the straightforward loss")

    def wait() -> None:
        if device != "cpu":
            torch.cuda.synchronize()

    if device != "cpu":
        wait()
        torch.cuda.set_sync_debug_mode("error")
        candidates["core"]()
        torch.cuda.set_sync_debug_mode("default")

    times: dict[str, list[float]] = {name: [] for name in candidates}
    for repeat in range(repeats + 3):  # the first three warm up
        for name, candidate in candidates.items():
            wait()
            start = time.perf_counter()
            candidate()
            wait()
            if repeat >= 3:
                times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(taken) for name, taken in times.items()}


def main() -> None:
    """Print one row per batch size."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float64", choices=("float32", "float64"))
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--graphs", type=int, nargs="+", default=[16, 64, 256, 1024])
    options = parser.parse_args()
    torch.set_num_threads(1)
    dtype = getattr(torch, options.dtype)
    print(
        f"{len(WEIGHTS)} terms, {ATOMS} atoms per graph, {options.dtype}, {options.device}\n"
        f"ms per batch, forward and backward, median of {options.repeats} interleaved runs\n"
        f"forward: the core without backward; given: plain, but told the molecules like the core"
    )
    print("graphs     core  growth  forward     plain     given  plain/core  given/core")
    first: float | None = None
    for graphs in options.graphs:
        ms = measure(graphs, options.device, dtype, options.repeats)
        first = first or ms["core"]
        print(
            f"{graphs:>6} {ms['core']:>8.3f} {ms['core'] / first:>7.2f} {ms['forward']:>8.3f} "
            f"{ms['plain']:>9.3f} {ms['given']:>9.3f} {ms['plain'] / ms['core']:>11.2f} "
            f"{ms['given'] / ms['core']:>11.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
