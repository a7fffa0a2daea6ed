import dataclasses

import ase
import numpy as np
import pytest
import torch

from sweep.data.graphs.build import build_graphs
from sweep.data.graphs.graphs import batches, n_batches
from sweep.data.labels import LABELS, WEIGHTS
from sweep.data.read.configurations import read_configurations
from sweep.errors import InputError
from sweep.libraries import quiet

with quiet():
    from mace.data import AtomicData
    from mace.data.utils import Configuration as MaceConfiguration
    from mace.modules.utils import compute_avg_num_neighbors
    from mace.tools import AtomicNumberTable, torch_geometric
    from mace.tools.torch_geometric.batch import Batch

INFO = {label.name: f"REF_{label.name}" for label in LABELS.values() if not label.per_atom}
ARRAYS = {label.name: f"REF_{label.name}" for label in LABELS.values() if label.per_atom}
R_MAX = 4.0

CONTRACT = {
    *("node_attrs", "positions", "edge_index", "shifts", "unit_shifts", "cell", "pbc", "batch"),
    *("ptr", "head", "weight", "energy", "forces", "stress", "density_coefficients"),
    *("total_charge", "total_spin", "dipole", "polarizability", "fermi_level"),
    *("external_field",),
    *("esps", "cluster_batch", "molecule_index"),
    *WEIGHTS,
}


def labelled(seed: int, n_waters: int, *, periodic: bool) -> ase.Atoms:
    """Scattered atoms with random labels; molecule numbers neither start at 0 nor are dense."""
    rng = np.random.default_rng(seed)
    atoms = ase.Atoms("OH2" * n_waters)
    atoms.positions = rng.uniform(0, 7, size=(len(atoms), 3))
    if periodic:
        atoms.set_cell(7 * np.eye(3) + rng.uniform(-1, 1, size=(3, 3)))
        atoms.pbc = True
        atoms.info["REF_stress"] = rng.normal(size=6)
    for name, shape in (("dipole", 3), ("external_field", 3), ("polarizability", 9)):
        atoms.info[f"REF_{name}"] = rng.normal(size=shape)
    for name in ("energy", "total_charge", "fermi_level"):
        atoms.info[f"REF_{name}"] = float(rng.normal())
    atoms.info["REF_total_spin"] = int(rng.integers(1, 5))
    atoms.arrays["REF_forces"] = rng.normal(size=(len(atoms), 3))
    atoms.arrays["REF_esps"] = rng.normal(size=len(atoms))
    atoms.arrays["REF_atomic_multipoles"] = rng.normal(size=(len(atoms), 9))
    atoms.arrays["REF_cluster_batch"] = 2 * rng.permutation(np.repeat(np.arange(n_waters), 3)) + 5
    atoms.info["config_weight"] = float(rng.uniform(0.5, 2))
    for weight in WEIGHTS.values():
        if weight.key != "esps_weight":  # the two masks of potentials have one weight
            atoms.info[f"config_{weight.names[0]}_weight"] = float(rng.uniform(0.5, 2))
    return atoms


@pytest.fixture
def frames():
    """Molecules and cells in turns, the sixth without labels, the last a lone atom."""
    made = [labelled(seed, 1 + seed % 4, periodic=seed % 2 == 1) for seed in range(8)]
    made[5].info = {"config_type": "unlabelled"}
    for name in ("forces", "atomic_multipoles", "esps", "cluster_batch"):
        del made[5].arrays[f"REF_{name}"]
    lone = ase.Atoms("O", info={"REF_energy": -3.0})
    return [*made, lone]


@pytest.fixture
def configurations(files, frames):
    return read_configurations(files.write(*frames), INFO, ARRAYS)


def graphs_of(configurations, dtype=torch.float64, **options):
    options = {"r_max": R_MAX, "elements": (1, 8), "multipoles_max_l": 1, **options}
    return build_graphs(configurations, dtype=dtype, **options)


