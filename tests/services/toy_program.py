"""A program that "trains": its errors follow from its weights; it can misbehave in every way.

``toy_program.py --forces W --energy W [--epochs N] [--seconds S] [--how HOW] [--at EPOCH]``: lines
of JSON go to ``metrics.jsonl`` in the working directory, text to standard output. At the given
epoch it does what ``--how`` says.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

STEPS = 3  # per epoch


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--forces", type=float, required=True)
    parser.add_argument("--energy", type=float, required=True)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--how", default="well")
    parser.add_argument("--at", type=int, default=1)
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args()
    log = Path("metrics.jsonl")
    start = 0
    if given.resume:
        epochs = [json.loads(line) for line in log.read_text().splitlines()]
        start = 1 + max((e["epoch"] for e in epochs if "rmse_f" in e), default=-1)
    print(f"training {given.epochs} epochs from {start}, pid {os.getpid()}", flush=True)
    if given.how == "child":  # something that it starts and that would outlive it
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    if given.how == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with log.open("a") as file:
        for epoch in range(start, given.epochs):
            if epoch == given.at:
                misbehave(given.how)
            train(given, epoch, file)
        if given.how != "no test":
            print(f"final test energy 0.5 forces {errors(given, given.epochs)[1]}", flush=True)


def train(given: argparse.Namespace, epoch: int, file) -> None:
    energy, forces = errors(given, epoch)
    for step in range(STEPS):
        raw = {"energy": energy**2, "forces": forces**2 / (1 + step)}
        if given.how == "nan" and epoch == given.at:
            raw["forces"] = math.nan
        total = given.energy * raw["energy"] + given.forces * raw["forces"]
        line = {"epoch": epoch + given.first, "step": step, "total": total, "raw": raw}
        file.write(json.dumps(line) + "\n")
        file.flush()
        time.sleep(given.seconds / STEPS)
    if given.how == "nan error" and epoch == given.at:
        forces = math.nan
    line = {"epoch": epoch + given.first, "rmse_e": energy, "rmse_f": forces}
    repeated = 2 if given.how == "twice" else 1
    file.write(repeated * (json.dumps(line) + "\n"))
    file.flush()
    print(f"Epoch {epoch + given.first}: E {1000 * energy} meV F {1000 * forces} meV/A", flush=True)


def errors(given: argparse.Namespace, epoch: int) -> tuple[float, float]:
    """Errors of energy and forces: each falls with its weight and with time."""
    ratio = math.log10(given.forces / given.energy)
    still = 0.8**epoch * (1 + 0.01 * given.seed)
    return 0.01 * still * (1 + 0.3 * ratio**2), 0.1 * still * (1 + (ratio - 1) ** 2)


def misbehave(how: str) -> None:
    if how == "crash":
        print("RuntimeError: something is wrong", file=sys.stderr, flush=True)
        sys.exit(3)
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "hang":
        time.sleep(600)


if __name__ == "__main__":
    main()
