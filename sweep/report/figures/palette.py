"""One look for every term: Okabe and Ito's colours, which can be told apart with any colour vision.

From the ninth term on the colours repeat with another pattern and dash.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "COLOURS", "DIVERGING", "ROLE_COLOURS", "SEQUENTIAL", "SYMBOLS",
    "TermStyle", "line_colour", "mark_of", "term_styles",
]  # fmt: skip

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
ROLE_COLOURS = {
    "default": "#999999", "balanced": "#E69F00", "static": "#009E73",
    "best": "#0072B2", "knee": "#0072B2",
}  # fmt: skip


# Of trials in scatter plots, in plotly's words.
SYMBOLS = {
    "": "circle", "default": "square", "balanced": "triangle-up", "static": "diamond",
    "best": "star", "knee": "star",
}  # fmt: skip

# White to dark blue, and orange over white to blue: both keep their order in grey and for any eye.
SEQUENTIAL = (
    (0.0, "#ffffff"),
    (0.25, "#cfe3f1"),
    (0.5, "#94c5e3"),
    (0.75, "#2f7fb8"),
    (1.0, "#08395c"),
)
DIVERGING = (
    (0.0, "#b34700"),
    (0.25, "#f0b27a"),
    (0.5, "#ffffff"),
    (0.75, "#7fb8da"),
    (1.0, "#005a8c"),
)

_PATTERNS = ("", "/", "x", "-", "|", "+", ".", "\\")
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


@dataclass(frozen=True)
class TermStyle:
    """How a term is drawn.

    Attributes:
        colour: Its colour.
        pattern: Pattern of its areas, in plotly's words; empty for none.
        dash: Dashes of its lines, in plotly's words.
    """

    colour: str
    pattern: str
    dash: str


def mark_of(roles: str) -> str:
    """The role by which a trial is marked: the answer before the default before the balanced."""
    found = (role for role in ("best", "knee", "default", "balanced", "static") if role in roles)
    return next(found, "")


def line_colour(roles: str) -> str:
    """The colour of a trial's line; the default's grey is too pale for one."""
    role = mark_of(roles)
    return ROLE_COLOURS[role] if role not in ("", "default") else "#555555"


def term_styles(terms: Sequence[str]) -> dict[str, TermStyle]:
    """The look of each term, by its place among all."""
    styles = {}
    for i, term in enumerate(terms):
        turn, colour = divmod(i, len(COLOURS))
        styles[term] = TermStyle(
            COLOURS[colour], _PATTERNS[turn % len(_PATTERNS)], _DASHES[turn % len(_DASHES)]
        )
    return styles
