"""Logs are read batch by batch: what is training, in which epoch, with which values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from sweep.batch_losses.log import from_log, run_name
from sweep.batch_losses.run import Range
from sweep.errors import InputError

TIME = "2026-02-25 11:59:19.214"


class Log:
    """A log that grows as the training that it imitates goes on."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def header(
        self,
        *,
        train: int,
        valid: int,
        batch: int,
        valid_batch: int,
        stages: Sequence[tuple[str, int, int]] = (),
        eval_interval: int = 1,
        processes: int = 1,
        tests: str = "",
        log_on_test_sets: bool = False,
    ) -> Log:
        distributed = processes > 1
        if distributed:
            self.info("Process group initialized: True").info(f"Processes: {processes}")
        schedule = [
            {"name": name, "start": start, "end": end, "loss": {"forces": {"weight": 1.0}}}
            for name, start, end in stages
        ]
        self.info("MACE version: 0.3.14").info(
            f"Configuration: Namespace(config='c.yaml', seed=1, distributed={distributed}, "
            f"num_workers=8, batch_size={batch}, valid_batch_size={valid_batch}, lr=0.01, "
            f"eval_interval={eval_interval}, log_on_test_sets={log_on_test_sets}, "
            f"train_schedule={schedule!r}, heads={{'default': {{}}}})"
        )
        return self.info(
            f"Total number of configurations: train={train}, valid={valid}, tests=[{tests}]"
        )

    def info(self, text: str) -> Log:
        self.lines.append(f"{TIME} INFO: {text}")
        return self

    def batches(self, count: int, **terms: float) -> Log:
        text = "".join(f"{name}: {value}, " for name, value in terms.items())
        self.lines += [f"{TIME} DEBUG: loss breakdown: {text}"] * count
        return self

    def epoch(self, number: int, loss: float = 1.2345) -> Log:
        return self.info(f"Epoch {number}: loss={loss:.4f}, RMSE_E_per_atom=1.0 meV, RMSE_F=2.0")

    def write(self, path: Path, *, end: str = "\n") -> Path:
        path.write_text("\n".join(self.lines) + end)
        return path


def mean_total(*batches: tuple[int, Mapping[str, float]]) -> float:
    """The loss that a validation of such batches prints."""
    count = sum(n for n, _ in batches)
    return sum(n * sum(terms.values()) for n, terms in batches) / count


TRAIN = {"forces": 2.0, "esps": 0.5}
VALID, OTHER = {"forces": 70.0, "esps": 30.0}, {"forces": 9.0, "esps": 1.0}
ALL = Range()
HEADER = {"train": 43, "valid": 30, "batch": 8, "valid_batch": 16}  # 5 batches, 2 of validation


def read(log, tmp_path, wanted=ALL, **kwargs):
    return from_log(log.write(tmp_path / "fit_run-1_debug.log", **kwargs), wanted)


def values(run, name):
    """The values of a term, one batch after another; NaN where it is not finite."""
    assert run.curves.bin_width == 1
    return run.curves.term(name).mean.tolist()


def one_run(log, epochs, *, per_epoch=5, validation=2, loss=100.0):
    for epoch in epochs:
        log.batches(per_epoch, **TRAIN).batches(min(validation, 1), **VALID)
        log.batches(max(validation - 1, 0), **OTHER).epoch(epoch, loss)
    return log


def test_validation_is_left_out_by_the_counts_of_the_header(tmp_path):
    # The printed losses say nothing here: the header alone tells.
    run = read(one_run(Log().header(**HEADER), range(3), loss=0.0), tmp_path)
    assert values(run, "forces") == [2.0] * 15
    assert values(run, "esps") == [0.5] * 15
    assert run.epochs == [(0, 0), (1, 5), (2, 10)]
    assert "header" in run.notes[0]


def test_validation_is_left_out_by_the_printed_mean_loss(tmp_path):
    log = Log()
    for epoch in range(3):
        log.batches(4, **TRAIN).batches(1, forces=2.4, esps=0.0)
        log.batches(2, **VALID).batches(1, forces=1.0, esps=0.25)
        log.epoch(epoch, mean_total((2, VALID), (1, {"forces": 1.0, "esps": 0.25})))
    run = read(log, tmp_path)
    assert values(run, "forces") == [2.0, 2.0, 2.0, 2.0, 2.4] * 3
    assert "mean loss" in run.notes[0]


