"""Numbers as people read them: three digits, percentages, changes, ranges."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = [
    "above",
    "change",
    "count",
    "joined",
    "number",
    "percent",
    "percent_range",
    "sentence",
    "signed",
    "with_change",
]

_ALL_DIGITS = 17  # that tell any two numbers apart
_WORDS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five"}


def number(value: float, digits: int = 3) -> str:
    """A number with that many digits, without an exponent where it stays readable."""
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    rounded = f"{value:.{digits - 1}e}"
    magnitude = int(rounded.partition("e")[2])
    if not -4 <= magnitude < 6:
        return rounded
    return f"{value:.{max(0, digits - 1 - magnitude)}f}"


def above(value: float, limit: float, digits: int = 3) -> str:
    """A number above a limit, with as many more digits as show that it is: ``1.0004``."""
    texts = (number(value, n) for n in range(digits, _ALL_DIGITS + 1))
    return next((text for text in texts if float(text) > limit), repr(value))


def percent(share: float) -> str:
    """A share: ``83 %``, ``2.4 %``, ``0.3 %``, ``<0.1 %``."""
    value = 100 * share
    if 0 < value < 0.1:
        return "<0.1 %"
    return f"{value:.1f} %" if 0 < value < 9.95 else f"{value:.0f} %"


def percent_range(low: float, high: float) -> str:
    """A range of shares: ``20 to 35 %``."""
    first, last = percent(low), percent(high)
    return last if first == last else f"{first.removesuffix(' %')} to {last}"


def change(value: float) -> str:
    """A relative change with its sign: ``−12 %``, ``+0.4 %``."""
    magnitude = percent(abs(value))
    if magnitude in ("0 %", "<0.1 %"):
        return "±0 %"
    return f"{'−' if value < 0 else '+'}{magnitude}"


def with_change(text: str, ratio: float | None, *, narrow: bool = False) -> str:
    """A value and its relative change: ``40.0 (−20 %)``; the value alone without one.

    Args:
        text: The value.
        ratio: Its change; None or NaN: not known.
        narrow: ``40.0 −20%``, for tables of many columns.
    """
    if ratio is None or math.isnan(ratio):
        return text
    return f"{text} {change(ratio).replace(' ', '')}" if narrow else f"{text} ({change(ratio)})"


def count(n: int, noun: str) -> str:
    """``one trial``, ``five trials``, ``12 trials``."""
    return f"{_WORDS.get(n, str(n))} {noun}{'' if n == 1 else 's'}"


def joined(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def signed(value: float) -> str:
    """A number with two decimals and a true minus sign."""
    return f"{value:.2f}".replace("-", "−")


def sentence(text: str) -> str:
    """The text with a capital letter at its beginning."""
    return text[:1].upper() + text[1:]
