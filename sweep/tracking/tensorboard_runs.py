"""``tracking=tensorboard``: a log folder for every trial."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams import metadata as hparams
from tensorboard.plugins.hparams.plugin_data_pb2 import (
    HParamsPluginData,
    SessionEndInfo,
    SessionStartInfo,
)
from tensorboard.plugins.text import metadata as text
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util.tensor_util import make_tensor_proto

from sweep.records.state import State
from sweep.tracking.tracker import RunInfo, Tracker

__all__ = ["TensorboardTracker"]

_STATUS = {
    State.COMPLETE: api_pb2.STATUS_SUCCESS,
    State.PRUNED: api_pb2.STATUS_SUCCESS,
    State.FAILED: api_pb2.STATUS_FAILURE,
}


class TensorboardTracker(Tracker):
    """Writes event files into a folder per trial.

    Parameters and the end go to the tab "hparams", the state as a text to "text".
    """

    def open(self, info: RunInfo, run_id: str | None, n_epochs: int) -> tuple[str, int]:
        """See :class:`Tracker`; the id is the name of the folder."""
        folder = info.folder / info.name
        folder.mkdir(parents=True, exist_ok=True)
        seconds, rest = divmod(time.time_ns(), 10**9)  # readers sort files by their names
        name = f"events.out.tfevents.{seconds:010d}.{rest:09d}.{socket.gethostname()}.{os.getpid()}"
        self._path = folder / name
        self._write(Event(file_version="brain.Event:2"))
        if run_id is None:
            start = SessionStartInfo(group_name=info.name, start_time_secs=time.time())
            for key, value in info.config.items():
                if isinstance(value, bool):
                    start.hparams[key].bool_value = value
                elif isinstance(value, int | float):
                    start.hparams[key].number_value = value
                elif value is not None:
                    start.hparams[key].string_value = str(value)
            data = HParamsPluginData(session_start_info=start)
            self._add(0, _hparams(hparams.SESSION_START_INFO_TAG, data))
        else:  # readers drop what a killed process wrote of this epoch and later ones
            log = SessionLog(status=SessionLog.START)
            self._write(Event(step=n_epochs, session_log=log))
        return info.name, n_epochs

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        """See :class:`Tracker`."""
        self._add(epoch, *_scalars(values))

    def close(
        self, state: State, reason: str | None, epoch: int, values: Mapping[str, float]
    ) -> None:
        """See :class:`Tracker`."""
        self._add(
            epoch, *_scalars(values), _text("state", f"{state}: {reason}" if reason else state)
        )
        if state in _STATUS:  # only the first end counts, and what was stopped may go on
            end = SessionEndInfo(status=_STATUS[state], end_time_secs=time.time())
            data = HParamsPluginData(session_end_info=end)
            self._add(epoch, _hparams(hparams.SESSION_END_INFO_TAG, data))

    def _add(self, step: int, *values: Summary.Value) -> None:
        self._write(Event(step=step, summary=Summary(value=values)))

    def _write(self, event: Event) -> None:
        """At once: the writer of TensorBoard has a thread, which prints what fails there."""
        event.wall_time = time.time()
        with self._path.open("ab") as file:
            RecordWriter(file).write(event.SerializeToString())


def _scalars(values: Mapping[str, float]) -> list[Summary.Value]:
    return [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]


def _text(tag: str, content: str) -> Summary.Value:
    return Summary.Value(
        tag=tag,
        metadata=text.create_summary_metadata(display_name=tag, description=""),
        tensor=make_tensor_proto([content.encode()]),
    )


def _hparams(tag: str, data: HParamsPluginData) -> Summary.Value:
    return Summary.Value(
        tag=tag, metadata=hparams.create_summary_metadata(data), tensor=hparams.NULL_TENSOR
    )
