"""A trial whose weights were trained before takes over what that trial left behind."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweep.files import read_json, write_json

__all__ = ["copy_trial"]


def copy_trial(trials: Path, number: int, entries: Mapping[str, Any]) -> dict[str, Any] | None:
    """Give a trial the records of another; nothing in them ever changes, so they are linked.

    Args:
        trials: The folder of all trials.
        number: The trial that was trained.
        entries: Of the new ``trial.json``, with the new ``number``.

    Returns:
        The new ``trial.json``; None if the other trial's cannot be read.
    """
    source, target = trials / f"{number:04d}", trials / f"{entries['number']:04d}"
    try:
        content = {**read_json(source / "trial.json"), **entries, "same_as": number}
        content["state"], content["score"], content["epoch"], content["metrics"]
    except (ValueError, KeyError):
        return None
    if target.exists():  # of an attempt that was killed
        shutil.rmtree(target)
    shutil.copytree(source, target, copy_function=_link)
    (target / "trial.json").unlink()  # a link, which must not be written through
    write_json(target / "trial.json", content)
    return content


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)
