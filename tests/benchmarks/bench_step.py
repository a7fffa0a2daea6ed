"""What recording costs in a real training: epochs with all records against epochs with none.

    python tests/benchmarks/bench_step.py [--epochs 20] [--model local_charges_small]

Both kinds alternate in one run, so that a noisy machine disturbs both alike. With records: term
values kept and read back, breakdown rows, log lines and the parquet file written; without: the same
optimiser steps on the total loss alone.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import Tensor

from losses import WeightedLoss
from sweep.config.checks import check_config
from sweep.config.stages import CONF_DIR
from sweep.data.dataset import load
from sweep.hydra_plugin.registration import register
from sweep.records.epoch_tables import EpochTables
from sweep.training.optimization import Optimization
from sweep.training.setup import Setup


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
    loss = WeightedLoss(stage.loss, device=setup.device)
    optimization = Optimization(setup.model, OmegaConf.to_object(cfg.trainer), stage)
    parameters, clip_grad = list(setup.model.parameters()), cfg.trainer.clip_grad

    with tempfile.TemporaryDirectory() as folder:
        record = EpochTables(Path(folder), "bench")
        step = 0

        def recorded(epoch: int) -> int:
            nonlocal step
            rows, times = [], []
            for ref, periodic in setup.batches("train", seed=0, epoch=epoch):
                raw, _, total, norm = optimization.step(loss, ref, periodic=periodic, stress=False)
                rows.append(torch.cat([raw, total[None], norm[None]]))
                times.append(time.time())
            values = torch.stack(rows).double().cpu().numpy()
            record.add_steps(
                first_step=step, epoch=epoch, stage=0, lr=optimization.lr, times=times,
                raw=values[:, :-2], weights=stage.weights, total=values[:, -2],
                grad_norm=values[:, -1],
            )  # fmt: skip
            record.write()
            step += len(values)
            return len(values)

        def bare_step(ref: Mapping[str, Tensor], periodic: bool) -> None:
            pred = optimization.model(ref, periodic=periodic, compute_stress=False, training=True)
            total = loss(pred=pred, ref=ref)
            optimization.optimizer.zero_grad(set_to_none=True)
            total.backward()
            torch.nn.utils.clip_grad_norm_(parameters, clip_grad)
            optimization.optimizer.step()
            optimization.ema.update()

        def bare(epoch: int) -> int:
            count = 0
            for ref, periodic in setup.batches("train", seed=0, epoch=epoch):
                bare_step(ref, periodic)
                count += 1
            return count

        def timed(kind: Callable[[int], int], epoch: int) -> float:
            began = time.perf_counter()
            count = kind(epoch)
            if setup.device.type == "cuda":
                torch.cuda.synchronize()
            return (time.perf_counter() - began) / count * 1e3

        timed(recorded, 0), timed(bare, 0)  # warm up
        pairs = []
        for epoch in range(1, arguments.epochs + 1):
            kinds = (recorded, bare) if epoch % 2 else (bare, recorded)
            found = {kind: timed(kind, epoch) for kind in kinds}
            pairs.append((found[recorded], found[bare]))
    ratio = statistics.median(with_records / without for with_records, without in pairs)
    print(f"device {setup.device_name}, {arguments.model}, batches of {cfg.trainer.batch_size}")
    print(f"step with records    {statistics.median(p[0] for p in pairs):8.2f} ms (median)")
    print(f"step without records {statistics.median(p[1] for p in pairs):8.2f} ms (median)")
    print(f"ratio                {ratio:8.3f} (median of {len(pairs)} pairs of epochs)")


if __name__ == "__main__":
    main()
