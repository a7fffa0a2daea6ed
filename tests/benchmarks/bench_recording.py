"""What it costs to commit an epoch, as the tables of a trial grow.

    python tests/benchmarks/bench_recording.py

Tables are written whole at every epoch, so the cost of an epoch grows with the rows before it. Each
line: rows already there, time of a commit with 100 new steps, size of the file.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from sweep.records.epoch_tables import EpochTables

N_TERMS, N_STEPS = 16, 100


def main() -> None:
    rng = np.random.default_rng(0)
    weights = {f"term_{i}": 1.0 for i in range(N_TERMS)}
    print(f"{'rows':>8} {'commit, ms':>12} {'file, MB':>10}")
    for n_rows in (1_000, 10_000, 100_000):
        with tempfile.TemporaryDirectory() as folder:
            record = EpochTables(Path(folder), "bench")

            def add(count: int, record: EpochTables = record) -> None:
                raw = rng.lognormal(size=(count, N_TERMS))
                record.add_steps(
                    first_step=0, epoch=0, stage=0, lr=0.01, times=[0.0] * count, raw=raw,
                    weights=weights, total=raw.sum(axis=1), grad_norm=raw[:, 0],
                )  # fmt: skip

            add(n_rows)
            record.write()
            times = []
            for _ in range(7):
                add(N_STEPS)
                began = time.perf_counter()
                record.write()
                times.append((time.perf_counter() - began) * 1e3)
            size = (Path(folder) / "breakdown.parquet").stat().st_size / 1e6
            print(f"{n_rows:>8} {statistics.median(times):>12.1f} {size:>10.2f}")


if __name__ == "__main__":
    main()
