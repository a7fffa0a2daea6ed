"""Weights as YAML in MACE_SCF's form, and comments: the one writer of them, whoever asks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from sweep.records.trial import StageRecord

__all__ = ["comments", "loss_block", "number_text", "term_entry", "to_yaml"]

_DIGITS = 6  # of a weight in a block to read; files for programs have all


def loss_block(stages: Sequence[StageRecord], *, exact: bool = False) -> str:
    """The weights to paste: ``loss`` if all stages share it, else the ``train_schedule``.

    Weights are floats, and a term is a mapping only if it has options, as MACE_SCF wants it.

    Args:
        stages: The stages of a training.
        exact: Every digit instead of six.
    """
    losses = [
        {name: term_entry(term, exact=exact) for name, term in stage.loss.items()}
        for stage in stages
    ]
    block: dict[str, Any] = {"loss": losses[0]}
    if any(loss != losses[0] for loss in losses):
        pairs = enumerate(zip(stages, losses, strict=True))
        schedule = {i: {**stage.as_json(), "loss": loss} for i, (stage, loss) in pairs}
        block = {"train_schedule": schedule}
    return to_yaml(block)


def term_entry(term: Mapping[str, Any], *, exact: bool = True) -> float | dict[str, Any]:
    """A term in a ``loss``: its weight as a float, in a mapping only if it has options.

    Args:
        term: Its weight and options.
        exact: Every digit instead of six.
    """
    options = {key: value for key, value in term.items() if key != "weight"}
    weight = float(term["weight"] if exact else f"{term['weight']:.{_DIGITS}g}")
    return {"weight": weight, **options} if options else weight


def to_yaml(content: Any) -> str:
    """A configuration as YAML, its keys in their own order."""
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


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
