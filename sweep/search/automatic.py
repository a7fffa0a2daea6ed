"""``search=auto``: a search space from the terms of the loss, without ranges to think of."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf

from sweep.errors import InputError

__all__ = ["automatic_params"]


def automatic_params(cfg: DictConfig) -> dict[str, str]:
    """Ranges for ``hydra.sweeper.params``: a factor to either side of every configured value.

    The reference, ``search.reference`` or else ``forces`` or the first term, keeps its value, and
    terms that are off are left off.

    Args:
        cfg: The composed configuration of trial 0, unchecked; ``search.auto`` is the factor for
            weights, a tenth of it that for shares.

    Raises:
        InputError: if there are fewer than two terms, or the factor is not above 1.
    """
    factor = float(cfg.search.auto)
    moves = cfg.weighting.name != "fixed"
    factor = factor / 10 if moves else factor
    if not factor > 1:
        raise InputError(
            f"search.auto: must be above {10 if moves else 1}; got {cfg.search.auto:g}"
        )
    values = _shares(cfg) if moves else _weights(cfg)
    names = list(dict.fromkeys(name for name, _ in values.values()))
    if len(names) < 2:
        raise InputError(
            f"search=auto: needs a loss of at least two terms; got {', '.join(names) or 'none'}"
        )
    given = cfg.search.reference
    reference = given if given in names else "forces" if "forces" in names else names[0]
    return {
        key: f"tag(log, interval({value / factor!r}, {value * factor!r}))"
        for key, (name, value) in values.items()
        if name != reference
    }


def _weights(cfg: DictConfig) -> dict[str, tuple[str, float]]:
    """Key of each weight above 0, its term and value; of stages with an own loss, too."""
    found = {}
    blocks = {"loss": cfg.loss} if any(s.loss is None for s in cfg.train_schedule.values()) else {}
    blocks |= {
        f"train_schedule.{index}.loss": stage.loss
        for index, stage in cfg.train_schedule.items()
        if stage.loss is not None
    }
    for key, block in blocks.items():
        for name, term in block.items() if OmegaConf.is_dict(block) else ():
            is_mapping = OmegaConf.is_dict(term)
            weight = term.get("weight") if is_mapping else term
            if _is_above_zero(weight):
                found[f"{key}.{name}.weight" if is_mapping else f"{key}.{name}"] = (name, weight)
    return found


def _shares(cfg: DictConfig) -> dict[str, tuple[str, float]]:
    return {
        f"weighting.shares.{name}": (name, cfg.weighting.shares[name])
        for name, _ in _weights(cfg).values()
        if _is_above_zero(cfg.weighting.shares.get(name))
    }


def _is_above_zero(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
