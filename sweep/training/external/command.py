"""``trainer=command``: any program that can be started with its weights and tells its errors."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import RenderableType

from sweep.config.stages import Stage
from sweep.console import make_table
from sweep.errors import InputError
from sweep.quantities import exponents_of
from sweep.training.external.judge import Judge, Measured
from sweep.training.external.lines import LineSource, Parser, json_parser, pattern_parser
from sweep.training.external.process import OUTPUT
from sweep.training.external.scales import scale_text, scales_of
from sweep.training.external.trainer import ProgramTrainer, Run
from sweep.training.external.words import command_words, mentions

__all__ = ["CommandTrainer"]

_COMMANDS = ("trainer.command", "trainer.values")
_FREE = ("loss", "score")  # metrics that are no error of a quantity


class CommandTrainer(ProgramTrainer):
    """Trains trials by a command of the configuration. A :class:`~sweep.training.trainer.Trainer`.

    Args:
        cfg: The configuration of trial 0, checked but for the command.
    """

    def __init__(self, cfg: DictConfig) -> None:
        self._scales = scales_of(cfg)

    def check(self, cfg: DictConfig, stages: list[Stage]) -> RenderableType:
        """See :class:`~sweep.training.trainer.Trainer`."""
        words = command_words(cfg, "trainer.command")
        if self.can_resume(cfg):
            command_words(cfg, "trainer.resume")
        _check_paths(cfg)
        _check_terms(cfg, stages)
        _parser(cfg)
        self.judge(cfg)
        rows = [
            ["command", shlex.join(words)],
            ["runs in", "program/ in the folder of the trial"],
            ["tells its errors", _where(cfg)],
            ["a stopped trial", "goes on by trainer.resume" if self.can_resume(cfg) else
             "starts afresh"],
            ["silent for more than", _seconds(cfg.trainer.timeout)],
            *([f"score divides {name} by", scale_text(name, self._scales)]
              for name in exponents_of(cfg.objective.metrics)),
        ]  # fmt: skip
        return make_table("trainer=command", ["", ""], rows, align="ll")

    def facts(self, cfg: DictConfig) -> Mapping[str, Any]:
        """See :class:`~sweep.training.trainer.Trainer`."""
        return {
            "trainer": "command",
            "command": command_words(cfg, "trainer.command"),
            "device": str(cfg.trainer.device),
            "num_threads": cfg.trainer.num_threads,
            "scales": self._scales,
        }

    def can_resume(self, cfg: DictConfig) -> bool:
        """See :class:`ProgramTrainer`."""
        return bool(cfg.trainer.resume)

    def judge(self, cfg: DictConfig) -> Judge:
        """See :class:`ProgramTrainer`."""
        objective = cfg.objective
        return Judge(
            names=_names(cfg),
            scales=self._scales,
            powers=exponents_of(objective.metrics),
            statistic=objective.statistic,
            takes_last=objective.epoch == "last",
        )

    def prepare(self, cfg: DictConfig, stages: list[Stage], folder: Path, *, resume: bool) -> Run:
        """See :class:`ProgramTrainer`."""
        path = folder / (cfg.trainer.log or OUTPUT)
        words = command_words(cfg, "trainer.resume" if resume else "trainer.command")
        return Run(words, LineSource(path, _parser(cfg)), [path])


def _names(cfg: DictConfig) -> dict[str, Measured]:
    """Our metrics by the program's names.

    Raises:
        InputError: if an entry of ``trainer.metrics`` is neither a name nor a key with a factor.
    """
    found = {}
    statistic = cfg.objective.statistic
    for name, source in cfg.trainer.metrics.items():
        where = f"trainer.metrics.{name}"
        ours = str(name)
        if ours not in _FREE and not ours.startswith(("rmse_", "mae_")):
            ours = f"{statistic}_{ours}"
        if isinstance(source, str):
            found[ours] = Measured(source)
            continue
        entries = dict(source) if isinstance(source, DictConfig) else {}
        strange = set(entries) - {"key", "factor"}
        key, factor = entries.get("key"), entries.get("factor", 1.0)
        if strange or not isinstance(key, str) or not isinstance(factor, int | float):
            raise InputError(
                f"{where}: must be the program's name of it, or {{key: name, factor: 0.001}}; "
                f"got {source}"
            )
        found[ours] = Measured(key, float(factor))
    return found


def _parser(cfg: DictConfig) -> Parser:
    """What reads the lines of the program.

    Raises:
        InputError: if a regular expression is not valid, or nothing says where metrics are told.
    """
    trainer = cfg.trainer
    if trainer.pattern is None:
        if trainer.step_pattern is not None:
            raise InputError("trainer.step_pattern: is read with a trainer.pattern only")
        return json_parser(trainer.first_epoch)
    patterns = {}
    for key in ("pattern", "step_pattern"):
        try:
            patterns[key] = None if trainer[key] is None else re.compile(trainer[key])
        except re.error as error:
            raise InputError(f"trainer.{key}: no regular expression: {error}") from error
    found = patterns["pattern"]
    assert found is not None
    if not set(found.groupindex) - {"epoch"}:
        raise InputError(
            "trainer.pattern: has no named group for a metric, as in "
            r"'epoch (?P<epoch>\d+) forces (?P<rmse_forces>\S+)'"
        )
    return pattern_parser(found, patterns["step_pattern"], trainer.first_epoch)


def _check_paths(cfg: DictConfig) -> None:
    """What ``${abspath:…}`` names in the command must be there."""
    raw: Any = OmegaConf.to_container(cfg.trainer, resolve=False)
    for path in re.findall(r"\$\{abspath:([^${}]+)\}", str(raw["command"])):
        if not Path(path).expanduser().exists():
            raise InputError(f"trainer.command: no such file: {Path(path).expanduser().absolute()}")


def _check_terms(cfg: DictConfig, stages: list[Stage]) -> None:
    """A weight that the command does not take would be searched in vain."""
    for stage in stages:
        own = cfg.train_schedule[str(stage.index)].loss is not None
        prefix = f"train_schedule.{stage.index}.loss" if own else "loss"
        for name in stage.loss:
            keys = [f"{prefix}.{name}.weight", f"{prefix}.{name}"]
            if not any(mentions(cfg, key, *_COMMANDS) for key in keys):
                key = keys["weight" not in (cfg.loss.get(name) or {}) if not own else 1]
                raise InputError(
                    f"{prefix}.{name}: the command takes no such weight; write ${{{key}}} into "
                    f"trainer.command, or take the term out"
                )


def _where(cfg: DictConfig) -> str:
    place = cfg.trainer.log or "what it prints"
    return f"{place}, " + ("lines of JSON" if cfg.trainer.pattern is None else cfg.trainer.pattern)


def _seconds(value: float | None) -> str:
    return "no limit" if value is None else f"{value:g} s counts as hung"
