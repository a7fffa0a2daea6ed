"""Whether our promises hold on a GPU: one command, some ten minutes on one card.

    python tests/benchmarks/bench_gpu.py [--device cuda] [--out bench_gpu] [--quick]

Writes ``<out>.json`` and ``<out>.md``: the loss core against separate terms with a formatted line
each (goal 5), recording a step (goal 1.01), moving weights (goal 1.15), several workers on a card,
and of each family at three batch sizes the time of a step, the share of data loading, memory, and
whether a step waits for the device (an epoch has one transfer from it, after its last step).
``--device cpu --quick`` tries the command itself.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from losses import WeightedLoss
from sweep.config.checks import check_config
from sweep.config.stages import CONF_DIR
from sweep.data.dataset import load
from sweep.hydra_plugin.registration import register
from sweep.training.optimization import Optimization
from sweep.training.setup import Setup

HERE = Path(__file__).parent
FAMILIES = {
    "local_charges": "energy_per_atom,forces,atomic_multipoles,dipole_per_atom,total_charge,esps",
    "fixed_point": "energy_per_atom,forces,atomic_multipoles,dipole_per_atom",
    "mace": "energy_per_atom,forces",
    "polar": "energy_per_atom,forces,atomic_multipoles",
}


def run(name: str, *arguments: str) -> str:
    """What one of the other benchmarks prints."""
    done = subprocess.run(
        [sys.executable, HERE / name, *arguments], capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else f"failed: {done.stderr.strip()[-400:]}"


def family_steps(family: str, size: int, device: str, n_steps: int) -> dict[str, Any]:
    """Milliseconds of a step and of its data, memory, and host synchronisations of an epoch."""
    schedule = ["schedule=direct_unroll"] if family == "fixed_point" else []
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        cfg = compose(
            "config",
            [f"model={family}", f"loss=[{FAMILIES[family]}]", *schedule,
             "objective.metrics=[energy,forces]", f"trainer.device={device}",
             f"trainer.batch_size={size}"],
        )  # fmt: skip
    stage = check_config(cfg)[-1]
    setup = Setup(cfg, load(cfg.heads, split_seed=cfg.split_seed))
    loss = WeightedLoss(stage.loss, device=setup.device, dtype=setup.dtype)
    optimization = Optimization(setup.model, OmegaConf.to_object(cfg.trainer), stage)
    on_gpu = setup.device.type == "cuda"

    def wait() -> None:
        if on_gpu:
            torch.cuda.synchronize()

    def batches() -> Any:
        epoch = 0
        while True:
            yield from setup.batches("train", seed=0, epoch=epoch)
            epoch += 1

    stream = batches()
    data, steps, wholes = [], [], []
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    for i in range(n_steps + 3):  # the first three warm up
        began = time.perf_counter()
        ref, periodic = next(stream)
        wait()
        loaded = time.perf_counter()
        optimization.step(loss, ref, periodic=periodic, stress=False)
        wait()
        if i >= 3:
            data.append(1e3 * (loaded - began))
            steps.append(1e3 * (time.perf_counter() - loaded))
            wholes.append(1e3 * (time.perf_counter() - began))
    return {
        "family": family,
        "graphs": size,
        "step_ms": statistics.median(steps),
        "data_share": statistics.median(data) / statistics.median(wholes),
        "memory_mib": torch.cuda.max_memory_allocated() / 2**20 if on_gpu else None,
        "waits_for_device": _waits(optimization, loss, setup, stream) if on_gpu else None,
    }


def _waits(optimization: Optimization, loss: WeightedLoss, setup: Setup, stream: Any) -> bool:
    """Whether a step waits for the device."""
    ref, periodic = next(stream)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        optimization.step(loss, ref, periodic=periodic, stress=False)
    except RuntimeError:
        return True
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return False


def workers() -> str:
    """Seconds for eight trials with one, two and four workers on a card, start included."""
    lines = []
    for n_workers in (1, 2, 4):
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "sweep", "+experiment=smoke", "-m", "trainer.device=cuda",
                 f"hydra.sweeper.workers_per_gpu={n_workers}", "hydra.sweeper.n_trials=8"],
                cwd=folder, check=True, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            lines.append(f"{n_workers} workers: {time.perf_counter() - began:.1f} s for 8 trials\n")
    return "".join(lines)


def markdown(found: dict[str, Any]) -> str:
    """The results as a page."""
    rows = [
        f"| {r['family']} | {r['graphs']} | {r['step_ms']:.2f} | {100 * r['data_share']:.1f} % | "
        + ("-" if r["memory_mib"] is None else f"{r['memory_mib']:.0f}")
        + f" | {'-' if r['waits_for_device'] is None else r['waits_for_device']} |"
        if "step_ms" in r
        else f"| {r['family']} | {r['graphs']} | {r['error']} | | | |"
        for r in found["families"]
    ]
    blocks = "\n".join(f"## {name}\n\n```\n{text}```\n" for name, text in found["parts"].items())
    return (
        f"# {found['device']}\n\ntorch {found['torch']}\n\n{blocks}\n## Families\n\n"
        "| family | graphs | step (ms) | data loading | memory (MiB) | waits for the device |\n"
        "|---|---|---|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def main() -> None:
    """Run everything and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, default=Path("bench_gpu"))
    parser.add_argument("--quick", action="store_true", help="few steps, to try the command")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no CUDA device: torch sees none")
    register()
    device = ["--device", options.device]
    few = options.quick
    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if options.device == "cuda" else options.device,
        "torch": torch.__version__,
        "parts": {
            "Loss core against separate terms": run(
                "bench_losses.py", *device, "--dtype", "float32",
                "--repeats", "3" if few else "60",
                "--graphs", *(["16"] if few else ["16", "64", "256"]),
            ),
            "Recording a step": run("bench_step.py", *device, "--epochs", "2" if few else "20"),
            "Weights that move": run(
                "bench_weighting_step.py", *device, "--epochs", "2" if few else "20"
            ),
        },
        "families": [],
    }  # fmt: skip
    if options.device == "cuda":
        found["parts"]["Workers on one card"] = workers()
    for family in FAMILIES:
        for size in (4,) if few else (16, 64, 256):
            try:
                row = family_steps(family, size, options.device, 3 if few else 30)
            except torch.OutOfMemoryError:
                row = {"family": family, "graphs": size, "error": "out of memory"}
            found["families"].append(row)
            print(row, flush=True)
    options.out.with_suffix(".json").write_text(json.dumps(found, indent=2) + "\n")
    options.out.with_suffix(".md").write_text(markdown(found))
    print(f"written: {options.out}.json, {options.out}.md")


if __name__ == "__main__":
    main()
