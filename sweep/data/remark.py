"""What is said about data that are odd. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Remark"]


@dataclass(frozen=True)
class Remark:
    """Something odd.

    Attributes:
        label: name of the label; empty for the structures themselves.
        text: what, with numbers.
    """

    label: str
    text: str
