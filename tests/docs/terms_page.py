"""The reference of all terms in docs/terms.md, from what the terms say of themselves.

``python tests/docs/terms_page.py`` writes it anew.
"""

from __future__ import annotations

import inspect
from pathlib import Path

from shipped_terms import known_terms

import losses

_NAMES = {"density_coefficients": "atomic_multipoles"}  # key in a batch -> name in the data files
PAGE = Path(__file__).parents[2] / "docs" / "terms.md"
MARK = "<!-- From here on written by tests/docs/terms_page.py -->\n"


def render() -> str:
    """One section per term: what it is, its formula, unit, labels, outputs and options."""
    return "\n".join(_section(losses.get(name)) for name in losses.names())


def _section(term: losses.Term) -> str:
    lines = [f"## `{term.name}`", "", inspect.getdoc(term.function) or "", ""]
    lines.append(f"- unit: {term.unit}")
    lines.append(f"- default weight: {known_terms()[term.name]['weight']:g}")
    lines.append(f"- labels: {_listed(tuple(_NAMES.get(key, key) for key in term.labels))}")
    lines.append(f"- from the model: {_listed(term.outputs)}")
    if term.mask:
        lines.append(f"- weight in a batch: `{term.mask}`; 0 where a label is missing")
    for option, default in term.options.items():
        shown = str(default).lower() if isinstance(default, bool) else default
        text = f"- option `{option}`: {shown} by default"
        if option in term.positive:
            text += ", above 0"
        if option in term.variants:
            text += f"; or {', '.join(term.variants[option])}"
        lines.append(text)
    return "\n".join([*lines, ""])


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


if __name__ == "__main__":
    head = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
    PAGE.write_text(f"{head}{MARK}\n{render()}", encoding="utf-8")
