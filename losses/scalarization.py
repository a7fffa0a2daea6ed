"""Published ways to make one number of many losses, as weights that follow the training.

Those of TorchJD (``torchjd.scalarization``, the optional extra ``torchjd``) where it has them. The
weight of a term is the derivative of that number by the term's value, so the gradient that trains
is the one of the number itself. Nothing here waits for the device.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from losses.base import LossError
from losses.weighting import Weighting, descend

__all__ = ["DWA", "FAMO", "IMTLL", "STCH", "GeometricMean", "Scalarization", "Uncertainty"]


class Scalarization(Weighting):
    """Base: one number made of all values, each in units of its first one above zero.

    So units do not matter. A term whose value was never above zero, or is not in this batch, has
    weight 0 and counts as 1 in the number. What is learned is learned anew for every set of terms:
    a stage with other terms begins anew.

    Args:
        names: The terms of all stages.
        device: Where the values are.

    Raises:
        LossError: if TorchJD is needed and not installed, or an option is out of range.
    """

    first: Tensor

    def __init__(self, *, names: Sequence[str], device: torch.device | str | None = None) -> None:
        super().__init__(names)
        zeros = torch.zeros(len(self.names), dtype=torch.float64, device=device)
        self.register_buffer("first", zeros)
        self._numbers: dict[tuple[str, ...], Any] = {}
        self._current: tuple[str, ...] = ()
        self._rows: dict[tuple[str, ...], Tensor] = {}

    def _backward(self, values: Mapping[str, Tensor], parameters: Iterable[Tensor]) -> Tensor:
        self._current = tuple(values)
        relative, valid, unit = self._relative(values)
        relative.requires_grad_()
        slope = self._slope(self._number(self._current), relative)
        return descend(values, torch.where(valid, slope / unit, 0.0))

    def _relative(self, values: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Values in their units, which of them count, and the units; shape ``[n_terms]`` each."""
        names = tuple(values)
        if names not in self._rows:
            places = [self.names.index(name) for name in names]
            self._rows[names] = torch.tensor(places, device=self.first.device)
        rows = self._rows[names]
        now = torch.stack([value.detach() for value in values.values()]).double()
        valid = torch.isfinite(now) & (now > 0)
        first = self.first[rows]
        first = torch.where((first == 0) & valid, now, first)
        self.first[rows] = first
        unit = torch.where(first > 0, first, 1.0)
        return torch.where(valid, now / unit, 1.0), valid, unit

    def _number(self, names: tuple[str, ...]) -> Any:
        if names not in self._numbers:
            self._numbers[names] = self._make(len(names))
        return self._numbers[names]

    def _make(self, n_terms: int) -> Any:
        """What makes the number of so many values."""
        raise NotImplementedError

    def _slope(self, number: Any, values: Tensor) -> Tensor:
        """Derivative of the number by every value; what is learned takes its step."""
        (slope,) = torch.autograd.grad(number(values), values)
        return slope

    def get_extra_state(self) -> dict[str, Any]:
        """Part of ``state_dict()``: tensors and plain values."""
        learned = [[list(names), self._learned(of)] for names, of in self._numbers.items()]
        return {"current": list(self._current), "learned": learned}

    def set_extra_state(self, state: Mapping[str, Any]) -> None:
        """See :meth:`get_extra_state`."""
        self._current = tuple(state["current"])
        self._numbers = {}
        for names, learned in copy.deepcopy(state["learned"]):
            self._learn(self._number(tuple(names)), learned)

    def _learned(self, number: Any) -> Any:
        """Everything that the next step depends on."""
        return None

    def _learn(self, number: Any, learned: Any) -> None:
        """Go on from :meth:`_learned`."""


class GeometricMean(Scalarization):
    """``(prod_k raw_k)^(1/K)``: Chennupati et al., MultiNet++, CVPRW 2019.

    Our own, because that of TorchJD reads on the host whether a value is negative.
    """

    def _make(self, n_terms: int) -> Any:
        return lambda values: values.log().mean().exp()


class STCH(Scalarization):
    """Smooth Tchebycheff, a soft maximum of the values: Lin et al., arXiv 2402.19078.

    Args:
        mu: Its smoothness, in units of the values' share of the first total.
        names: The terms of all stages.
        device: Where the values are.
    """

    def __init__(
        self, *, names: Sequence[str], mu: float = 0.01, device: torch.device | str | None = None
    ) -> None:
        super().__init__(names=names, device=device)
        _check("mu", mu)
        self._mu, self._make_one = mu, _torchjd().STCH

    def _make(self, n_terms: int) -> Any:
        return self._make_one(self._mu)


