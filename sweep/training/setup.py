"""What the trials of a study share: graphs, model and initial parameters."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig
from torch import Tensor

import losses
from sweep.config.checks import model_settings
from sweep.data.dataset import DataSet
from sweep.data.energies import less_atomic_energies
from sweep.data.graphs.build import build_graphs
from sweep.data.graphs.graphs import Graphs, batches, n_batches
from sweep.data.statistics import deviation, model_statistics, reference_deviations
from sweep.data.table import tabulate
from sweep.errors import InputError
from sweep.models import DataStatistics, build
from sweep.quantities import QUANTITIES, Quantity, exponents_of
from sweep.training.kinds import Errors, evaluate_kinds, sizes_of
from sweep.training.metrics import evaluate
from sweep.training.start import Start, start_from

__all__ = ["Setup"]

_MOST_TYPES = 40

Batch = tuple[Mapping[str, Tensor], bool]


class Setup:
    """Graphs on the device, the model and its initial parameters.

    Args:
        cfg: The configuration.
        dataset: The data that it names.

    Attributes:
        dataset: The data.
        device: Where everything is.
        dtype: Of parameters and labels.
        model: The model; :meth:`reset` gives it its initial parameters back.
        multipoles_max_l: Largest l of the multipoles that it is compared with.
        r_max: Cutoff of its graphs, Å.
        scales: Standard deviation of every quantity's reference in the training set.
        objective: Names of the quantities that the score is made of.
        start: What the initial parameters have from a file; None: all are drawn.

    Raises:
        InputError: if the device is not there, or labels or ``model.start_from`` do not fit.
    """

    def __init__(self, cfg: DictConfig, dataset: DataSet) -> None:
        trainer = cfg.trainer
        torch.set_num_threads(trainer.num_threads)
        self.dataset = dataset
        self.start: Start | None = None
        self.device = _device(trainer.device)
        self.dtype = getattr(torch, trainer.default_dtype)
        self.batch_size: int = trainer.batch_size
        self.valid_batch_size: int = trainer.valid_batch_size
        settings = model_settings(cfg)
        self.multipoles_max_l = settings.multipoles_max_l
        self.r_max = settings.r_max
        self._graphs: dict[str, Graphs] = {}
        for split, configurations in dataset.splits():
            for configuration in configurations:
                settings.check_configuration(configuration)
            self._graphs[split] = build_graphs(
                less_atomic_energies(configurations, dataset.atomic_energies),
                elements=dataset.elements,
                r_max=settings.r_max,
                multipoles_max_l=self.multipoles_max_l,
                dtype=self.dtype,
                device=self.device,
            )
        shared = model_statistics(dataset.train, dataset.atomic_energies)
        statistics = DataStatistics(
            avg_num_neighbors=self.avg_num_neighbors,
            **{
                **dataclasses.asdict(shared),
                # They are off the labels, where that is done in float64.
                "atomic_energies": (0.0,) * len(dataset.elements),
            },
        )
        self.model = build(
            settings,
            statistics,
            seed=cfg.seed,
            dtype=self.dtype,
            device=self.device,
            enable_cueq=trainer.enable_cueq,
        )
        self.model.register_load_state_dict_post_hook(  # type: ignore[no-untyped-call]
            _without_atomic_energies
        )
        self.model.prepare(self.batches("train"))
        if settings.start_from is not None:
            if trainer.enable_cueq:
                raise InputError("model.start_from: not with trainer.enable_cueq=true")
            self.start = start_from(self.model, settings.start_from, trust_file=settings.trust_file)
        self._initial = {key: value.clone() for key, value in self.model.state_dict().items()}
        for graphs in self._graphs.values():
            self._attach_reference(graphs)
        self.scales = reference_deviations(
            dataset.train,
            dataset.atomic_energies,
            n_multipoles=(self.multipoles_max_l + 1) ** 2,
        )
        for name, quantity in QUANTITIES.items():
            if quantity.computed and quantity.ref in self.model.outputs:
                values = self._computed_reference(quantity)
                if values.size:
                    self.scales[name] = deviation(values, float(np.abs(values).max()))
        self.objective = list(exponents_of(cfg.objective.metrics))
        # Quantities that trials are judged by, and the first key that says so.
        self.judged = {
            name: f"objective.{key}"
            for key in ("constraints", "minimize", "metrics")
            for name in (self.objective if key == "metrics" else cfg.objective[key])
            if name != "score" and (key != "constraints" or cfg.objective[key][name] is not None)
        }
        self._check_objective()

    def reset(self) -> None:
        """Give the model its initial parameters."""
        self.model.load_state_dict(self._initial)

    @property
    def n_parameters(self) -> int:
        """Number of trained parameters."""
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)

    @property
    def avg_num_neighbors(self) -> float:
        """Mean number of neighbours by which messages are divided: of the training set, or file."""
        if self.start is not None and self.start.neighbours is not None:
            return self.start.neighbours
        return self._graphs["train"].avg_num_neighbors or 1.0

    def connected(self, split: str) -> NDArray[np.bool_]:
        """Which configurations of several atoms have two within ``model.r_max``."""
        return self._graphs[split].connected

    @property
    def device_name(self) -> str:
        """The device in words."""
        if self.device.type == "cuda":
            return f"{self.device}: {torch.cuda.get_device_name(self.device)}"
        return f"cpu: {platform.processor() or platform.machine()}"

    def has_split(self, split: str) -> bool:
        """Whether there are configurations of ``train``, ``valid`` or ``test``."""
        return split in self._graphs

    def batches(self, split: str, *, seed: int | None = None, epoch: int = 0) -> Iterator[Batch]:
        """Pairs of a batch and whether it is periodic; ``seed`` shuffles, anew every epoch."""
        graphs, size = self._graphs[split], self._size(split)
        for batch in batches(graphs, size, shuffle_seed=seed, epoch=epoch):
            yield batch.tensors, batch.periodic

    def n_batches(self, split: str) -> int:
        """Number of batches of ``train``, ``valid`` or ``test``."""
        return n_batches(self._graphs[split], self._size(split))

    def _size(self, split: str) -> int:
        return self.batch_size if split == "train" else self.valid_batch_size

    def balance_batch(self) -> Batch:
        """The batch on which gradients of terms are compared: the same one every time."""
        graphs = self._graphs["train"]
        batch = next(batches(graphs, self.valid_batch_size, shuffle_seed=0))
        return batch.tensors, batch.periodic

    def quantities(self, options: Mapping[str, Any]) -> list[str]:
        """Quantities that are labelled in the training set and that the model predicts.

        Args:
            options: Of a stage, for the model's call.
        """
        return [
            name
            for name in QUANTITIES
            if name in self.scales and self.reason_against(name, options) is None
        ]

    def reason_against(self, quantity: str, options: Mapping[str, Any]) -> str | None:
        """Why the model does not predict a quantity with these options; None if it does."""
        return self.model.reason_against(QUANTITIES[quantity].output, **options)

    def evaluate(
        self, split: str, loss: losses.WeightedLoss, options: Mapping[str, Any]
    ) -> dict[str, float]:
        """Measure the model on a split: see :func:`sweep.training.metrics.evaluate`."""
        return evaluate(
            partial(self.model, **options),
            self.batches(split),
            loss,
            quantities=self.quantities(options),
            compute_stress=self.needs_stress(loss),
        )

    def evaluate_by_type(
        self, split: str, loss: losses.WeightedLoss, options: Mapping[str, Any]
    ) -> dict[str, dict[str, float]]:
        """As :meth:`evaluate`, for each ``config_type`` of a split by itself.

        Returns:
            For every type the metrics and its number of configurations, ``n``; empty if there is
            one type only, or so many that they name configurations instead of kinds of them.
        """
        graphs = self._graphs[split]
        table = tabulate(graphs.configurations)
        numbers = table.graphs("config_type")
        types = np.unique(numbers)
        if not 1 < len(types) <= _MOST_TYPES:
            return {}
        found = {}
        for number in types:
            chosen = numbers == number
            parts = batches(graphs, self._size(split), chosen=chosen)
            metrics = evaluate(
                partial(self.model, **options),
                ((batch.tensors, batch.periodic) for batch in parts),
                loss,
                quantities=self.quantities(options),
                compute_stress=self.needs_stress(loss),
            )
            found[table.columns.config_types[number]] = {**metrics, "n": int(chosen.sum())}
        return dict(sorted(found.items()))

    def errors_by_kind(
        self, loss: losses.WeightedLoss, options: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Errors on validation and test set by ``config_types``, ``elements`` and ``sizes``.

        Args:
            loss: The terms.
            options: Of the stage, for the model's call.
        """
        splits = [split for split in ("valid", "test") if self.has_split(split)]
        by_type = {split: self.evaluate_by_type(split, loss, options) for split in splits}
        found: dict[str, Any] = {"config_types": {k: v for k, v in by_type.items() if v}}
        kinds = {split: self.evaluate_kinds(split, loss, options) for split in splits}
        for i, name in enumerate(("elements", "sizes")):
            found[name] = {split: k[i] for split, k in kinds.items() if len(k[i]) > 1}
        return found

    def evaluate_kinds(
        self, split: str, loss: losses.WeightedLoss, options: Mapping[str, Any]
    ) -> tuple[Errors, Errors]:
        """Errors by element and by system size: see :mod:`sweep.training.kinds`."""
        return evaluate_kinds(
            partial(self.model, **options),
            self.batches(split),
            quantities=self.quantities(options),
            compute_stress=self.needs_stress(loss),
            elements=self.dataset.elements,
            sizes=sizes_of(getattr(self.dataset, split).n_atoms),
        )

    def needs_stress(self, loss: losses.WeightedLoss) -> bool:
        """Whether stresses must be computed: a term or a validated quantity needs them."""
        in_terms = any("stress" in losses.get(name).outputs for name in loss.active)
        return in_terms or ("stress" in self.scales and "stress" in self.model.outputs)

    def _attach_reference(self, graphs: Graphs) -> None:
        """Put what the model makes of the labels into all batches to come."""
        parts: dict[str, list[Tensor]] = {}
        for batch in batches(graphs, self.valid_batch_size):
            found = self.model.reference(batch.tensors, periodic=batch.periodic)
            if not found:
                return
            for name, value in found.items():
                parts.setdefault(name, []).append(value)
        for name, values in parts.items():
            graphs.attach(name, torch.cat(values))

    def _computed_reference(self, quantity: Quantity) -> NDArray[np.float64]:
        """What the model makes of the labels of the training set, shape [n_labelled_atoms]."""
        graphs = self._graphs["train"]
        table = tabulate(graphs.configurations)
        labelled = np.repeat(table.graphs(quantity.weight) > 0, table.n_atoms)
        values: NDArray[np.float64] = graphs.attached(quantity.ref).double().cpu().numpy()[labelled]
        return values

    def _check_objective(self) -> None:
        """What trials are judged by must be measured."""
        measurable = self.quantities({})
        for name, key in self.judged.items():
            where = f"{key}: '{name}'"
            if name not in measurable:
                others = ",".join(other for other in self.judged if other in measurable)
                raise InputError(
                    f"{where} cannot be measured: it has no label in the training set or the "
                    f"model does not return it; there are: {', '.join(measurable)}"
                    + (f"; without it: 'objective.metrics=[{others}]'" if others else "")
                )
            weight = QUANTITIES[name].weight
            if not (self.dataset.valid.graphs(weight) > 0).any():
                raise InputError(f"{where} has no label in the validation set")
            if name in self.objective and not self.scales[name] > 0:
                raise InputError(
                    f"{where} has the same value everywhere in the training set, but for "
                    "round-off, so its error has no scale"
                )


def _without_atomic_energies(model: torch.nn.Module, _: Any) -> None:
    """Checkpoints of version 0.1 hold the atomic energies, which are off the labels now."""
    for name, values in model.named_buffers():
        if name.rpartition(".")[2] == "atomic_energies":
            values.zero_()


def _device(name: str) -> torch.device:
    device = torch.device(name)
    if device.type == "cuda":
        count = torch.cuda.device_count()
        if (device.index or 0) >= count:
            raise InputError(
                f"trainer.device: '{name}' is not there; torch {torch.__version__} sees {count} "
                "GPUs; trainer.device=cpu trains without"
            )
    return device
