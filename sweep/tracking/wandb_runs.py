"""``tracking=wandb``: a run of Weights & Biases for every trial, grouped by study."""

from __future__ import annotations

import netrc
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # nothing is reported elsewhere

import wandb

from sweep.records.state import State
from sweep.tracking.tracker import RunInfo, Tracker

__all__ = ["WandbTracker"]

_STATUS = {State.COMPLETE: 0, State.PRUNED: 0, State.FAILED: 1, State.STOPPED: 255}
"""Exit codes; 255 is that of Ctrl-C."""


class WandbTracker(Tracker):
    """Runs of a project; ``state`` in the summary tells more than the exit code."""

    @classmethod
    def refusal(cls, options: Mapping[str, Any]) -> str | None:
        """See :class:`Tracker`."""
        if options["mode"] == "offline" or _is_logged_in():
            return None
        return "not logged in: run `wandb login`, set WANDB_API_KEY, or take tracking.mode=offline"

    def open(self, info: RunInfo, run_id: str | None, n_epochs: int) -> tuple[str, int]:
        """See :class:`Tracker`; online the server is asked how many epochs a run has."""
        online = self.options["mode"] == "online"
        self._run = wandb.init(
            project=self.options["project"],
            entity=self.options["entity"],
            mode=self.options["mode"],
            dir=str(info.folder),
            id=run_id or uuid.uuid4().hex[:12],
            name=info.name if info.study is None else f"{info.study}/{info.name}",
            group=info.study,
            config=dict(info.config),
            resume="allow" if online else None,  # offline it is `wandb sync` that joins the parts
            reinit="create_new",
            settings=wandb.Settings(
                console="off",
                silent=True,
                init_timeout=30,
                finish_timeout=60,
                x_transaction_log_flush_interval=1.0,  # what a kill of wandb's own process costs
                # The command line may hold a password, an address of git a token.
                x_disable_meta=True,
                disable_git=True,
                disable_code=True,
                x_disable_stats=True,
            ),
        )
        self._run.summary["state"] = str(State.RUNNING)
        return self._run.id, self._run.step if online and self._run.resumed else n_epochs

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        """See :class:`Tracker`."""
        self._run.log(dict(values), step=epoch, commit=True)

    def close(
        self, state: State, reason: str | None, epoch: int, values: Mapping[str, float]
    ) -> None:
        """See :class:`Tracker`."""
        self._run.summary.update({**values, "state": str(state)})
        if values:
            self._run.summary["best_epoch"] = epoch
        if reason is not None:
            self._run.summary["reason"] = reason[:500]
        self._run.finish(exit_code=_STATUS[state])


def _is_logged_in() -> bool:
    """Whether wandb finds a key, without which it would ask for one in the middle of a search."""
    settings = wandb.setup().settings
    if settings.api_key or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    path = os.environ.get("NETRC")
    paths = [Path(path)] if path else [Path.home() / ".netrc", Path.home() / "_netrc"]
    hosts = {urlsplit(settings.base_url).netloc}
    if not os.environ.get("WANDB_BASE_URL"):  # keys of the hosted service have this name, too
        hosts.add("api.wandb.ai")
    for file in paths:
        try:
            if hosts & netrc.netrc(file).hosts.keys():
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False
