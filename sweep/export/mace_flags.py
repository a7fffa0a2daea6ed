"""Model, training and data of a trial as flags of ``mace_run_train``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig

from sweep.data.type_weights import check_type_weights
from sweep.errors import InputError
from sweep.training.mace_run_train.arguments import words_of

__all__ = ["flags_of_the_user", "setup_flags"]

# Of the same name and meaning in mace.
_TRAINER = (
    "batch_size", "valid_batch_size", "optimizer", "weight_decay", "ema_decay", "clip_grad",
    "scheduler", "lr_factor", "scheduler_patience", "lr_scheduler_gamma", "default_dtype",
    "patience", "eval_interval",
)  # fmt: skip
_MODEL = (
    "num_channels", "max_L", "r_max", "num_radial_basis", "num_cutoff_basis", "max_ell",
    "interaction", "interaction_first", "num_interactions", "correlation", "radial_MLP",
    "MLP_irreps", "gate",
)  # fmt: skip
_LABELS = {
    "info_keys": ("energy", "stress", "dipole", "polarizability", "total_charge", "total_spin"),
    "arrays_keys": ("forces",),
}
_SHIPPED = re.compile(r"\$\{shipped_data:([\w./-]+)\}")


def flags_of_the_user(config: Mapping[str, Any] | None) -> list[str] | None:
    """The flags with which ``mace_run_train`` itself trained the trial; None if it did not."""
    trainer = _mapping(config or {}, "trainer")
    if trainer.get("name") != "mace_run_train":
        return None
    return words_of(DictConfig({"trainer": dict(trainer)}))


def setup_flags(config: Mapping[str, Any] | None) -> tuple[list[str], list[str]]:
    """Flags of everything but loss and stages, and remarks on what has no flag.

    Args:
        config: The composed configuration of the trial; None if it cannot be read.
    """
    if config is None:
        return [], ["The trial's configuration cannot be read: the rest has mace's defaults"]
    flags, remarks = _Flags(), []
    flags.add("seed", config.get("seed"))
    model = _mapping(config, "model")
    for name in _MODEL:
        flags.add(name, model.get(name))
    if model.get("family") != "mace":
        remarks.append(
            f"mace_run_train has no model of the family {model.get('family')}: the flags are those "
            "of its backbone"
        )
    remarks += _add_trainer(flags, _mapping(config, "trainer"))
    heads = _mapping(config, "heads")
    if len(heads) == 1:
        head = _mapping(heads, next(iter(heads)))
        remarks += _add_data(flags, head)
        split = config.get("split_seed", config.get("seed"))
        if not head.get("valid_file") and split != config.get("seed"):
            remarks.append(f"mace_run_train splits the data by --seed; here split_seed is {split}")
    else:
        remarks.append(f"{len(heads)} heads: name the data with --heads")
    return flags.flags, remarks + [f"--{name}: no flag for {value}" for name, value in flags.odd]


class _Flags:
    """Flags with plain values; what is none is kept aside."""

    def __init__(self) -> None:
        self.flags: list[str] = []
        self.odd: list[tuple[str, Any]] = []

    def add(self, name: str, value: Any) -> None:
        """Add ``--name=value`` if there is a value."""
        if isinstance(value, str) and "${" in value:
            self.odd.append((name, value))
        elif isinstance(value, str | int | float) or _is_list_of_ints(value):
            self.flags.append(f"--{name}={value}")
        elif value is not None:
            self.odd.append((name, value))


def _is_list_of_ints(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int for item in value)


def _add_trainer(flags: _Flags, trainer: Mapping[str, Any]) -> list[str]:
    remarks = []
    for name in _TRAINER:
        flags.add(name, trainer.get(name))
    if trainer.get("ema") is True:
        flags.flags.append("--ema")
    if "clip_grad" in trainer and trainer["clip_grad"] is None:
        flags.flags.append("--clip_grad=None")
    if trainer.get("patience") is not None:
        remarks.append(
            "mace_run_train's patience counts validations without a smaller loss, in the first "
            "stage, too, after which it begins the second; the trial's the score, in the last stage"
        )
    if trainer.get("amsgrad") is False:
        remarks.append("mace_run_train always uses AMSGrad; the trial did not")
    beta, beta_two = trainer.get("beta", 0.9), trainer.get("beta_two", 0.999)
    if trainer.get("optimizer") == "schedulefree":
        flags.add("beta1_schedulefree", beta)
        flags.add("beta2_schedulefree", beta_two)
    else:
        if beta != 0.9:
            flags.add("beta", beta)
        if beta_two != 0.999:
            remarks.append(f"mace_run_train has no beta_two; the trial's was {beta_two:g}")
    if "scheduler" in trainer and trainer["scheduler"] is None:
        flags.flags += ["--scheduler=ExponentialLR", "--lr_scheduler_gamma=1.0"]
        remarks.append("No scheduler: one whose factor is 1")
    device = trainer.get("device")
    flags.add("device", device.partition(":")[0] if isinstance(device, str) else device)
    if trainer.get("enable_cueq") is True:
        flags.flags.append("--enable_cueq=True")
    return remarks


def _add_data(flags: _Flags, head: Mapping[str, Any]) -> list[str]:
    remarks: list[str] = []
    unread: list[str] = []
    for name in ("train_file", "valid_file", "test_file"):
        flags.add(name, _path(head.get(name)))
    if head.get("valid_file") is None:
        flags.add("valid_fraction", head.get("valid_fraction"))
    for section, labels in _LABELS.items():
        keys = _mapping(head, section)
        for label in labels:
            flags.add(f"{label}_key", keys.get(label))
        unread += [str(label) for label in keys if label not in labels]
    if unread:
        remarks.append(f"mace_run_train reads no {', '.join(unread)}")
    weights = check_type_weights(head.get("config_type_weights"), "heads: config_type_weights")
    if weights:
        flags.flags.append(f"--config_type_weights={weights}")
    energies = head.get("E0s")
    if isinstance(energies, Mapping):
        from ase.data import atomic_numbers

        known = {atomic_numbers.get(str(symbol)): value for symbol, value in energies.items()}
        if all(type(z) is int and type(e) in (int, float) for z, e in known.items()):
            flags.flags.append(f"--E0s={known}")
        else:
            flags.odd.append(("E0s", energies))
    else:
        flags.add("E0s", energies)  # null: from the isolated atoms of the training file, there too
    return remarks


def _path(given: Any) -> Any:
    """The path of a shipped file; any other as it is."""
    match = _SHIPPED.fullmatch(given) if isinstance(given, str) else None
    if match is None:
        return given
    from sweep.data import shipped

    try:
        return str(shipped(match[1]))
    except InputError:
        return given


def _mapping(node: Mapping[Any, Any], key: Any) -> Mapping[Any, Any]:
    found = node.get(key)
    return found if isinstance(found, Mapping) else {}
