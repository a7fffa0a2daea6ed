"""A whole search in which one thing goes wrong: a write fails, the process dies, the power goes.

Everything is real, from the worker to the journal and the files, but the training. The search runs
in a forked process; at the N-th of its events (every fsync, rename, link and tell) the fault comes.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import torch

from sweep.errors import SweepError
from sweep.records.state import State
from sweep.records.writer import Result, TrialWriter
from sweep.study.definition import claim_study
from sweep.study.lost import lost_trials
from sweep.study.phase import search_phase
from sweep.study.queue import TrialQueue
from sweep.study.references import enqueue_references
from sweep.study.spec import StudySpec
from sweep.training import checkpoint
from sweep.training.trainer import Decision, EpochReport
from sweep.workers.heartbeat import Heartbeat
from sweep.workers.worker import Worker

STEPS = 2  # of an epoch
FAILED, POWER, KILLED = 3, 4, 9  # exit statuses of the process
EVENTS = ("fsync", "replace", "rename", "link")


def score(weight: float, epoch: int) -> float:
    """The score of a trial, which falls from epoch to epoch."""
    return (1 + abs(float(np.log10(weight)))) * (1 + 0.5 ** (epoch + 1))


class LightTrainer:
    """Writes what a training writes, without training."""

    def check(self, cfg: Any, stages: Any) -> str:
        return ""

    def facts(self, cfg: Any) -> Mapping[str, Any]:
        return {}

    def train(
        self, cfg: Any, stages: list[Any], writer: TrialWriter, after_epoch: Any
    ) -> tuple[Result, int]:
        weight = float(stages[0].loss["esps"]["weight"])
        n_epochs = stages[-1].end + 1
        path = writer.folder / "checkpoint.pt"
        saved = checkpoint.load(path)
        with checkpoint.restoring(path):
            epoch = -1 if saved is None else saved["epoch"]
            if saved is not None and saved["weight"] != weight:
                raise ValueError("it is of another trial")
        tables = writer.open_tables(
            "fit",
            last_epoch=epoch,
            log_size=0 if saved is None else saved["log_size"],
            n_steps=STEPS * (epoch + 1),
        )
        decision = Decision.CONTINUE
        if epoch >= 0:
            decision = after_epoch(_report(weight, epoch, stages[0]))
        while epoch + 1 < n_epochs and decision is Decision.CONTINUE:
            epoch += 1
            _add(tables, weight, epoch)
            writer.may_write()
            checkpoint.save(writer.folder / "best.pt", {"epoch": epoch})
            state = {"epoch": epoch, "weight": weight, "log_size": writer.commit()}
            checkpoint.save(path, {**state, "model": torch.zeros(3)})
            decision = after_epoch(_report(weight, epoch, stages[0]))
        finished = epoch + 1 == n_epochs
        state = State.PRUNED if decision is Decision.PRUNE and not finished else State.COMPLETE
        value = score(weight, epoch)
        if state is State.COMPLETE:
            best = checkpoint.load(writer.folder / "best.pt")
            with checkpoint.restoring(writer.folder / "best.pt"):
                assert best is not None
                assert best["epoch"] == epoch
        writer.commit()
        return Result(state, value, epoch, {"valid": {"score": value}}), epoch + 1


def _report(weight: float, epoch: int, stage: Any) -> EpochReport:
    value = score(weight, epoch)
    return EpochReport(epoch, stage, value, value, {"esps": 1.0}, {"score": value}, 0.0)


def _add(tables: Any, weight: float, epoch: int) -> None:
    values = np.full(STEPS, weight)
    tables.add_steps(
        first_step=STEPS * epoch, epoch=epoch, stage=0, lr=0.1, times=[0.0] * STEPS,
        raw=values[:, None], weights={"esps": 1.0}, total=values, grad_norm=values,
    )  # fmt: skip
    metrics = {"loss": weight, "score": score(weight, epoch)}
    tables.add_metrics(
        step=STEPS * (epoch + 1), epoch=epoch, stage=0, split="valid", metrics=metrics
    )


def command(spec: StudySpec) -> TrialQueue:
    """What ``python -m sweep -m`` does, without its report; raises what that prints as an error."""
    queue = spec.open()
    claim_study(queue, spec.record(), spec.folder, alone=True)
    enqueue_references(spec, queue)
    shown = ("message", "trial_started", "trial_ended", "epoch")
    quiet = SimpleNamespace(**dict.fromkeys(shown, lambda *_: None))
    worker = Worker(
        spec, queue, LightTrainer(), progress_of=lambda _: _Quiet(quiet), heartbeat=Heartbeat(),
        stopped=lambda: False,
    )  # fmt: skip
    assert worker.run()
    lost = lost_trials(search_phase(spec, queue), spec.folder)
    if lost:
        raise SweepError(f"records are gone: {[trial.number for trial, _ in lost]}")
    return queue


class _Quiet:
    def __init__(self, progress: Any) -> None:
        self._progress = progress

    def __enter__(self) -> Any:
        return self._progress

    def __exit__(self, *_: object) -> None:
        pass


class Disk:
    """What of a folder is on the disk, by the letter of POSIX.

    A file's content is there after its fsync, a name after that of its folder; whatever else was
    done may be lost when the power goes.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._content: dict[int, bytes] = {}
        self._names: dict[int, dict[str, tuple[int, bool]]] = {}
        self._held: list[int] = []  # an inode in use is not given to another file
        root.mkdir(parents=True, exist_ok=True)
        for folder, _, files in os.walk(root):
            for path in (folder, *(os.path.join(folder, name) for name in files)):
                descriptor = os.open(path, os.O_RDONLY)
                self.sync(descriptor)
                os.close(descriptor)

    def sync(self, descriptor: int) -> None:
        """An fsync was done."""
        self._held.append(os.dup(descriptor))
        status = os.fstat(descriptor)
        path = f"/proc/self/fd/{descriptor}"
        if stat.S_ISDIR(status.st_mode):
            self._names[status.st_ino] = {
                entry.name: (entry.inode(), entry.is_dir()) for entry in os.scandir(path)
            }
        else:
            self._content[status.st_ino] = Path(path).read_bytes()

    def size(self, descriptor: int) -> int:
        """How much of a file is on the disk."""
        return len(self._content.get(os.fstat(descriptor).st_ino, b""))

    def restore(self, target: Path, *, names_last: bool) -> None:
        """Write what is on the disk somewhere else.

        Args:
            target: A new folder.
            names_last: Names are lost, too; otherwise only contents are.
        """
        self._restore(self._root, self._root.stat().st_ino, target, names_last)

    def _restore(self, source: Path, inode: int, target: Path, names_last: bool) -> None:
        target.mkdir()
        if names_last:
            entries = self._names.get(inode, {})
        else:
            entries = {e.name: (e.inode(), e.is_dir()) for e in os.scandir(source)}
        for name, (child, is_folder) in entries.items():
            if is_folder:
                self._restore(source / name, child, target / name, names_last)
            else:
                (target / name).write_bytes(self._content.get(child, b""))


