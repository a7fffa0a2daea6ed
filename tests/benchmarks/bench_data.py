"""Start-up, memory and batches of a large data set: from the cache and held in memory.

    python tests/benchmarks/bench_data.py [--sizes 5000 50000] [--batches 500]

Writes water clusters with random labels to a temporary folder. Every measurement runs in a process
of its own, up to the first batch of graphs: ``memory`` reads and holds everything, ``cold`` fills
the cache, ``warm`` finds it filled, ``check`` is what the study's master does with a warm cache.
Peaks are of the process's own memory (RssAnon); mapped files are shared and can be dropped.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

R_MAX = 5.0
BATCH = 10
KEYS = {
    "info_keys": {"energy": "REF_energy", "dipole": "REF_dipole", "total_charge": "total_charge"},
    "arrays_keys": {
        "forces": "REF_forces", "atomic_multipoles": "REF_multipoles",
        "cluster_batch": "cluster_batch",
    },
}  # fmt: skip


def write(path: Path, n: int) -> None:
    """Clusters of 1 to 6 waters on a jittered grid."""
    rng = np.random.default_rng(0)
    monomer = np.array([[0.0, 0.0, 0.12], [0.0, 0.76, -0.48], [0.0, -0.76, -0.48]])
    grid = 2.9 * np.array([[i % 2, i // 2 % 2, i // 4] for i in range(6)])
    columns = "species:S:1:pos:R:3:cluster_batch:I:1:REF_forces:R:3:REF_multipoles:R:4"
    with path.open("w") as file:
        for _ in range(n):
            waters = int(rng.integers(1, 7))
            positions = (grid[:waters, None] + monomer).reshape(-1, 3)
            positions += rng.normal(scale=0.08, size=positions.shape)
            values = rng.normal(scale=0.5, size=(3 * waters, 7))
            dipole = " ".join(f"{x:.6f}" for x in rng.normal(size=3))
            file.write(
                f"{3 * waters}\nProperties={columns} REF_energy={-138.0 * waters:.8f} "
                f'REF_dipole="{dipole}" total_charge=0 pbc="F F F"\n'
            )
            for i, (position, row) in enumerate(zip(positions, values, strict=True)):
                numbers = " ".join(f"{x:.8f}" for x in row)
                place = " ".join(f"{x:.8f}" for x in position)
                file.write(f"{'OHH'[i % 3]} {place} {i // 3} {numbers}\n")


def own_memory() -> float:
    """MiB of this process that are not files."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no RssAnon in /proc/self/status")


class Peak(threading.Thread):
    """Watches the memory of this process."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.value = 0.0
        self.start()

    def run(self) -> None:
        while True:
            self.value = max(self.value, own_memory())
            time.sleep(0.02)


def measure(kind: str, path: str, cache: str | None, n_batches: int) -> dict[str, float]:
    """What one process finds; the import of torch is not counted."""
    from sweep.data.dataset import load
    from sweep.data.read import tables as reading
    from sweep.data.statistics import model_statistics, reference_deviations

    reading.LARGE = 0  # also where a file would be small enough for the memory
    head = {"train_file": path, "valid_fraction": 0.05, "E0s": "average", **KEYS}
    if kind != "check":
        import torch

        import sweep.libraries  # noqa: F401
        from sweep.data.graphs.build import build_graphs
        from sweep.data.graphs.graphs import batches

        torch.set_num_threads(1)
    before, peak, began = own_memory(), Peak(), time.perf_counter()
    data = load({"default": head}, split_seed=0, cache_dir=cache)
    loaded = time.perf_counter() - began
    data.coverage()
    found = {"load": loaded, "check": time.perf_counter() - began, "first": 0.0, "rate": 0.0}
    if kind != "check":
        model_statistics(data.train, data.atomic_energies)
        reference_deviations(data.train, data.atomic_energies)
        graphs = [
            build_graphs(
                table, r_max=R_MAX, elements=data.elements, multipoles_max_l=1,
                dtype=torch.float32,
            )
            for _, table in data.splits()
        ]  # fmt: skip
        stream = batches(graphs[0], BATCH, shuffle_seed=0)
        next(stream)
        found["first"] = time.perf_counter() - began
        began = time.perf_counter()
        count = sum(1 for _, _ in zip(range(n_batches), stream, strict=False))
        found["rate"] = count / (time.perf_counter() - began)
    time.sleep(0.05)
    return {**found, "before": before, "peak": peak.value, "after": own_memory()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[5000, 50000])
    parser.add_argument("--batches", type=int, default=500)
    parser.add_argument("--measure", nargs=3, metavar=("KIND", "PATH", "CACHE"), help="internal")
    arguments = parser.parse_args()
    if arguments.measure:
        kind, path, cache = arguments.measure
        print(json.dumps(measure(kind, path, cache or None, arguments.batches)))
        return
    print(f"{len(os.sched_getaffinity(0))} cores; batches of {BATCH}; seconds, MiB, batches/s")
    print(f"{'size':>7} {'kind':8} {'load':>8} {'check':>8} {'first batch':>12} "
          f"{'peak':>8} {'KiB/conf.':>10} {'batches/s':>10}")  # fmt: skip
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory() as folder:
            path, cache = Path(folder) / "train.xyz", str(Path(folder) / "cache")
            write(path, size)
            for kind in ("memory", "cold", "warm", "check"):
                out = subprocess.run(
                    [sys.executable, __file__, "--batches", str(arguments.batches), "--measure",
                     kind, str(path), "" if kind == "memory" else cache],
                    check=True, capture_output=True, text=True,
                ).stdout  # fmt: skip
                found = json.loads(out.splitlines()[-1])
                grown = found["peak"] - found["before"]
                print(
                    f"{size:7} {kind:8} {found['load']:8.2f} {found['check']:8.2f} "
                    f"{found['first']:12.2f} {grown:8.0f} {grown * 1024 / size:10.1f} "
                    f"{found['rate']:10.0f}",
                    flush=True,
                )
            files = [f for f in Path(cache).rglob("*") if f.is_file()]
            text = path.stat().st_size / 2**20
            used = sum(f.stat().st_size for f in files) / 2**20
            print(f"{size:7} file {text:.0f} MiB, cache {used:.0f} MiB")


if __name__ == "__main__":
    main()
