"""Which breakdown lines of a MACE_SCF log are training batches.

The loss of MACE_SCF writes a line whenever it is called, in training and in validation alike.
Before every ``Epoch N: loss=…`` line stand the batches of one or more epochs, then those of the
validation set (and of the test sets, with ``log_on_test_sets``). Where the one ends and the other
begins follows from

1. the log's own header: numbers of configurations, batch sizes and processes; the training set is
   cut to whole batches, the others are not; or
2. the loss of the ``Epoch`` line: it is the mean total of the validation batches, so that the lines
   before it with that very mean are the validation.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sweep.batch_losses.run import Stage

__all__ = ["Header", "Layout", "Segment", "decide"]

_COUNTS = re.compile(rb"number of configurations: train=(\d+), valid=(\d+), tests=\[(.*)\]")
_PROCESSES = re.compile(rb"INFO: Processes: (\d+)\s*$")


@dataclass
class Header:
    """What the beginning of a MACE_SCF log tells about its batches; 0 where it does not."""

    train: int = 0
    valid: int = 0
    tests: tuple[int, ...] = ()
    batch_size: int = 0
    valid_batch_size: int = 0
    processes: int = 1
    eval_interval: int = 1
    log_on_test_sets: bool = False
    stages: list[Stage] = field(default_factory=list)

    @classmethod
    def of_configuration(cls, line: bytes, before: Header) -> Header:
        """From the line of all settings; the number of processes stands before it."""
        text = line.decode(errors="replace")
        return cls(
            batch_size=_setting(text, "batch_size"),
            valid_batch_size=_setting(text, "valid_batch_size"),
            processes=before.processes if "distributed=True" in text else 1,
            eval_interval=_setting(text, "eval_interval") or 1,
            log_on_test_sets="log_on_test_sets=True" in text,
            stages=_stages(text),
        )

    def read(self, line: bytes) -> None:
        """Read another line of the header."""
        if (match := _COUNTS.search(line)) is not None:
            self.train, self.valid = int(match[1]), int(match[2])
            self.tests = tuple(int(n) for n in re.findall(rb":\s*(\d+)", match[3]))
        elif (match := _PROCESSES.search(line)) is not None:
            self.processes = max(int(match[1]), 1)

    @property
    def known(self) -> bool:
        """Whether it tells the number of batches."""
        return min(self.train, self.valid, self.batch_size, self.valid_batch_size) > 0

    def batches(self) -> tuple[int, int]:
        """Training batches of an epoch and batches of an evaluation, of one process."""
        training = self.train // self.processes // self.batch_size
        sets = (self.valid, *(self.tests if self.log_on_test_sets else ()))
        evaluated = sum(-(-(n // self.processes) // self.valid_batch_size) for n in sets)
        return training, evaluated


@dataclass
class Segment:
    """Breakdown lines between two marks of a log.

    Attributes:
        blocks: Runs of lines with the same terms: their names and values, one line after another.
        epoch: Epoch of the evaluation that ends it; None: it ends otherwise.
        loss: The loss that was printed there.
        stage_end: Whether the end of a stage ends it.
    """

    blocks: list[tuple[tuple[str, ...], array[float]]] = field(default_factory=list)
    epoch: int | None = None
    loss: bytes | None = None
    stage_end: bool = False
    size: int = 0

    def add(self, names: tuple[str, ...], values: Sequence[float]) -> None:
        """Add one line."""
        if not self.blocks or self.blocks[-1][0] != names:
            self.blocks.append((names, array("d")))
        self.blocks[-1][1].extend(values)
        self.size += 1

    def totals(self) -> np.ndarray:
        """Sum of the terms of every line, shape [n_lines]."""
        parts = [np.array(v).reshape(-1, len(names)).sum(axis=1) for names, v in self.blocks]
        return np.concatenate(parts) if parts else np.empty(0)


@dataclass(frozen=True)
class Layout:
    """How the lines of a log are divided.

    Attributes:
        reason: How that is known.
        per_epoch: Training batches of an epoch; 0: unknown, all lines but the validation.
        validation: Lines of an evaluation.
        eval_interval: Epochs between two evaluations.
    """

    reason: str
    per_epoch: int = 0
    validation: int = 0
    eval_interval: int = 1

    def describe(self) -> str:
        """For the user."""
        if not self.validation:
            return f"all breakdown lines are taken as training batches ({self.reason})"
        return (
            f"{self.per_epoch} training batches per epoch are drawn; the {self.validation} lines "
            f"of every validation are left out ({self.reason})"
        )

    def split(self, segment: Segment, last_epoch: int | None) -> tuple[int, int]:
        """Training batches of a segment and the number of epochs they belong to."""
        n_training = segment.size
        if segment.epoch is not None:
            n_training = max(n_training - self.validation, 0)
            if last_epoch is not None and segment.epoch > last_epoch:
                return n_training, segment.epoch - last_epoch
            if not self.per_epoch:
                return n_training, 1
            return n_training, max(round(n_training / self.per_epoch), 1)
        if not self.per_epoch:
            return n_training, 1
        if not segment.stage_end and self.validation:
            # An interrupted run may have stopped within a validation.
            begun = 0 if last_epoch is None else last_epoch + 1
            until_evaluation = -begun % self.eval_interval + 1  # epochs
            n_training = min(n_training, until_evaluation * self.per_epoch)
        return n_training, max(-(-n_training // self.per_epoch), 1)


def decide(segments: Sequence[Segment], header: Header) -> Layout:
    """Find out how a log is divided, from its first evaluations and its header.

    Args:
        segments: The first segments of a run.
        header: What the log told before.
    """
    closed = [s for s in segments if s.epoch is not None and s.size]
    epochs = _epochs_between(segments)
    if header.known:
        training, evaluated = header.batches()
        # Some versions of MACE_SCF log all processes of a parallel run into one file.
        for copies in dict.fromkeys((1, header.processes)):
            for validation in (evaluated * copies, 0):
                layout = Layout(
                    "by the counts in the log's header",
                    training * copies,
                    validation,
                    header.eval_interval,
                )
                if training and _fits(layout, closed, epochs):
                    return layout
    by_mean = _by_mean(closed)
    if by_mean is not None:
        sizes = [(s.size - by_mean) // n for s, n in zip(closed, epochs, strict=True) if n]
        per_epoch = sizes[-1] if sizes else closed[0].size - by_mean
        reason = "by the mean loss printed after each validation"
        interval = max(max(n for n in epochs if n) if sizes else 1, header.eval_interval)
        return Layout(reason, per_epoch, by_mean, interval)
    sizes = [s.size // n for s, n in zip(closed, epochs, strict=True) if n]
    per_epoch = sizes[-1] if sizes else 0
    if header.known and closed:
        return Layout("the counts in its header do not fit its lines", per_epoch)
    return Layout("the log tells of no validation batches", per_epoch)


def _epochs_between(segments: Sequence[Segment]) -> list[int]:
    """Epochs of each segment that ends with an evaluation; 0: unknown.

    Unknown are those of the first, unless it is epoch 0, and of one after a stage's last epochs,
    which may not have been evaluated.
    """
    epochs: list[int] = []
    before: int | None = -1
    for segment in segments:
        if segment.epoch is None:
            before = None
            continue
        if not segment.size:
            before = segment.epoch
            continue
        if before is None or (before == -1 and segment.epoch > 0):
            epochs.append(0)
        else:
            epochs.append(max(segment.epoch - before, 0))
        before = segment.epoch
    return epochs


def _fits(layout: Layout, closed: Sequence[Segment], epochs: Sequence[int]) -> bool:
    """Whether the number of lines before every evaluation is what the layout says."""
    for segment, n_epochs in zip(closed, epochs, strict=True):
        n_training = segment.size - layout.validation
        if n_training <= 0 or n_training % layout.per_epoch:
            return False
        if n_epochs and n_training != n_epochs * layout.per_epoch:
            return False
    return True


def _by_mean(closed: Sequence[Segment]) -> int | None:
    """The one number of last lines whose mean is the printed loss, before every evaluation."""
    common: set[int] | None = None
    for segment in closed:
        text = (segment.loss or b"").decode(errors="replace")
        try:
            loss = float(text)
        except ValueError:
            continue
        totals = segment.totals()[::-1]
        # Not all lines: an epoch has at least one training batch.
        means = np.cumsum(totals)[:-1] / np.arange(1, len(totals))
        digits = len(text.partition(".")[2]) if "e" not in text.lower() else 12
        tolerance = 0.51 * 10.0**-digits + 1e-6 * abs(loss)
        found = set((np.flatnonzero(np.abs(means - loss) <= tolerance) + 1).tolist())
        common = found if common is None else common & found
    return common.pop() if common is not None and len(common) == 1 else None


def _setting(text: str, name: str) -> int:
    match = re.search(rf"[(\s]{name}=(\d+)[,)]", text)
    return int(match[1]) if match else 0


def _stages(text: str) -> list[Stage]:
    """Names and first epochs of ``train_schedule``, which is printed as a list of mappings."""
    start = text.find("train_schedule=[")
    if start < 0:
        return []
    depth, begin = 0, 0
    stages = []
    for i in range(start, len(text)):
        if text[i] == "{":
            begin = i if depth == 0 else begin
            depth += 1
        elif text[i] == "}":
            depth -= 1
            if depth == 0:
                stages.append(text[begin : i + 1])
        elif text[i] == "]" and depth == 0:
            break
    found = []
    for stage in stages:
        name = re.search(r"'name': '([^']*)'", stage)
        first = re.search(r"'start': (\d+)", stage)
        if name and first:
            found.append(Stage(name[1], int(first[1])))
    return found