class Fault:
    """Brings a fault at one of the events of this process.

    Args:
        kind: ``none``, ``fail``, ``stop``, ``lose names``, ``lose contents``, ``lease`` or
            ``stand still``.
        at: Number of the event.
        folder: Folder of the study.
        beside: Where the folder goes as it is after the power was lost.
    """

    def __init__(self, kind: str, at: int, folder: Path, beside: Path) -> None:
        self.kind, self.at = kind, at
        self.folder, self.beside = folder, beside
        self.seen: list[str] = []
        self._disk = Disk(folder)

    def install(self) -> None:
        """Let it see the events."""
        for name in EVENTS:
            setattr(os, name, self._watched(name, getattr(os, name)))
        optuna.Study.tell = self._watched("tell", optuna.Study.tell)  # type: ignore[method-assign]

    def _watched(self, name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            target = args[0]
            path = os.readlink(f"/proc/self/fd/{target}") if name == "fsync" else str(target)
            if len(self.seen) == self.at:
                self._bring(target if name == "fsync" else None, path)
            self.seen.append(f"{name} {Path(path).name}")
            result = act(*args, **kwargs)
            if name == "fsync":
                self._disk.sync(target)
            return result

        return call

    def _bring(self, descriptor: int | None, path: str) -> None:
        if self.kind in ("fail", "stop") and descriptor is not None and os.path.isfile(path):
            # As if it came in the middle of the write.
            there = self._disk.size(descriptor)
            os.truncate(path, (there + os.fstat(descriptor).st_size + 1) // 2)
        if self.kind == "fail":
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        if self.kind == "stop":
            os._exit(KILLED)
        if self.kind.startswith("lose"):
            self._disk.restore(self.beside, names_last=self.kind == "lose names")
            os._exit(POWER)
        if self.kind == "lease":
            _take_lease_away(self.folder)
        if self.kind == "stand still" and "journal" not in path:
            os.kill(os.getpid(), signal.SIGSTOP)


def _take_lease_away(folder: Path) -> None:
    """As another node's worker does that was faster and has ended since."""
    trials = sorted((folder / "leases").glob("*"))
    if trials:
        newest = max((int(p.name) for p in trials[-1].iterdir() if p.name.isdigit()), default=-1)
        (trials[-1] / str(newest + 1)).write_text("{}")


def forked(act: Callable[[], None]) -> int:
    """Start a process that does something and ends; returns its number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons: of threads, idle here
        pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        act()
        status = 0
    except (SweepError, OSError):
        status = FAILED
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)


def search_with(
    spec: StudySpec, kind: str, at: int, beside: Path, meanwhile: Callable[[], None]
) -> tuple[int, list[str]]:
    """Run the command in a process of its own with a fault.

    Args:
        spec: The study.
        kind: Of the fault.
        at: Number of the event.
        beside: A folder for what the process leaves apart from the study.
        meanwhile: Called while the process stands still.

    Returns:
        Its exit status and the events up to its end.
    """
    record = beside / "events.json"

    def act() -> None:
        fault = Fault(kind, at, spec.folder, beside / "disk")
        fault.install()
        try:
            command(spec)
        finally:
            record.write_text(json.dumps(fault.seen))

    pid = forked(act)
    while True:
        _, status = os.waitpid(pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            break
        meanwhile()
        os.kill(pid, signal.SIGCONT)
    events = json.loads(record.read_text()) if record.exists() else []
    return os.waitstatus_to_exitcode(status), events
