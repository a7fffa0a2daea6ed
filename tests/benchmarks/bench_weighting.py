"""What each way to weight the terms gives for its cost: trainings, their table and figure.

    python tests/benchmarks/bench_weighting.py --results weighting/results.jsonl
    python tests/benchmarks/bench_weighting.py --results weighting/results.jsonl --table docs

The first trains what the file does not hold yet, one process at a time with one thread, and adds a
line for every finished training or study; their folders lie in ``runs`` beside it. What was
stopped goes on from its last epoch. The second prints the tables and draws the figure in a folder.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cpu_time import cpu_seconds
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from weighting_ranks import pruning, ranks
from weighting_studies import STUDIES, study_overrides, winner
from weighting_table import draw, tables

from losses.balance import balanced_weights
from sweep.config.stages import CONF_DIR
from sweep.files import read_json
from sweep.hydra_plugin.registration import register
from sweep.records import Trial
from sweep.search.weights import static_overrides, weight_keys

SEEDS = (0, 1, 2)
RANKED = 8  # settings of shares, and of weights
LENGTHS = (1, 10 / 3, 10)  # 27, 90 and 270 epochs of esp_weights
BASELINES = ("uncertainty", "imtl_l", "dwa", "famo", "stch", "geometric_mean")
OTHERS = ("stress_weights", "polarizability_weights", "fermi_weights", "organic_weights")
SHORT = ("default", "balanced", "gradient_shares", "static", "loss_shares")
LONG = ("default", "gradient_shares", "static", "balanced")
EQUAL = "equal_shares"
# Trained ten times as long: what a study found, called `study_best` and so on.
WINNERS = ("study", "searched")
AT_LENGTH = ("esp_weights", "stress_weights", "polarizability_weights")
# The static copy with other clipping: none, and relative to the median norm.
CLIPPED = {"static_unclipped": "null", "static_median": "3"}
START = 3  # epochs that "balanced" looks at


@dataclass(frozen=True)
class Run:
    """One training or study: ``length`` is how many times as long as the experiment's own."""

    experiment: str
    length: float
    kind: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.experiment}-x{self.length:.3g}-{self.kind}-seed{self.seed}"


def plan() -> Iterator[Run]:
    """All trainings, those that others build on before them; all kinds of one seed together."""
    for seed in SEEDS:
        yield from (Run("esp_weights", 1, kind, seed) for kind in (*SHORT, EQUAL, *CLIPPED))
    for seed in SEEDS:
        yield from (Run("esp_weights", 10, kind, seed) for kind in LONG)
    settings = [f"{what}{number}" for number in range(RANKED) for what in ("shares", "weights")]
    yield from (Run("esp_weights", LENGTHS[0], kind, 0) for kind in settings)
    for seed in SEEDS:
        yield from (Run("esp_weights", 1, kind, seed) for kind in BASELINES)
    for experiment in OTHERS:
        for seed in SEEDS:
            yield from (Run(experiment, 1, kind, seed) for kind in SHORT)
    for length in LENGTHS[1:]:
        yield from (Run("esp_weights", length, kind, 0) for kind in settings)
    for experiment in OTHERS:
        for seed in SEEDS:
            yield from (Run(experiment, 1, kind, seed) for kind in BASELINES)
    for experiment in ("esp_weights", *OTHERS):
        yield from (Run(experiment, 1, kind, seed) for seed in SEEDS for kind in WINNERS)
    for experiment in AT_LENGTH:
        for seed in SEEDS:
            yield from (Run(experiment, 10, f"{kind}_best", seed) for kind in WINNERS)
            yield from (Run(experiment, 10, kind, seed) for kind in LONG[:3])
    for experiment in AT_LENGTH[:2]:
        yield from (Run(experiment, 1, "random", seed) for seed in SEEDS)
    yield from (Run("esp_weights", 10, "last_stage", seed) for seed in SEEDS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="file of JSON lines")
    parser.add_argument("--only", default="", help="regular expression that names must match")
    parser.add_argument("--table", type=Path, metavar="FOLDER", help="print tables, draw figure")
    parser.add_argument("--list", action="store_true", help="what is done and what is left")
    arguments = parser.parse_args()
    done = {line["name"]: line for line in read_lines(arguments.results)}
    wanted = [run for run in plan() if re.search(arguments.only, run.name)]
    if arguments.table is not None:
        lines = list(done.values())
        print(tables(lines))
        for title, rows in (("Ranks between lengths", ranks(lines)), ("Pruning", pruning(lines))):
            print(f"\n### {title}\n\n{rows or 'not measured yet'}")
        draw(lines, arguments.table)
        return
    if arguments.list:
        for run in wanted:
            print(f"{run.name:50s} {done[run.name]['test_score'] if run.name in done else '-'}")
        return
    register()
    folder = arguments.results.resolve().parent / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    for run in wanted:
        if run.name in done:
            continue
        line = train(run, folder, done)
        done[run.name] = line
        with arguments.results.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(f"{run.name:50s} {line['test_score']} {line['cpu_seconds']:.0f} s", flush=True)


