"""The Hydra application, and its errors as lines of ours. Imports no torch."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

import hydra
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from sweep.cli.program import PROGRAM, guarded
from sweep.cli.words import understood
from sweep.cli.yaml_files import check_config_dirs
from sweep.config.checks import omegaconf_message
from sweep.config.stages import CONF_DIR
from sweep.errors import InputError, SweepError, unknown
from sweep.hydra_plugin.registration import register
from sweep.mace_scf.command import expand as from_mace_scf
from sweep.passwords import masked
from sweep.training.mace_run_train.command import expand as from_mace_run_train

__all__ = ["run"]


def run(arguments: Sequence[str]) -> int:
    """Search, with ``-m`` among the arguments, or train once; returns the exit status."""
    return guarded(lambda: _run(arguments), interrupted="stopped; run again to resume")


def _run(arguments: Sequence[str]) -> None:
    register()
    # Without a handler Python prints what Hydra logs about errors that we report ourselves.
    logging.getLogger("hydra").addHandler(logging.NullHandler())
    own_errors = os.environ.get("HYDRA_FULL_ERROR") != "1"
    failed: list[SweepError] = []

    @hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="config")
    def train(cfg: DictConfig) -> None:
        """One training with the configured weights; searches go through the sweeper instead."""
        from sweep.cli.train_once import train_once

        try:
            train_once(cfg)
        except SweepError as error:
            if not own_errors:
                raise
            failed.append(error)  # raised from here Hydra would print lines of its own

    words = from_mace_run_train(from_mace_scf(understood(arguments)))
    check_config_dirs(words)
    before = sys.argv
    sys.argv = [PROGRAM, *words]
    if not own_errors:
        train()
        return
    # With this set Hydra raises instead of printing, so that the message can be one line.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        train()
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise InputError(masked(_message(error))) from error
    except SweepError:
        raise
    except (ValueError, RuntimeError) as error:
        if not _raised_by_hydra(error):
            raise
        empty = [f"{word}: " for word in words if word.endswith("=null")]
        raise InputError("".join(empty) + masked(" ".join(str(error).split()))) from error
    finally:
        del os.environ["HYDRA_FULL_ERROR"]
        sys.argv = before
    if failed:
        raise failed[0]


def _raised_by_hydra(error: Exception) -> bool:
    """Whether an error of Python's own kinds comes from Hydra, as of a group set to null."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    name = "" if traceback is None else str(traceback.tb_frame.f_globals.get("__name__"))
    return name.startswith("hydra.")


def _message(error: Exception) -> str:
    """One line that names the key, and the file where that is known."""
    if isinstance(error, SweepError):
        return str(error)
    text = " ".join(str(error).split())
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, SweepError):  # raised in something that Hydra instantiates
            return str(cause)
        if isinstance(cause, MissingConfigException) and cause.missing_cfg_file:
            return _missing_config(cause.missing_cfg_file, cause.options)
        if isinstance(cause, OmegaConfBaseException) and cause.key is not None:
            where, found, _ = text.partition(f": {type(cause).__name__} raised while composing")
            return f"{where}: " * bool(found) + omegaconf_message(cause)
        cause = cause.__cause__ or cause.__context__
    where, refused, _ = text.partition("Cannot merge DictConfig with ListConfig")
    if refused:  # which OmegaConf says without the key
        return (
            f"{where}a mapping stands where a list is expected; exponents of objective.metrics are "
            "written as metrics: [forces: 2, energy]"
        )
    return text


def _missing_config(file: str, options: Sequence[str] | None) -> str:
    """An option that its config group does not have; Hydra lists none if it is one of several."""
    group, _, name = file.rpartition("/")
    valid = options or [path.stem for path in (CONF_DIR / group).glob("*.yaml")]
    return unknown("option", name, valid, where=group)
