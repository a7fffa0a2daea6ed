"""What nearly every term is: a weighted mean of squared differences.

Such a term only says what is squared; :func:`losses.mean_squares.mean_squares` evaluates those of
all terms together. Imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class Squares(NamedTuple):
    """The value ``mean(weight * (prediction - reference)**2)``.

    The mean runs over all elements of ``prediction``, masked ones included.

    Attributes:
        prediction: ``[n, c]``.
        reference: ``[n, c]``, or ``None`` for zero.
        weight: ``[n, 1]`` or ``[n, c]``; treated as a constant, no gradient flows into it.
    """

    prediction: Tensor
    reference: Tensor | None
    weight: Tensor
