"""What a display of a study at work is told; :mod:`sweep.workers.display` has the displays."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Protocol

from rich.console import RenderableType

__all__ = ["Progress"]


class Progress(Protocol):
    """Told what happens, shows it."""

    def __enter__(self) -> Progress: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def message(self, text: str) -> None:
        """Show a line."""

    def show(self, renderable: RenderableType) -> None:
        """Show a table or the like."""

    def trial_started(self, number: int, what: str, n_epochs: int) -> None:
        """A trial begins; ``what`` describes its weights."""

    def epoch(
        self,
        number: int,
        epoch: int,
        score: float,
        shares: Mapping[str, float],
        *,
        is_best: bool = False,
    ) -> None:
        """An epoch of a trial ended: its score, and the mean share of every term.

        ``is_best`` says that the score is the best until then and not that of the epoch.
        """

    def trial_ended(self, number: int, state: str, score: float) -> None:
        """A trial ended."""
