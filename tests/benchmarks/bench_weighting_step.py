"""What weights that follow the training cost: steps of each weighting against fixed weights.

    python tests/benchmarks/bench_weighting_step.py [--epochs 20] [--model local_charges_small]

Epochs of all kinds alternate in one run, so that a noisy machine disturbs them alike; the time is
that of the process's CPU where the device is the CPU. Sums are compared, because only some epochs
hold a step that measures. ``experiment=esp_weights`` has six terms.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from losses import GradientShares, LossShares, WeightedLoss
from losses.weighting import Weighting
from sweep.config.checks import check_config
from sweep.config.stages import CONF_DIR
from sweep.data.dataset import load
from sweep.hydra_plugin.registration import register
from sweep.training.optimization import Optimization
from sweep.training.setup import Setup

FIXED = "fixed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=20, help="of each kind")
    parser.add_argument("--model", default="local_charges_small")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    register()
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        cfg = compose(
            "config",
            ["+experiment=esp_weights", f"model={arguments.model}",
             f"trainer.device={arguments.device}"],
        )  # fmt: skip
    stage = check_config(cfg)[0]
    setup = Setup(cfg, load(cfg.heads, split_seed=cfg.split_seed))
    names = tuple(stage.loss)
    device = setup.device
    weightings: dict[str, Weighting | None] = {
        FIXED: None,
        **{
            f"gradient_shares, interval {n}": GradientShares(names=names, interval=n, device=device)
            for n in (5, 10, 20, 50)
        },
        "loss_shares": LossShares(names=names, device=device),
    }
    clock: Callable[[], float] = (
        time.process_time if setup.device.type == "cpu" else time.perf_counter
    )

    def epoch_of(weighting: Weighting | None) -> Callable[[int], float]:
        setup.reset()
        loss = WeightedLoss(stage.loss, device=setup.device)
        optimization = Optimization(setup.model, OmegaConf.to_object(cfg.trainer), stage, weighting)

        def timed(epoch: int) -> float:
            batches = list(setup.batches("train", seed=0, epoch=epoch))
            began = clock()
            for ref, periodic in batches:
                optimization.step(loss, ref, periodic=periodic, stress=False)
            if setup.device.type == "cuda":
                torch.cuda.synchronize()
            return (clock() - began) * 1e3

        return timed

    # All share the parameters of one model; what they train does not matter here.
    kinds = {name: epoch_of(weighting) for name, weighting in weightings.items()}
    for timed in kinds.values():
        timed(0)  # warm up
    found: dict[str, list[float]] = {name: [] for name in kinds}
    for epoch in range(1, arguments.epochs + 1):
        order = list(kinds) if epoch % 2 else list(reversed(kinds))
        for name in order:
            found[name].append(kinds[name](epoch))
    n_steps = arguments.epochs * len(list(setup.batches("train")))
    print(f"device {setup.device_name}, {arguments.model}, {len(names)} terms, "
          f"{n_steps} steps of each with batches of {cfg.trainer.batch_size}")  # fmt: skip
    for name, times in found.items():
        print(f"{name:30s} {sum(times) / n_steps:8.2f} ms a step, "
              f"{sum(times) / sum(found[FIXED]):6.3f} times fixed weights")  # fmt: skip


if __name__ == "__main__":
    main()
