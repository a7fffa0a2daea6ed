"""What the terms of one batch share, each quantity computed once and only if a term asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Protocol, TypeAlias, TypeVar

import torch
from torch import Tensor

from losses.base import LossError
from losses.molecules import Molecules, molecule_index

T = TypeVar("T")


class Attributes(Protocol):
    """A batch object such as ``mace.tools.torch_geometric.Batch``; labels are its attributes."""

    ptr: Tensor
    batch: Tensor


Labels: TypeAlias = Mapping[str, Tensor | None] | Attributes
Outputs: TypeAlias = Mapping[str, Tensor | None]


class Quantities:
    """Labels and predictions of one batch as the terms see them.

    Every tensor comes as ``[rows, columns]`` with one row per graph or per atom, checked against
    the size of the batch, and in the dtype of the prediction it is compared with.

    Args:
        pred: output of the model; an entry may be ``None``.
        ref: the batch; a mapping, or an object with the labels as attributes. ``ptr`` ``[G+1]``
            and ``batch`` ``[N]`` must be there. If ``weight`` or a property weight is missing
            from it altogether it counts as 1, as in MACE; a *missing label* is a weight of 0.

    Raises:
        LossError: if ``ref`` lacks ``ptr`` or ``batch``.
    """

    def __init__(self, pred: Outputs, ref: Labels) -> None:
        self._pred = pred
        self._ref = ref
        self._cache: dict[object, object] = {}
        self.term = "(none)"
        """The term that is being evaluated; error messages name it."""
        self.graph = self._label("batch").reshape(-1)
        """Graph of each atom, ``[N]``."""
        self._ptr = self._label("ptr").reshape(-1)
        self.n_graphs = self._ptr.numel() - 1
        self.n_atoms = self.graph.numel()

    # Predictions

    def output(self, key: str) -> Tensor:
        """Return ``pred[key]`` as it is.

        Raises:
            LossError: if the model does not return it.
        """
        value = self._pred.get(key)
        if value is None:
            returned = sorted(k for k, v in self._pred.items() if isinstance(v, Tensor))
            raise LossError(
                f"term {self.term!r} needs the model output {key!r}; "
                f"the model returned: {', '.join(returned) or 'nothing'}"
            )
        return value

    def graph_output(self, key: str) -> Tensor:
        """Return ``pred[key]`` with one row per graph, ``[G, c]``."""
        return self._output_rows(key, self.n_graphs, "graph")

    def atom_output(self, key: str) -> Tensor:
        """Return ``pred[key]`` with one row per atom, ``[N, c]``."""
        return self._output_rows(key, self.n_atoms, "atom")

    def _output_rows(self, key: str, rows: int, per: str) -> Tensor:
        # Once for all terms, so that they hang on one node of the autograd graph.
        return self._once(
            ("output", key),
            lambda: self._rows(self.output(key), rows, f"model output {key!r}", per),
        )

    def atom_target(self, key: str, like: Tensor) -> Tensor:
        """Return the output ``pred[key]`` that ``like`` is compared with, in its shape and dtype.

        Raises:
            LossError: if it is missing or has another shape.
        """
        return self._like(self.output(key), like, self.n_atoms, f"model output {key!r}", "atom")

    # Labels

    def graph_label(self, key: str, like: Tensor) -> Tensor:
        """Return ``ref[key]`` with one row per graph, in the shape and dtype of ``like``."""
        return self._like(self._label(key), like, self.n_graphs, f"label {key!r}", "graph")

    def atom_label(self, key: str, like: Tensor) -> Tensor:
        """Return ``ref[key]`` with one row per atom, in the shape and dtype of ``like``."""
        return self._like(self._label(key), like, self.n_atoms, f"label {key!r}", "atom")

    def multipoles(self, like: Tensor) -> Tensor:
        """Return the reference multipoles, cut to the coefficients that the model has, ``like``.

        Raises:
            LossError: if the labels have fewer coefficients than the model.
        """
        labels = self._rows(
            self._label("density_coefficients"),
            self.n_atoms,
            "label 'density_coefficients'",
            "atom",
        )
        if labels.shape[1] < like.shape[1]:
            raise LossError(
                f"term {self.term!r}: label 'density_coefficients' has {labels.shape[1]} columns "
                f"per atom, the model's multipoles have {like.shape[1]}"
            )
        return labels[:, : like.shape[1]].to(like.dtype)

    # Weights

    def weight(self, mask: str | None, like: Tensor) -> Tensor:
        """Return the weight of each graph, w_g * w^P_g, ``[G, 1]`` or ``[G, c]``.

        ``loss_weight_modifier`` in ``pred`` multiplies w_g; the stored weight stays as it is.

        Args:
            mask: key of the property weight; ``None`` for w_g alone.
            like: the prediction that is weighted; its dtype is taken.

        Raises:
            LossError: if the weight has neither one value per graph nor one per component.
        """
        dtype = like.dtype
        weight = self._once(("weight", mask, dtype), lambda: self._weight(mask, dtype))
        if weight.shape[1] not in (1, like.shape[1]):
            raise LossError(
                f"term {self.term!r}: weight {mask or 'weight'!r} has {weight.shape[1]} values "
                f"per graph, the prediction {like.shape[1]}"
            )
        return weight

    def atom_weight(self, mask: str | None, like: Tensor) -> Tensor:
        """Return :meth:`weight` of the atom's graph for each atom, ``[N, 1]`` or ``[N, c]``."""
        return self._once(
            ("atom_weight", mask, like.dtype),
            lambda: self.weight(mask, like).index_select(0, self.graph),
        )

    def per_atom_weight(self, mask: str | None, like: Tensor) -> Tensor:
        """Return :meth:`weight` over n_g², the weight of a squared error per atom, ``[G, c]``."""
        return self._once(
            ("per_atom_weight", mask, like.dtype),
            lambda: self.weight(mask, like) / self.atoms(like).square(),
        )

    def _weight(self, mask: str | None, dtype: torch.dtype) -> Tensor:
        if mask is not None:
            weight = self._once(("weight", None, dtype), lambda: self._weight(None, dtype))
            return self._times(weight, self._get(mask), f"weight {mask!r}")
        ones = torch.ones((self.n_graphs, 1), dtype=dtype, device=self.graph.device)
        weight = self._times(ones, self._get("weight"), "weight 'weight'")
        modifier = self._pred.get("loss_weight_modifier")
        return self._times(weight, modifier, "model output 'loss_weight_modifier'")

    def _times(self, weight: Tensor, factor: Tensor | None, what: str) -> Tensor:
        if factor is None:
            return weight
        return weight * self._rows(factor.detach(), self.n_graphs, what, "graph").to(weight.dtype)

    # Derived quantities

    def atoms(self, like: Tensor) -> Tensor:
        """Return the number of atoms of each graph, ``[G, 1]``, in the dtype of ``like``."""
        return self._once(
            ("atoms", like.dtype),
            lambda: (self._ptr[1:] - self._ptr[:-1]).to(like.dtype).unsqueeze(1),
        )

    def sum_atoms(self, values: Tensor) -> Tensor:
        """Sum ``[N, c]`` over the atoms of each graph, ``[G, c]``."""
        zeros = values.new_zeros((self.n_graphs, values.shape[1]))
        return zeros.index_add(0, self.graph, values)

    def net_charge(self) -> Tensor:
        """Return the predicted total charge of each graph in e, ``[G, 1]``."""
        return self._once(
            "net_charge",
            lambda: self.sum_atoms(self.atom_output("density_coefficients")[:, :1]),
        )

    @cached_property
    def molecules(self) -> Molecules:
        """The molecules: as ``ref["molecule_index"]`` numbers them, or found from the clusters."""
        prepared = self._get("molecule_index")
        if prepared is None:
            prepared = molecule_index(self.graph, self._label("cluster_batch"))
        return Molecules(prepared.reshape(-1), self.graph)

    def molecule_force_error(self) -> Tensor:
        """Return prediction minus reference of the net force on each molecule, eV/Å, ``[N, 3]``.

        One row per slot of :attr:`molecules`.
        """
        return self._once("molecule_force_error", self._molecule_force_error)

    def _molecule_force_error(self) -> Tensor:
        predicted = self.atom_output("forces")
        return self.molecules.sum(predicted - self.atom_label("forces", predicted))

    def cluster_work(self) -> Tensor:
        """Return W_g, the sum of center times net force error over molecules, eV, ``[G, 1]``."""
        return self._once("cluster_work", self._cluster_work)

    def _cluster_work(self) -> Tensor:
        error = self.molecule_force_error()
        work = self.molecules.mean(self.atom_label("positions", error).detach()) * error
        zeros = work.new_zeros((self.n_graphs, work.shape[1]))
        # Summed over molecules first: summing three numbers a row is slow where rows are many.
        return zeros.index_add(0, self.molecules.graph, work).sum(1, keepdim=True)

    # Access and checks

    def _get(self, key: str) -> Tensor | None:
        if isinstance(self._ref, Mapping):
            return self._ref.get(key)
        value: Tensor | None = getattr(self._ref, key, None)
        return value

    def _label(self, key: str) -> Tensor:
        value = self._get(key)
        if value is None:
            term = "the batch" if key in ("ptr", "batch") else f"term {self.term!r}"
            raise LossError(f"{term} needs {key!r} in ref; ref holds: {_held(self._ref)}")
        return value

    def _rows(self, value: Tensor, rows: int, what: str, per: str) -> Tensor:
        if value.dim() == 0 or value.shape[0] != rows or value.numel() == 0:
            raise LossError(
                f"term {self.term!r}: {what} has shape {list(value.shape)}, but its first "
                f"dimension must be the number of {per}s, {rows}"
            )
        return value if value.dim() == 2 else value.reshape(rows, -1)

    def _like(self, value: Tensor, like: Tensor, rows: int, what: str, per: str) -> Tensor:
        shaped = self._rows(value, rows, what, per)
        if shaped.shape != like.shape:
            raise LossError(
                f"term {self.term!r}: {what} has {shaped.shape[1]} values per {per}, "
                f"the model's prediction {like.shape[1]}"
            )
        return shaped.to(like.dtype)

    def _once(self, key: object, make: Callable[[], T]) -> T:
        if key not in self._cache:
            self._cache[key] = make()
        value: T = self._cache[key]  # type: ignore[assignment]
        return value


def _held(ref: Labels) -> str:
    keys: Iterable[str] = ref.keys() if isinstance(ref, Mapping) else vars(ref)
    held = sorted(k for k in keys if not k.startswith("_"))
    return ", ".join(held) or "nothing"