def mace_data(configuration):
    """The same configuration as mace-torch's own graph."""
    n_atoms, properties = len(configuration), {}
    for key, label in LABELS.items():
        shape = [{"n": n_atoms, "C": 4}.get(size, size) for size in label.shape]
        properties[key] = configuration.labels.get(key, np.zeros(shape))
    properties["density_coefficients"] = properties["density_coefficients"][:, :4]
    properties["external_field"] = properties["external_field"][None]
    # One-dimensional extras become columns in mace: as its own rows they stay as they are.
    for key, weight in configuration.weights.items():
        properties[key] = weight[None] if weight.ndim else torch.tensor(weight.item()).double()
    own = {key.removesuffix("_weight"): value for key, value in configuration.weights.items()}
    config = MaceConfiguration(
        configuration.atomic_numbers,
        configuration.positions,
        properties,
        own,
        configuration.cell,
        tuple(configuration.pbc.tolist()),
        configuration.weight,
    )
    return AtomicData.from_config(config, AtomicNumberTable([1, 8]), R_MAX)


@pytest.fixture
def _float64():
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(default)


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize("periodic", [False, True])
def test_a_batch_equals_the_collation_of_mace(configurations, periodic):
    chosen = [c for c in configurations if c.periodic is periodic]
    graphs = graphs_of(configurations)
    order = [len(chosen) - 1, 0, 2, 1]
    offset = graphs.n_molecular if periodic else 0
    batch = graphs.batch([offset + i for i in order])
    expected = Batch.from_data_list([mace_data(chosen[i]) for i in order]).to_dict()
    tensors = dict(batch.tensors)
    assert set(tensors) == CONTRACT | (set() if periodic else {"pair_index"})
    assert (batch.periodic, batch.n_graphs) == (periodic, 4)
    assert batch.n_atoms == len(tensors["positions"])

    numbers = expected["cluster_batch"].squeeze(-1).long()
    torch.testing.assert_close(tensors.pop("cluster_batch"), numbers)
    # mace makes a column of what is one number per atom
    expected["esps"] = expected["esps"].squeeze(-1)
    pairs = torch.stack([expected["batch"], numbers], dim=1)
    dense = torch.unique(pairs, dim=0, return_inverse=True)[1]
    torch.testing.assert_close(tensors.pop("molecule_index"), dense)
    if not periodic:
        same = expected["batch"][:, None] == expected["batch"][None]
        same.fill_diagonal_(False)
        torch.testing.assert_close(tensors.pop("pair_index"), same.nonzero().T)
    for name, tensor in tensors.items():
        other = expected[name]
        if name == "pbc":
            other = other.view(-1, 3)
        assert tensor.dtype == other.dtype, name
        torch.testing.assert_close(tensor, other, rtol=0, atol=0, msg=lambda m, n=name: f"{n}: {m}")


def test_missing_labels_are_zeros_with_weight_zero(configurations):
    graphs = graphs_of(configurations)
    position = graphs.configurations.index(configurations[5])
    tensors = graphs.batch([position]).tensors
    for key in LABELS:
        assert not tensors[key].any()
    for key in WEIGHTS:
        assert not tensors[key].any()
    assert tensors["density_coefficients"].shape[1] == 4
    assert tensors["weight"].tolist() == [1.0]


def test_dtype_of_the_floats_only(configurations):
    tensors = graphs_of(configurations, torch.float32).batch([0, 1]).tensors
    kinds = {name: tensor.dtype for name, tensor in tensors.items()}
    integers = {
        "edge_index",
        "pair_index",
        "batch",
        "ptr",
        "head",
        "cluster_batch",
        "molecule_index",
    }
    assert {name for name, kind in kinds.items() if kind == torch.int64} == integers
    assert kinds.pop("pbc") == torch.bool
    assert {kind for name, kind in kinds.items() if name not in integers} == {torch.float32}


@pytest.mark.usefixtures("_float64")
def test_avg_num_neighbors_is_that_of_mace(configurations):
    loader = torch_geometric.dataloader.DataLoader(
        [mace_data(c) for c in configurations], batch_size=3, shuffle=False, drop_last=False
    )
    expected = compute_avg_num_neighbors(loader)
    assert graphs_of(configurations).avg_num_neighbors == pytest.approx(expected, rel=1e-12)


