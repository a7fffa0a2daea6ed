"""``search.stages=last``: what is searched of the last stage alone, so that the others are fixed.

Keys of the composed loss and of the shares mean those of the last stage then, which gets a loss and
shares of its own.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sweep.config.trainers import trainer_kind
from sweep.config.weightings import HAVE_SHARES
from sweep.errors import InputError
from sweep.search.grammar import literal
from sweep.search.space import SearchSpace

__all__ = ["for_last_stage", "of_its_own"]

_PLAIN = re.compile(r"(?:loss|weighting(?=\.shares))\.(.+)")


def of_its_own(cfg: DictConfig) -> list[str]:
    """Overrides that give the last stage a loss and shares of its own, with what it has now.

    Args:
        cfg: The composed configuration of trial 0, checked.

    Raises:
        InputError: if there is one stage only, or another program trains.
    """
    last = _last(cfg)
    stage = cfg.train_schedule[last]
    overrides = []
    if stage.loss is None:
        loss = OmegaConf.to_container(cfg.loss, resolve=True)
        overrides.append(f"train_schedule.{last}.loss={_literal(loss)}")
    if cfg.weighting.name in HAVE_SHARES:
        own = stage.shares or {}
        terms = cfg.loss if stage.loss is None else stage.loss
        shares = {name: own.get(name, cfg.weighting.shares.get(name, 1.0)) for name in terms}
        overrides.append(f"train_schedule.{last}.shares={_literal(shares)}")
    return overrides


def for_last_stage(space: SearchSpace, cfg: DictConfig) -> SearchSpace:
    """The search space with the keys of the last stage.

    Args:
        space: As given: keys of the last stage, of the composed loss or of ``weighting.shares``.
        cfg: The composed configuration of trial 0, with what :func:`of_its_own` says.

    Raises:
        InputError: if a key belongs to no stage or another one.
    """
    prefix = f"train_schedule.{_last(cfg)}."
    found = {}
    for key, distribution in space.distributions.items():
        match = _PLAIN.fullmatch(key)
        if match is None and not key.startswith(prefix):
            raise InputError(
                f"hydra.sweeper.params['{key}']: is not of the last stage, which alone is searched "
                f"with search.stages=last; it takes loss.<term>, weighting.shares.<term> and "
                f"{prefix}<key>"
            )
        own = key if match is None else prefix + key.removeprefix("weighting.")
        found[own] = distribution
    return replace(space, distributions=found)


def _last(cfg: DictConfig) -> str:
    kind = trainer_kind(cfg)
    if kind.is_program:
        raise InputError(
            f"search.stages=last: is for our own trainer (trainer=default); got "
            f"trainer={kind.option}, which cannot start from its first stages"
        )
    if len(cfg.train_schedule) < 2:
        raise InputError(
            "search.stages=last: needs a train_schedule of at least two stages; got one "
            "(schedule=two_stages is one of two)"
        )
    return str(len(cfg.train_schedule) - 1)


def _literal(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_literal, value)) + "]"
    return literal(value)
