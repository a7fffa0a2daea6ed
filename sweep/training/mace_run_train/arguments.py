"""From a trial's configuration to the words and the control file of its ``mace_run_train``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sweep.config.checks import stages_of
from sweep.config.stages import Stage
from sweep.errors import InputError, unknown
from sweep.quantities import exponents_of
from sweep.training.mace_run_train.control import Control
from sweep.training.mace_run_train.flags import is_multihead, loss_named, option_words, parse

__all__ = ["check_arguments", "control_of", "words_of"]

_REPLAY_LR = 1e-4
_DIRECTORIES = ("log_dir", "model_dir", "checkpoints_dir", "results_dir")


def words_of(cfg: DictConfig) -> list[str]:
    """The user's own flags, as ``mace_run_train`` takes them; later ones win."""
    trainer: Any = OmegaConf.to_container(cfg.trainer, resolve=True)
    config = [] if trainer["config"] is None else [f"--config={trainer['config']}"]
    return [*config, *trainer["args"], *option_words(trainer["flags"])]


def check_arguments(cfg: DictConfig) -> None:
    """Check what of a configuration only this trainer must know.

    Raises:
        InputError: naming the key.
    """
    if cfg.trainer.contents is None:
        raise InputError(
            "trainer=mace_run_train: your flags are read from the command line: give "
            'trainer=mace_run_train and trainer.config=FILE or trainer.args="--train_file …" there'
        )
    losses = cfg.trainer.losses
    if losses not in ("own", "mace"):
        raise InputError(unknown("value", losses, ("own", "mace"), where="trainer.losses"))
    if losses == "mace" and cfg.weighting.name != "fixed":
        raise InputError(f"weighting={cfg.weighting.name}: needs trainer.losses=own")
    if cfg.objective.epoch != "best":
        raise InputError(
            f"objective.epoch: mace_run_train keeps its best epochs; got {cfg.objective.epoch}"
        )
    control_of(cfg, stages_of(cfg), Path(), task="check", cwd="")


def control_of(
    cfg: DictConfig, stages: Sequence[Stage], folder: Path, *, task: str, cwd: str
) -> Control:
    """What the driver is told of a trial.

    Args:
        cfg: Its configuration.
        stages: Its stages.
        folder: Where the driver writes, and mace.
        task: See :class:`Control`.
        cwd: Where the user's paths are relative to.

    Raises:
        InputError: if mace cannot do what the configuration says.
    """
    plain: Any = OmegaConf.to_container(cfg, resolve=True)
    trainer, objective = plain["trainer"], plain["objective"]
    args = parse(words_of(cfg))
    if len(stages) > 2:
        raise InputError(f"train_schedule: mace_run_train has two stages; got {len(stages)}")
    own = trainer["losses"] == "own"
    overrides: dict[str, Any] = {
        "work_dir": str(folder),
        **dict.fromkeys(_DIRECTORIES),
        "seed": cfg.seed,
        "restart_latest": False,
        "device": str(cfg.trainer.device).partition(":")[0],
        "plot": bool(trainer["flags"].get("plot", False)),
        **_schedule(stages),
    }
    if is_multihead(args) and stages[0].lr != _REPLAY_LR:
        # Mace sets it otherwise, and these with it.
        overrides |= {"force_mh_ft_lr": True, "ema": True, "ema_decay": 0.99999}
    if not own:
        overrides |= _weights(args, stages)
    constrained = [name for name, limit in objective["constraints"].items() if limit is not None]
    judged = [name for name in objective["minimize"] if name != "score"]
    return Control(
        folder=str(folder),
        losses=[dict(stage.loss) for stage in stages],
        own=own,
        weighting=plain["weighting"],
        metrics=exponents_of(objective["metrics"]),
        statistic=objective["statistic"],
        measured=list(dict.fromkeys([*constrained, *judged])),
        balance_interval=trainer["balance_interval"],
        train_all=trainer["train_all"],
        overrides=overrides,
        cwd=cwd,
        split_seed=cfg.split_seed,
        task=task,
        loss_modules=plain["loss_modules"],
    )


def _schedule(stages: Sequence[Stage]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "max_num_epochs": stages[-1].end + 1, "lr": stages[0].lr, "swa": len(stages) == 2,
    }  # fmt: skip
    if len(stages) == 2:
        found |= {"start_swa": stages[1].start, "swa_lr": stages[1].lr}
    return found


def _weights(args: Any, stages: Sequence[Stage]) -> dict[str, Any]:
    """The weights of the stages as those of mace's own loss.

    Raises:
        InputError: if it lacks a term, or has one option for terms that have two.
    """
    loss = loss_named("universal" if is_multihead(args) else args.loss)
    found: dict[str, Any] = {}
    for stage, prefix in zip(stages, ("", "swa_"), strict=False):
        for name, term in stage.loss.items():
            if name not in loss.flags:
                raise InputError(
                    f"trainer.losses=mace: --loss={loss.name} has no term '{name}'; it has: "
                    f"{', '.join(loss.flags)}. trainer.losses=own trains with any term"
                )
            flag, factor = loss.flags[name]
            found[prefix + flag] = term["weight"] / factor
            if (
                "huber_delta" in term
                and found.setdefault("huber_delta", term["huber_delta"]) != (term["huber_delta"])
            ):
                raise InputError("trainer.losses=mace: mace has one huber_delta for all terms")
        for name, (flag, _) in loss.flags.items():
            if name not in stage.loss:
                found[prefix + flag] = 0.0
    return found
