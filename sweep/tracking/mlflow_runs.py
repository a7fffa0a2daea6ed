"""``tracking=mlflow``: a run for every trial, below one for the study."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

# Without a network a training shall wait seconds, not minutes; and nothing is reported elsewhere.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

from sweep.files import read_json, write_json
from sweep.locks import locked
from sweep.records.state import State
from sweep.tracking.tracker import RunInfo, Tracker

__all__ = ["MlflowTracker"]

_STATUS = {
    State.COMPLETE: "FINISHED",
    State.PRUNED: "KILLED",
    State.STOPPED: "KILLED",
    State.FAILED: "FAILED",
}
_PARENT = "mlflow.parentRunId"
_MOST = {"metrics": 1000, "params": 100}  # that one call may hold


class MlflowTracker(Tracker):
    """Runs of an experiment; those of a study have a common parent.

    The tag ``state`` tells more than the status: a run that was pruned or stopped is "killed".
    """

    def open(self, info: RunInfo, run_id: str | None, n_epochs: int) -> tuple[str, int]:
        """See :class:`Tracker`; how many epochs a run has is asked of the store."""
        logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of every table it makes
        logging.getLogger("alembic").setLevel(logging.WARNING)
        uri = self.options["uri"] or f"sqlite:///{(info.folder / 'mlflow.db').absolute()}"
        # SQLite knows one writer at a time, and makes its tables once.
        self._lock = info.folder / "mlflow.lock" if uri.startswith("sqlite") else None
        with locked(info.folder / "mlflow.lock"):
            self._client = MlflowClient(uri)
            if run_id is not None:
                self._run = run_id
                self._client.update_run(run_id, status="RUNNING")
                self._client.set_tag(run_id, "state", State.RUNNING)
                history = self._client.get_metric_history(run_id, "valid/score")
                return run_id, max((metric.step + 1 for metric in history), default=0)
            experiment = self._experiment()
            tags = {"state": str(State.RUNNING)}
            if info.study is not None:
                tags |= {"study": info.study, _PARENT: self._parent(info, experiment)}
            run = self._client.create_run(experiment, tags=tags, run_name=info.name)
            self._run = run.info.run_id
            params = [Param(key, str(value)) for key, value in info.config.items()]
            for i in range(0, len(params), _MOST["params"]):
                self._client.log_batch(self._run, params=params[i : i + _MOST["params"]])
        return self._run, 0

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        """See :class:`Tracker`."""
        now = int(1000 * time.time())
        metrics = [Metric(key, value, now, epoch) for key, value in values.items()]
        with self._alone():
            for i in range(0, len(metrics), _MOST["metrics"]):
                self._client.log_batch(self._run, metrics=metrics[i : i + _MOST["metrics"]])

    def close(
        self, state: State, reason: str | None, epoch: int, values: Mapping[str, float]
    ) -> None:
        """See :class:`Tracker`."""
        self.log(epoch, values)
        with self._alone():
            self._client.set_tag(self._run, "state", str(state))
            if reason is not None:
                self._client.set_tag(self._run, "reason", reason[:500])
            self._client.set_terminated(self._run, _STATUS[state])

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self._lock is None:
            yield
        else:
            with locked(self._lock):
                yield

    def _experiment(self) -> str:
        name = self.options["experiment"]
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self._client.create_experiment(name))
            except MlflowException:  # another study was faster
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
        return str(found.experiment_id)

    def _parent(self, info: RunInfo, experiment: str) -> str:
        """The run of the study; it holds the others and has no state of its own."""
        note = info.notes / "study.json"
        parent: str | None = read_json(note).get("run")
        if parent is None:
            run = self._client.create_run(experiment, run_name=info.study)
            parent = str(run.info.run_id)
            self._client.set_terminated(parent)
            write_json(note, {"run": parent})
        return parent
