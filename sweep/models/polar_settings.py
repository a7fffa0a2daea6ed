"""Settings of the family `polar`. No torch here."""

from __future__ import annotations

from dataclasses import dataclass, field

from sweep.errors import InputError
from sweep.models.settings import ChargesConfig, at_least, one_of, positive

__all__ = ["PolarConfig"]


@dataclass
class PolarConfig(ChargesConfig):
    """Settings of the family `polar`; names are those of `mace_run_train --model PolarMACE`."""

    family: str = "polar"
    field_feature_max_l: int = 1
    field_feature_widths: list[float] = field(default_factory=lambda: [1.0])
    field_feature_norms: list[float] | None = None
    field_norm_factor: float = 0.02
    field_si: bool = False
    num_recursion_steps: int = 1
    add_local_electron_energy: bool = True

    def check(self) -> None:
        """See `BackboneConfig.check`."""
        super().check()
        one_of("field_feature_max_l", self.field_feature_max_l, (0, 1))
        at_least("num_recursion_steps", self.num_recursion_steps, 1)
        at_least("field_feature_widths (their number)", len(self.field_feature_widths), 1)
        positive("field_norm_factor", self.field_norm_factor)
        for width in self.field_feature_widths:
            positive("field_feature_widths", width)
        norms = self.field_feature_norms
        count = len(self.field_feature_widths) * (self.field_feature_max_l + 1)
        if norms is not None:
            if len(norms) != count:
                raise InputError(
                    f"model.field_feature_norms: got {len(norms)} numbers; must be null or "
                    f"{count}: one for each width with l = 0, then with l = 1"
                )
            for norm in norms:
                positive("field_feature_norms", norm)
        if self.max_ell < 2:
            raise InputError(
                f"model.max_ell: got {self.max_ell}; must be at least 2 for PolarMACE's updates"
            )
