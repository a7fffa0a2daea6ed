"""``study.json``: what a study searches and judges by, written when it begins.

Whatever the storage of Optuna's own records, a journal or a database, reports read this file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sweep.errors import DamagedRecordError
from sweep.files import write_json
from sweep.records.objective import Objective
from sweep.records.trial_file import read_json_file, shortened

__all__ = ["FILE", "Dimension", "StudyRecord"]

FILE = "study.json"
_FORMAT = 1
_KINDS = ("float", "int", "choice")


@dataclass(frozen=True)
class Dimension:
    """The values among which one key of the configuration is searched.

    Attributes:
        kind: ``float``, ``int`` or ``choice``.
        low: Smallest value; None for choices.
        high: Largest value; None for choices.
        log: Whether it is searched on a logarithmic scale.
        step: Distance of the values; None for any.
        choices: All values of a choice.
    """

    kind: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    step: float | None = None
    choices: tuple[Any, ...] = ()

    @property
    def is_range(self) -> bool:
        """Whether it has two different ends."""
        return self.low is not None and self.high is not None and self.low < self.high

    def holds(self, value: Any) -> bool:
        """Whether a value lies in it."""
        if self.low is None or self.high is None:
            return value in self.choices
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and self.low <= value <= self.high

    def position(self, value: float) -> float:
        """Where a value of a range lies, from 0 at the lower end to 1 at the upper."""
        assert self.low is not None
        assert self.high is not None
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    @classmethod
    def read(cls, content: Any) -> Dimension | None:
        """The dimension that a JSON file holds; None if it is not one."""
        if not isinstance(content, Mapping) or content.get("kind") not in _KINDS:
            return None
        if content["kind"] == "choice":
            choices = content.get("choices")
            return cls("choice", choices=tuple(choices)) if isinstance(choices, list) else None
        ends = content.get("low"), content.get("high")
        if not all(isinstance(end, int | float) and math.isfinite(end) for end in ends):
            return None
        step = content.get("step")
        return cls(
            content["kind"],
            *ends,
            log=content.get("log") is True,
            step=step if isinstance(step, int | float) else None,
        )

    def as_json(self) -> dict[str, Any]:
        """As a JSON file holds it."""
        if self.kind == "choice":
            return {"kind": self.kind, "choices": list(self.choices)}
        own = {"low": self.low, "high": self.high, "log": self.log, "step": self.step}
        return {"kind": self.kind, **own}


@dataclass(frozen=True)
class StudyRecord:
    """What a study is, apart from its trials.

    Attributes:
        name: Its name.
        objective: What its trials are judged by.
        space: For every searched key of the configuration the values among which it is searched.
        definition: Its whole definition, flat: a study with another one is another study.
        sampler: Class of Optuna's sampler.
        pruner: Class of Optuna's pruner.
        created: When it began, in ISO 8601.
    """

    name: str
    objective: Objective
    space: Mapping[str, Dimension] = field(default_factory=dict)
    definition: Mapping[str, Any] = field(default_factory=dict)
    sampler: str = ""
    pruner: str = ""
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def write(self, folder: Path) -> None:
        """Write ``study.json`` into the folder of the study."""
        write_json(
            folder / FILE,
            {
                "format": _FORMAT,
                "name": self.name,
                "created": self.created,
                "objective": self.objective.as_json(),
                "space": {key: one.as_json() for key, one in self.space.items()},
                "sampler": self.sampler,
                "pruner": self.pruner,
                "definition": dict(self.definition),
            },
        )

    @classmethod
    def read(cls, folder: Path) -> StudyRecord | None:
        """Read ``study.json`` of a study; None if there is none, as before version 0.2.

        Raises:
            DamagedRecordError: naming the file and what is wrong with it.
        """
        path = folder / FILE
        if not path.exists():
            return None
        return cls(**_checked(path, read_json_file(path)))


def _checked(path: Path, content: Any) -> dict[str, Any]:
    """The arguments of a :class:`StudyRecord`."""
    if not isinstance(content, Mapping):
        raise DamagedRecordError(f"{path}: holds a {type(content).__name__}, expected a mapping")
    objective = Objective.read(content.get("objective"))
    if objective is None:
        raise DamagedRecordError(f"{path}: lacks an 'objective' with 'metrics' and 'statistic'")
    entries: dict[str, Any] = {"objective": objective}
    for key, kind in (("name", str), ("created", str), ("sampler", str), ("pruner", str),
                      ("space", Mapping), ("definition", Mapping)):  # fmt: skip
        value = content.get(key)
        if not isinstance(value, kind):
            raise DamagedRecordError(
                f"{path}: '{key}' is {shortened(value)}, expected {_WORDS[kind]}"
            )
        entries[key] = value
    space = {str(key): Dimension.read(value) for key, value in entries["space"].items()}
    for key, dimension in space.items():
        if dimension is None:
            raise DamagedRecordError(f"{path}: 'space' of '{key}' is no range and no choice")
    return {**entries, "space": space}


_WORDS: Mapping[type, str] = {str: "a text", Mapping: "a mapping"}
