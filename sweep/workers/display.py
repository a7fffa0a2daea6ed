"""What a user sees while it works: a live display in a terminal, plain lines in a pipe or in CI."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.text import Text

from sweep.console import make_console, plain
from sweep.study.progress import Progress

__all__ = ["make_progress", "plain_progress"]

Standing = Callable[[], tuple[int, tuple[float, int] | None]]
"""Gives the number of finished trials of the study, and score and number of the best."""

_PLAIN_SECONDS = 5.0  # between two lines about epochs


class _Base:
    """What both displays share.

    Args:
        console: Where it is shown.
        n_trials: Number of trials of the study.
        standing: How the study stands.
        has_limits: Whether the best is that of the trials which keep limits alone.
    """

    def __init__(
        self, console: Console, n_trials: int, standing: Standing, *, has_limits: bool
    ) -> None:
        self.console = console
        self.n_trials = n_trials
        self.standing = standing
        self.has_limits = has_limits
        self.n_epochs: dict[int, int] = {}

    def message(self, text: str) -> None:
        self.console.print(plain(text), soft_wrap=True)

    def show(self, renderable: RenderableType) -> None:
        self.console.print(renderable)

    def _ended(self, number: int, state: str, score: float) -> str:
        self.n_epochs.pop(number, None)
        line = f"trial {number} {state.lower()}"
        line += f", score {score:.4f}" if math.isfinite(score) else ""
        n_finished, _ = self.standing()
        return f"{line}; {n_finished}/{self.n_trials} trials{self._best_text()}"

    def _best_text(self) -> str:
        n_finished, best = self.standing()
        if best is None:
            return ", none within the limits" if self.has_limits and n_finished else ""
        within = " within the limits" if self.has_limits else ""
        return f", lowest score{within} {best[0]:.4f} (trial {best[1]})"


def shares_text(shares: Mapping[str, float]) -> str:
    """The terms and their shares, largest first."""
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    return "  ".join(f"{name} {share:.0%}" for name, share in ordered if share > 0)


def _score_text(score: float, is_best: bool) -> str:
    return f"{'best score' if is_best else 'score'} {score:.4f}"


class PlainProgress(_Base):
    """One line per trial, and one per epoch but at most one every few seconds."""

    def __init__(
        self, console: Console, n_trials: int, standing: Standing, *, has_limits: bool
    ) -> None:
        super().__init__(console, n_trials, standing, has_limits=has_limits)
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
        self.n_epochs[number] = n_epochs
        self.message(f"trial {number}: {what}")

    def epoch(
        self,
        number: int,
        epoch: int,
        score: float,
        shares: Mapping[str, float],
        *,
        is_best: bool = False,
    ) -> None:
        n_epochs = self.n_epochs[number]
        if epoch + 1 == n_epochs or time.monotonic() - self._last_line > _PLAIN_SECONDS:
            self._last_line = time.monotonic()
            self.message(
                f"  trial {number} epoch {epoch + 1}/{n_epochs} {_score_text(score, is_best)}  "
                f"shares: {shares_text(shares)}"
            )

    def trial_ended(self, number: int, state: str, score: float) -> None:
        self.message(self._ended(number, state, score))


class LiveProgress(_Base):
    """Bars of the study and of every trial at work, with scores, weights and shares."""

    def __init__(
        self, console: Console, n_trials: int, standing: Standing, *, has_limits: bool
    ) -> None:
        super().__init__(console, n_trials, standing, has_limits=has_limits)
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
        self._trials: dict[int, TaskID] = {}
        self._lines: dict[int, tuple[str, str]] = {}  # weights and shares of the trials at work
        self._text = Text("", no_wrap=True, overflow="ellipsis")
        self._live = Live(Group(self._bars, self._text), console=console, refresh_per_second=4)

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
        self.n_epochs[number] = n_epochs
        self._trials[number] = self._bars.add_task(
            f"trial {number} epochs", total=n_epochs, note=""
        )
        self._lines[number] = (what, "")
        self._write_lines()

    def epoch(
        self,
        number: int,
        epoch: int,
        score: float,
        shares: Mapping[str, float],
        *,
        is_best: bool = False,
    ) -> None:
        note = _score_text(score, is_best)
        self._bars.update(self._trials[number], completed=epoch + 1, note=note)
        self._lines[number] = (self._lines[number][0], shares_text(shares))
        self._write_lines()

    def trial_ended(self, number: int, state: str, score: float) -> None:
        line = self._ended(number, state, score)
        if number in self._trials:
            self._bars.remove_task(self._trials.pop(number))
            del self._lines[number]
            self._write_lines()
        self._bars.update(self._study, completed=self.standing()[0], note=self._best_text()[2:])
        self.message(line)

    def _write_lines(self) -> None:
        self._text.plain = "\n".join(
            f"trial {number}  {what}" + (f"\n  shares: {shares}" if shares else "")
            for number, (what, shares) in self._lines.items()
        )


def plain_progress(
    console: Console, *, n_trials: int, standing: Standing, has_limits: bool = False
) -> Progress:
    """Lines on a console of one's own."""
    return PlainProgress(console, n_trials, standing, has_limits=has_limits)


def make_progress(*, n_trials: int, standing: Standing, has_limits: bool = False) -> Progress:
    """A live display where the output is a terminal, else plain lines."""
    console = make_console()
    kind = LiveProgress if console.is_terminal and console.is_interactive else PlainProgress
    return kind(console, n_trials, standing, has_limits=has_limits)
