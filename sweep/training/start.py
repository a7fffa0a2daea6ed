"""A model that begins with the parameters of a trained one: ``model.start_from=FILE``.

A file of tensors alone (``best.pt`` of a trial, a ``state_dict``) is read without running anything
of it. A pickled module, as MACE saves its models, is code: to read it runs whatever its author put
in, so the user must trust it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from sweep.console import make_table
from sweep.data.read.formats import content_digest
from sweep.errors import InputError
from sweep.files import read_json
from sweep.libraries import quiet
from sweep.models.model import Model
from sweep.records.trial_file import FILE

__all__ = ["Start", "start_from"]

_KEY = "model.start_from"
_BACKBONE = "backbone."
_NEIGHBOURS = "avg_num_neighbors"
# What must be the same for parameters to mean the same.
_SAME = {"atomic_numbers": "elements", "r_max": "r_max"}
_OWN = "atomic_energies"  # they are off the labels here


@dataclass
class Start:
    """What a model took from a file.

    Attributes:
        path: The file.
        digest: Of its content.
        taken: Names of the model's tensors that it has, and their numbers of elements.
        new: Those of its parameters that the file has not, or in another shape.
        left: Tensors of the file that the model has not.
        neighbours: Mean number of neighbours by which its messages are divided; None: not known,
            so that it is that of the data.
    """

    path: str
    digest: str
    neighbours: float | None = None
    taken: dict[str, int] = field(default_factory=dict)
    new: dict[str, int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """As ``trial.json`` holds it."""
        counts = {key: sum(getattr(self, key).values()) for key in ("taken", "new", "left")}
        return {"path": self.path, "digest": self.digest, **counts}

    def table(self) -> Table:
        """What was taken, what is new and what was left, by the modules of the model."""
        notes = {"taken": "", "new": "initialised", "left": "of the file, not used"}
        rows: list[list[object]] = []
        for key, note in notes.items():
            for module, (tensors, numbers) in _by_module(getattr(self, key)).items():
                rows.append([key, module, tensors, numbers, note])
                key = ""
        headings = ["", "module", "tensors", "numbers", ""]
        return make_table(f"{_KEY}={self.path}", headings, rows, align="llrrl")


def start_from(model: Model, path: str, *, trust_file: bool) -> Start:
    """Give a model the parameters of a file, where name and shape are the same.

    The names of a MACE model are those of the model's backbone. Buffers such as the scale of the
    energies come along, and so does the mean number of neighbours, by which messages are divided.

    Args:
        model: The model; what the file lacks keeps its initial values.
        path: The file.
        trust_file: Whether a file that can run code may be loaded.

    Raises:
        InputError: if it cannot be read, is not trusted, is of other elements or another cutoff, or
            has nothing that fits.
    """
    where = f"{_KEY}={path}"
    state, neighbours = _read(Path(path).expanduser(), where, trust_file=trust_file)
    start = Start(str(path), content_digest(Path(path).expanduser()), neighbours)
    own = dict(model.state_dict())
    parameters = {name for name, _ in model.named_parameters()}
    for key in _SAME:
        name = f"{_BACKBONE}{key}"
        found = state.get(name, state.get(key))
        if found is not None and name in own:
            _check_same(key, found, own[name], where)
    used = set()
    with torch.no_grad():
        for name, value in own.items():
            last = name.rpartition(".")[2]
            source = name if name in state else name.removeprefix(_BACKBONE)
            found = state.get(source)
            if found is None or last == _OWN:
                used.add(source)
                if name in parameters:
                    start.new[name] = value.numel()
                continue
            if found.shape != value.shape:
                if name in parameters:
                    start.new[name] = value.numel()
                continue
            used.add(source)
            if value.is_floating_point() and value.numel():
                value.copy_(found)
                start.taken[name] = value.numel()
    start.left = {name: value.numel() for name, value in state.items() if name not in used}
    if not parameters & start.taken.keys():
        raise InputError(
            f"{where}: none of its {len(state)} tensors has name and shape of a parameter of this "
            "model; is it of another family or another size?"
        )
    _set_neighbours(model, neighbours)
    return start


def _read(path: Path, where: str, *, trust_file: bool) -> tuple[dict[str, Tensor], float | None]:
    """The tensors of a file by name, and the mean number of neighbours where it is known."""
    if not path.is_file():
        raise InputError(f"{where}: no such file")
    try:
        data = io.BytesIO(path.read_bytes())
    except OSError as error:
        raise InputError(f"{where}: {error.strerror}") from error
    try:
        # Named explicitly: importing mace sets an environment variable that changes the default.
        content = torch.load(data, map_location="cpu", weights_only=True)
    except Exception as error:
        if not trust_file:
            raise InputError(
                f"{where}: holds more than tensors (a pickled model, for example), and to load it "
                "runs whatever code its author put into it; if you trust where it is from: "
                "model.trust_file=true"
            ) from error
        data.seek(0)
        try:
            with quiet():
                content = torch.load(data, map_location="cpu", weights_only=False)
        except Exception as problem:
            reason = (str(problem).splitlines() or [type(problem).__name__])[0]
            raise InputError(f"{where}: cannot be loaded ({reason})") from problem
    if isinstance(content, torch.nn.Module):
        return _tensors(content.state_dict(), where), _neighbours_of(content)
    if not isinstance(content, Mapping):
        raise InputError(
            f"{where}: holds a {type(content).__name__}; expected a model or its parameters"
        )
    content = content.get("member", content)  # our checkpoint.pt
    neighbours = content.get(_NEIGHBOURS)
    if neighbours is None:
        neighbours = _recorded(path)
    return _tensors(content.get("model", content), where), neighbours


def _tensors(found: Any, where: str) -> dict[str, Tensor]:
    if isinstance(found, torch.nn.Module):
        found = found.state_dict()
    tensors = (
        {str(key): value for key, value in found.items() if isinstance(value, Tensor)}
        if isinstance(found, Mapping)
        else {}
    )
    if not tensors:
        raise InputError(f"{where}: holds no parameters of a model")
    return tensors


def _recorded(path: Path) -> float | None:
    """What ``trial.json`` says, where the file lies in the folder of a trial."""
    try:
        found = read_json(path.parent / FILE).get(_NEIGHBOURS)
    except (OSError, ValueError):
        return None
    return float(found) if isinstance(found, int | float) else None


def _neighbours_of(module: torch.nn.Module) -> float | None:
    for part in module.modules():
        found = getattr(part, _NEIGHBOURS, None)
        if isinstance(found, int | float) or (isinstance(found, Tensor) and found.numel() == 1):
            return float(found)
    return None


def _set_neighbours(model: Model, value: float | None) -> None:
    if value is None:
        return
    for part in model.backbone.modules():
        if isinstance(getattr(part, _NEIGHBOURS, None), int | float):
            setattr(part, _NEIGHBOURS, value)


def _check_same(key: str, found: Tensor, own: Tensor, where: str) -> None:
    theirs, ours = found.reshape(-1).tolist(), own.reshape(-1).tolist()
    if len(theirs) != len(ours) or any(
        abs(a - b) > 1e-6 * abs(b) for a, b in zip(theirs, ours, strict=True)
    ):
        shown = [", ".join(f"{value:g}" for value in values) for values in (theirs, ours)]
        raise InputError(
            f"{where}: its {_SAME[key]} are {shown[0]}, those of this model and its data {shown[1]}"
            if key == "atomic_numbers"
            else f"{where}: its {_SAME[key]} is {shown[0]}, that of this model {shown[1]}"
        )


def _by_module(names: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Number of tensors and of their elements, by the first three words of the names."""
    found: dict[str, tuple[int, int]] = {}
    for name, size in names.items():
        module = ".".join(name.split(".")[:-1][:3]) or name
        tensors, numbers = found.get(module, (0, 0))
        found[module] = (tensors + 1, numbers + size)
    return found
