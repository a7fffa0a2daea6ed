"""Recipes: published weightings, converted to the terms and the normalisation of a loss.

A recipe says of some terms what they weigh, as ratios. In a loss it sets these terms; the others
keep the weights that they have, and the scale is such that the reference, ``search.reference``,
else the forces, does too. How each recipe was converted stands in ``docs/recipes.md``. Imports no
torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sweep.config.checks import model_settings
from sweep.config.trainers import trainer_kind
from sweep.errors import InputError
from sweep.numbers import joined
from sweep.search.grammar import literal
from sweep.search.weights import weight_keys

__all__ = ["Recipe", "apply_recipe", "convert"]

_HUBER, _PER_ATOM = "_huber", "_per_atom"


@dataclass(frozen=True)
class Recipe:
    """A recipe in the terms of a configuration.

    Attributes:
        name: Its name.
        weights: Keys of the configuration and what they become.
        remarks: What of it is left out, and what it says nothing of.
    """

    name: str
    weights: Mapping[str, Any]
    remarks: tuple[str, ...] = ()

    @property
    def overrides(self) -> list[str]:
        """The weights as Hydra's overrides."""
        return [f"{key}={literal(value)}" for key, value in self.weights.items()]

    def __str__(self) -> str:
        return f"recipe {self.name}: {'; '.join((*self.overrides, *self.remarks))}"


def convert(name: str, cfg: DictConfig, n_atoms: float | None) -> Recipe:
    """The recipe that a configuration holds, for its loss.

    Args:
        name: What it is called.
        cfg: The checked configuration with the recipe as its ``recipe``.
        n_atoms: Mean number of atoms in the training set; None if it is not known here.

    Raises:
        InputError: if the loss has fewer than two terms of the recipe, a weight in it is not above
            0 and finite, or the number of atoms is needed and not known.
    """
    recipe: Any = OmegaConf.to_container(cfg.recipe, resolve=True)
    early, final = (
        {base: _entry(f"recipe.{part}.{base}", entry) for base, entry in recipe[part].items()}
        for part in ("weights", "final")
    )
    weights = weight_keys(cfg)
    n_stages = len(cfg.train_schedule)
    facts = {"atoms": n_atoms, "coefficients": _n_coefficients(cfg)}
    last = max(weight.stage for weight in weights.values())
    is_shared = all(stage.loss is None for stage in cfg.train_schedule.values())
    found: dict[str, Any] = {}
    for stage in dict.fromkeys(weight.stage for weight in weights.values()):
        of_stage = {key: weight for key, weight in weights.items() if weight.stage == stage}
        is_final = bool(final) and n_stages > 1 and stage == last and not is_shared
        terms = {key: weight.term for key, weight in of_stage.items()}
        values = _converted(name, final if is_final else early, terms, facts)
        scale = _scale(values, {key: w.value for key, w in of_stage.items()}, terms, cfg)
        found |= {key: value * scale for key, value in values.items()}
    if final and n_stages > 1 and is_shared:
        terms = {key: weight.term for key, weight in weights.items()}
        values = _converted(name, final, terms, facts)
        scale = _scale(values, {key: w.value for key, w in weights.items()}, terms, cfg)
        loss: Any = OmegaConf.to_container(cfg.loss, resolve=True)
        for key, value in values.items():
            loss[terms[key]] = _with_weight(loss[terms[key]], value * scale)
        found[f"train_schedule.{n_stages - 1}.loss"] = loss
    return Recipe(name, found, _remarks(early, final, weights, found, n_stages))


def apply_recipe(cfg: DictConfig, n_atoms: float | None) -> Recipe:
    """Give a configuration the weights of the recipe in it, which is empty then.

    Raises:
        InputError: as :func:`convert`.
    """
    found = convert(cfg.recipe.name or "of the configuration", cfg, n_atoms)
    for key, value in found.weights.items():
        OmegaConf.update(cfg, key, value)
    for part in ("weights", "final"):
        cfg.recipe[part] = {}
    return found


def _entry(where: str, entry: Mapping[str, float]) -> Mapping[str, float]:
    weight = entry["weight"]
    if not (math.isfinite(weight) and weight > 0):
        raise InputError(f"{where}.weight: must be finite and above 0; got {weight}")
    return entry


def _base(term: str) -> str:
    return term.removesuffix(_HUBER).removesuffix(_PER_ATOM)


def _converted(
    name: str,
    entries: Mapping[str, Mapping[str, float]],
    terms: Mapping[str, str],
    facts: Mapping[str, float | None],
) -> dict[str, float]:
    """Weight of each term that the recipe knows, by its key, at the recipe's scale."""
    by_base = {_base(term): (term, entry) for term, entry in entries.items()}
    found = {}
    for key, term in terms.items():
        if _base(term) not in by_base:
            continue
        of, entry = by_base[_base(term)]
        # An error per atom is the error over the number of atoms: its square has it twice.
        powers = {
            "atoms": entry["atoms"] + 2 * ((_PER_ATOM in term) - (_PER_ATOM in of)),
            "coefficients": entry["coefficients"],
        }
        value = entry["weight"]
        for fact, power in powers.items():
            if not power:
                continue
            number = facts[fact]
            if number is None:
                raise InputError(
                    f"recipe {name}: its weight of {term} depends on the number of atoms, which is "
                    "not known of data that another program reads"
                )
            value *= number**power
        found[key] = value
    if len(found) < 2:
        raise InputError(
            f"recipe {name}: weighs {', '.join(entries)}, of which the loss needs at least two; "
            f"it has {', '.join(dict.fromkeys(terms.values()))}"
        )
    return found


def _scale(
    values: Mapping[str, float],
    configured: Mapping[str, float],
    terms: Mapping[str, str],
    cfg: DictConfig,
) -> float:
    """What makes the reference keep its weight."""
    wanted = (cfg.search.reference, "forces", "forces_huber")
    key = next((k for name in wanted for k in values if terms[k] == name), next(iter(values)))
    return configured[key] / values[key]


def _n_coefficients(cfg: DictConfig) -> float:
    """Coefficients of the multipoles of an atom, over which their term is a mean."""
    if trainer_kind(cfg).is_program:
        return 1.0
    return float((model_settings(cfg).multipoles_max_l + 1) ** 2)


def _with_weight(entry: Any, weight: float) -> Any:
    return {**entry, "weight": weight} if isinstance(entry, Mapping) else weight


def _remarks(
    early: Mapping[str, Any],
    final: Mapping[str, Any],
    weights: Mapping[str, Any],
    found: Mapping[str, Any],
    n_stages: int,
) -> tuple[str, ...]:
    here = list(dict.fromkeys(weight.term for weight in weights.values()))
    gone = [term for term in early if _base(term) not in map(_base, here)]
    kept = list(dict.fromkeys(w.term for key, w in weights.items() if key not in found))
    remarks = []
    if gone:
        verb = "is" if len(gone) == 1 else "are"
        remarks.append(f"its {joined(gone)} {verb} left out, as the loss has no such term")
    if kept:
        remarks.append(f"it says nothing of {joined(kept)}, whose weights stay")
    if final and n_stages == 1:
        remarks.append("its weights of the end are left out, as the schedule has one stage")
    return tuple(remarks)