def test_one_pass_holds_every_graph_once_and_never_mixes(configurations):
    graphs = graphs_of(configurations)
    for seed in (None, 0):
        passed = list(batches(graphs, 2, shuffle_seed=seed))
        assert len(passed) == n_batches(graphs, 2) == 5
        assert sorted(b.n_graphs for b in passed) == [1, 2, 2, 2, 2]
        for batch in passed:
            assert batch.periodic == bool(batch.tensors["pbc"].all())
            assert batch.periodic == bool(batch.tensors["pbc"].any())
        seen = torch.cat([batch.tensors["energy"] for batch in passed]).sort().values
        expected = torch.tensor([float(c.labels.get("energy", 0)) for c in configurations])
        torch.testing.assert_close(seen, expected.double().sort().values)
    with pytest.raises(ValueError, match="all molecules or all periodic"):
        graphs.batch([0, len(graphs) - 1])
    with pytest.raises(ValueError, match="all molecules or all periodic"):
        graphs.batch([])


def order_of(graphs, **options):
    return torch.cat([batch.tensors["energy"] for batch in batches(graphs, 2, **options)]).tolist()


def test_the_order_is_fixed_by_seed_and_epoch(configurations):
    graphs = graphs_of(configurations)
    first = order_of(graphs, shuffle_seed=3, epoch=1)
    assert order_of(graphs_of(configurations), shuffle_seed=3, epoch=1) == first
    assert order_of(graphs, shuffle_seed=3, epoch=2) != first
    assert order_of(graphs, shuffle_seed=4, epoch=1) != first
    assert order_of(graphs) == order_of(graphs)


def test_attached_tensors_follow_their_atoms(configurations):
    graphs = graphs_of(configurations)

    def evaluate(batch):
        return (
            batch.tensors["positions"].sum(dim=1) * batch.tensors["weight"][batch.tensors["batch"]]
        )

    graphs.attach("esps_dft", torch.cat([evaluate(batch) for batch in batches(graphs, 3)]))
    for batch in batches(graphs, 2, shuffle_seed=1):
        torch.testing.assert_close(batch.tensors["esps_dft"], evaluate(batch))
    with pytest.raises(ValueError, match=r"'esps_dft'.*expected \d+ rows.*got shape \(3,\)"):
        graphs.attach("esps_dft", torch.zeros(3))


def test_edges_are_all_pairs_within_the_cutoff(configurations):
    graphs = graphs_of(configurations)
    for batch in batches(graphs, 4):
        t = batch.tensors
        sender, receiver = t["edge_index"]
        vectors = t["positions"][receiver] - t["positions"][sender] + t["shifts"]
        assert (vectors.norm(dim=1) < R_MAX).all()
        cell = t["cell"].view(-1, 3, 3)[t["batch"][sender]]
        torch.testing.assert_close(t["shifts"], torch.einsum("ei,eij->ej", t["unit_shifts"], cell))
    molecules = graphs.batch(range(graphs.n_molecular)).tensors
    source, target = molecules["pair_index"]
    distances = (molecules["positions"][source] - molecules["positions"][target]).norm(dim=1)
    near = (distances < R_MAX).sum()
    assert molecules["edge_index"].shape[1] == near


def test_errors_name_the_configuration(files, configurations, frames):
    with pytest.raises(InputError, match="no configuration to build graphs from"):
        graphs_of([])
    with pytest.raises(InputError, match=r"configuration 0: element 8 is not one of \[1\]"):
        graphs_of(configurations, elements=[1])
    frames[0].arrays["REF_atomic_multipoles"] = np.ones(len(frames[0]))
    narrow = read_configurations(files.write(*frames), INFO, ARRAYS)
    with pytest.raises(
        InputError, match="configuration 0: label 'atomic_multipoles' has 1 columns"
    ):
        graphs_of(narrow)
    assert graphs_of(narrow, multipoles_max_l=0).atoms["density_coefficients"].shape[1] == 1
    frames[2].positions[4] = frames[2].positions[1]
    twice = read_configurations(files.write(*frames), INFO, ARRAYS)
    with pytest.raises(InputError, match=r"configuration 2: atoms 1 and 4 are 0.000 Å apart"):
        graphs_of(twice, multipoles_max_l=0)


def test_a_molecule_far_from_the_origin_has_the_same_neighbours(configurations):
    """Without a RuntimeWarning of the neighbour list, and in no time."""
    near = max((c for c in configurations if not c.periodic), key=len)
    far = dataclasses.replace(near, positions=near.positions + np.array([2e3, -5e4, 1e3]))
    edges = [
        {tuple(edge) for edge in graphs_of([c]).batch([0]).tensors["edge_index"].T.tolist()}
        for c in (near, far)
    ]
    assert edges[0] == edges[1]
    assert edges[0]
