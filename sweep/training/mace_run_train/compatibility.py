"""Whether the installed mace-torch is the one that the driver knows, and its known gaps.

The driver replaces functions of mace by name and calls others by their arguments. With another
version it could train something else without a word, so it refuses.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from sweep.errors import InputError

__all__ = ["VERSION", "adapt_graph_longrange", "check_mace", "with_all_parameters", "with_seed"]

VERSION = "0.3.16"
"""The version of mace-torch that the driver was written for."""

_ARGUMENTS = {
    "train": (
        "model", "loss_fn", "train_loader", "valid_loaders", "optimizer", "lr_scheduler",
        "start_epoch", "max_num_epochs", "patience", "checkpoint_handler", "logger",
        "eval_interval", "output_args", "device", "log_errors", "swa", "ema", "max_grad_norm",
        "log_wandb", "distributed", "save_all_checkpoints", "plotter", "distributed_model",
        "train_sampler", "rank",
    ),
    "train_one_epoch": (
        "model", "loss_fn", "data_loader", "optimizer", "epoch", "output_args", "max_grad_norm",
        "ema", "logger", "device", "distributed", "distributed_model", "rank",
    ),
    "take_step": (
        "model", "loss_fn", "batch", "optimizer", "ema", "output_args", "max_grad_norm", "device",
    ),
    "evaluate": ("model", "loss_fn", "data_loader", "output_args", "device"),
    "valid_err_log": (
        "valid_loss", "eval_metrics", "logger", "log_errors", "epoch", "valid_loader_name",
    ),
}  # fmt: skip


def check_mace(train_module: Any) -> None:
    """Refuse a mace-torch that the driver does not know.

    Args:
        train_module: The module ``mace.tools.train``.

    Raises:
        InputError: naming what differs.
    """
    found = version("mace-torch")
    if found != VERSION:
        raise InputError(
            f"trainer=mace_run_train drives mace-torch {VERSION}; installed is {found}: "
            f"pip install mace-torch=={VERSION}"
        )
    for name, expected in _ARGUMENTS.items():
        function = getattr(train_module, name, None)
        arguments = () if function is None else tuple(inspect.signature(function).parameters)
        if arguments != expected:
            raise InputError(
                f"trainer=mace_run_train: mace.tools.train.{name} of the installed mace-torch has "
                f"the arguments ({', '.join(arguments)}), not those of mace-torch {VERSION}"
            )


def with_all_parameters(
    get_params_options: Callable[..., dict[str, Any]], note: Callable[[str], None]
) -> Callable[..., dict[str, Any]]:
    """Mace's groups of parameters, and one more with those that are in none of them.

    ``mace_run_train`` lists the modules that it trains by name. Of PolarMACE that leaves out the
    heads of the multipoles, their update and the local electron energy, about 60 % of all
    parameters, which then keep their random initial values.

    Args:
        get_params_options: Mace's function.
        note: Is told of parameters that were left out.
    """

    @functools.wraps(get_params_options)
    def complete(args: Any, model: torch.nn.Module) -> dict[str, Any]:
        options = get_params_options(args, model)
        for group in options["params"]:
            group["params"] = list(group["params"])  # mace gives generators, which are read once
        known = {id(p) for group in options["params"] for p in group["params"]}
        rest = {
            name: parameter
            for name, parameter in model.named_parameters()
            if id(parameter) not in known
            and parameter.requires_grad
            # The radii of a foundation model, which mace fixes otherwise.
            and not name.startswith("radial_embedding.")
        }
        if rest:
            options["params"].append(
                {"name": "rest", "params": list(rest.values()), "weight_decay": 0.0, "lr": args.lr}
            )
            note(_described(rest, model.parameters()))
        return options

    return complete


def with_seed(get_dataset: Callable[..., Any], seed: int) -> Callable[..., Any]:
    """Mace's reading of data with a seed of its own for the split into training and validation.

    Mace splits by the seed of the training, so that trainings with other seeds could not be
    compared.
    """

    @functools.wraps(get_dataset)
    def split(*args: Any, **given: Any) -> Any:
        return get_dataset(*args, **{**given, "seed": seed})

    return split


def _described(rest: dict[str, torch.nn.Parameter], parameters: Iterable[Tensor]) -> str:
    count = sum(parameter.numel() for parameter in rest.values())
    total = sum(parameter.numel() for parameter in parameters)
    modules = dict.fromkeys(name.partition(".")[0] for name in rest)
    return (
        f"mace_run_train alone would leave {count} of {total} parameters untrained "
        f"({', '.join(modules)}); they are trained here, in a group of their own "
        "(trainer.train_all=false leaves them out)"
    )


def adapt_graph_longrange() -> None:
    """Let PolarMACE of mace-torch 0.3.16, written for graph-longrange 0.4.0, call newer ones.

    From 0.4.3 on the calls have an argument less and another shape. The methods are replaced, not
    the classes, so that a model that is saved refers to nothing of ours. Nothing happens where the
    installed one has the calls of 0.4.0 or is not there.
    """
    try:
        from graph_longrange.energy import GTOElectrostaticEnergy
        from graph_longrange.features import GTOElectrostaticFeatures
    except ImportError:
        return
    if "force_pbc_evaluator" in inspect.signature(GTOElectrostaticEnergy.forward).parameters:
        return

    def precompute_geometry(
        self: Any, *, force_pbc_evaluator: bool = False, **geometry: Tensor
    ) -> dict[str, Any]:
        # Not kept on the module, where 0.4.4 has it: that could not be copied, hence not saved.
        kind = _kind(geometry["pbc"], force_pbc_evaluator)
        return getattr(self, f"_precompute_geometry_{kind}")(**geometry)  # type: ignore[no-any-return]

    def forward_dynamic(
        self: Any, *, cache: dict[str, Any], source_feats: Tensor, pbc: Tensor
    ) -> Tensor:
        kind = "realspace" if cache["mode"] == "realspace" else "mixed_periodic"
        features = getattr(self, f"_forward_dynamic_{kind}")
        return features(source_feats=source_feats.squeeze(-2), cache=cache)  # type: ignore[no-any-return]

    def energy(self: Any, *, force_pbc_evaluator: bool = False, **geometry: Tensor) -> Tensor:
        kind = _kind(geometry["pbc"], force_pbc_evaluator)
        return getattr(self, f"_forward_{kind}")(**geometry)  # type: ignore[no-any-return]

    GTOElectrostaticFeatures.precompute_geometry = precompute_geometry
    GTOElectrostaticFeatures.forward_dynamic = forward_dynamic
    GTOElectrostaticEnergy.forward = energy


def _kind(pbc: Tensor, periodic: bool) -> str:
    """As 0.4.0 chose: molecules in real space, unless there is a periodic graph in the batch."""
    return "mixed_periodic" if periodic or bool(pbc.any()) else "realspace"
