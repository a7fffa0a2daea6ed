"""What all tests share: one thread, and small pieces of the shipped data."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from sweep.data import shipped

# A shell starts commands in the background with SIGINT ignored, which all processes inherit that
# they start; tests of Ctrl-C need it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Fixtures that tests of several folders use.
pytest_plugins = ("command_fixtures", "study_fixtures")

Overrides = list[str]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kills",
        type=int,
        default=54,
        help="of the test of random kills, on both storages together",
    )
    parser.addoption(
        "--day-trials", type=int, default=200, help="of a worker whose memory must stay flat"
    )
    parser.addoption(
        "--fault-steps", type=int, default=1, help="events between two injected faults; 1: at each"
    )
    parser.addoption(
        "--kills-pause", type=float, default=10.0, help="longest time that a worker trains, seconds"
    )
    parser.addoption(
        "--kills-seed", type=int, default=2, help="of the moments: another one kills elsewhere"
    )


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 12 training, 6 validation and 6 test configurations of ``water_clusters``."""
    import ase.io

    folder = tmp_path_factory.mktemp("tiny")
    for split, count in (("train", 12), ("valid", 6), ("test", 6)):
        frames = ase.io.read(shipped(f"water_clusters/{split}.xyz"), index=f":{4 * count}:4")
        ase.io.write(folder / f"{split}.xyz", frames)
    return folder


@pytest.fixture(scope="session")
def tiny_overrides(tiny_data: Path) -> Overrides:
    """Overrides for a training of a few seconds on :func:`tiny_data`."""
    heads = "heads.water_clusters"
    return [
        *(f"{heads}.{split}_file={tiny_data / split}.xyz" for split in ("train", "valid", "test")),
        "model=local_charges_small",
        "model.num_channels=4",
        "model.radial_MLP=[8]",
        "trainer.batch_size=4",
        "trainer.balance_interval=2",
    ]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[object]:
    """A PostgreSQL server of these tests' own; skipped where there is none, but not in CI."""
    import postgresql_server

    with postgresql_server.postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def compose(tiny_overrides: Overrides) -> Callable[..., object]:
    """Compose a configuration on the tiny data: ``compose("seed=3", ...)``."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    from sweep.config.stages import CONF_DIR
    from sweep.hydra_plugin.registration import register

    register()

    def make(*overrides: str) -> object:
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            return hydra_compose("config", [*tiny_overrides, *overrides])

    return make
