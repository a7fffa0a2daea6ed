"""What a loss term is, and the registry that knows every one of them. Imports no torch."""

from __future__ import annotations

import difflib
import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from numbers import Real
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

    from losses.squares import Squares

Option: TypeAlias = bool | float | str
TermFunction: TypeAlias = "Callable[..., Tensor | Squares]"

MACE: Final = frozenset({"mace"})
CHARGE_AWARE: Final = frozenset({"local_charges", "fixed_point", "polar"})
ALL_FAMILIES: Final = MACE | CHARGE_AWARE


class LossError(ValueError):
    """A term, a weight, an option or an input is wrong; the message is one line."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return the hint that ends an error message: the nearest valid name and all of them."""
    names = sorted(valid)
    matches = difflib.get_close_matches(name, names, n=1)
    guess = f"did you mean {matches[0]!r}? " if matches else ""
    return f"{guess}valid: {', '.join(names) if names else 'none'}"


class Needs(NamedTuple):
    """What a term needs with one value of a text option; see the same names of `Term`."""

    labels: tuple[str, ...]
    outputs: tuple[str, ...]
    mask: str | None


@dataclass(frozen=True)
class Term:
    """One registered loss term.

    Attributes:
        name: the name that configurations use.
        function: computes the raw value from the shared quantities of a batch and the options.
        labels: keys of ``ref`` that hold the labels it compares with.
        outputs: keys of ``pred`` that the model must return.
        mask: key of ``ref`` with the per-property weight that hides missing labels; ``None`` for
            a term that has no mask, so that a missing label (stored as zero) would be fitted.
        families: kinds of model on which the term can be trained.
        unit: unit of the raw value.
        options: names and defaults of the options.
        positive: the options that must be larger than zero.
        choices: text option -> its valid values beside the default.
        variants: text option -> value -> what the term needs instead; these values are valid, too.
        description: first line of the function's docstring.
    """

    name: str
    function: TermFunction
    labels: tuple[str, ...]
    outputs: tuple[str, ...]
    mask: str | None
    families: frozenset[str]
    unit: str
    options: Mapping[str, Option]
    positive: frozenset[str]
    choices: Mapping[str, tuple[str, ...]]
    variants: Mapping[str, Mapping[str, Needs]]
    description: str

    def variant(self, options: Mapping[str, object]) -> Term:
        """Return the term as it is with these options: with the labels that it then needs.

        Args:
            options: checked options; others than the text options do not matter.
        """
        for option, values in self.variants.items():
            needs = values.get(str(options.get(option)))
            if needs is not None:
                return replace(self, **needs._asdict())
        return self

    def check(self, given: Mapping[str, object]) -> dict[str, Option]:
        """Return the full set of options: the defaults, replaced by the checked ``given`` ones.

        The only check of options: of a loss and of a configuration.

        Raises:
            LossError: if an option is unknown, of another type than its default, not finite, or
                not positive where it must be.
        """
        resolved = dict(self.options)
        for option, value in given.items():
            if option not in self.options:
                hint = nearest(option, self.options) if self.options else "the term has none"
                raise LossError(f"term {self.name!r} has no option {option!r}; {hint}")
            resolved[option] = self._checked(option, value)
        return resolved

    def texts(self, option: str) -> tuple[str, ...]:
        """Return the valid values of a text option, the default first."""
        more = (*self.choices.get(option, ()), *self.variants.get(option, ()))
        return tuple(dict.fromkeys((str(self.options[option]), *more)))

    def _checked(self, option: str, value: object) -> Option:
        where = f"option {option!r} of term {self.name!r}"
        default = self.options[option]
        if isinstance(default, bool):
            if not isinstance(value, bool):
                raise LossError(f"{where} must be true or false, got {value!r}")
            return value
        if isinstance(default, str):
            if not isinstance(value, str):
                raise LossError(f"{where} must be a text, got {value!r}")
            valid = self.texts(option)
            if value not in valid:
                raise LossError(f"{where} must not be {value!r}; {nearest(value, valid)}")
            return value
        if isinstance(value, bool) or not isinstance(value, Real):
            raise LossError(f"{where} must be a number, got {value!r}")
        if not math.isfinite(value):
            raise LossError(f"{where} must be finite, got {value!r}")
        if option in self.positive and value <= 0:
            raise LossError(f"{where} must be larger than 0, got {value!r}")
        return float(value)


_REGISTRY: dict[str, Term] = {}


def register(
    name: str,
    *,
    outputs: tuple[str, ...],
    unit: str,
    labels: tuple[str, ...] = (),
    mask: str | None = None,
    families: frozenset[str] = CHARGE_AWARE,
    positive: tuple[str, ...] = (),
    choices: Mapping[str, tuple[str, ...]] | None = None,
    variants: Mapping[str, Mapping[str, Needs]] | None = None,
) -> Callable[[TermFunction], TermFunction]:
    """Make a function a loss term.

    The function takes the batch's :class:`~losses.batch.Quantities` and returns either
    :class:`~losses.squares.Squares` (a weighted mean of squares, evaluated together with those of
    all other terms) or a scalar tensor. Its keyword-only arguments are the term's options; their
    defaults fix the type: bool, str or float. The valid values of a text are its default and those
    of ``choices`` and ``variants``. The names in ``positive`` are numbers above 0.

    Raises:
        LossError: if the name is taken or an option has no usable default.
    """

    def decorate(function: TermFunction) -> TermFunction:
        if name in _REGISTRY:
            taken = _REGISTRY[name].function
            raise LossError(f"term {name!r} is registered already, by {taken.__module__}")
        options = _options(name, function)
        for kind, of, named in (
            ("positive", float, positive), ("text", str, (*(choices or {}), *(variants or {}))),
        ):  # fmt: skip
            for option in named:
                if option not in options:
                    raise LossError(
                        f"term {name!r}: {kind} option {option!r}: {nearest(option, options)}"
                    )
                if not isinstance(options[option], of):
                    raise LossError(
                        f"term {name!r}: {kind} option {option!r} has the default "
                        f"{options[option]!r}"
                    )
        description = (inspect.getdoc(function) or "").partition("\n")[0]
        _REGISTRY[name] = Term(
            name=name,
            function=function,
            labels=labels,
            outputs=outputs,
            mask=mask,
            families=families,
            unit=unit,
            options=MappingProxyType(options),
            positive=frozenset(positive),
            choices=MappingProxyType(dict(choices or {})),
            variants=MappingProxyType(dict(variants or {})),
            description=description,
        )
        return function

    return decorate


def _options(name: str, function: TermFunction) -> dict[str, Option]:
    options: dict[str, Option] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        if parameter.name == "weight":
            raise LossError(f"term {name!r}: 'weight' cannot be an option, it is the term's weight")
        default = parameter.default
        if not isinstance(default, (bool, int, float, str)):
            raise LossError(
                f"term {name!r}: option {parameter.name!r} needs a default that is a bool, "
                f"a number or a text"
            )
        keep = isinstance(default, (bool, str))
        options[parameter.name] = default if keep else float(default)
    return options


def names() -> tuple[str, ...]:
    """Return the names of all registered terms, sorted."""
    return tuple(sorted(_REGISTRY))


def get(name: str) -> Term:
    """Return a registered term.

    Raises:
        LossError: if there is no term of that name; the message gives the nearest and all names.
    """
    if name not in _REGISTRY:
        raise LossError(f"unknown loss term {name!r}; {nearest(str(name), _REGISTRY)}")
    return _REGISTRY[name]


def discover() -> None:
    """Import every module of ``losses.terms``, so that a new file is all that a new term needs."""
    package = importlib.import_module("losses.terms")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
