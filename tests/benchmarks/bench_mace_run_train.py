"""Weights that follow the gradients inside ``mace_run_train``, against its default weights.

    python tests/benchmarks/bench_mace_run_train.py --results mace/results.jsonl
    python tests/benchmarks/bench_mace_run_train.py --results mace/results.jsonl --table

The first trains what the file does not hold yet, one process at a time with one thread, on the
shipped data: periodic boxes with MACE (energy, forces, stress), clusters with PolarMACE (energy,
forces, multipoles, dipole). ``by_hand`` is the program itself with the same flags, without
ours, which tells what driving it costs.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
from collections.abc import Sequence
from pathlib import Path

from cpu_time import cpu_seconds

from sweep.data import shipped
from sweep.quantities import quantity
from sweep.records import Trial

SEEDS = (0, 1, 2)
SMALL = [
    "--num_channels=16", "--max_L=1", "--max_ell=2", "--correlation=2", "--r_max=4",
    "--radial_MLP=[16,16]", "--MLP_irreps=16x0e", "--num_radial_basis=6", "--E0s=average",
    "--batch_size=8", "--lr=0.01", "--ema", "--ema_decay=0.99", "--default_dtype=float32",
]  # fmt: skip


def files(name: str) -> dict[str, str]:
    return {f"{split}_file": str(shipped(f"{name}/{split}.xyz")) for split in
            ("train", "valid", "test")}  # fmt: skip


CLUSTERS = {
    "Default": {
        **files("water_clusters"), "E0s": "average",
        "arrays_keys": {"density_coefficients": "REF_multipoles", "forces": "REF_forces"},
        "info_keys": {"dipole": "REF_dipole", "energy": "REF_energy",
                      "total_charge": "total_charge"},
    }
}  # fmt: skip
FLAGS = {
    "water_boxes": [
        "--name=boxes", "--model=ScaleShiftMACE", "--loss=stress",
        "--error_table=PerAtomRMSEstressvirials",
        *(f"--{key}={value}" for key, value in files("water_boxes").items()),
        *SMALL, "--max_num_epochs=30",
    ],
    "water_clusters": [
        "--name=polar", "--model=PolarMACE", "--loss=energy_forces_dipole",
        "--error_table=EnergyDipoleRMSE", f"--heads={CLUSTERS}", *SMALL,
        "--kspace_cutoff_factor=0.3", "--atomic_multipoles_max_l=1", "--max_num_epochs=30",
    ],
}  # fmt: skip
TERMS = {"water_boxes": [], "water_clusters": [
    "loss=[energy_per_atom,forces,dipole_per_atom,atomic_multipoles]",
    "objective.metrics=[energy,forces,dipole,atomic_multipoles]",
]}  # fmt: skip
KINDS = {
    "water_boxes": ("default", "gradient_shares", "by_hand"),
    # by hand, PolarMACE of mace-torch 0.3.16 does not run with graph-longrange 0.4.4
    "water_clusters": ("default", "gradient_shares"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="file of JSON lines")
    parser.add_argument("--table", action="store_true", help="print what is there")
    arguments = parser.parse_args()
    path = arguments.results.resolve()
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    if arguments.table:
        print(table(lines))
        return
    done = {(line["data"], line["kind"], line["seed"]) for line in lines}
    for seed in SEEDS:
        for data in FLAGS:
            for kind in KINDS[data]:
                if (data, kind, seed) in done:
                    continue
                line = train(data, kind, seed, path.parent / "runs" / f"{data}-{kind}-{seed}")
                with path.open("a") as file:
                    file.write(json.dumps(line) + "\n")
                print(line, flush=True)


def train(data: str, kind: str, seed: int, folder: Path) -> dict[str, object]:
    folder.mkdir(parents=True, exist_ok=True)
    flags = [*FLAGS[data], f"--seed={seed}"]
    if kind == "by_hand":
        words = ["-m", "mace.cli.run_train", *flags, f"--work_dir={folder}", "--plot=False"]
    else:
        words = [
            "-m", "sweep", "trainer=mace_run_train", f"trainer.args={shlex.join(flags)}",
            f"weighting={'fixed' if kind == 'default' else kind}", f"hydra.run.dir={folder}",
            *TERMS[data],
        ]  # fmt: skip
    seconds, status = cpu_seconds(words, log := folder.with_suffix(".log"))
    if status:
        raise SystemExit(f"{log}: status {status}")
    line: dict[str, object] = {"data": data, "kind": kind, "seed": seed, "cpu_seconds": seconds}
    if kind != "by_hand":
        trial = Trial.read(folder)
        line |= {"score": trial.score_on("test"), "errors": dict(trial.errors("test"))}
    return line


def table(lines: Sequence[dict]) -> str:
    """Mean and spread over the seeds, errors in the units of the reports."""
    rows = []
    for data in FLAGS:
        for kind in KINDS[data]:
            of_kind = [x for x in lines if (x["data"], x["kind"]) == (data, kind)]
            if not of_kind:
                continue
            cells = [_spread([x["cpu_seconds"] for x in of_kind], "s")]
            if kind != "by_hand":
                cells.append("score " + _spread([x["score"] for x in of_kind], "", 4))
                for name in of_kind[0]["errors"]:
                    known = quantity(name)
                    values = [x["errors"][name] * known.display_factor for x in of_kind]
                    cells.append(f"{name} {_spread(values, known.display_unit)}")
            rows.append(f"{data:15s} {kind:16s} n={len(of_kind)}  " + ", ".join(cells))
    return "\n".join(rows)


def _spread(values: Sequence[float], unit: str, digits: int = 3) -> str:
    mean = statistics.fmean(values)
    text = f"{mean:.{digits}g}"
    if len(values) > 1:
        text += f" ± {statistics.stdev(values):.2g}"
    return f"{text} {unit}".strip()


if __name__ == "__main__":
    main()
