"""Weights as YAML in MACE_SCF's form, and comments: the one writer of them, whoever asks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from sweep.records.trial import StageRecord

__all__ = ["comments", "loss_block", "number_text"]

_DIGITS = 6  # of a weight in a block to read; files for programs have all


def loss_block(stages: Sequence[StageRecord], *, exact: bool = False) -> str:
    """The weights to paste: ``loss`` if all stages share it, else the ``train_schedule``.

    Weights are floats, and a term is a mapping only if it has options, as MACE_SCF wants it.

    Args:
        stages: The stages of a training.
        exact: Every digit instead of six.
    """
    losses = [_loss(stage.loss, exact) for stage in stages]
    block: dict[str, Any] = {"loss": losses[0]}
    if any(loss != losses[0] for loss in losses):
        pairs = enumerate(zip(stages, losses, strict=True))
        schedule = {i: {**stage.as_json(), "loss": loss} for i, (stage, loss) in pairs}
        block = {"train_schedule": schedule}
    return yaml.safe_dump(block, sort_keys=False)


def comments(lines: Iterable[str]) -> str:
    """Comments of a YAML file or a shell script, each on exactly one line.

    What they quote may come from someone else: a line break in it, of any kind that a reader knows,
    would end the comment and begin configuration. Signs that are not printable become ``?``.
    """
    on_one = (" ".join(line.split()) if not line.isprintable() else line for line in lines)
    printable = ("".join(c if c.isprintable() else "?" for c in line) for line in on_one)
    return "".join(f"# {line}\n" for line in printable)


def number_text(value: float) -> str:
    """A number that reads back as the same and can be told from an integer: ``100.0``."""
    return repr(float(value))


def _loss(loss: Mapping[str, Mapping[str, Any]], exact: bool) -> dict[str, Any]:
    block: dict[str, Any] = {}
    for name, term in loss.items():
        options = {key: value for key, value in term.items() if key != "weight"}
        weight = float(term["weight"] if exact else f"{term['weight']:.{_DIGITS}g}")
        block[name] = {"weight": weight, **options} if options else weight
    return block
