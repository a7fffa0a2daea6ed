"""The data of a configuration, with a display while large files are prepared. Imports no torch."""

from __future__ import annotations

import time
from types import TracebackType

from omegaconf import DictConfig
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from sweep.config.checks import model_settings
from sweep.console import make_console, plain
from sweep.data.dataset import DataSet, load
from sweep.data.graphs.neighbours import neighbours_in_cache

__all__ = ["load_data"]

_PLAIN_SECONDS = 10.0  # between two lines


def load_data(cfg: DictConfig, console: Console | None = None) -> DataSet:
    """Read and check the data; large files and their neighbour lists are in the cache afterwards.

    Args:
        cfg: A checked configuration.
        console: Where it is shown how far that is.

    Raises:
        InputError: names the key, or the file and the configuration.
    """
    with _Display(console or make_console()) as display:
        dataset = load(
            cfg.heads, split_seed=cfg.split_seed, cache_dir=cfg.cache_dir, report=display
        )
        r_max = model_settings(cfg).r_max
        for _, table in dataset.splits():
            if table.columns.folder is not None:
                neighbours_in_cache(table.columns, r_max, display)
    return dataset


class _Display:
    """Shows how far the preparation is; nothing at all where there is nothing to prepare."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: Progress | None = None
        self._shown: dict[str, float] = {}

    def __enter__(self) -> _Display:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """See :data:`sweep.data.parallel.Report`."""
        if self._console.is_terminal:
            self._show_bar(what, done, total)
        elif time.monotonic() - self._shown.get(what, -_PLAIN_SECONDS) >= _PLAIN_SECONDS:
            self._shown[what] = time.monotonic()
            of = "" if total is None else f" of {total}"
            self._console.print(plain(f"{what}: {done}{of} configurations"))

    def _show_bar(self, what: str, done: int, total: int | None) -> None:
        if self._bars is None:
            self._bars = Progress(
                TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
                TimeElapsedColumn(), console=self._console, transient=True,
            )  # fmt: skip
            self._bars.start()
        task = next((task.id for task in self._bars.tasks if task.description == what), None)
        if task is None:
            task = self._bars.add_task(what, total=total)
        self._bars.update(task, completed=done)
