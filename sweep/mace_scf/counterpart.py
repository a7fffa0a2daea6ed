"""The training of a MACE_SCF trial as a training of our own, where the model is one we have."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf

from sweep.config.schema import Config, TrainerConfig
from sweep.config.stages import CONF_DIR
from sweep.errors import InputError
from sweep.mace_scf.names import MODELS
from sweep.mace_scf.reading import read_text
from sweep.mace_scf.translation import translate

__all__ = ["counterpart"]

_WHERE = "trainer.config"


def counterpart(cfg: DictConfig) -> DictConfig:
    """Our own training on the same data, whose weights follow the gradients of the terms.

    Args:
        cfg: A configuration of ``trainer=mace_scf``, without the ``hydra`` node.

    Raises:
        InputError: if there is none, and why.
    """
    changes: Any = OmegaConf.to_container(cfg.trainer.set, resolve=True)
    content = read_text(cfg.trainer.config, _WHERE) | dict(changes)
    name = content.get("model")
    if name is None:
        raise InputError(f"{_WHERE}: names no model")
    if str(name) not in MODELS:
        raise InputError(f"{_WHERE}: the model '{name}' is no family here")
    if not cfg.heads:
        raise InputError("heads: the labels are not known here")
    found = translate(content, _WHERE)
    trainer = _option("trainer", "default")
    del trainer["defaults"]
    settings = {
        **trainer,
        **found.overlay["trainer"],
        "device": cfg.trainer.device,
        "num_threads": cfg.trainer.num_threads,
    }
    whole: dict[str, Any] = {
        **OmegaConf.to_container(cfg, resolve=True),  # type: ignore[dict-item]
        "model": {**_option("model", str(found.model)), **found.overlay["model"]},
        "weighting": _option("weighting", "gradient_shares"),
        "trainer": OmegaConf.merge(OmegaConf.structured(TrainerConfig), settings),
    }
    for name, head in found.overlay["heads"].items():
        if name in whole["heads"]:
            whole["heads"][name]["config_type_weights"] = head.get("config_type_weights", {})
    merged = OmegaConf.merge(OmegaConf.structured(Config), whole)
    assert isinstance(merged, DictConfig)
    return merged


def _option(group: str, name: str) -> dict[str, Any]:
    found: Any = OmegaConf.to_container(OmegaConf.load(CONF_DIR / group / f"{name}.yaml"))
    return dict(found)
