"""``search=auto``: a search space from the terms of the loss, without ranges to think of."""

from __future__ import annotations

from omegaconf import DictConfig

from sweep.config.weightings import HAVE_SHARES
from sweep.errors import InputError
from sweep.search.weights import weight_keys

__all__ = ["automatic_params"]


def automatic_params(cfg: DictConfig) -> dict[str, str]:
    """Ranges for ``hydra.sweeper.params``: a factor to either side of every configured value.

    The reference, ``search.reference`` or else ``forces`` or the first term, keeps its value, and
    terms that are off are left off.

    Args:
        cfg: The composed configuration of trial 0, unchecked; ``search.auto`` is the factor for
            weights, a tenth of it that for shares.

    Raises:
        InputError: if there are fewer than two terms, the factor is not above 1, or the weighting
            has no shares.
    """
    if cfg.weighting.name not in ("fixed", *HAVE_SHARES):
        raise InputError(
            f"search=auto: weighting={cfg.weighting.name} has no shares to search; "
            "search=none trains it once, weighting=gradient_shares has some"
        )
    factor = float(cfg.search.auto)
    moves = cfg.weighting.name != "fixed"
    factor = factor / 10 if moves else factor
    if not factor > 1:
        raise InputError(
            f"search.auto: must be above {10 if moves else 1}; got {cfg.search.auto:g}"
        )
    weights = _weights(cfg)
    values = _shares(cfg, weights) if moves else weights
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
    """Key of each searched weight above 0, its term and value; of stages with an own loss, too."""
    last = len(cfg.train_schedule) - 1
    return {
        key: (weight.term, weight.value)
        for key, weight in weight_keys(cfg).items()
        if cfg.search.stages != "last" or weight.stage == last
    }


def _shares(cfg: DictConfig, weights: dict[str, tuple[str, float]]) -> dict[str, tuple[str, float]]:
    given = dict(cfg.weighting.shares)
    if cfg.search.stages == "last":
        given |= cfg.train_schedule[str(len(cfg.train_schedule) - 1)].shares or {}
    shares = {name: given.get(name, 1.0) for name, _ in weights.values()}
    return {f"weighting.shares.{name}": (name, share) for name, share in shares.items() if share}
