"""Long work on a data set, part by part in several processes, into one folder of flat arrays.

Each process writes the arrays of its part to a file; the parts are then joined one after the other,
so that no process ever holds more than a part. Imports no torch.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from multiprocessing.connection import wait
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sweep.errors import SweepError

__all__ = ["Report", "in_processes", "join", "n_processes", "save_part", "silent"]

Array = NDArray[Any]
Task = TypeVar("Task")
Result = TypeVar("Result")

Report = Callable[[str, int, int | None], None]
"""Is told what is done, how many configurations of it, and of how many if that is known."""


def silent(what: str, done: int, total: int | None) -> None:
    """A :data:`Report` that shows nothing."""


def n_processes() -> int:
    """As many as this process may use cores."""
    return len(os.sched_getaffinity(0))


def in_processes(function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
    """Results in the order of the tasks; only a few tasks are taken ahead of them.

    Args:
        function: of a module, so that another process finds it.
        tasks: each travels by pickle.

    Raises:
        SweepError: a process was killed, for example for lack of memory.
        Exception: what ``function`` raised, for the first task that did.
    """
    n = n_processes()
    # not "fork": torch and the threads of a worker do not survive it
    context = multiprocessing.get_context("spawn")
    waiting: deque[Future[Result]] = deque()
    with ProcessPoolExecutor(n, mp_context=context, initializer=_begin) as pool:
        try:
            for task in tasks:
                waiting.append(pool.submit(function, task))
                if len(waiting) >= 3 * n:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise SweepError(
                "a process that prepares the data was killed; the machine may be out of memory"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """Leave Ctrl-C to the parent, and do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def save_part(file: Path, arrays: Mapping[str, Array]) -> dict[str, tuple[int, ...]]:
    """Write the arrays of a part; returns their shapes without the first axis."""
    with file.open("wb") as stream:
        np.savez(stream, **dict[str, Any](arrays))
    return {name: array.shape[1:] for name, array in arrays.items()}


def join(
    parts: Iterable[Path],
    tails: Mapping[str, tuple[int, ...]],
    folder: Path,
    renumber: Mapping[str, Sequence[Array]] | None = None,
) -> dict[str, Array]:
    """Append the arrays of all parts to raw files of a folder, and remove the parts.

    Args:
        parts: files of :func:`save_part`, all with the same names.
        tails: shapes without the first axis; a part's narrower array is filled up with zeros.
        folder: gets a file ``<name>.bin`` for each name.
        renumber: by name, for each part the number that stands for each of its own.

    Returns:
        By name an array of the right type and shape that holds nothing.
    """
    lengths = dict.fromkeys(tails, 0)
    dtypes: dict[str, np.dtype[Any]] = {}
    with ExitStack() as stack:
        files: dict[str, IO[bytes]] = {
            name: stack.enter_context((folder / f"{name}.bin").open("wb")) for name in tails
        }
        for number, part in enumerate(parts):
            with np.load(part, allow_pickle=False) as arrays:
                for name, tail in tails.items():
                    array = _filled(arrays[name], tail)
                    if renumber is not None and name in renumber:
                        array = renumber[name][number][array]
                    files[name].write(array.tobytes())
                    lengths[name] += len(array)
                    dtypes[name] = array.dtype
            part.unlink()
    return {
        name: np.broadcast_to(np.zeros((), dtypes[name]), (lengths[name], *tail))
        for name, tail in tails.items()
    }


def _filled(array: Array, tail: tuple[int, ...]) -> Array:
    if array.shape[1:] == tail:
        return array
    wide = np.zeros((len(array), *tail), array.dtype)
    wide[(slice(None), *(slice(size) for size in array.shape[1:]))] = array
    return wide
