"""``trainer=mace_run_train`` on the command line: the user's flags become the configuration.

Terms, weights, stages, seed and name are read from the flags and stored as an option of a
configuration group, which is chosen in addition: what else stands on the command line lies on top.
"""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore

from sweep.config.foreign import flag_words, run_names, take_word
from sweep.errors import InputError
from sweep.training.mace_run_train.flags import contents, loss_of, metrics_of, parse, stages_of

__all__ = ["GROUP", "expand"]

GROUP = "from_mace_run_train"
_CHOICE = re.compile(r"\+{0,2}trainer=mace_run_train")
_OWN_LOSS = re.compile(r"\+{0,2}loss=")


def expand(words: Sequence[str]) -> list[str]:
    """Read ``trainer.config`` and ``trainer.args``, where ``trainer=mace_run_train`` is chosen.

    Raises:
        InputError: if the flags or the file cannot be read, or name what is not there.
    """
    if not any(_CHOICE.fullmatch(word) for word in words):
        return list(words)
    config, rest = take_word(words, "trainer.config")
    text, rest = take_word(rest, "trainer.args")
    if config is None and text is None:
        raise InputError(
            "trainer=mace_run_train: needs your flags, as you give them by hand: "
            'trainer.config=FILE with its YAML file, or trainer.args="--train_file …", or both'
        )
    given = flag_words(text or "", "trainer.args")
    given = given[1:] if given[:1] == ["mace_run_train"] else given
    path = None if config is None else str(Path(config).expanduser())
    if path is not None and not Path(path).is_file():
        raise InputError(f"trainer.config: no such file: {path}")
    args = parse([*([] if path is None else [f"--config={path}"]), *given])
    own_loss = any(_OWN_LOSS.match(word) for word in rest)
    node = _overlay(args, path, given, own_loss=own_loss)
    ConfigStore.instance().store(
        group=GROUP,
        name="flags",
        node={"defaults": [{"override /schedule": None}, "_self_"], **node},
        package="_global_",
        provider="the flags of mace_run_train",
    )
    first = next((i for i, word in enumerate(rest) if "=" in word and word[0] != "-"), len(rest))
    return [*rest[:first], f"+{GROUP}=flags", *rest[first:]]


def _overlay(
    args: Namespace, config: str | None, given: list[str], *, own_loss: bool
) -> dict[str, Any]:
    """The configuration that flags stand for."""
    stages = stages_of(args)
    terms: dict[str, Any] = {}
    if own_loss:  # which both stages have
        stages["1"] = {**stages["1"], "loss": None} if "1" in stages else {}
        stages = {index: stage for index, stage in stages.items() if stage}
    else:
        terms = dict(loss_of(args))
    device = str(args.device)
    node: dict[str, Any] = {
        "train_schedule": stages,
        "seed": int(args.seed),
        "split_seed": int(args.seed),  # mace's random split has the same
        **run_names(args.name, "mace_run_train"),
        "trainer": {
            "config": config,
            "args": given,
            "contents": contents(args, config),
            "device": device if device in ("cpu", "cuda") else "cpu",
        },
    }
    if terms:
        node |= {"loss": terms, "objective": {"metrics": metrics_of(terms)}}
    return node
