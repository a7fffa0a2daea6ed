"""What the switch to a stage with other weights does to the first steps of the optimiser.

Adam divides its steps by the size of the gradients that it remembers. Where a stage begins whose
gradients are larger than those before it, its first steps are too long until the memory has caught
up, and the training can lose in a few steps what it had learned (mace's pull request 1707 is one
report of it).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from losses.balance import GradientBalance
from sweep.config.schema import TrainerConfig
from sweep.config.stages import Stage

__all__ = ["LONG_STEPS", "Switch", "lengthening", "total_norm"]

LONG_STEPS = 1.5
"""Steps that are so many times as long as the last ones of the stage before undo what it learned:
measured in ``docs/training.md``."""

_N_STEPS = 100  # the memory of the mean gradient is 10 steps long


@dataclass(frozen=True)
class Switch:
    """The beginning of a stage against the end of the one before, at the same parameters.

    Attributes:
        stage: Name of the stage.
        epoch: Its first epoch.
        gradient: Norm of the loss's gradient, new over old.
        steps: Length of the longest of the first steps over that of the last ones before, as
            :func:`lengthening` expects it, with the learning rates.
    """

    stage: str
    epoch: int
    gradient: float
    steps: float

    @classmethod
    def between(
        cls,
        before: GradientBalance,
        after: GradientBalance,
        *,
        stage: Stage,
        lr: float,
        trainer: TrainerConfig,
    ) -> Switch:
        """The switch from gradients that were measured; NaN where there was none before.

        Args:
            before: With the loss of the stage that ended.
            after: Of the stage that begins, at the same parameters and on the same batch.
            stage: The stage that begins.
            lr: Learning rate of the last step.
            trainer: Clips gradients, and has the decays of the optimiser's means.
        """
        old, new = total_norm(before), total_norm(after)
        if not old > 0.0:
            return cls(stage.name, stage.start, math.nan, math.nan)
        limit = math.inf if trainer.clip_grad is None else trainer.clip_grad
        if trainer.clip_median is not None:
            limit = min(limit, trainer.clip_median * old)
        longer = lengthening(min(new, limit) / min(old, limit), trainer.beta, trainer.beta_two)
        return cls(stage.name, stage.start, new / old, stage.lr / lr * longer)

    @property
    def is_jump(self) -> bool:
        """Whether the first steps can undo what was learned."""
        return self.steps > LONG_STEPS

    @property
    def remark(self) -> str:
        """A sentence for the user."""
        return (
            f"epoch {self.epoch}: stage {self.stage} begins with a gradient {self.gradient:.3g} "
            f"times as large as before, its first steps are about {self.steps:.2g} times as long: "
            "errors can jump; a smaller lr of this stage, or weights of it on the scale of those "
            "before, avoid that"
        )

    def as_dict(self) -> dict[str, Any]:
        """As ``trial.json`` holds it."""
        return asdict(self) | {"is_jump": self.is_jump}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Switch:
        """From what :meth:`as_dict` made."""
        return cls(**{name: content[name] for name in ("stage", "epoch", "gradient", "steps")})


def lengthening(ratio: float, beta: float, beta_two: float) -> float:
    r"""How much longer steps of Adam get when gradients are suddenly so many times as large.

    The largest, over the number of steps :math:`k`, of :math:`m_k / \sqrt{v_k}` with
    :math:`m_k = \beta_1^k + (1 - \beta_1^k) R` and :math:`v_k = \beta_2^k + (1 - \beta_2^k) R^2`:
    Adam's means of constant gradients of size 1 before and :math:`R` after the switch (Kingma and
    Ba, arXiv:1412.6980), bias corrections left out. 1 where gradients do not grow.

    Args:
        ratio: Norm of the gradient after the switch over that before, both clipped.
        beta: Decay of the mean gradient.
        beta_two: Decay of the mean squared gradient.
    """
    if ratio <= 1.0:
        return 1.0
    k = np.arange(_N_STEPS + 1)
    first, second = beta**k, beta_two**k
    mean = first + (1.0 - first) * ratio
    return float(np.max(mean / np.sqrt(second + (1.0 - second) * ratio**2)))


def total_norm(found: GradientBalance) -> float:
    """Norm of the gradient of the sum of all terms."""
    norms, cosine = found.weighted.double(), found.cosine.double()
    return float((norms @ cosine @ norms).clamp(min=0.0).sqrt())
