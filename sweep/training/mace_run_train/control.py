"""What the driver inside ``mace_run_train`` is told, as a JSON file. Imports no torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweep.errors import InputError
from sweep.files import read_json, write_json

__all__ = ["EVENTS", "Control"]

EVENTS = "events.jsonl"
"""The file of lines that the driver leaves in its folder; see :mod:`.events`."""

Loss = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Control:
    """How ``mace_run_train`` shall be driven.

    Attributes:
        folder: Where the driver writes its events and its state.
        losses: The terms of each of one or two stages, with weight and options; those of mace's
            loss, if that trains.
        own: Whether our loss takes the place of mace's.
        weighting: ``name`` and options of the weighting; ``fixed`` for static weights.
        metrics: Quantities that the score is the geometric mean of, and their exponents.
        statistic: ``rmse`` or ``mae``.
        measured: Quantities that must be measured beside them.
        balance_interval: Epochs between two measurements of every term's gradient; 0: never.
        train_all: Whether parameters that mace gives to no group of the optimiser are trained.
        overrides: Values of mace's arguments that win over the flags.
        cwd: Where the user's own paths are relative to; None: here.
        split_seed: Of the random split into training and validation set, where mace makes one; None
            for mace's, which is the seed of the training.
        task: ``train``; ``check`` to evaluate the terms on one batch and end.
        loss_modules: Modules with loss terms of the user's own.
    """

    folder: str
    losses: list[Loss]
    own: bool = True
    weighting: dict[str, Any] = field(default_factory=lambda: {"name": "fixed"})
    metrics: dict[str, float] = field(default_factory=lambda: {"energy": 1.0, "forces": 1.0})
    statistic: str = "rmse"
    measured: list[str] = field(default_factory=list)
    balance_interval: int = 0
    train_all: bool = True
    overrides: dict[str, Any] = field(default_factory=dict)
    cwd: str | None = None
    split_seed: int | None = None
    task: str = "train"
    loss_modules: list[str] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Write the file."""
        write_json(path, dataclasses.asdict(self))

    @classmethod
    def read(cls, path: Path) -> Control:
        """Read the file.

        Raises:
            InputError: if it is missing or does not hold what is needed.
        """
        try:
            return cls(**read_json(path))
        except (ValueError, TypeError) as error:
            raise InputError(f"{path}: is no control file of a mace_run_train ({error})") from error