def test_a_header_that_does_not_fit_yields_to_the_printed_loss(tmp_path):
    log = Log().header(**{**HEADER, "train": 80})  # 10 batches; but there are 5
    run = read(one_run(log, range(3), loss=mean_total((1, VALID), (1, OTHER))), tmp_path)
    assert values(run, "forces") == [2.0] * 15


@pytest.mark.parametrize("copies", [1, 4])
def test_parallel_runs_log_one_process_or_all(tmp_path, copies):
    header = {"train": 163, "valid": 120, "batch": 8, "valid_batch": 16, "processes": 4}
    log = one_run(Log().header(**header), range(2), per_epoch=5 * copies, validation=2 * copies)
    run = read(log, tmp_path)
    assert values(run, "forces") == [2.0] * 10 * copies


def test_test_sets_that_are_evaluated_in_training_are_left_out_too(tmp_path):
    log = Log().header(**HEADER, tests="bulk: 33, slab: 1", log_on_test_sets=True)
    run = read(one_run(log, range(2), validation=2 + 3 + 1), tmp_path)
    assert values(run, "forces") == [2.0] * 10


def test_several_epochs_between_two_evaluations(tmp_path):
    log = Log().header(**HEADER, eval_interval=3, stages=[("a", 0, 3), ("b", 4, 9)])
    one_run(log, [0])
    one_run(log, [3], per_epoch=15)
    run = read(log.batches(10, **TRAIN), tmp_path)  # epochs 4 and 5, not evaluated
    assert run.epochs == [(epoch, 5 * epoch) for epoch in range(6)]
    assert run.marks == [(0, "a"), (20, "b")]


def test_epochs_after_the_last_evaluation_of_a_stage_are_training(tmp_path):
    log = one_run(Log().header(**HEADER, eval_interval=5, stages=[("a", 0, 1), ("b", 2, 9)]), [0])
    log.batches(5, **TRAIN).info("Training complete")  # epoch 1
    log.info("WeightedLoss(forces_weight=1.0, )").batches(20, **TRAIN).batches(2, **VALID).epoch(5)
    run = read(log, tmp_path)
    assert values(run, "forces") == [2.0] * 30
    assert run.epochs == [(epoch, 5 * epoch) for epoch in range(6)]
    assert run.marks == [(0, "a"), (10, "b")]


def test_the_final_error_tables_are_left_out(tmp_path):
    log = one_run(Log().header(**HEADER), range(2)).info("Training complete")
    log.info("Computing metrics for training, validation, and test sets")
    log.info("Computing final error tables and saving models").batches(9, **VALID)
    assert values(read(log, tmp_path), "forces") == [2.0] * 10


def test_a_second_run_in_the_same_file_is_marked_and_has_its_own_counts(tmp_path):
    log = one_run(Log().header(**HEADER, stages=[("a", 0, 9)]), range(2))
    log.batches(3, **TRAIN)  # epoch 2, killed
    log.header(**{**HEADER, "batch": 4}, stages=[("a", 0, 9)])
    one_run(log, [2, 3], per_epoch=10)
    run = read(log, tmp_path)
    assert values(run, "forces") == [2.0] * 33
    assert run.epochs == [(0, 0), (1, 5), (2, 10), (3, 23)]
    assert run.marks == [(0, "a"), (13, "restart")]


@pytest.mark.parametrize(("n_lines", "kept"), [(3, 3), (5, 5), (6, 5), (7, 5)])
def test_a_run_killed_in_its_validation(tmp_path, n_lines, kept):
    log = one_run(Log().header(**HEADER), [0]).batches(min(n_lines, 5), **TRAIN)
    run = read(log.batches(max(n_lines - 5, 0), **VALID), tmp_path)
    assert values(run, "forces") == [2.0] * (5 + kept)


def test_a_log_without_validation_lines(tmp_path):
    run = read(one_run(Log(), range(3), validation=0, loss=777.0), tmp_path)
    assert values(run, "forces") == [2.0] * 15
    assert "no validation" in run.notes[0]