def read_lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def train(run: Run, folder: Path, done: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Train, and return the line of the results; ``done`` are those before it."""
    overrides = [f"seed={run.seed}", *stretched(run), *weighting(run, folder, done)]
    target = folder / run.name
    is_continued = (target / "checkpoint.pt").exists() or (target / "trials").exists()
    seconds, message = command(run, overrides, target)
    line: dict[str, Any] = {}
    if run.kind in STUDIES:
        if message:
            raise SystemExit(f"{run.name}: {message}")
        best = winner(run.kind, target, composed(run))
        trial = best.trial
        line = {"trainings": best.trainings, "overrides": best.overrides}
    else:
        trial = Trial.read(target)
        if not (trial.is_complete or message):
            raise SystemExit(f"{run.name}: stopped")
        curve = trial.metrics().query("split == 'valid'").sort_values("epoch")["score"]
        line = {"curve": [float(f"{score:.4g}") for score in curve]}
        if run.kind == "gradient_shares" and trial.is_complete:
            line["static"] = static_overrides(composed(run), trial.stages)
    return {
        "name": run.name, "experiment": run.experiment, "length": run.length,
        "kind": run.kind, "seed": run.seed,
        "valid_score": trial.score if trial.is_complete else None,
        "test_score": trial.score_on("test"), "test_errors": trial.errors("test"),
        "valid_errors": trial.errors("valid"), "weights": trial.weights,
        "cpu_seconds": seconds, "is_continued": is_continued, "failed": message or None,
        "commit": trial.details.get("git_commit"), **line,
    }  # fmt: skip


def command(run: Run, overrides: list[str], folder: Path) -> tuple[float, str]:
    """CPU seconds of the training, and the last line that it printed if it failed."""
    where = "hydra.sweep.dir" if run.kind in STUDIES else "hydra.run.dir"
    words = ["-m", "sweep", f"+experiment={run.experiment}", f"{where}={folder}", *overrides]
    folder.parent.mkdir(exist_ok=True)
    seconds, status = cpu_seconds(words, folder.with_suffix(".log"))
    if status < 0 or status in (130, 143):
        raise SystemExit(f"{run.name}: stopped by a signal")
    lines = folder.with_suffix(".log").read_text().strip().splitlines()
    return seconds, lines[-1] if status and lines else ""


def composed(run: Run) -> DictConfig:
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return compose("config", [f"+experiment={run.experiment}", "weighting=fixed"])


def stretched(run: Run) -> list[str]:
    found = []
    for index, stage in composed(run).train_schedule.items() if run.length > 1 else ():
        found.append(f"train_schedule.{index}.start={round(stage.start * run.length)}")
        found.append(f"train_schedule.{index}.end={round((stage.end + 1) * run.length) - 1}")
    return found


def weighting(run: Run, folder: Path, done: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Overrides of a kind; ``done`` are the lines so far."""
    if run.kind in STUDIES:
        return study_overrides(run.kind, run.experiment)
    if run.kind.endswith("_best"):
        study = replace(run, length=1, kind=run.kind.removesuffix("_best"))
        return list(done[study.name]["overrides"])
    if run.kind == "default":
        return ["weighting=fixed"]
    if run.kind in CLIPPED:
        clipping = ["trainer.clip_grad=null", f"trainer.clip_median={CLIPPED[run.kind]}"]
        return [*weighting(replace(run, kind="static"), folder, done), *clipping]
    if run.kind == "static":
        weights = done[replace(run, kind="gradient_shares").name]["static"]
        return ["weighting=fixed", *(f"{key}={value!r}" for key, value in weights.items())]
    if run.kind == "balanced":
        weights = balanced_at_the_start(run, folder)
        return ["weighting=fixed", *(f"{key}={value!r}" for key, value in weights.items())]
    if run.kind == EQUAL:
        return ["weighting=gradient_shares", "weighting.shares.forces=1.0"]
    if setting := re.fullmatch("(shares|weights)([0-9]+)", run.kind):
        return drawn(composed(run), setting[1], int(setting[2]))
    return [f"weighting={run.kind}"]


def drawn(cfg: DictConfig, what: str, number: int) -> list[str]:
    """The numbered setting: what ``search=auto`` searches, log-uniform around the configured ones.

    Shares within a factor of 10 to either side, weights within 100; the forces keep theirs.
    """
    generator = np.random.default_rng([number, what == "shares"])
    half = 1.0 if what == "shares" else 2.0
    found = [f"weighting={'gradient_shares' if what == 'shares' else 'fixed'}"]
    for key, weight in weight_keys(cfg).items():
        factor = 10 ** generator.uniform(-half, half)
        if weight.term == "forces":
            continue
        if what == "shares":
            found.append(f"weighting.shares.{weight.term}={factor!r}")
        else:
            found.append(f"{key}={weight.value * factor!r}")
    return found


def balanced_at_the_start(run: Run, folder: Path) -> dict[str, float]:
    """Weights at which the gradients of all terms were equally long in the first epochs.

    Measured before each of :data:`START` epochs with the default weights, of which the last stage
    has one; the weight of the forces stays.
    """
    cfg = composed(run)
    n_stages = len(cfg.train_schedule)
    ends = [START - n_stages + i for i in range(n_stages)]
    starts = [0, *(end + 1 for end in ends)]
    overrides = [f"seed={run.seed}", "weighting=fixed", "trainer.balance_interval=1"]
    for i, (start, end) in enumerate(zip(starts, ends, strict=False)):
        overrides += [f"train_schedule.{i}.start={start}", f"train_schedule.{i}.end={end}"]
    target = folder / f"{run.experiment}-start-seed{run.seed}"
    if not (target / "trial.json").exists() or read_json(target / "trial.json")["state"] != (
        "COMPLETE"
    ):
        command(run, overrides, target)
    measured = Trial.read(target).gradients()
    own = [stage.get("loss") for stage in cfg.train_schedule.values()]
    blocks: dict[str, dict[str, Any]] = {}
    keys = weight_keys(cfg)
    for key, weight in keys.items():
        blocks.setdefault(key.split(weight.term)[0], {})[weight.term] = (key, weight)
    found: dict[str, float] = {}
    for terms in blocks.values():
        (stage,) = {weight.stage for _, weight in terms.values()}
        stages = [stage] if own[stage] is not None else [i for i, x in enumerate(own) if x is None]
        rows = measured[measured["stage"].isin(stages) & measured["term"].isin(list(terms))]
        norms = rows.pivot(index="step", columns="term", values="raw_norm")[list(terms)]
        weights = {name: float(weight.value) for name, (_, weight) in terms.items()}
        balanced = balanced_weights(weights, torch.tensor(norms.to_numpy()), "forces")
        found |= {terms[name][0]: value for name, value in balanced.items()}
    return found


if __name__ == "__main__":
    main()
