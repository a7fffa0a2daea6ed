"""Reads back what trackers wrote, with no network: by the tools of each, or its file format."""

from __future__ import annotations

import importlib.util
import json
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from needed import missing
from omegaconf import DictConfig, OmegaConf

from sweep.config.stages import CONF_DIR
from sweep.tracking.follower import FOLDER

OFFLINE = {
    "wandb": ["tracking=wandb", "tracking.mode=offline"],
    "mlflow": ["tracking=mlflow", "tracking.uri=null"],
    "tensorboard": ["tracking=tensorboard"],
}
"""For every tracker the words that need no network."""

_BLOCK = 32768  # of a .wandb file, which is a log of LevelDB


@dataclass
class Run:
    """A run as its tracker holds it.

    Attributes:
        points: For every name its values, as often as they were logged, by epoch.
        config: Parameters, as texts.
        state: What it says of its end.
        status: The tracker's own word for that.
        group: What it belongs to.
    """

    points: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    config: dict[str, str] = field(default_factory=dict)
    state: str | None = None
    status: Any = None
    group: str | None = None

    def epochs(self, name: str = "valid/score") -> list[int]:
        """The epochs of a value."""
        return [epoch for epoch, _ in self.points.get(name, [])]


def options_of(tracker: str) -> DictConfig:
    """The node ``tracking`` of :data:`OFFLINE`."""
    if importlib.util.find_spec(tracker) is None:
        missing(tracker, "pip install -e '.[test]'")
    node = OmegaConf.load(CONF_DIR / "tracking" / f"{tracker}.yaml")
    for word in OFFLINE[tracker][1:]:
        key, _, value = word.removeprefix("tracking.").partition("=")
        node[key] = None if value == "null" else value
    return node


def read_runs(tracker: str, folder: Path) -> dict[str, Run]:
    """The runs in a folder of a study or a training, by name."""
    readers = {"wandb": _wandb, "mlflow": _mlflow, "tensorboard": _tensorboard}
    with warnings.catch_warnings():  # they concern the authors of the trackers
        warnings.simplefilter("ignore")
        return readers[tracker](folder / FOLDER)


def _tensorboard(folder: Path) -> dict[str, Run]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    found = {}
    for path in {file.parent for file in folder.rglob("events.out.tfevents.*")}:
        events = EventAccumulator(str(path), size_guidance={"scalars": 0, "tensors": 0})
        events.Reload()
        run = Run(group=None)
        for tag in events.Tags()["scalars"]:
            run.points[tag] = [(event.step, event.value) for event in events.Scalars(tag)]
        for tag, content in events.PluginTagToContent("hparams").items():
            data = HParamsPluginData.FromString(content)
            if tag.endswith("session_start_info"):
                for key, value in data.session_start_info.hparams.items():
                    run.config[key] = str(getattr(value, value.WhichOneof("kind")))
            else:
                run.status = data.session_end_info.status
        if "state" in events.Tags()["tensors"]:
            run.state = events.Tensors("state")[-1].tensor_proto.string_val[0].decode()
        found[path.relative_to(folder).as_posix()] = run
    return found


def _mlflow(folder: Path) -> dict[str, Run]:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiments = [each.experiment_id for each in client.search_experiments()]
    found = {}
    for each in client.search_runs(experiments):
        tags = each.data.tags
        run = Run({}, dict(each.data.params), tags.get("state"), each.info.status)
        if (parent := tags.get("mlflow.parentRunId")) is not None:
            run.group = client.get_run(parent).info.run_name
        for key in each.data.metrics:
            history = client.get_metric_history(each.info.run_id, key)
            run.points[key] = sorted((metric.step, metric.value) for metric in history)
        found[each.info.run_name] = run
    return found


def _wandb(folder: Path) -> dict[str, Run]:
    """The parts of a run are put together in their order, as ``wandb sync`` does."""
    from wandb.proto.wandb_internal_pb2 import Record

    by_id: dict[str, tuple[str, Run]] = {}
    for file in sorted(folder.glob("wandb/offline-run-*/run-*.wandb")):
        run = Run()
        for raw in _leveldb_records(file.read_bytes()):
            record = Record.FromString(raw)
            kind = record.WhichOneof("record_type")
            if kind == "run":
                given = record.run
                _, run = by_id.setdefault(given.run_id, (given.display_name, Run()))
                run.group = given.run_group or None
                for item in given.config.update:
                    key = item.key or ".".join(item.nested_key)
                    run.config[key] = str(json.loads(item.value_json))
            elif kind == "history":
                step = record.history.step.num
                for item in record.history.item:
                    key = item.key or ".".join(item.nested_key)
                    if not key.startswith("_"):
                        point = (step, json.loads(item.value_json))
                        run.points.setdefault(key, []).append(point)
            elif kind == "summary":
                for item in record.summary.update:
                    key = item.key or ".".join(item.nested_key)
                    value = json.loads(item.value_json)
                    if key == "state":
                        run.state = value
                    elif key.startswith(("test/", "score")):
                        run.points[key] = [(-1, value)]
            elif kind == "exit":
                run.status = record.exit.exit_code
    return {name.removeprefix(f"{run.group}/"): run for name, run in by_id.values()}


def _leveldb_records(content: bytes) -> Iterator[bytes]:
    """The records of a log of LevelDB that begins with wandb's seven bytes."""
    assert content[:4] == b":W&B"
    at, parts = 7, []
    while at + 7 <= len(content):
        left = _BLOCK - at % _BLOCK
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + 7])
        parts.append(content[at + 7 : at + 7 + length])
        at += 7 + length
        if kind in (1, 4):  # whole, last part
            yield b"".join(parts)
            parts = []