def test_values_that_are_not_finite_are_kept_apart(tmp_path):
    log = Log().header(**HEADER).batches(2, **TRAIN)
    for value in ("nan", "inf", "-inf"):
        log.batches(1, forces=value, esps=0.0)
    run = read(log, tmp_path)
    forces, esps = (run.curves.term(name) for name in ("forces", "esps"))
    assert forces.nonfinite.tolist() == [0, 0, 1, 1, 1]
    assert esps.nonfinite.tolist() == [0] * 5
    assert esps.zero.tolist() == [0, 0, 1, 1, 1]
    assert [math.isnan(v) for v in forces.mean] == [False, False, True, True, True]


def test_terms_may_come_and_go(tmp_path):
    log = Log().header(**{**HEADER, "train": 16})
    log.batches(2, a=1.0).batches(2, b=9.0).epoch(0)
    log.batches(2, b=2.0, c=3.0).batches(2, c=9).epoch(1)
    run = read(log, tmp_path)
    assert run.curves.names == ["a", "b", "c"]
    assert run.curves.term("a").steps.tolist() == [0, 1]
    assert run.curves.term("c").steps.tolist() == [2, 3]


def test_epochs_can_be_chosen(tmp_path):
    log = one_run(Log().header(**HEADER, stages=[("a", 0, 1), ("b", 2, 9)]), range(4))
    run = read(log, tmp_path, Range(2, 2))
    assert values(run, "forces") == [2.0] * 5
    assert run.epochs == [(2, 10)]
    assert run.marks == [(10, "b")]
    with pytest.raises(InputError, match=r"has no epochs from 7; it holds epochs 0 to 3"):
        read(log, tmp_path, Range(7))


def test_a_cut_off_last_line_is_left_out(tmp_path):
    log = one_run(Log().header(**HEADER), [0]).batches(2, **TRAIN)
    log.lines.append(log.lines[-1][:-9])  # "esps: 0.5, " without its value
    run = read(log, tmp_path, end="")
    assert values(run, "forces") == [2.0] * 7
    assert any("cut off" in note for note in run.notes)


def test_damaged_lines_are_counted_and_left_out(tmp_path):
    log = one_run(Log().header(**{**HEADER, "train": 48}), [0], per_epoch=3)
    half = log.lines[4][:70]
    log.lines[3] = half + log.lines[4]  # two writers
    log.lines.append("x DEBUG: loss breakdown: tensor([1.0]), \x01")
    run = read(log, tmp_path)
    assert run.notes[-1] == "left out 2 breakdown lines that are damaged"


def test_lines_longer_than_a_chunk_and_carriage_returns(tmp_path):
    log = Log().info("x" * (5 << 20))
    one_run(log.header(**HEADER), range(2))
    path = tmp_path / "fit_debug.log"
    path.write_bytes("\r\n".join([*log.lines, ""]).encode())
    assert values(from_log(path, ALL), "esps") == [0.5] * 10


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"holds no 'loss breakdown' of a training batch; it is empty"),
        (b"2026 INFO: nothing\n", r"holds no 'loss breakdown'.*logs/<name>_debug.log"),
        (b"\x89PNG\0\0", "is not a text file"),
        (b"2026 DEBUG: loss breakdown: forces: 1.2", "holds no 'loss breakdown'"),
    ],
)
def test_files_without_breakdown(tmp_path, content, message):
    path = tmp_path / "fit.log"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        from_log(path, ALL)


def test_the_log_of_the_same_run_is_proposed(tmp_path):
    (tmp_path / "fit.log").write_text("2026 INFO: nothing\n")
    (tmp_path / "fit_debug.log").write_text("")
    with pytest.raises(InputError, match=r"did you mean .*fit_debug.log\?"):
        from_log(tmp_path / "fit.log", ALL)


def test_a_file_with_too_many_names_is_no_log(tmp_path):
    log = Log().batches(1, **{f"n{i}": 1.0 for i in range(100)})
    with pytest.raises(InputError, match="more than 64 terms"):
        read(log, tmp_path)


@pytest.mark.parametrize(
    ("file", "name"),
    [("fit_run-123_debug.log", "fit"), ("a_run-1_debug.log", "a"), ("fit_debug.log", "fit")],
)
def test_names_of_runs(file, name):
    assert run_name(Path(file)) == name
