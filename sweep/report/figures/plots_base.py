"""What the page's figures share: plain dictionaries that plotly.js draws in the browser.

Names come from configurations, and plotly reads HTML tags in labels, so every name passes through
:func:`plain`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

__all__ = [
    "Spec", "as_json", "as_list", "axis", "log_axis", "make_layout", "plain", "vertical",
]  # fmt: skip

Spec = dict[str, Any]

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"


def plain(text: object) -> str:
    """Text that plotly shows as it is."""
    escaped = str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace("\n", " ")


def make_layout(*, height: int) -> dict[str, Any]:
    """The layout that all figures have in common; the height is in pixels."""
    return {
        "height": height, "autosize": True, "paper_bgcolor": "white", "plot_bgcolor": "white",
        "font": {"family": _FONT, "size": 12, "color": "#222"},
        "margin": {"l": 10, "r": 16, "t": 36, "b": 10}, "hoverlabel": {"font": {"size": 12}},
    }  # fmt: skip


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis with our looks; ``more`` are plotly's own keys."""
    return {
        "title": {"text": title, "font": {"size": 12}}, "automargin": True, "gridcolor": "#e5e5e5",
        "zeroline": more.pop("zeroline", False) or "zerolinecolor" in more, "linecolor": "#999",
        "ticks": "outside", "ticklen": 3, "tickcolor": "#999", **more,
    }  # fmt: skip


def log_axis(title: str, values: Iterable[float]) -> dict[str, Any]:
    """A logarithmic axis with plain numbers, or a linear one if a value is not above zero."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite or min(finite) <= 0:
        return axis(title)
    low, high = math.log10(min(finite)), math.log10(max(finite))
    digits = (1,) if high - low > 3 else (1, 2, 5) if high - low > 0.5 else range(1, 10)
    ticks = [digit * 10.0**power for power in range(math.floor(low) - 1, math.ceil(high) + 1)
             for digit in digits]  # fmt: skip
    margin = 0.05 * (high - low or 1.0)
    return axis(title, type="log", tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks],
                range=[low - margin, high + margin])  # fmt: skip


def vertical(x: float) -> dict[str, Any]:
    """A dotted line across a figure."""
    return {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper",
            "line": {"color": "#000", "width": 1, "dash": "dot"}}  # fmt: skip


def as_json(value: float) -> float | None:
    """A number as JSON knows it: None if it is not finite."""
    return float(value) if value is not None and math.isfinite(value) else None


def as_list(values: Iterable[Any]) -> list[float | None]:
    """Numbers as JSON knows them."""
    return [as_json(value) for value in values]
