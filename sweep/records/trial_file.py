"""``trial.json``: read without trust, as it may be half-written, damaged or made by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sweep.errors import DamagedRecordError
from sweep.records.objective import Objective
from sweep.records.state import State

__all__ = ["BEST_MODEL", "FILE", "read_json_file", "read_trial_file", "shortened"]

FILE = "trial.json"
BEST_MODEL = "best.pt"


def read_trial_file(path: Path) -> dict[str, Any]:
    """The content of a ``trial.json``, in which every entry that is used has its type.

    ``params``, ``metrics`` and ``stages`` are there even if the file lacks them.

    Raises:
        DamagedRecordError: naming the file and what is wrong with it.
    """
    content = read_json_file(path)
    wrong = _wrong(content)
    if wrong:
        raise DamagedRecordError(f"{path}: {wrong}")
    return {"params": {}, "metrics": {}, "stages": [], **content}


def read_json_file(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        DamagedRecordError: naming the file, if it is missing or not valid.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DamagedRecordError(f"{path}: no such file") from error
    except OSError as error:
        raise DamagedRecordError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        reason = (str(error).splitlines() or ["no JSON"])[0]
        raise DamagedRecordError(f"{path}: not valid JSON ({reason})") from error


def shortened(value: Any, most: int = 40) -> str:
    """A value as JSON, cut to a readable length."""
    text = json.dumps(value, default=str, skipkeys=True)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and type(value) is not bool and math.isfinite(value)


def _is_whole(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | bool) or _is_number(value)


def _or_none(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or is_right(value)


def _mapping_of(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, Mapping) and all(is_right(item) for item in value.values())
    )


def _is_schedule(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(stage, Mapping)
        and isinstance(stage.get("loss"), Mapping)
        and all(
            isinstance(term, Mapping) and _is_number(term.get("weight"))
            for term in stage["loss"].values()
        )
        and all(is_right(stage.get(key)) for key, is_right in _STAGE.items())
        for stage in value
    )


def _are_switches(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(switch, Mapping)
        and all(is_right(switch.get(key)) for key, is_right in _SWITCH.items())
        for switch in value
    )


_STAGE: dict[str, Callable[[Any], bool]] = {
    "name": _or_none(_is_text),
    "start": _or_none(_is_whole),
    "end": _or_none(_is_whole),
    "lr": _or_none(_is_number),
    "shares": _or_none(_mapping_of(_is_number)),
}
_SWITCH: dict[str, Callable[[Any], bool]] = {
    "stage": _is_text,
    "epoch": _is_whole,
    "gradient": _or_none(_is_number),  # none where there was no gradient before
    "steps": _or_none(_is_number),
    "is_jump": lambda value: type(value) is bool,
}
_TEXTS = (
    "fit_name", "dtype", "device", "git_commit", "host", "platform", "python", "started",
    "finished", "restarted", "ended_early", "traceback",
)  # fmt: skip
_ENTRIES: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("score", _or_none(_is_number), "a number"),
    ("epoch", _or_none(lambda value: type(value) is int), "a whole number"),
    ("epochs_trained", _or_none(_is_whole), "0, 1, 2, ..."),
    ("role", _or_none(_is_text), "a text"),
    ("reason", _or_none(_is_text), "a text"),
    ("same_as", _or_none(_is_whole), "the number of a trial"),
    ("seconds", _or_none(_is_number), "a number"),
    ("seed", _or_none(lambda value: type(value) is int), "a whole number"),
    *((key, _or_none(_is_text), "a text") for key in _TEXTS),
    ("versions", _or_none(_mapping_of(_is_text)), "texts by package"),
    ("params", _mapping_of(_is_scalar), "a mapping from keys to values"),
    ("prefix", _or_none(_mapping_of(_is_scalar)), "a mapping from keys to values"),
    ("metrics", _mapping_of(_mapping_of(_or_none(_is_number))), "numbers by split"),
    *(
        (
            key,
            _or_none(_mapping_of(_mapping_of(_mapping_of(_or_none(_is_number))))),
            "numbers by split and kind",
        )
        for key in ("config_types", "elements", "sizes")
    ),
    (
        "objective",
        lambda value: Objective.read(value) is not None,
        "a mapping with 'metrics' and 'statistic'",
    ),
    ("stages", _is_schedule, "a list of stages with their loss"),
    ("switches", _are_switches, "a list of beginnings of stages"),
)


def _wrong(content: Any) -> str | None:
    """What is wrong, None if nothing is."""
    if not isinstance(content, dict):
        return f"holds a {type(content).__name__} instead of a mapping"
    for key in ("number", "state"):
        if key not in content:
            return f"lacks '{key}'"
    number, state = content["number"], content["state"]
    if not _is_whole(number):
        return f"'number' is {shortened(number)}, expected 0, 1, 2, ..."
    if state not in list(State):
        return f"'state' is {shortened(state)}, expected one of {', '.join(State)}"
    if state == State.COMPLETE and not _is_number(content.get("score")):
        score = shortened(content.get("score"))
        return f"'score' of a complete trial is {score}, expected a number"
    for key, is_right, expected in _ENTRIES:
        if key in content and not is_right(content[key]):
            return f"'{key}' is {shortened(content[key])}, expected {expected}"
    if content.get("metrics") and "objective" not in content:
        return "lacks 'objective'"
    return None
