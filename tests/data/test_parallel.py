"""Work in several processes: in order, a few tasks ahead, and no process that outlives an error."""

import math
import multiprocessing
import os

import numpy as np
import pytest

from sweep.data.parallel import in_processes, join, n_processes, save_part
from sweep.errors import SweepError


def test_results_are_in_order_and_tasks_taken_as_needed():
    taken = []

    def tasks():
        for number in range(40):
            taken.append(number)
            yield number

    results = in_processes(math.sqrt, tasks())
    assert next(results) == 0
    assert len(taken) <= 3 * n_processes()
    assert list(results) == [math.sqrt(number) for number in range(1, 40)]


def test_an_error_is_raised_and_a_killed_process_told():
    with pytest.raises(ValueError, match="math domain error"):
        list(in_processes(math.sqrt, [1.0, -1.0, -2.0]))
    with pytest.raises(SweepError, match="was killed; the machine may be out of memory"):
        list(in_processes(os._exit, [1]))
    assert not multiprocessing.active_children()


def test_parts_are_joined_and_widened(tmp_path):
    parts, tails = [], {"a": (), "b": (4,)}
    for number, width in enumerate((1, 4)):
        path = tmp_path / f"part{number}.npz"
        arrays = {"a": np.array([0, 1]), "b": np.full((3, width), float(number + 1))}
        assert save_part(path, arrays) == {"a": (), "b": (width,)}
        parts.append(path)
    renumber = {"a": [np.array([0, 1]), np.array([2, 0])]}
    shapes = join(parts, tails, tmp_path, renumber)
    assert {name: (array.dtype.str, array.shape) for name, array in shapes.items()} == {
        "a": ("<i8", (4,)),
        "b": ("<f8", (6, 4)),
    }
    assert np.fromfile(tmp_path / "a.bin", np.int64).tolist() == [0, 1, 2, 0]
    wide = np.fromfile(tmp_path / "b.bin").reshape(6, 4)
    assert wide[:3].tolist() == [[1, 0, 0, 0]] * 3
    assert wide[3:].tolist() == [[2, 2, 2, 2]] * 3
    assert not list(tmp_path.glob("*.npz"))
