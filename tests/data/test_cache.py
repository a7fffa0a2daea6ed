"""Large files through the cache give what they give in memory; what is not whole is never used."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import ase
import numpy as np
import pytest
import torch

from sweep.data.cache import cached, write_meta
from sweep.data.dataset import load
from sweep.data.graphs import neighbours
from sweep.data.graphs.build import build_graphs
from sweep.data.graphs.graphs import batches
from sweep.data.graphs.mapped import MappedGraphs
from sweep.data.parallel import silent
from sweep.data.read import tables as reading
from sweep.data.statistics import model_statistics, reference_deviations
from sweep.errors import InputError

HEAD = {
    "E0s": None,
    "info_keys": {
        "energy": "REF_energy",
        "stress": "REF_stress",
        "dipole": "REF_dipole",
        "polarizability": "REF_alpha",
        "total_charge": "q",
        "external_field": "field",
    },
    "arrays_keys": {
        "forces": "REF_forces",
        "atomic_multipoles": "REF_multipoles",
        "cluster_batch": "molecule",
        "esps": "REF_esps",
    },
}


def structure(seed: int, n_waters: int, *, periodic: bool) -> ase.Atoms:
    rng = np.random.default_rng(seed)
    atoms = ase.Atoms("OH2" * n_waters)
    atoms.positions = rng.uniform(0, 7, size=(len(atoms), 3))
    if periodic:
        atoms.set_cell(7 * np.eye(3) + rng.uniform(-1, 1, size=(3, 3)))
        atoms.pbc = True
        atoms.info["REF_stress"] = rng.normal(size=6)
    else:
        atoms.info["REF_dipole"] = rng.normal(size=3)
        atoms.info["config_dipole_weight"] = rng.integers(0, 2, size=3)
        atoms.info["REF_alpha"] = rng.normal(size=9)
    atoms.info |= {"REF_energy": rng.normal(), "q": float(seed % 3), "field": rng.normal(size=3)}
    atoms.info |= {"config_weight": rng.uniform(0.5, 2), "config_type": f"kind{seed % 2}"}
    for name, shape in (("REF_forces", (3,)), ("REF_multipoles", (9,)), ("REF_esps", ())):
        atoms.arrays[name] = rng.normal(size=(len(atoms), *shape))
    atoms.arrays["molecule"] = rng.permutation(np.repeat(np.arange(n_waters), 3)) + 5
    if seed % 5 == 4:  # no labels but the energy
        atoms.info = {"REF_energy": 1.0}
        for name in ("REF_forces", "REF_multipoles", "REF_esps", "molecule"):
            del atoms.arrays[name]
    return atoms


@pytest.fixture
def file(files):
    """Molecules and cells in turns, and isolated atoms in between."""
    frames = [structure(i, 1 + i % 3, periodic=i % 2 == 1) for i in range(24)]
    for place, symbol in ((3, "H"), (9, "O")):
        energy = {"REF_energy": -1.0 * place, "config_type": "IsolatedAtom"}
        frames.insert(place, ase.Atoms(symbol, info=energy))
    return files.write(*frames)


@pytest.fixture
def small_chunks(monkeypatch):
    """Every file is a large one, read in this process in parts of a few configurations."""

    def serial(function, tasks):
        return map(function, tasks)

    whole = reading.chunks
    monkeypatch.setattr(reading, "LARGE", 0)
    monkeypatch.setattr(reading, "in_processes", serial)
    monkeypatch.setattr(neighbours, "in_processes", serial)
    monkeypatch.setattr(reading, "chunks", lambda path: whole(path, 5))
    monkeypatch.setattr(neighbours, "_PART", 4)


def load_one(file, cache_dir, **head):
    head = {**HEAD, "train_file": str(file), "valid_fraction": 0.3, **head}
    return load({"default": head}, split_seed=1, cache_dir=cache_dir)


def graphs_of(table, dtype, max_l=1):
    return build_graphs(table, r_max=4.0, elements=(1, 8), multipoles_max_l=max_l, dtype=dtype)


def assert_same_batches(one, other, **order):
    for a, b in zip(batches(one, 3, **order), batches(other, 3, **order), strict=True):
        assert set(a.tensors) == set(b.tensors)
        assert (a.periodic, a.n_graphs, a.n_atoms) == (b.periodic, b.n_graphs, b.n_atoms)
        for name, tensor in a.tensors.items():
            assert tensor.dtype == b.tensors[name].dtype, name
            assert torch.equal(tensor, b.tensors[name]), name


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_batches_and_statistics_are_those_in_memory(file, tmp_path, dtype):
    data, there = load_one(file, tmp_path / "cache"), load_one(file, None)
    assert data.coverage() == there.coverage()
    assert data.atomic_energies == there.atomic_energies == {1: -3.0, 8: -9.0}
    for table, expected in ((data.train, there.train), (data.valid, there.valid)):
        assert (table.columns.folder is None, expected.columns.folder) == (False, None)
        for one, other in zip(table, expected, strict=True):
            assert one.where == other.where
            assert one.config_type == other.config_type
            np.testing.assert_equal(dict(one.labels), dict(other.labels))
            np.testing.assert_equal(dict(one.weights), dict(other.weights))
        e0s = data.atomic_energies
        assert model_statistics(table, e0s) == model_statistics(expected, e0s)
        assert reference_deviations(table, e0s) == reference_deviations(expected, e0s)
        for max_l in (0, 2):
            mapped, held = graphs_of(table, dtype, max_l), graphs_of(expected, dtype, max_l)
            assert isinstance(mapped, MappedGraphs)
            assert mapped.avg_num_neighbors == held.avg_num_neighbors
            assert (mapped.n_atoms, mapped.n_molecular) == (held.n_atoms, held.n_molecular)
            for order in ({}, {"shuffle_seed": 3, "epoch": 2}):
                assert_same_batches(mapped, held, **order)


@pytest.mark.usefixtures("small_chunks")
def test_what_is_attached_follows_its_atoms(file, tmp_path):
    graphs = graphs_of(load_one(file, tmp_path / "cache").train, torch.float64)

    def evaluate(batch):
        return batch.tensors["positions"].sum(dim=1)

    values = torch.cat([evaluate(batch) for batch in batches(graphs, 4)])
    graphs.attach("esps_dft", values)
    assert torch.equal(graphs.attached("esps_dft"), values)
    for batch in batches(graphs, 2, shuffle_seed=1):
        assert torch.equal(batch.tensors["esps_dft"], evaluate(batch))
    with pytest.raises(ValueError, match=r"expected .* rows"):
        graphs.attach("esps_dft", torch.zeros(2))


@pytest.mark.usefixtures("small_chunks")
def test_batches_are_brought_to_the_device(file, tmp_path):
    table = load_one(file, tmp_path / "cache").train
    found = neighbours.neighbours_in_cache(table.columns, 4.0, silent)
    ordered = table.take(np.argsort(table.periodic, kind="stable"))
    options = {"elements": (1, 8), "width": 4, "dtype": torch.float32}
    graphs = MappedGraphs(ordered, found, device="meta", **options)
    for batch in batches(graphs, 4):
        assert {tensor.device.type for tensor in batch.tensors.values()} == {"meta"}


@pytest.mark.usefixtures("small_chunks")
def test_a_small_set_on_a_gpu_is_held_there(file, tmp_path, monkeypatch):
    """The copy of rows of the cache, on the device there is here."""
    from sweep.data.graphs import build

    data = load_one(file, tmp_path / "cache")
    mapped = graphs_of(data.train, torch.float32)
    monkeypatch.setattr(build, "_stays_mapped", lambda *_: False)
    held = graphs_of(data.train, torch.float32)
    assert not isinstance(held, MappedGraphs)
    assert_same_batches(mapped, held, shuffle_seed=0)


def entries(cache: Path) -> set[str]:
    return {path.name for path in cache.rglob("*") if (path / "meta.json").is_file()}


@pytest.mark.usefixtures("small_chunks")
def test_entries_go_by_what_they_are_made_from(file, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    graphs_of(load_one(file, cache).train, torch.float32)
    first = entries(cache)
    assert sorted(name.partition("-")[0] for name in first) == ["data", "neighbours"]

    # the same content elsewhere, other splits, dtypes and models: nothing new
    moved = file.rename(file.with_name("moved.xyz"))
    with monkeypatch.context() as closed:
        closed.setattr(reading, "in_processes", None)
        closed.setattr(neighbours, "in_processes", None)
        data = load_one(moved, cache, valid_fraction=0.5)
        graphs_of(data.valid, torch.float64, max_l=2)
    assert data.train[0].where.startswith(f"{moved}: configuration ")
    assert entries(cache) == first

    build_graphs(data.train, r_max=3.0, elements=(1, 8), multipoles_max_l=1, dtype=torch.float32)
    assert len(entries(cache) - first) == 1
    load_one(moved, cache, info_keys={"energy": "REF_energy"})
    assert len(entries(cache) - first) == 2
    moved.write_text(moved.read_text().replace("q=2.0", "q=4.0"))
    changed = load_one(moved, cache)
    assert len(entries(cache) - first) == 3
    assert max(row.maximum for row in changed.coverage() if row.label == "total_charge") == 4


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("damage", ["cut", "no meta", "bad meta", "a file less", "not renamed"])
def test_what_is_not_whole_is_made_again(file, tmp_path, damage):
    cache = tmp_path / "cache"
    expected = load_one(file, cache).coverage()
    (folder,) = cache.glob("data-*/")
    meta = folder / "meta.json"
    if damage == "cut":
        with (folder / "forces.bin").open("r+b") as stream:
            stream.truncate(100)
    elif damage == "no meta":
        meta.unlink()
    elif damage == "bad meta":
        meta.write_text(json.dumps({"arrays": {"forces": {}}}))
    elif damage == "a file less":
        (folder / "forces.bin").unlink()
    else:
        folder.rename(folder.with_name(f"{folder.name}.tmp-1234"))
    assert load_one(file, cache).coverage() == expected
    assert len(list(cache.glob("data-*/"))) == 1


def graphs_of_file(path, cache, mapping):
    train = load_one(path, cache, E0s="average", valid_file=str(path), **mapping).train
    return graphs_of(train, torch.float32, max_l=0)


@pytest.mark.usefixtures("small_chunks")
def test_errors_are_those_in_memory_and_leave_nothing(files, water, tmp_path):
    frames = [water(seed) for seed in range(8)]
    frames[6].arrays["REF_forces"][1, 1] = np.nan
    close = [water(seed) for seed in range(8)]
    close[6].positions[2] = close[6].positions[1]
    keys = {"info_keys": {"energy": "REF_energy"}, "arrays_keys": {"forces": "REF_forces"}}
    misspelt = {**keys, "info_keys": {"energy": "REF_enrgy"}}
    for made, mapping in ((frames, keys), (close, keys), (close, misspelt)):
        path = files.write(*made)
        messages = []
        for cache in (None, tmp_path / "cache"):
            with pytest.raises(InputError) as error:
                graphs_of_file(path, cache, mapping)
            messages.append(str(error.value))
        assert messages[0] == messages[1]
        assert str(path) in messages[0]
    assert not list((tmp_path / "cache").rglob("*.tmp-*"))
    assert len(entries(tmp_path / "cache")) == 1


def test_a_cache_that_cannot_be_written(file, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "LARGE", 0)
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match=r"cache_dir: .*taken.*null to hold the data in memory"):
        load_one(file, tmp_path / "taken")


def test_small_files_stay_in_memory(file, tmp_path):
    assert load_one(file, tmp_path / "cache").train.columns.folder is None
    assert not (tmp_path / "cache").exists()


def test_a_killed_writer_leaves_nothing_that_counts(tmp_path):
    script = (
        "import os, signal, sys; from pathlib import Path; from sweep.data.cache import cached\n"
        "def build(folder):\n"
        "    (folder / 'x.bin').write_bytes(b'12345678')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "cached(Path(sys.argv[1]), 'kind', {'a': 1}, build)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.glob("kind-*.tmp-*"))) == 1

    def build(folder: Path) -> None:
        array = np.arange(3.0)
        (folder / "x.bin").write_bytes(array.tobytes())
        write_meta(folder, {"x": array, "none": np.zeros((0, 3))}, {"note": 1})
        (folder / "none.bin").touch()

    entry = cached(tmp_path, "kind", {"a": 1}, build)
    assert entry.arrays["x"].tolist() == [0, 1, 2]
    assert entry.arrays["none"].shape == (0, 3)
    assert entry.notes == {"note": 1}
    assert not list(tmp_path.glob("kind-*.tmp-*"))


def test_two_processes_at_once_build_once_and_without_torch(file, tmp_path):
    """With the processes that a large file is really read by."""
    script = tmp_path / "script.py"
    script.write_text(
        "import json, sys\n"
        "from sweep.data.read import tables as reading\n"
        "from sweep.data.dataset import load\n"
        "from sweep.data.graphs.neighbours import neighbours_in_cache\n"
        "if __name__ == '__main__':\n"
        "    reading.LARGE = 0\n"
        "    told = set()\n"
        "    report = lambda what, done, total: told.add(what)\n"
        "    head = json.loads(sys.argv[1])\n"
        "    data = load({'a': head}, split_seed=0, cache_dir=sys.argv[2], report=report)\n"
        "    neighbours_in_cache(data.train.columns, 4.0, report)\n"
        "    assert 'torch' not in sys.modules\n"
        "    print(json.dumps(sorted(told)))\n"
    )
    head = json.dumps({**HEAD, "train_file": str(file), "valid_fraction": 0.3})
    command = [sys.executable, str(script), head, str(tmp_path / "cache")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ) for _ in range(2)]
    told = [json.loads(process.communicate(timeout=120)[0]) for process in running]
    assert sorted([*told[0], *told[1]]) == [f"reading {file}", f"searching neighbours in {file}"]


def test_a_table_is_a_sequence(file):
    table = load_one(file, None).train
    assert len(table[:3]) == 3
    assert table[:3][2].where == table[2].where == list(table)[2].where
    with pytest.raises(dataclasses.FrozenInstanceError):
        table[0].weight = 2.0
    with pytest.raises(IndexError):
        table[len(table)]
