"""What the study engine costs: time per trial beside the training, and many workers at once.

    python tests/benchmarks/bench_engine.py overhead [--profile] SAMPLER N_FINISHED...
    python tests/benchmarks/bench_engine.py storage [--workers 8] [--trials 200]

``overhead`` runs esp_weights with a training that does nothing, in a study that has so many
finished trials already; for each number the processor time of a trial from claim to tell, its
parts, and the time by the clock. GP beyond 300 trials is a matter of minutes per trial, all of them
Optuna's. ``storage`` lets workers without any training share a study, each trial with 20 reports
and looks at the pruner, on the journal and on PostgreSQL.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import io
import json
import math
import os
import pstats
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "services"))

import optuna
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

N_EPOCHS, N_MEASURED, N_REPORTS = 27, 12, 20
SPACE = {
    "loss.energy_per_atom.weight": FloatDistribution(1, 1000, log=True),
    "loss.atomic_multipoles.weight": FloatDistribution(10, 100000, log=True),
    "loss.dipole_per_atom.weight": FloatDistribution(1, 100000, log=True),
    "loss.total_charge.weight": FloatDistribution(0.1, 100, log=True),
    "loss.esps.weight": FloatDistribution(0.1, 100, log=True),
}


def history(score: float, n_epochs: int = N_EPOCHS) -> dict[int, float]:
    """A score that falls to ``score``."""
    return {epoch: score + math.exp(-epoch / 5) for epoch in range(n_epochs)}


def write_records(folder: Path, trials: list[FrozenTrial]) -> None:
    """What the folders of these trials say of them."""
    for number, trial in enumerate(trials):
        path = folder / f"{number:04d}" / "trial.json"
        path.parent.mkdir(parents=True)
        content = {
            "number": number, "state": trial.state.name, "score": trial.user_attrs["score"],
            "params": trial.params, "role": trial.user_attrs.get("role"),
            "objective": {"metrics": ["esps"], "statistic": "rmse"},
            "metrics": {"valid": {"rmse_esps": 1.0}},
        }  # fmt: skip
        path.write_text(json.dumps(content))


def finished_trials(count: int) -> list[FrozenTrial]:
    """As a real study has them: half of them pruned at a third of their epochs."""
    chance = random.Random(0)
    trials = []
    for number in range(count):
        params = {
            key: math.exp(chance.uniform(math.log(dist.low), math.log(dist.high)))
            for key, dist in SPACE.items()
        }
        score = sum(math.log(value) ** 2 for value in params.values()) / 500
        pruned = number > 1 and chance.random() < 0.5
        attributes: dict[str, Any] = {"score": score}
        if number < 2:
            attributes["role"] = ("default", "balanced")[number]
        trials.append(
            create_trial(
                state=TrialState.PRUNED if pruned else TrialState.COMPLETE,
                value=None if pruned else score,
                params=params,
                distributions=dict(SPACE),
                user_attrs=attributes,
                intermediate_values=history(score, 9 if pruned else N_EPOCHS),
            )
        )
    return trials


class Clock:
    """Adds up the processor time of parts of the engine, trial by trial."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = {}
        self._inner = [0.0]  # of the parts that are being measured, what others inside them took
        self.trials: list[dict[str, float]] = []
        self._last = (time.process_time(), time.perf_counter())

    def wrap(self, owner: Any, name: str) -> None:
        """Measure a function or method, without what others do inside it."""
        method: Callable[..., Any] = getattr(owner, name)

        def measured(*args: Any, **kwargs: Any) -> Any:
            began = time.process_time()
            self._inner.append(0.0)
            try:
                return method(*args, **kwargs)
            finally:
                whole = time.process_time() - began
                own = whole - self._inner.pop()
                self._inner[-1] += whole
                self.parts[name] = self.parts.get(name, 0.0) + own

        setattr(owner, name, measured)

    def tick(self) -> None:
        """A trial ends and the next one begins."""
        now = (time.process_time(), time.perf_counter())
        cpu, wall = (new - old for new, old in zip(now, self._last, strict=True))
        self.trials.append({**self.parts, "cpu": cpu, "wall": wall})
        self.parts = {}
        self._last = (time.process_time(), time.perf_counter())