class DWA(Scalarization):
    """Dynamic weight average: what fell least from one period to the next counts more.

    Liu et al., arXiv 1803.10704, where a period is an epoch.

    Args:
        names: The terms of all stages.
        temperature: Larger values make the weights more equal.
        interval: Steps in a period, whose mean values are compared.
        device: Where the values are.
    """

    def __init__(
        self,
        *,
        names: Sequence[str],
        temperature: float = 2.0,
        interval: int = 20,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__(names=names, device=device)
        _check("temperature", temperature)
        _check("interval", interval)
        self._temperature, self._interval, self._make_one = temperature, interval, _torchjd().DWA

    def _make(self, n_terms: int) -> Any:
        return self._make_one(self._temperature)

    def _slope(self, number: Any, values: Tensor) -> Tensor:
        slope = super()._slope(number, values)
        if number._n_batches == self._interval:
            number.step()
        return slope

    def _learned(self, number: Any) -> Any:
        return {key: getattr(number, key) for key in _DWA_STATE}

    def _learn(self, number: Any, learned: Any) -> None:
        for key in _DWA_STATE:
            setattr(number, key, learned[key])


_DWA_STATE = ("_loss_sum", "_n_batches", "_previous_averages")  # TorchJD does not give its state


class _Learning(Scalarization):
    """Base of numbers whose parameters an optimiser of their own learns.

    Args:
        names: The terms of all stages.
        lr: Learning rate of the parameters.
        device: Where the values are.
    """

    kind: ClassVar[str]  # in torchjd.scalarization

    def __init__(
        self, *, names: Sequence[str], lr: float = 0.025, device: torch.device | str | None = None
    ) -> None:
        super().__init__(names=names, device=device)
        _check("lr", lr)
        self._lr, self._make_one = lr, getattr(_torchjd(), self.kind)

    def _make(self, n_terms: int) -> Any:
        number = self._make_one(n_terms).to(device=self.first.device, dtype=torch.float64)
        number.optimizer = torch.optim.Adam(number.parameters(), lr=self._lr)
        return number

    def _slope(self, number: Any, values: Tensor) -> Tensor:
        parameters = list(number.parameters())
        slope, *gradients = torch.autograd.grad(number(values), [values, *parameters])
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        number.optimizer.step()
        return slope

    def _learned(self, number: Any) -> Any:
        return {"number": number.state_dict(), "optimizer": number.optimizer.state_dict()}

    def _learn(self, number: Any, learned: Any) -> None:
        number.load_state_dict(learned["number"])
        _load(number.optimizer, learned["optimizer"])


class Uncertainty(_Learning):
    """Uncertainty weighting, ``sum_k exp(-s_k) raw_k / 2 + s_k / 2`` with s learned.

    Kendall et al., arXiv 1705.07115.
    """

    kind = "UW"


class IMTLL(_Learning):
    """``sum_k exp(s_k) raw_k - s_k`` with s learned: IMTL-L of Liu et al., ICLR 2021."""

    kind = "IMTLL"


class FAMO(_Learning):
    """All logarithms of the values fall alike: Liu et al., arXiv 2306.03792.

    Looks at every batch again after the step: call :meth:`look_again`.
    """

    kind = "FAMO"
    needs_second_look = True

    def _make(self, n_terms: int) -> Any:
        number = self._make_one(n_terms, lr=self._lr)
        return number.to(device=self.first.device, dtype=torch.float64)

    def _slope(self, number: Any, values: Tensor) -> Tensor:
        return Scalarization._slope(self, number, values)

    def look_again(self, values: Mapping[str, Tensor]) -> None:
        """Take in the raw values of the same batch after the step."""
        relative, *_ = self._relative(values)
        self._number(tuple(values)).update(relative)

    def _learned(self, number: Any) -> Any:
        own = number._optimizer  # made in the first update
        return {
            "number": number.state_dict(),
            "optimizer": None if own is None else own.state_dict(),
        }

    def _learn(self, number: Any, learned: Any) -> None:
        number.load_state_dict(learned["number"])
        if learned["optimizer"] is not None:
            number._optimizer = torch.optim.Adam(
                [number._w], lr=number.lr, weight_decay=number.weight_decay
            )
            _load(number._optimizer, learned["optimizer"])


def _load(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    optimizer.load_state_dict(state)
    for of in optimizer.state.values():
        of["step"] = of["step"].cpu()  # where it is made; elsewhere every step would wait for it


def _torchjd() -> Any:
    try:
        from torchjd import scalarization
    except ImportError as error:
        raise LossError(
            "this weighting is one of torchjd, which is not installed: "
            "pip install 'mace-loss-sweep[torchjd]'"
        ) from error
    return scalarization


def _check(name: str, value: float) -> None:
    if not value > 0:
        raise LossError(f"{name} must be above 0, got {value!r}")
