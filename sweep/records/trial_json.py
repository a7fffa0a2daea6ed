"""Reads ``trial.json`` without trusting it: it may be half-written, damaged or made by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweep.errors import DamagedRecordError

__all__ = ["STATES", "read_trial_json"]

STATES = ("COMPLETE", "RUNNING", "PRUNED", "STOPPED", "FAILED")


def read_trial_json(path: Path) -> dict[str, Any]:
    """The content of a ``trial.json``, in which the entries that reports use have their types.

    ``params``, ``metrics`` and ``stages`` are there even if the file lacks them.

    Raises:
        DamagedRecordError: naming the file and what is wrong with it.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DamagedRecordError(f"{path}: no such file") from error
    except OSError as error:
        raise DamagedRecordError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        reason = (str(error).splitlines() or ["no JSON"])[0]
        raise DamagedRecordError(f"{path}: not valid JSON ({reason})") from error
    wrong = _wrong(content)
    if wrong:
        raise DamagedRecordError(f"{path}: {wrong}")
    return {"params": {}, "metrics": {}, "stages": [], "role": None, "reason": None, **content}


def _wrong(content: Any) -> str | None:
    """What is wrong, None if nothing is."""
    if not isinstance(content, dict):
        return f"holds a {type(content).__name__} instead of a mapping"
    for key in ("number", "state"):
        if key not in content:
            return f"lacks '{key}'"
    number, state = content["number"], content["state"]
    if not (type(number) is int and number >= 0):
        return f"'number' is {_short(number)}, expected 0, 1, 2, ..."
    if state not in STATES:
        return f"'state' is {_short(state)}, expected one of {', '.join(STATES)}"
    if state == "COMPLETE" and not _is_number(content.get("score")):
        return f"'score' of a complete trial is {_short(content.get('score'))}, expected a number"
    for key, is_right, expected in (
        ("score", lambda value: value is None or _is_number(value), "a number"),
        ("params", _is_mapping_of(_is_scalar), "a mapping from keys to values"),
        ("metrics", _is_mapping_of(_is_mapping_of(_is_number_or_none)), "numbers by split"),
        ("objective", _is_objective, "a mapping with 'metrics' and 'statistic'"),
        ("stages", _is_schedule, "a list of stages with their loss"),
    ):
        if key in content and not is_right(content[key]):
            return f"'{key}' is {_short(content[key])}, expected {expected}"
    if content.get("metrics") and "objective" not in content:
        return "lacks 'objective'"
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and type(value) is not bool and math.isfinite(value)


def _is_number_or_none(value: Any) -> bool:
    return value is None or _is_number(value)


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | bool) or _is_number(value)


def _is_mapping_of(is_right: Any) -> Any:
    return lambda value: (
        isinstance(value, Mapping) and all(is_right(item) for item in value.values())
    )


def _is_objective(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and value.get("statistic") in ("rmse", "mae")
        and isinstance(value.get("metrics"), list)
        and all(isinstance(name, str) for name in value["metrics"])
    )


def _is_schedule(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(stage, Mapping)
        and isinstance(stage.get("loss"), Mapping)
        and all(
            isinstance(term, Mapping) and _is_number(term.get("weight"))
            for term in stage["loss"].values()
        )
        for stage in value
    )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