def overhead(sampler: str, n_finished: int, n_measured: int, profile: bool) -> None:
    """Run a study whose trainings do nothing."""
    from sweep.cli.app import python_m_sweep
    from sweep.records import writer
    from sweep.records.state import State
    from sweep.records.writer import Result
    from sweep.search.objectives import Objectives
    from sweep.study import runner
    from sweep.study.composition import Composer
    from sweep.study.queue import TrialQueue
    from sweep.study.runner import TrialRunner
    from sweep.study.storage import open_storage
    from sweep.training import own
    from sweep.training.trainer import Decision, EpochReport

    class NoRun:
        """A training run that takes no time; better than all before, so that none is pruned."""

        def __init__(self, setup: Any, stages: Any, *_: Any, **__: Any) -> None:
            self.history: list[EpochReport] = []
            self._stages = stages

        def train(self, after_epoch: Callable[[EpochReport], Decision]) -> Result:
            for epoch, score in history(-1.0).items():
                stage = next(stage for stage in self._stages if epoch <= stage.end)
                report = EpochReport(epoch, stage, score, score, {}, {}, 0.0)
                self.history.append(report)
                assert after_epoch(report) is Decision.CONTINUE
            return Result(State.COMPLETE, -1.0, N_EPOCHS - 1, {"valid": {"rmse_esps": 1.0}})

    clock = Clock()
    own.TrainingLoop = NoRun  # type: ignore[assignment, misc]
    for owner, name in (
        (TrialQueue, "claim"), (Composer, "compose"), (Objectives, "report"),
        (Objectives, "should_prune"), (TrialRunner, "_tell"),
        (runner, "stages_of"), (runner, "train_trial"), (writer, "write_json"),
        (runner, "suggest"), (TrialRunner, "_copy"),
    ):  # fmt: skip
        clock.wrap(owner, name)
    run = TrialRunner.run

    def watched(self: TrialRunner, handle: Any) -> None:
        run(self, handle)
        clock.tick()

    TrialRunner.run = watched  # type: ignore[method-assign]
    profiler = cProfile.Profile()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        study = optuna.create_study(
            study_name="bench", storage=open_storage(None, Path("outputs/bench"))
        )
        study.add_trials(finished_trials(n_finished))
        write_records(Path("outputs/bench/trials"), finished_trials(n_finished))
        n_trials = n_finished + n_measured + 1
        sys.argv = [
            "sweep", "-m", "+experiment=esp_weights", "hydra.sweeper.study_name=bench",
            "hydra.sweeper.n_jobs=1", f"hydra.sweeper.n_trials={n_trials}",
            f"hydra/sweeper/sampler={sampler}",
        ]  # fmt: skip
        with contextlib.redirect_stdout(io.StringIO()):
            if profile:
                profiler.enable()
            python_m_sweep()
            profiler.disable()
        os.chdir("/")
    measured = clock.trials[1:]  # the first one opens the study and builds the model
    print(f"{sampler}, {n_finished} finished trials, per trial of {N_EPOCHS} epochs (ms):")
    for part in sorted(measured[0], key=lambda part: -measured[0][part]):
        times = [1e3 * trial.get(part, 0.0) for trial in measured]
        print(f"  {part:<14} median {statistics.median(times):8.1f}   most {max(times):8.1f}")
    if profile:
        pstats.Stats(profiler).sort_stats("cumulative").print_stats(70)


def storage(n_workers: int, n_trials: int) -> None:
    """Let workers share a study on both storages."""
    from postgresql_server import postgresql

    with postgresql() as server:
        for name, url in (("journal", None), ("PostgreSQL", server.create("bench"))):
            with tempfile.TemporaryDirectory() as folder:
                _share(name, Path(folder), url, n_workers, n_workers * n_trials)


def _share(name: str, folder: Path, url: str | None, n_workers: int, n_trials: int) -> None:
    from sweep.study.storage import open_storage

    command = [sys.executable, __file__, "worker", str(folder), url or "-", str(n_trials)]
    began = time.perf_counter()
    workers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(n_workers)
    ]
    printed = [worker.communicate() for worker in workers]
    wall = time.perf_counter() - began
    latencies = sorted(float(line) for out, _ in printed for line in out.split())
    trials = optuna.load_study(study_name="bench", storage=open_storage(url, folder)).trials
    finished = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    print(
        f"{name}: {n_workers} workers, {n_trials} trials of {N_REPORTS} reports in {wall:.1f} s "
        f"({1e3 * wall / n_trials:.0f} ms per trial); claim: median "
        f"{1e3 * statistics.median(latencies):.0f} ms, 99 % within "
        f"{1e3 * latencies[int(0.99 * len(latencies))]:.0f} ms, longest {latencies[-1]:.1f} s; "
        f"finished {len(finished)}, records of surplus trials {len(trials) - len(finished)}, "
        f"workers that failed {sum(worker.returncode != 0 for worker in workers)}"
    )
    for error in sorted({err for _, err in printed if err}):
        print(error)


def share(folder: Path, url: str | None, n_trials: int) -> None:
    """Share a study; prints how long each claim took."""
    from sweep.study.queue import TrialQueue
    from sweep.study.storage import open_study

    study = open_study(folder, "bench", storage=url)
    study.pruner = optuna.pruners.MedianPruner()
    queue = TrialQueue(
        study, folder, optuna.samplers.RandomSampler, n_trials=n_trials, max_failure_rate=0.0
    )
    while True:
        began = time.perf_counter()
        handle = queue.claim(lambda: False)
        if handle is None:
            return
        print(time.perf_counter() - began, flush=True)
        trial = handle.trial
        values = [trial.suggest_float(key, d.low, d.high, log=d.log) for key, d in SPACE.items()]
        pruned = False
        for epoch, value in history(values[0], N_REPORTS).items():
            trial.report(value, epoch)
            pruned = pruned or trial.should_prune()
        if pruned:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, values[0])
        handle.lease.release()


def main() -> None:
    if sys.argv[1:2] == ["worker"]:
        folder, url, n_trials = sys.argv[2:]
        share(Path(folder), None if url == "-" else url, int(n_trials))
        return
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("overhead")
    one.add_argument("sampler")
    one.add_argument("n_finished", type=int, nargs="+")
    one.add_argument("--profile", action="store_true")
    one.add_argument("--measured", type=int, default=N_MEASURED, help="trials to measure")
    many = commands.add_parser("storage")
    many.add_argument("--workers", type=int, default=8)
    many.add_argument("--trials", type=int, default=200, help="per worker")
    given = parser.parse_args()
    if given.command == "storage":
        storage(given.workers, given.trials)
    elif len(given.n_finished) == 1:
        overhead(given.sampler, given.n_finished[0], given.measured, given.profile)
    else:  # a process each: nothing is left of the last one
        for n_finished in given.n_finished:
            subprocess.run(
                [sys.executable, __file__, "overhead", given.sampler, str(n_finished),
                 f"--measured={given.measured}", *["--profile"] * given.profile],
                check=True,
            )  # fmt: skip


if __name__ == "__main__":
    main()
