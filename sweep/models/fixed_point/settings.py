"""Settings of the family `fixed_point` and the options of its stages. No torch here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from sweep.errors import InputError, unknown
from sweep.models.settings import SourcesConfig, at_least, one_of, positive

__all__ = ["FixedPointConfig", "FixedPointOptions", "ScfOptions", "fixed_point_options"]

MODES = ("direct", "unroll_scf")
"""MACE_SCF has `implicit` and `linearize_solve` too: other ways to the same gradient as a long
`unroll_scf`."""


@dataclass
class FixedPointConfig(SourcesConfig):
    """Settings of the family `fixed_point`; the field part carries the names of MACE_SCF."""

    family: str = "fixed_point"
    field_feature_max_l: int = 1
    field_feature_widths: list[float] = field(default_factory=lambda: [1.0, 2.0])
    field_feature_norms: Any = "average"
    include_field_si: bool = False
    include_local_electron_energy: bool = True
    fermi_level_offset: float | None = None

    def check(self) -> None:
        """See `BackboneConfig.check`."""
        super().check()
        one_of("field_feature_max_l", self.field_feature_max_l, (0, 1))
        at_least("field_feature_widths (their number)", len(self.field_feature_widths), 1)
        for width in self.field_feature_widths:
            positive("field_feature_widths", width)
        norms = self.field_feature_norms
        count = len(self.field_feature_widths) * (self.field_feature_max_l + 1)
        given = isinstance(norms, list) and len(norms) == count and all(map(_is_number, norms))
        if not (norms in (None, "average") or given):
            raise InputError(
                f"model.field_feature_norms: got {norms!r}; valid: null, average, or {count} "
                "numbers: one for each width with l = 0, then with l = 1"
            )
        for norm in norms if given else ():
            positive("field_feature_norms", norm)
        offset = self.fermi_level_offset
        if offset is not None and not math.isfinite(offset):
            raise InputError(f"model.fermi_level_offset: got {offset}; must be finite or null")

    def stage_arguments(self, key: str, stage: Mapping[str, Any]) -> dict[str, Any]:
        """The option `fixed_point` of the model's call; see `BackboneConfig.stage_arguments`."""
        given = stage.get("fixed_point_training_options")
        name = f"{key}.fixed_point_training_options"
        if given is None:
            raise InputError(
                f"{name}: a fixed_point model needs it, as in {{mode: direct}} or "
                "{mode: unroll_scf, scf: {num_scf_steps: 10, mixing_parameter: 0.3}}"
            )
        return {"fixed_point": fixed_point_options(name, given)}


@dataclass(frozen=True)
class ScfOptions:
    """How a self-consistent density is sought; names and defaults are those of MACE_SCF.

    Attributes:
        num_scf_steps: number of updates of the density.
        mixing_parameter: fraction of each update that is taken.
        scf_tolerance: a configuration is converged, and stays as it is, once the mean absolute
            change of its multipoles in a step is below this, e·Å^l.
        constant_charge: the total charge is given and the Fermi level solved for, or the reverse.
        initial_density: `local_guess`, the density without a field, or `from_data`, the labels.
        initial_fermi_level: `from_data`, the label, or `zero`; read at a constant Fermi level. At
            constant charge no first guess is needed: the level of every step is exact.
        use_autograd_forces: forces are those of the whole iteration; nothing else is offered.
    """

    num_scf_steps: int
    mixing_parameter: float
    scf_tolerance: float = 1e-6
    constant_charge: bool = True
    initial_density: str = "local_guess"
    initial_fermi_level: str = "from_data"
    use_autograd_forces: bool = True


@dataclass(frozen=True)
class FixedPointOptions:
    """What a fixed-point model does in a stage.

    Attributes:
        scf: None for one update from the reference density and the reference Fermi level
            (`mode: direct`), else how to iterate (`mode: unroll_scf`).
    """

    scf: ScfOptions | None = None


def fixed_point_options(key: str, given: Any) -> FixedPointOptions:
    """Check `fixed_point_training_options` of a stage.

    Args:
        key: its name in error messages.
        given: its content.

    Raises:
        InputError: naming the key, what arrived and what is valid.
    """
    if not isinstance(given, Mapping):
        raise InputError(f"{key}: must be a mapping such as {{mode: direct}}; got {given!r}")
    for name in given:
        if name in _NAMES:
            raise InputError(f"{key}.{name}: belongs one level deeper, to {key}.scf.{name}")
        if name not in ("mode", "scf"):
            raise InputError(unknown("key", str(name), ("mode", "scf"), where=key))
    mode, scf = given.get("mode"), given.get("scf")
    if mode not in MODES:
        raise InputError(unknown("mode", str(mode), MODES, where=f"{key}.mode"))
    if mode == "direct":
        if scf is not None:
            raise InputError(f"{key}.scf: only for mode unroll_scf; the mode is direct")
        return FixedPointOptions()
    if not isinstance(scf, Mapping):
        raise InputError(
            f"{key}.scf: mode unroll_scf needs it, as in "
            f"{{num_scf_steps: 10, mixing_parameter: 0.3}}; got {scf!r}"
        )
    return FixedPointOptions(_scf_options(f"{key}.scf", scf))


def _scf_options(key: str, given: Mapping[str, Any]) -> ScfOptions:
    for name in given:
        if name not in _NAMES:
            raise InputError(unknown("key", str(name), _NAMES, where=key))
    for name in ("num_scf_steps", "mixing_parameter"):
        if given.get(name) is None:
            raise InputError(f"{key}.{name}: no value given; it has no default")
    scf = ScfOptions(**given)
    steps = scf.num_scf_steps
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise InputError(f"{key}.num_scf_steps: must be a whole number of at least 1; got {steps}")
    mixing = scf.mixing_parameter
    if not (_is_number(mixing) and 0 < mixing <= 1):
        raise InputError(f"{key}.mixing_parameter: must be above 0 and at most 1; got {mixing}")
    tolerance = scf.scf_tolerance
    if not (_is_number(tolerance) and 0 < tolerance < math.inf):
        raise InputError(f"{key}.scf_tolerance: must be positive and finite; got {tolerance}")
    for name, valid in _CHOICES.items():
        value = getattr(scf, name)
        if value not in valid or type(value) is not type(valid[0]):
            shown = [str(choice).lower() for choice in valid]
            raise InputError(unknown("value", str(value).lower(), shown, where=f"{key}.{name}"))
    return scf


_NAMES = tuple(option.name for option in fields(ScfOptions))
_CHOICES: dict[str, tuple[bool | str, ...]] = {
    "constant_charge": (True, False),
    "initial_density": ("local_guess", "from_data"),
    "initial_fermi_level": ("from_data", "zero"),
    "use_autograd_forces": (True,),
}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
