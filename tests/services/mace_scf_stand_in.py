"""Stands in for MACE_SCF's ``run_train.py``: writes its formats with their quirks, trains nothing.

It reads the ``config.yaml`` as that does and writes, in its working directory,
``results/<name>_run-<seed>_train.txt`` (lines of JSON, those of evaluations twice),
``logs/<name>_run-<seed>_debug.log`` (``loss breakdown`` lines of training and validation batches
alike) and checkpoints. Errors follow from the weights. The key ``stand_in`` of the file says what
goes wrong, and in which epoch: ``{how: crash, at: 1}``.
"""

from __future__ import annotations

import argparse
import ast
import json
import math
import os
import signal
import sys
import time
from datetime import datetime
from pathlib import Path

import yaml

STEPS, VALID_BATCHES = 3, 2
LISTS = ("wandb_log_hypers",)  # keys that have several values
FITS = {
    "energy_per_atom": "e_per_atom",
    "forces": "f",
    "atomic_multipoles": "dma",
    "stress": "stress",
}
SPREAD = {"e_per_atom": 0.01, "f": 0.1, "dma": 0.02, "stress": 0.003, "mu": 0.05}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", required=True)
    config = yaml.safe_load(Path(parser.parse_args().config).read_text())
    # As configargparse does: what is no list arrives as text, and is read as Python again.
    for key, value in config.items():
        if isinstance(value, list) and key not in LISTS:
            parser.error(
                f"{key} can't be set to a list '{value}' unless its action type is changed"
            )
    schedule = ast.literal_eval(str(config["train_schedule"]))
    heads = ast.literal_eval(str(config["heads"]))
    assert all(isinstance(index, int) for index in schedule)
    assert Path(config["train_file"]).is_absolute()
    assert Path(config["train_file"]).is_file()
    (head,) = heads.values()
    assert set(head) <= {"info_keys", "arrays_keys"}
    run = Run(config)
    for index, stage in sorted(schedule.items()):
        if index == 0 and stage["end"] == 0:
            continue
        for epoch in range(stage["start"], stage["end"] + 1):
            if epoch not in run.odd.get("not_trained", []):
                run.epoch(epoch, stage)
    run.log(f"{datetime.now():%Y-%m-%d %H:%M:%S.%f}"[:-3] + " INFO: Done")


class Run:
    """A training that only writes."""

    def __init__(self, config: dict) -> None:
        tag = f"{config['name']}_run-{config['seed']}"
        for folder in ("results", "logs", "checkpoints"):
            Path(folder).mkdir(exist_ok=True)
        self.results = Path("results") / f"{tag}_train.txt"
        self.debug = Path("logs") / f"{tag}_debug.log"
        self.checkpoint = Path("checkpoints") / f"{tag}.pt"
        self.config = config
        self.odd = config.get("stand_in") or {}
        print(f"pid {os.getpid()} seed {config['seed']}", flush=True)
        self.log(self.line("INFO: Configuration: Namespace(...)"))
        self.validate(None, {"forces": 100.0})

    def epoch(self, epoch: int, stage: dict) -> None:
        weights = {
            name: term["weight"] if isinstance(term, dict) else term
            for name, term in stage["loss"].items()
        }
        assert all(isinstance(weight, float) for weight in weights.values()), weights
        if "esps" in weights and self.config.get("model") == "LocalCharges":
            raise KeyError("esps_dft")
        if epoch == self.odd.get("at", 1):
            self.misbehave()
        for step in range(STEPS):
            terms = self.terms(epoch, weights, 1 + 0.1 * step)
            self.breakdown(terms)
            self.result({"loss": sum(terms.values()), "grad_norm_before_clip": 4.0 * (3 + step),
                         "mode": "opt", "epoch": epoch, "opt_step": step})  # fmt: skip
            time.sleep(self.odd.get("seconds", 0.0) / STEPS)
        if epoch % self.config.get("eval_interval", 1) == 0:
            self.validate(epoch, weights)
        self.checkpoint.write_bytes(b"model")

    def validate(self, epoch: int | None, weights: dict) -> None:
        losses = []
        for batch in range(VALID_BATCHES):
            terms = self.terms(epoch or 0, weights, 0.9 - 0.01 * batch)
            self.breakdown(terms)
            losses.append(sum(terms.values()))
        line = {"loss": sum(losses) / len(losses), **self.errors(epoch or 0, weights),
                "mode": "eval", "epoch": epoch}  # fmt: skip
        if self.is_odd("nan error", epoch):
            line["rmse_f"] = math.nan
        for _ in range(2):
            self.result(line)
        if self.config.get("log_on_test_sets"):
            for i, name in enumerate(self.odd.get("test_sets", ["Default"])):
                errors = self.errors(epoch or 0, weights).items()
                test = {key: (1.1 + i) * value for key, value in errors}
                self.result({"loss": 1.0, **test, "epoch": epoch, "mode": "eval_test",
                             "test_name": name})  # fmt: skip
        self.log(self.line(f"INFO: Epoch {epoch}: loss={line['loss']:8.4f}, RMSE_F= 10.0 meV / A"))

    def terms(self, epoch: int, weights: dict, factor: float) -> dict[str, float]:
        found = {}
        for name, weight in weights.items():
            size = SPREAD[FITS.get(name, "mu")]
            found[name] = weight * factor * (size * 0.8**epoch) ** 2
        if self.is_odd("bad loss", epoch):
            found[next(iter(found))] = math.nan
        return found

    def errors(self, epoch: int, weights: dict) -> dict[str, float]:
        ratio = math.log10(weights.get("energy_per_atom", 1.0) / weights.get("forces", 100.0))
        still = 0.8**epoch * (1 + 0.001 * self.config["seed"])
        sizes = {"e_per_atom": 1 + (ratio - 1) ** 2, "f": 1 + 0.3 * (ratio + 2) ** 2}
        found = {f"rmse_{key}": still * size * sizes.get(key, 1.0) for key, size in SPREAD.items()}
        return found | {key.replace("rmse", "mae"): 0.8 * value for key, value in found.items()}

    def misbehave(self) -> None:
        how = self.odd.get("how")
        if how == "crash":
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "hang":
            time.sleep(600)

    def is_odd(self, how: str, epoch: int | None) -> bool:
        return self.odd.get("how") == how and epoch == self.odd.get("at", 1)

    def breakdown(self, terms: dict[str, float]) -> None:
        text = "".join(f"{name}: {value}, " for name, value in terms.items())
        self.log(self.line(f"DEBUG: loss breakdown: {text}"))

    def line(self, text: str) -> str:
        return f"{datetime.now():%Y-%m-%d %H:%M:%S.%f}"[:-3] + f" {text}"

    def log(self, line: str) -> None:
        with self.debug.open("a") as file:
            file.write(line + "\n")

    def result(self, content: dict) -> None:
        with self.results.open("a") as file:
            file.write(json.dumps(content) + "\n")


if __name__ == "__main__":
    sys.exit(main())
