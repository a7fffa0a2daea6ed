"""The Hydra application and the one line that every bad input ends with. Imports no torch."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Sequence

import hydra
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from sweep.config.checks import omegaconf_message
from sweep.config.stages import CONF_DIR
from sweep.errors import InputError, SweepError, unknown
from sweep.hydra_plugin.registration import register
from sweep.mace_scf.command import expand

__all__ = ["main"]

INTERRUPTED = 130  # the exit status of a program that SIGINT ended


def main() -> int:
    """Run the application; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal or pipe whose encoding lacks Å
            stream.reconfigure(errors="replace")
    register()
    _overrides_last(sys.argv)
    # Without a handler Python prints what Hydra logs about errors that we report ourselves.
    logging.getLogger("hydra").addHandler(logging.NullHandler())
    own_errors = os.environ.get("HYDRA_FULL_ERROR") != "1"
    failed: list[SweepError] = []

    @hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="config")
    def train(cfg: DictConfig) -> None:
        """One training with the configured weights; searches go through the sweeper instead."""
        from sweep.cli.train import train_once

        try:
            train_once(cfg)
        except SweepError as error:
            if not own_errors:
                raise
            failed.append(error)  # raised from here Hydra would print lines of its own

    if not own_errors:
        sys.argv[1:] = expand(sys.argv[1:])
        train()
        return 0
    # With this set Hydra raises instead of printing, so that the message can be one line.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        sys.argv[1:] = expand(sys.argv[1:])
        train()
    except (SweepError, HydraException, OmegaConfBaseException, YAMLError, OSError) as error:
        return _report(error)
    except (ValueError, RuntimeError) as error:
        if not _raised_by_hydra(error):
            raise
        empty = [f"{word}: " for word in sys.argv[1:] if word.endswith("=null")]
        return _report(InputError("".join(empty) + " ".join(str(error).split())))
    except KeyboardInterrupt:
        print("stopped; run again to resume", file=sys.stderr)
        return INTERRUPTED
    finally:
        del os.environ["HYDRA_FULL_ERROR"]
    return _report(failed[0]) if failed else 0


def _overrides_last(argv: list[str]) -> None:
    """Let flags stand anywhere: argparse takes no overrides on both sides of ``-m``."""
    given = argv[1:]
    overrides = [w for w in given if w.startswith("~") or ("=" in w and w[0] != "-")]
    argv[1:] = [word for word in given if word not in overrides] + overrides


def _raised_by_hydra(error: Exception) -> bool:
    """Whether an error of Python's own kinds comes from Hydra, as of a group set to null."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    name = "" if traceback is None else str(traceback.tb_frame.f_globals.get("__name__"))
    return name.startswith("hydra.")


def _report(error: Exception) -> int:
    print(f"error: {_message(error)}", file=sys.stderr)
    return 1


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
    return text


def _missing_config(file: str, options: Sequence[str] | None) -> str:
    """An option that its config group does not have; Hydra lists none if it is one of several."""
    group, _, name = file.rpartition("/")
    valid = options or [path.stem for path in (CONF_DIR / group).glob("*.yaml")]
    return unknown("option", name, valid, where=group)
