"""What all trials of a study share: graphs and model, built once per process."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

import losses
from sweep.checks import model_settings
from sweep.data.build import build_graphs
from sweep.data.configurations import Configuration
from sweep.data.dataset import DataSet
from sweep.data.graphs import Graphs, batches
from sweep.data.statistics import model_statistics, reference_deviations
from sweep.errors import InputError
from sweep.models import DataStatistics, build
from sweep.quantities import QUANTITIES
from sweep.training.metrics import evaluate

__all__ = ["Context"]

Batch = tuple[Mapping[str, Tensor], bool]


class Context:
    """Graphs on the device, the model and its initial parameters.

    Args:
        cfg: The configuration.
        dataset: The data that it names.

    Attributes:
        dataset: The data.
        device: Where everything is.
        dtype: Of parameters and labels.
        model: The model; :meth:`reset` gives it its initial parameters back.
        scales: Standard deviation of every quantity's reference in the training set.
        quantities: Quantities that are labelled in the training set and returned by the model.

    Raises:
        InputError: if the device is not there, or the labels do not fit model or objective.
    """

    _current: ClassVar[tuple[str, DataSet, Context] | None] = None

    def __init__(self, cfg: DictConfig, dataset: DataSet) -> None:
        trainer = cfg.trainer
        torch.set_num_threads(trainer.num_threads)
        self.dataset = dataset
        self.device = _device(trainer.device)
        self.dtype = getattr(torch, trainer.default_dtype)
        self.batch_size: int = trainer.batch_size
        self.valid_batch_size: int = trainer.valid_batch_size
        settings = model_settings(cfg)
        n_multipoles = (settings.atomic_multipoles_max_l + 1) ** 2
        self._graphs: dict[str, Graphs] = {}
        for split, configurations in dataset.splits():
            _check_periodicity(configurations)
            self._graphs[split] = build_graphs(
                configurations,
                elements=dataset.elements,
                r_max=settings.r_max,
                multipoles_max_l=settings.atomic_multipoles_max_l,
                dtype=self.dtype,
                device=self.device,
            )
        shared = model_statistics(dataset.train, dataset.atomic_energies)
        statistics = DataStatistics(
            avg_num_neighbors=self._graphs["train"].avg_num_neighbors or 1.0,
            **dataclasses.asdict(shared),
        )
        self.model = build(
            settings, statistics, seed=cfg.seed, dtype=self.dtype, device=self.device
        )
        self._initial = {key: value.clone() for key, value in self.model.state_dict().items()}
        for graphs in self._graphs.values():
            graphs.attach("esps_dft", self._reference_potentials(graphs))
        self.scales = reference_deviations(
            dataset.train, dataset.atomic_energies, n_multipoles=n_multipoles
        )
        labelled = self._labelled_potentials()
        if labelled.numel():
            self.scales["esps"] = float(labelled.double().std(correction=0))
        self.quantities = [
            name
            for name, quantity in QUANTITIES.items()
            if name in self.scales
            and (quantity.pred in self.model.outputs or name == "total_charge")
        ]
        self._check_objective(list(cfg.objective.metrics))

    @classmethod
    def get(cls, cfg: DictConfig, dataset: DataSet) -> Context:
        """The context of a configuration: the last one if only weights and the like differ."""
        parts = ("heads", "model", "trainer", "objective", "seed")
        key = OmegaConf.to_yaml(OmegaConf.masked_copy(cfg, list(parts)), resolve=True)
        if cls._current is None or cls._current[0] != key or cls._current[1] is not dataset:
            cls._current = None  # frees the old one before the new one is built
            cls._current = (key, dataset, cls(cfg, dataset))
        return cls._current[2]

    def reset(self) -> None:
        """Give the model its initial parameters."""
        self.model.load_state_dict(self._initial)

    @property
    def n_parameters(self) -> int:
        """Number of trained parameters."""
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)

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
        size = self.batch_size if split == "train" else self.valid_batch_size
        for batch in batches(self._graphs[split], size, shuffle_seed=seed, epoch=epoch):
            yield batch.tensors, batch.periodic

    def balance_batch(self) -> Batch:
        """The batch on which gradients of terms are compared: the same one every time."""
        graphs = self._graphs["train"]
        batch = next(batches(graphs, self.valid_batch_size, shuffle_seed=0))
        return batch.tensors, batch.periodic

    def evaluate(self, split: str, loss: losses.WeightedLoss) -> dict[str, float]:
        """Measure the model on a split: see :func:`sweep.training.metrics.evaluate`."""
        return evaluate(
            self.model,
            self.batches(split),
            loss,
            quantities=self.quantities,
            compute_stress=self.needs_stress(loss),
        )

    def needs_stress(self, loss: losses.WeightedLoss) -> bool:
        """Whether stresses must be computed: a term or a validated quantity needs them."""
        in_terms = any("stress" in losses.get(name).outputs for name in loss.active)
        return in_terms or "stress" in self.quantities

    def _reference_potentials(self, graphs: Graphs) -> Tensor:
        return torch.cat(
            [
                self.model.reference_potentials(batch.tensors, batch.periodic)
                for batch in batches(graphs, self.valid_batch_size)
            ]
        )

    def _labelled_potentials(self) -> Tensor:
        """Reference potentials of the training set where they are labelled, shape [n_atoms]."""
        values = []
        for ref, _ in self.batches("train"):
            labelled = ref["electrostatic_potentials_weight"][ref["batch"]] > 0
            values.append(ref["esps_dft"][labelled])
        return torch.cat(values)

    def _check_objective(self, metrics: list[str]) -> None:
        for name in metrics:
            weight = QUANTITIES[name].weight
            where = f"objective.metrics: '{name}'"
            if name not in self.quantities:
                raise InputError(
                    f"{where} cannot be measured: it has no label in the training set or the "
                    f"model does not return it; there are: {', '.join(self.quantities)}"
                )
            if not any(bool((ref[weight] > 0).any()) for ref, _ in self.batches("valid")):
                raise InputError(f"{where} has no label in the validation set")
            if not self.scales[name] > 0:
                raise InputError(
                    f"{where} has the same value everywhere in the training set, so its error has "
                    "no scale"
                )


def _check_periodicity(configurations: Sequence[Configuration]) -> None:
    """The electrostatics of the models knows molecules and crystals, no slabs or wires."""
    for configuration in configurations:
        pbc = configuration.pbc
        if pbc.any() and not pbc.all():
            flags = " ".join("FT"[int(flag)] for flag in pbc)
            raise InputError(
                f'{configuration.where}: pbc="{flags}"; a model of charges needs a molecule '
                "(F F F) or a cell that is periodic in all directions (T T T)"
            )


def _device(name: str) -> torch.device:
    device = torch.device(name)
    if device.type == "cuda":
        count = torch.cuda.device_count()
        if (device.index or 0) >= count:
            raise InputError(f"trainer.device: '{name}' is not there; torch sees {count} GPUs")
    return device
