"""What a user sees while it works: a live display in a terminal, plain lines in a pipe or in CI."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.text import Text

from sweep.console import make_console

if TYPE_CHECKING:
    from sweep.training.run import EpochReport

__all__ = ["Progress", "make_progress"]

Standing = Callable[[], tuple[int, tuple[float, int] | None]]
"""Gives the number of finished trials of the study, and score and number of the best."""

_PLAIN_SECONDS = 5.0  # between two lines about epochs


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

    def epoch(self, report: EpochReport) -> None:
        """An epoch of the current trial ended."""

    def trial_ended(self, state: str, score: float) -> None:
        """The current trial ended."""


class _Base:
    """What both displays keep in mind."""

    def __init__(self, console: Console, n_trials: int, standing: Standing) -> None:
        self.console = console
        self.n_trials = n_trials
        self.standing = standing
        self.number = 0
        self.n_epochs = 0

    def message(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def show(self, renderable: RenderableType) -> None:
        self.console.print(renderable)

    def _ended(self, state: str, score: float) -> str:
        line = f"trial {self.number} {state.lower()}"
        line += f", score {score:.4f}" if math.isfinite(score) else ""
        n_finished, _ = self.standing()
        return f"{line}; {n_finished}/{self.n_trials} trials{self._best_text()}"

    def _best_text(self) -> str:
        _, best = self.standing()
        return "" if best is None else f", best {best[0]:.4f} (trial {best[1]})"


def shares_text(shares: dict[str, float]) -> str:
    """The terms and their shares, largest first."""
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    return "  ".join(f"{name} {share:.0%}" for name, share in ordered if share > 0)


class PlainProgress(_Base):
    """One line per trial, and one per epoch but at most one every few seconds."""

    def __init__(self, console: Console, n_trials: int, standing: Standing) -> None:
        super().__init__(console, n_trials, standing)
        self._last_line = 0.0

    def __enter__(self) -> PlainProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None

    def trial_started(self, number: int, what: str, n_epochs: int) -> None:
        self.number, self.n_epochs = number, n_epochs
        self.message(f"trial {number}: {what}")

    def epoch(self, report: EpochReport) -> None:
        last = report.epoch + 1 == self.n_epochs
        if last or time.monotonic() - self._last_line > _PLAIN_SECONDS:
            self._last_line = time.monotonic()
            self.message(
                f"  trial {self.number} epoch {report.epoch + 1}/{self.n_epochs} "
                f"score {report.score:.4f} (best {report.best_score:.4f})  "
                f"shares: {shares_text(report.shares)}"
            )

    def trial_ended(self, state: str, score: float) -> None:
        self.message(self._ended(state, score))


class LiveProgress(_Base):
    """Two bars, the best score, the current weights and shares, redrawn in place."""

    def __init__(self, console: Console, n_trials: int, standing: Standing) -> None:
        super().__init__(console, n_trials, standing)
        self._bars = Bars(
            TextColumn("{task.description}", justify="left"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
        )
        self._study = self._bars.add_task(
            "trials", total=n_trials, completed=standing()[0], note=self._best_text()[2:]
        )
        self._trial = self._bars.add_task("epochs", total=None, note="")
        self._weights = Text("", no_wrap=True, overflow="ellipsis")
        self._shares = Text("", no_wrap=True, overflow="ellipsis")
        lines = Group(self._bars, self._weights, self._shares)
        self._live = Live(lines, console=console, refresh_per_second=4)

    def __enter__(self) -> LiveProgress:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()

    def trial_started(self, number: int, what: str, n_epochs: int) -> None:
        self.number, self.n_epochs = number, n_epochs
        self._bars.reset(self._trial, total=n_epochs, description=f"trial {number} epochs", note="")
        self._weights.plain = what
        self._shares.plain = ""

    def epoch(self, report: EpochReport) -> None:
        self._bars.update(
            self._trial,
            completed=report.epoch + 1,
            note=f"score {report.score:.4f} (best {report.best_score:.4f})",
        )
        self._shares.plain = f"shares: {shares_text(report.shares)}"

    def trial_ended(self, state: str, score: float) -> None:
        line = self._ended(state, score)
        self._bars.update(self._study, completed=self.standing()[0], note=self._best_text()[2:])
        self.message(line)


def make_progress(*, n_trials: int, standing: Standing) -> Progress:
    """A live display where the output is a terminal, else plain lines."""
    console = make_console()
    if console.is_terminal and console.is_interactive:
        return LiveProgress(console, n_trials, standing)
    return PlainProgress(console, n_trials, standing)
