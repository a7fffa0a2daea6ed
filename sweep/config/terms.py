"""Loss terms of the user's own: modules that the configuration names. Imports no torch itself."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import losses
from sweep.errors import InputError

__all__ = ["import_terms"]


def import_terms(modules: Sequence[str]) -> None:
    """Import modules that register loss terms; one that was imported before is left alone.

    A module is found as by ``python -m``: in the working directory, or installed.

    Args:
        modules: ``loss_modules`` of the configuration.

    Raises:
        InputError: if a module is not there, cannot be imported, or registers a name that is taken.
    """
    if modules and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    for name in modules:
        if name in sys.modules:
            continue
        where = f"loss_modules: '{name}'"
        try:
            importlib.import_module(name)
        except losses.LossError as error:
            raise InputError(f"{where}: {error}") from error
        except ModuleNotFoundError as error:
            if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
                raise InputError(f"{where}: cannot be imported: {error}") from error
            raise InputError(
                f"{where}: no such module in {os.getcwd()}, and none that is installed; give the "
                "name of a module, without .py"
            ) from error
        except (Exception, SystemExit) as error:
            detail = " ".join(str(error).split())
            if not isinstance(error, SyntaxError):  # which says where itself
                last = traceback.extract_tb(error.__traceback__)[-1]
                detail += f" ({Path(last.filename).name}, line {last.lineno})"
            raise InputError(
                f"{where}: cannot be imported: {type(error).__name__}: {detail}"
            ) from error
