"""``trainer=mace_scf``: MACE_SCF's ``run_train.py``, in the environment that it needs."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import RenderableType

from sweep.config.stages import Stage
from sweep.console import make_table, plain
from sweep.errors import InputError
from sweep.files import write_text
from sweep.mace_scf.program import MEASURED, switches, trial_file
from sweep.mace_scf.reading import read_text
from sweep.quantities import exponents_of
from sweep.training.external.judge import Judge, Measured
from sweep.training.external.mace_scf_log import MaceScfLog
from sweep.training.external.scales import scale_text, scales_of
from sweep.training.external.trainer import ProgramTrainer, Run

__all__ = ["MaceScfTrainer"]

_CLIP = 10.0  # MACE_SCF's default
_START_SECONDS = 60.0
_NO_ESPS = "LocalCharges"


class MaceScfTrainer(ProgramTrainer):
    """Trains trials by MACE_SCF. A :class:`~sweep.training.trainer.Trainer`.

    Args:
        cfg: The configuration of trial 0.
    """

    def __init__(self, cfg: DictConfig) -> None:
        self._unread: str | None = None
        try:
            self._scales = scales_of(cfg)
        except InputError as error:  # MACE_SCF may read what we do not
            self._unread = str(error)
            self._scales = scales_of(cfg, labels=False)

    def check(self, cfg: DictConfig, stages: list[Stage]) -> RenderableType:
        """See :class:`~sweep.training.trainer.Trainer`."""
        version = _check_python(cfg.trainer.python)
        script = Path(cfg.trainer.script).expanduser()
        if not script.is_file():
            raise InputError(f"trainer.script: no such file: {script.absolute()}")
        content = _content(cfg)
        _check_terms(content, stages)
        for key in ("metrics", "minimize", "constraints"):
            names = cfg.objective[key]
            for name in exponents_of(names) if key == "metrics" else names:
                if key == "constraints" and cfg.objective.constraints[name] is None:
                    continue
                if name not in (*MEASURED, "score"):
                    raise InputError(
                        f"objective.{key}: MACE_SCF tells no error of '{name}'; it tells those of "
                        f"{', '.join(MEASURED)}"
                    )
        _file(cfg, stages)
        rows: list[list[object]] = [
            ["program", f"{version}: {cfg.trainer.python} {script}"],
            ["runs in", "program/ in the folder of the trial"],
            ["a stopped trial", "starts afresh: a restart of MACE_SCF is another training"],
        ]
        for key in switches(content, [stage.loss for stage in stages]):
            rows.append(["switched on", f"{key}: true, which the terms need"])
        for name in exponents_of(cfg.objective.metrics):
            rows.append([f"score divides {name} by", scale_text(name, self._scales)])
        if self._unread is not None:
            rows.append(["labels", plain(f"not read here: {self._unread}", style="yellow")])
        if stages[0].end == 0:
            rows.append(["stage 0", plain("ends at epoch 0: MACE_SCF skips it", style="yellow")])
        return make_table("trainer=mace_scf", ["", ""], rows, align="ll")

    def facts(self, cfg: DictConfig) -> Mapping[str, Any]:
        """See :class:`~sweep.training.trainer.Trainer`."""
        return {
            "trainer": "mace_scf",
            "command": _command(cfg),
            "device": str(cfg.trainer.device),
            "num_threads": cfg.trainer.num_threads,
            "clip_grad": self.clip_grad(cfg),
            "scales": self._scales,
            "multipoles_max_l": _content(cfg).get("atomic_multipoles_max_l"),
        }

    def can_resume(self, cfg: DictConfig) -> bool:
        """See :class:`ProgramTrainer`: its restarts are not exact."""
        return False

    def clip_grad(self, cfg: DictConfig) -> float | None:
        """See :class:`ProgramTrainer`."""
        value = _content(cfg).get("clip_grad", _CLIP)
        return float(value) if isinstance(value, int | float) else None

    def judge(self, cfg: DictConfig) -> Judge:
        """See :class:`ProgramTrainer`."""
        objective = cfg.objective
        return Judge(
            names={
                f"{statistic}_{ours}": Measured(f"{statistic}_{theirs}")
                for ours, theirs in MEASURED.items()
                for statistic in ("rmse", "mae")
            },
            scales=self._scales,
            powers=exponents_of(objective.metrics),
            statistic=objective.statistic,
            takes_last=objective.epoch == "last",
        )

    def prepare(self, cfg: DictConfig, stages: list[Stage], folder: Path, *, resume: bool) -> Run:
        """See :class:`ProgramTrainer`."""
        write_text(folder / "config.yaml", _file(cfg, stages))
        tag = f"{cfg.fit_name}_run-{cfg.seed}"
        results = folder / "results" / f"{tag}_train.txt"
        log = folder / "logs" / f"{tag}_debug.log"
        return Run(_command(cfg), MaceScfLog(results, log), [results, log])


def _command(cfg: DictConfig) -> list[str]:
    python = str(Path(cfg.trainer.python).expanduser())
    if "/" in python:
        python = str(Path(python).absolute())
    return [python, str(Path(cfg.trainer.script).expanduser().absolute()), "--config=config.yaml"]


def _content(cfg: DictConfig) -> dict[str, Any]:
    """The user's file with the keys that are set otherwise."""
    return read_text(cfg.trainer.config, "trainer.config") | _changes(cfg)


def _changes(cfg: DictConfig) -> dict[str, Any]:
    found: Any = OmegaConf.to_container(cfg.trainer.set, resolve=True)
    return dict(found)


def _file(cfg: DictConfig, stages: list[Stage]) -> str:
    heads: Any = OmegaConf.to_container(cfg.heads, resolve=True)
    head: dict[str, Any] = next(iter(heads.values()), {})
    schedule: Any = OmegaConf.to_container(cfg.train_schedule, resolve=True)
    return trial_file(
        cfg.trainer.config,
        stages,
        [schedule[str(stage.index)].get("fixed_point_training_options") for stage in stages],
        name=cfg.fit_name,
        seed=cfg.seed,
        split_seed=cfg.split_seed,
        device=str(cfg.trainer.device).partition(":")[0],
        files={key: head.get(key) for key in ("train_file", "valid_file", "test_file")},
        changes=_changes(cfg),
    )


def _check_terms(content: Mapping[str, Any], stages: list[Stage]) -> None:
    if content.get("model") != _NO_ESPS:
        return
    for stage in stages:
        if stage.weights.get("esps", 0) > 0:
            raise InputError(
                f"train_schedule.{stage.index}.loss.esps: MACE_SCF's {_NO_ESPS} returns no "
                f"potentials and would end with KeyError 'esps_dft'; take it out with "
                f"~train_schedule.{stage.index}.loss.esps"
            )


def _check_python(python: str) -> str:
    """The version of an interpreter, as it says itself."""
    where = f"trainer.python: '{python}'"
    try:
        done = subprocess.run(
            [str(Path(python).expanduser()), "--version"],
            capture_output=True, text=True, check=False, timeout=_START_SECONDS,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = getattr(error, "strerror", None) or "does not answer"
        raise InputError(f"{where}: is no interpreter of Python: {reason}") from error
    version = (done.stdout or done.stderr).strip()
    if done.returncode or not version.startswith("Python 3"):
        raise InputError(f"{where}: is no interpreter of Python 3; it says '{version[:80]}'")
    return version
