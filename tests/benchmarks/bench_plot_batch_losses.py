"""Time and memory of drawing a debug log of 100 MB in MACE_SCF's format, and a long trial's table.

Run with ``python tests/benchmarks/bench_plot_batch_losses.py [MB]``.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

TERMS = ("energy_per_atom", "forces", "atomic_multipoles", "dipole_per_atom", "esps", "stress")
BATCHES, VALIDATION = 1000, 200  # per epoch
MEASURED = """
import resource, sys
from sweep.plot_batch_losses import main
status = main(sys.argv[1:])
print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB at most")
sys.exit(status)
"""


def write_log(path: Path, megabytes: float) -> None:
    """Write a log whose epochs are all alike."""
    rng = np.random.default_rng(0)
    lines = []
    for values in rng.lognormal(0, 1, (BATCHES + VALIDATION, len(TERMS))).tolist():
        terms = "".join(f"{name}: {value!r}, " for name, value in zip(TERMS, values, strict=True))
        lines.append(f"2026-01-01 12:00:00.123 DEBUG: loss breakdown: {terms}\n")
    epoch = "".join(lines)
    with path.open("w") as file:
        file.write(
            "2026-01-01 12:00:00.000 INFO: Configuration: Namespace(name='bench', distributed=False"
            ", batch_size=10, valid_batch_size=10, eval_interval=1, train_schedule=[])\n"
            "2026-01-01 12:00:00.000 INFO: Total number of configurations: "
            f"train={BATCHES * 10}, valid={VALIDATION * 10}, tests=[]\n"
        )
        number = 0
        while file.tell() < megabytes * 1e6:
            file.write(epoch)
            file.write(f"2026-01-01 12:00:01.000 INFO: Epoch {number}: loss=1.2345, RMSE=1\n")
            number += 1


def write_trial(folder: Path, n_steps: int) -> None:
    """Write the table of a long trial."""
    rng = np.random.default_rng(0)
    columns = {"epoch": np.arange(n_steps) // 1000}
    columns |= {f"raw.{name}": rng.lognormal(0, 1, n_steps) for name in TERMS}
    columns |= {f"weight.{name}": np.ones(n_steps) for name in TERMS}
    folder.mkdir()
    pq.write_table(pa.table(columns), folder / "breakdown.parquet")


def measure(what: str, *arguments: str) -> None:
    """Run the command in a process of its own and print its time."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *arguments], capture_output=True, text=True, check=True
    )
    seconds = time.perf_counter() - start
    print(f"{what}: {seconds:.1f} s, {done.stdout.splitlines()[-1]}")


def main() -> None:
    """Measure both."""
    megabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 100.0
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        picture = str(folder / "picture.png")
        for size in (megabytes / 10, megabytes):
            write_log(folder / "bench_debug.log", size)
            measure(f"log of {size:.0f} MB", str(folder / "bench_debug.log"), "--name", picture)
        write_trial(folder / "trial", 1_000_000)
        measure("trial of 1,000,000 batches", str(folder / "trial"), "--name", picture)


if __name__ == "__main__":
    main()
