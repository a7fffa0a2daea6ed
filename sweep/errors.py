"""The exceptions that a user of ``python -m sweep`` can meet."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

__all__ = [
    "DamagedRecordError",
    "InputError",
    "LeaseLostError",
    "SweepError",
    "TrainingError",
    "printable",
    "unknown",
]

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


class SweepError(Exception):
    """Base of all errors of this package; its message is one line and names the culprit."""


class InputError(SweepError, ValueError):
    """A configuration or a data file is not valid: nothing has been trained."""


class TrainingError(SweepError):
    """A training run ended early, for example on a non-finite loss."""


class DamagedRecordError(TrainingError):
    """A file that a trial wrote is not as it was written: that trial must begin again."""


class LeaseLostError(SweepError):
    """Another worker has taken this trial over: nothing more may be written to its folder."""


def printable(text: str) -> str:
    """Text without characters that steer a terminal; a line break stays."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def unknown(kind: str, name: str, valid: Iterable[str], *, where: str | None = None) -> str:
    """The message for an unknown name: where it stands, the nearest valid one, and all of them.

    Args:
        kind: What the name should be, for example "loss term".
        name: What arrived.
        valid: The names that would have been right.
        where: Key or file in which it stands.
    """
    names = sorted(map(str, valid))
    nearest = difflib.get_close_matches(str(name), names, n=1)
    if not nearest:  # a part of the name, such as energy of energy_per_atom
        nearest = sorted((n for n in names if n.startswith(f"{name}_")), key=len)[:1]
    hint = f"; did you mean '{nearest[0]}'?" if nearest else ";"
    prefix = f"{where}: " if where else ""
    return f"{prefix}unknown {kind} '{name}'{hint} valid: {', '.join(names) or 'none'}"
