"""``config_type_weights``: the product with ``config_weight`` as in MACE, and what is refused."""

import numpy as np
import pytest

from sweep.data.dataset import load
from sweep.data.graphs import neighbours
from sweep.data.graphs.build import build_graphs
from sweep.data.graphs.graphs import batches
from sweep.data.read import tables as reading
from sweep.errors import InputError

KEYS = {"info_keys": {"energy": "REF_energy"}, "arrays_keys": {"forces": "REF_forces"}}
TYPES = {"bulk": 3.0, "Default": 0.5}


@pytest.fixture
def frames(water):
    """Two kinds, one without a name, and own weights in some."""
    infos = [{"config_type": "bulk"}, {"config_type": "gas"}, {}]
    return [
        water(seed, **infos[seed % 3], **({"config_weight": 2.0} if seed % 2 else {}))
        for seed in range(9)
    ]


@pytest.fixture
def data(files, frames, water):
    """Load with these weights; validation and test set have kinds of their own, too."""
    train = str(files.write(*frames))
    valid = str(files.write(*frames[:3], water(20, config_type="unseen")))

    def make(weights, **head):
        head = {"E0s": "average", **KEYS, "train_file": train, "valid_file": valid, **head}
        return load({"default": {**head, "config_type_weights": weights}}, split_seed=0)

    return make


def weights_of(table):
    return table.graphs("weight").tolist()


def test_weights_are_those_of_mace(data, frames):
    from sweep.libraries import quiet

    with quiet():
        from mace.data.utils import config_from_atoms

    found = data(TYPES)
    expected = [config_from_atoms(atoms, config_type_weights=TYPES).weight for atoms in frames]
    assert weights_of(found.train) == expected
    assert weights_of(found.valid) == [*expected[:3], 1.0]
    assert found.notes == (
        "config_type_weights (configurations of the training set): bulk 3 (3), Default 0.5 (3)",
    )


@pytest.mark.parametrize("nothing", [{}, None])
def test_without_them_the_file_alone_says_the_weights(data, nothing):
    assert weights_of(data(nothing).train) == [1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0]


def test_what_is_computed_of_the_labels_does_not_depend_on_them(data):
    one, other = data(TYPES), data({})
    assert one.atomic_energies == other.atomic_energies
    assert one.coverage() == other.coverage()


def test_a_kind_of_weight_zero_is_out_of_every_split(data):
    found = data({"bulk": 0.0})
    assert [len(table) for _, table in found.splits()] == [6, 3]
    product = "configurations of config_weight × config_type_weights 0 are left out"
    assert found.notes[:2] == (f"train: 3 {product}", f"valid: 1 {product}")
    with pytest.raises(InputError, match="× config_type_weights is 0 in every train configuration"):
        data({"bulk": 0.0, "gas": 0.0, "Default": 0.0})


def test_the_split_does_not_depend_on_them(data):
    parts = [data(given, valid_file=None, valid_fraction=0.4) for given in ({}, {"bulk": 0.5})]
    for split in ("train", "valid"):
        places = [[c.where for c in getattr(part, split)] for part in parts]
        assert places[0] == places[1]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"bulkk": 2.0}, "unknown config_type 'bulkk'; did you mean 'bulk'? "
         "valid: Default, bulk, gas"),
        ({"unseen": 2.0}, "unknown config_type 'unseen'; valid: Default, bulk, gas"),
        ({"bulk": -1.0}, "bulk: must be a finite number from 0 on; got -1.0"),
        ({"bulk": float("nan")}, "bulk: must be a finite number from 0 on; got nan"),
        ({"bulk": "2"}, "bulk: must be a finite number from 0 on; got '2'"),
        ({"bulk": True}, "bulk: must be a finite number from 0 on; got True"),
        ([2.0], "must map config_types to weights; got [2.0]"),
    ],
)  # fmt: skip
def test_what_is_refused(data, weights, message):
    with pytest.raises(InputError) as caught:
        data(weights)
    text = str(caught.value)
    assert text.startswith("heads.default.config_type_weights")
    assert text.endswith(message)
    assert "\n" not in text


def test_a_file_without_kinds_may_have_the_default_of_mace(files, water):
    path = str(files.write(*(water(seed, config_type="a") for seed in range(4))))
    head = {"E0s": "average", **KEYS, "train_file": path, "valid_file": path}
    found = load({"x": {**head, "config_type_weights": {"Default": 1.0}}}, split_seed=0)
    assert weights_of(found.train) == [1.0] * 4


def test_one_entry_of_the_cache_serves_all_weights(data, tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(reading, "LARGE", 0)
    for module in (reading, neighbours):
        monkeypatch.setattr(module, "in_processes", map)
    cache = tmp_path / "cache"
    held = data(TYPES)

    def from_cache(weights):
        given = load(
            {"default": {"E0s": "average", **KEYS, "train_file": held.train[0].file,
                         "valid_file": held.valid[0].file, "config_type_weights": weights}},
            split_seed=0, cache_dir=cache,
        )  # fmt: skip
        return build_graphs(given.train, r_max=4.0, elements=(1, 8), multipoles_max_l=1,
                            dtype=torch.float64)  # fmt: skip

    expected = np.array(weights_of(held.train))
    entries = None
    for weights, factor in ((TYPES, expected), ({}, np.array(weights_of(data({}).train)))):
        graphs = from_cache(weights)
        assert torch.cat([b.tensors["weight"] for b in batches(graphs, 4)]).tolist() == list(factor)
        there = sorted(path.name for path in cache.iterdir())
        assert entries in (None, there)
        entries = there
