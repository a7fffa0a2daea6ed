"""Which of mace's checkpoints are kept: those of the epochs with the best score, one per stage.

Mace keeps the epoch whose weighted validation loss is smallest. With weights that follow the
training that says nothing: the loss of an early epoch may have been weighted by less.
"""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path
from typing import Any

__all__ = ["BestCheckpoints"]


class BestCheckpoints:
    """Takes the place of a ``CheckpointHandler``'s saving and loading.

    A checkpoint is written whole, and the one before it is removed when the state of the training
    knows of the new one, so that there is always one to load.

    Args:
        handler: Mace's handler.
        swa_start: First epoch of stage two; None without one.
        keep_all: Whether all that mace asks for are kept (``--save_all_checkpoints``,
            ``--keep_checkpoints``).

    Attributes:
        best: Score and epoch of the best epoch of each stage.
        loaded: The epoch that was loaded last.
    """

    def __init__(self, handler: Any, *, swa_start: int | None, keep_all: bool) -> None:
        self._handler = handler
        self._swa_start = swa_start
        self._keep_all = keep_all or bool(handler.io.keep)
        self.best: dict[int, tuple[float, int]] = {}
        self.loaded: int | None = None
        self._stale: list[Path] = []
        handler.save = self.save
        handler.load_latest = self.load_latest

    def stage_of(self, epoch: int) -> int:
        """The stage of an epoch: 1 from stage two on."""
        return int(self._swa_start is not None and epoch >= self._swa_start)

    def see(self, epoch: int, score: float) -> bool:
        """Take note of an epoch's score; whether it is the best of its stage."""
        stage = self.stage_of(epoch)
        best, before = self.best.get(stage, (math.inf, -1))
        if not score < best:
            return False
        if before >= 0 and before != epoch:
            self._stale.append(self._path(before))
        self.best[stage] = (score, epoch)
        return True

    @property
    def best_epoch(self) -> int:
        """The epoch with the best score of all."""
        return min(self.best.values())[1]

    def save(self, state: Any, epochs: int, keep_last: bool = False) -> None:
        """Write the checkpoint of an epoch, if it is to be kept."""
        is_best = self.best.get(self.stage_of(epochs), (0.0, -1))[1] == epochs
        if not (is_best or self._keep_all):
            return
        import torch

        path = self._path(epochs)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        torch.save(self._handler.builder.create_checkpoint(state), temporary)
        os.replace(temporary, path)

    def clean(self) -> None:
        """Remove what is no longer the best; called when the state on disk knows that."""
        for path in self._stale if not self._keep_all else ():
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
        self._stale = []

    def load_latest(
        self, state: Any, swa: bool | None = False, device: Any = None, strict: bool = False
    ) -> int | None:
        """Load the best epoch of a stage."""
        if int(bool(swa)) not in self.best:
            return None
        epoch = self.best[int(bool(swa))][1]
        self.loaded = epoch
        path = str(self._path(epoch))
        return int(self._handler.load(state=state, path=path, strict=strict, device=device))

    def _path(self, epoch: int) -> Path:
        io = self._handler.io
        return Path(io.directory, io._get_checkpoint_filename(epoch, io.swa_start))
