"""The user's own flags and YAML file of ``mace_run_train``, read by its parser, without torch."""

from __future__ import annotations

import argparse
import ast
import hashlib
import importlib
import importlib.util
import sys
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import losses
from sweep.data.read.formats import content_digest
from sweep.errors import InputError, unknown
from sweep.quantities import quantity_of
from sweep.training.mace_run_train.mace_losses import MACE_LOSSES, MaceLoss

__all__ = [
    "contents",
    "is_multihead",
    "loss_named",
    "loss_of",
    "metrics_of",
    "option_words",
    "parse",
    "stages_of",
]

_FILES = (
    "train_file", "valid_file", "test_file", "pt_train_file", "pt_valid_file", "statistics_file",
    "foundation_model", "train_dir", "valid_dir", "test_dir",
)  # fmt: skip
_PACKAGE = "_tools_of_mace"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse flags as ``mace_run_train`` does.

    Raises:
        InputError: with mace's own message; if mace is not there; or for a flag that a trial cannot
            have.
    """
    parser = _parser()

    def refuse(message: str) -> NoReturn:
        raise InputError(f"mace_run_train: {' '.join(message.split())}")

    parser.error = refuse  # type: ignore[method-assign]
    args = parser.parse_args(list(arguments))
    for name, why in (
        ("distributed", "one process trains a trial"),
        ("dry_run", "it would train nothing"),
    ):
        if getattr(args, name, False):
            raise InputError(f"mace_run_train: --{name} cannot be used in a trial: {why}")
    return args


def option_words(flags: Mapping[str, Any]) -> list[str]:
    """Values by the names of mace's flags, as words of its command line.

    Raises:
        InputError: if there is no such flag.
    """
    known = {word: action for action in _parser()._actions for word in action.option_strings}
    words = []
    for name, value in flags.items():
        action = known.get(f"--{name}")
        if action is None:
            valid = [word.removeprefix("--") for word in known if word.startswith("--")]
            raise InputError(unknown("flag of mace_run_train", name, valid, where="trainer.flags"))
        if action.nargs == 0:  # a switch
            words += [f"--{name}"] if value else []
        else:
            words.append(f"--{name}={value}")
    return words


def contents(args: argparse.Namespace, config: str | None) -> dict[str, str]:
    """A digest of each file that a training reads, so that a changed one is another study.

    Raises:
        InputError: naming a file that is missing.
    """
    named: dict[str, Any] = {} if config is None else {"config": config}
    named |= {name: getattr(args, name, None) for name in _FILES}
    for head, files in _heads(args).items():
        named |= {f"heads.{head}.{name}": files.get(name) for name in _FILES}
    found = {}
    for name, value in named.items():
        for index, path in enumerate(_paths(value)):
            key = name if index == 0 else f"{name}.{index}"
            if Path(path).exists():
                found[key] = content_digest(path)[:16] if Path(path).is_dir() else _digest(path)
            elif name == "config" or (name.endswith("_file") and Path(path).suffix):
                raise InputError(f"mace_run_train: {name}: no such file: {path}")
    return found


def loss_of(args: argparse.Namespace, prefix: str = "") -> dict[str, dict[str, float]]:
    """Mace's loss as terms with weights and options.

    Args:
        args: The flags.
        prefix: ``swa_`` for stage two.

    Raises:
        InputError: if it is not made of terms that there are here.
    """
    loss = loss_named("universal" if is_multihead(args) else args.loss)
    terms: dict[str, dict[str, float]] = {}
    for name, (flag, factor) in loss.flags.items():
        terms[name] = {"weight": float(getattr(args, prefix + flag)) * factor}
        if "huber_delta" in losses.get(name).options:
            terms[name]["huber_delta"] = float(args.huber_delta)
    return terms


def loss_named(name: str) -> MaceLoss:
    """Mace's loss of this name.

    Raises:
        InputError: if it is not made of terms that there are here.
    """
    for loss in MACE_LOSSES:
        if loss.name == name:
            return loss
    raise InputError(
        f"mace_run_train: --loss={name} is not made of terms that there are here; those that are: "
        f"{', '.join(loss.name for loss in MACE_LOSSES)}. --loss chooses what the model computes, "
        "and the terms that train can be chosen with loss=[…]"
    )


def stages_of(args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Mace's one or two stages as a ``train_schedule``; the first takes the ``loss``."""
    n_epochs = int(args.max_num_epochs)
    lr = 1e-4 if is_multihead(args) and not args.force_mh_ft_lr else float(args.lr)
    start = args.start_swa
    if args.swa and start is None:
        start = max(1, n_epochs // 4 * 3)
    if not args.swa or start >= n_epochs:
        return {"0": {"name": "stage_one", "start": 0, "end": n_epochs - 1, "lr": lr}}
    return {
        "0": {"name": "stage_one", "start": 0, "end": start - 1, "lr": lr},
        "1": {
            "name": "stage_two", "start": start, "end": n_epochs - 1, "lr": float(args.swa_lr),
            "loss": loss_of(args, "swa_"),
        },
    }  # fmt: skip


def metrics_of(terms: Mapping[str, Any]) -> list[str]:
    """The quantities that terms fit: what a trial is judged by, if nothing else is said."""
    found = [quantity_of(losses.get(name)) for name in terms]
    return list(dict.fromkeys(quantity.name for quantity in found if quantity is not None))


def is_multihead(args: argparse.Namespace) -> bool:
    """Whether mace fine-tunes with a replay head; it then changes loss and learning rate itself."""
    if args.foundation_model is None or not args.multiheads_finetuning:
        return False
    return args.pt_train_file is not None or args.foundation_model in ("small", "medium", "large")


def _parser() -> argparse.ArgumentParser:
    """Mace's parser; ``mace.tools`` itself would import torch."""
    spec = importlib.util.find_spec("mace")
    if spec is None or not spec.submodule_search_locations:
        raise InputError("trainer=mace_run_train: mace-torch is not installed")
    if _PACKAGE not in sys.modules:
        package = types.ModuleType(_PACKAGE)
        package.__path__ = [str(Path(spec.submodule_search_locations[0]) / "tools")]
        sys.modules[_PACKAGE] = package
    module = importlib.import_module(f"{_PACKAGE}.arg_parser")
    parser: argparse.ArgumentParser = module.build_default_arg_parser()
    return parser


def _heads(args: argparse.Namespace) -> Mapping[str, Mapping[str, Any]]:
    if args.heads is None:
        return {}
    try:
        heads = ast.literal_eval(args.heads) if isinstance(args.heads, str) else args.heads
    except (ValueError, SyntaxError) as error:
        raise InputError(f"mace_run_train: --heads: is no mapping ({error})") from error
    if not isinstance(heads, Mapping) or not all(isinstance(h, Mapping) for h in heads.values()):
        raise InputError("mace_run_train: --heads: must map names to mappings")
    return heads


def _paths(value: Any) -> list[str]:
    """Mace takes one path, or a list that is written as Python."""
    if value is None:
        return []
    if isinstance(value, str) and value.startswith("["):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            return []
    return [str(each) for each in value] if isinstance(value, list | tuple) else [str(value)]


def _digest(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
